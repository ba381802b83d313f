/* SPDX-License-Identifier: MIT */
#ifndef PERILUNE_NATIVE_H
#define PERILUNE_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "perilune/code.h"

/* Functions of the host program that a bundle calls as if they were written in Lua: resolvers, service
 * methods, handlers of events, scalars, interceptors. They are registered with a pl_app (perilune.h).
 *
 * A function is called on a loop's thread, in the middle of a request: it must not block, and no exception of
 * C++ or longjmp may leave it. It reads its arguments through *slots*, writes its result, and returns
 * PL_NATIVE_DONE; or it returns PL_NATIVE_PENDING, and the call is finished later, from any thread. None of
 * the functions here aborts, throws or jumps: what goes wrong while a result is written (memory, a key
 * outside of a map) is remembered, and the call fails with it. */

#ifdef __cplusplus
extern "C" {
#endif

/* One call of a native function. It lives until it is finished; a pending one until pl_native_finish. */
typedef struct pl_native_call pl_native_call;

typedef enum pl_native_status {
    PL_NATIVE_DONE,    /* what was written is the result; nothing: none, Lua's nil */
    PL_NATIVE_FAILED,  /* pl_native_fail was called */
    PL_NATIVE_PENDING, /* pl_native_finish will be called, once */
} pl_native_status;

typedef pl_native_status (*pl_native_function)(pl_native_call *call, void *data);

/* --- the arguments: only until the function returns, on its thread ---
 *
 * A resolver has (parent, args, ctx, info); a method (request, call); a handler of events (event, msg, ctx),
 * of batches lists of the first two; a scalar's functions the value alone; an interceptor's (ctx), and behind
 * it also (ctx, outcome), { errors = how many, code = "NOT_FOUND", message = … }, the last two where there is
 * one. Arguments are as scripts have them (docs/graphql.md): a ctx has a field only when a script has set it.
 * Slots are counted from 1; slot 0 is no value, and reads as absent. */
typedef int pl_native_slot;

typedef enum pl_native_kind {
    PL_NATIVE_ABSENT,
    PL_NATIVE_NULL,
    PL_NATIVE_BOOL,
    PL_NATIVE_INT,
    PL_NATIVE_FLOAT,
    PL_NATIVE_STRING, /* bytes, too */
    PL_NATIVE_LIST,
    PL_NATIVE_MAP,
    PL_NATIVE_OTHER, /* has no form outside of its script: a function, say */
} pl_native_kind;

PL_API size_t pl_native_argument_count(const pl_native_call *call);
PL_API pl_native_slot pl_native_argument(pl_native_call *call, size_t index); /* from 0; 0 beyond the last */
PL_API pl_native_kind pl_native_kind_of(pl_native_call *call, pl_native_slot slot);
/* A value of another kind gives false, 0 or an empty string; a float without a fraction is an integer too. */
PL_API bool pl_native_bool(pl_native_call *call, pl_native_slot slot);
PL_API int64_t pl_native_int(pl_native_call *call, pl_native_slot slot);
PL_API double pl_native_float(pl_native_call *call, pl_native_slot slot);
/* *length bytes, which may hold NULs, and a NUL behind them; valid as long as the arguments are. */
PL_API const char *pl_native_string(pl_native_call *call, pl_native_slot slot, size_t *length);
PL_API size_t pl_native_length(pl_native_call *call, pl_native_slot slot); /* elements of a list */
/* New slots, valid as long as the arguments are; 0: there is no such member, or no memory. A field that only
 * code of the script can compute (a metamethod) is absent. */
PL_API pl_native_slot pl_native_field(pl_native_call *call, pl_native_slot map, const char *name);
PL_API pl_native_slot pl_native_element(pl_native_call *call, pl_native_slot list, size_t index);
/* Gives back all slots from this one on, which were made after it: for walks through long lists. */
PL_API void pl_native_release(pl_native_call *call, pl_native_slot first);
/* A copy of the value as JSON, NUL-terminated, which lives as long as the call; NULL, with *length 0: no
 * memory, or the value has no such form (functions and what is nested deeper than 64 are null in it).
 * Bytes that are no UTF-8 become U+FFFD. */
PL_API const char *pl_native_json(pl_native_call *call, pl_native_slot slot, size_t *length);

/* The same as MessagePack, which keeps bytes: a string that is no UTF-8 is of type bin. For functions that
 * are carried out on another thread. */
PL_API const char *pl_native_pack(pl_native_call *call, pl_native_slot slot, size_t *length);
/* A map, as MessagePack, of what is known of the request: protocol, request_id, peer, operation_name,
 * operation_kind, and headers, a map in which a name may come more than once. */
PL_API const char *pl_native_pack_request(pl_native_call *call, size_t *length);

/* Where values of scalars that were marked (pl_app_mark_scalar) stand in the arguments and the result of a
 * resolver. It is immutable, belongs to the schema that the resolver was called by, and may be kept beyond
 * the call, on any thread. NULL: nowhere. Otherwise a reference, to be given back. */
typedef struct pl_native_scalars pl_native_scalars;
PL_API pl_native_scalars *pl_native_scalars_of(pl_native_call *call);
PL_API pl_native_scalars *pl_native_scalars_ref(pl_native_scalars *scalars); /* another one */
PL_API void pl_native_scalars_free(pl_native_scalars *scalars);              /* a reference; NULL is fine */
/* As MessagePack, [arguments, result, types]: arguments is {name: place}, result a place. A place is [how
 * many lists, the index of a type], or nil: there is none. A type is the name of a scalar; or {field: place},
 * of an object's fields that have no resolver of their own; or [[name of an object, its index], …] of an
 * interface or a union. Valid as long as the reference. */
PL_API const char *pl_native_scalars_pack(const pl_native_scalars *scalars, size_t *length);

/* Of the request the call is part of. Valid as long as the arguments are. */
PL_API const char *pl_native_request_id(pl_native_call *call);
/* NULL: there is no such header. name in lower case. */
PL_API const char *pl_native_header(pl_native_call *call, const char *name);
PL_API int64_t pl_native_time_left_ms(pl_native_call *call); /* until the deadline; -1: there is none */

/* --- the result: one value, written from outside to inside --- */
PL_API void pl_native_put_null(pl_native_call *call);
PL_API void pl_native_put_bool(pl_native_call *call, bool value);
PL_API void pl_native_put_int(pl_native_call *call, int64_t value);
PL_API void pl_native_put_float(pl_native_call *call, double value);
PL_API void pl_native_put_string(pl_native_call *call, const char *bytes, size_t length); /* copied */
PL_API void pl_native_put_text(pl_native_call *call, const char *text); /* the same, to its NUL */
PL_API void pl_native_begin_list(pl_native_call *call);
PL_API void pl_native_begin_map(pl_native_call *call);
PL_API void pl_native_key(pl_native_call *call, const char *name); /* before each value of a map; copied */
PL_API void pl_native_end(pl_native_call *call);                   /* of the list or map */
/* A whole value as JSON; what is not JSON fails the call. */
PL_API void pl_native_put_json(pl_native_call *call, const char *json, size_t length);

/* --- results that come one by one: what a subscription's source gives, a list, messages of a stream ---
 *
 * A sequence is written alone, as the whole result. next is a function like others, which may be PENDING:
 * what it writes is the next element; nothing is the end, and so is a failure. It is not called before the
 * last call of it is over. close(data) (may be NULL) is called once, when next will not be called any more
 * and no call of it is in hand, however that came about; on the loop's thread, or on the one that finishes a
 * call that nobody wants any more.
 *
 * A method that streams gives a sequence, too. The elements of one with streaming answers are the messages
 * that are sent, each as the client takes them; of one with a single answer, the first element is that. Its
 * function has the arguments (request, call), or, where requests are streamed, (call) alone; then next asks
 * for messages: */
PL_API void pl_native_put_sequence(pl_native_call *call, pl_native_function next, void (*close)(void *data),
                                   void *data);
/* Instead of writing an element: next wants the client's next message, and is called again with it as its
 * argument, which is absent (of an argument count of 1) when the client has sent all. Otherwise next has no
 * arguments. */
PL_API void pl_native_ask_message(pl_native_call *call);

/* --- the end --- */
/* The call fails as if a script had raised this error: message and violations are meant for the client.
 * Returns PL_NATIVE_FAILED. */
PL_API pl_native_status pl_native_fail(pl_native_call *call, pl_code code, const char *message);
/* Adds a violation of a field to an INVALID_ARGUMENT. Before or after pl_native_fail. */
PL_API void pl_native_violation(pl_native_call *call, const char *field, const char *description);
/* The call fails with INTERNAL and an id; message and traceback (may be NULL) go to the log alone. */
PL_API pl_native_status pl_native_fail_unexpected(pl_native_call *call, const char *message,
                                                  const char *traceback);

/* For a call that is to be PENDING, before the function returns: cancelled(data) is called, at most once, on
 * the loop's thread (or the one that frees what is left at the end), when nobody wants the result any more
 * (client gone, deadline, end of the program). pl_native_finish must be called all the same, soon, and may be
 * from inside of cancelled. When finish has returned, cancelled is not called any more, nor still running:
 * another thread waits for it there, so it must hold no lock then that cancelled takes. */
PL_API void pl_native_on_cancel(pl_native_call *call, void (*cancelled)(void *data), void *data);
/* Ends a PENDING call with what was written, or the failure that was set; any thread, also before the
 * function has returned. The thread that finishes has the result to itself: arguments cannot be read any
 * more. The call is gone when this returns. */
PL_API void pl_native_finish(pl_native_call *call);

#ifdef __cplusplus
}
#endif

#endif
