/* SPDX-License-Identifier: MIT */
#ifndef PERILUNE_H
#define PERILUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "perilune/code.h"
#include "perilune/native.h"

/* The public C API. All types are opaque. Nothing here aborts on bad input, installs signal handlers (other
 * than what the Lua engine needs: docs/embedding.md, "Signals") or writes to the standard streams. Several
 * apps in one process are independent of each other.
 *
 * An *app* is a bundle made live. It runs either on threads of its own, its workers (then each of its
 * functions may be called from any thread), or, with no workers, on the thread that calls it (then one thread
 * at a time, and work that waits goes on whenever one of its functions is called: pl_app_turn, or one that
 * waits for a result). Functions that write an error into a buffer cut it at error_size, always terminate it,
 * and take NULL with size 0. An app is never NULL, but for pl_app_free. No exception of C++ and no longjmp
 * may leave a callback. */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pl_app pl_app;

/* "0.1.0" */
PL_API const char *pl_version(void);

/* --- the process --- */
/* Where all memory of Perilune comes from, for all apps: to be set before any other function is called, and
 * not again. Functions as malloc, realloc and free, called on any thread (never with NULL, and never with a
 * size of 0); a failed allocation is an error of whatever needed it. What libraries allocate for themselves
 * (h2o, OpenSSL, librdkafka, SQLite) does not come from here: docs/embedding.md. FAILED_PRECONDITION: too
 * late.
 */
typedef struct pl_allocator {
    void *(*allocate)(void *data, size_t size);
    void *(*reallocate)(void *data, void *memory, size_t size);
    void (*release)(void *data, void *memory);
    void *data;
} pl_allocator;
PL_API pl_code pl_set_allocator(const pl_allocator *allocator);
/* Frees what the functions below give to be freed. NULL is fine. */
PL_API void pl_free_text(char *text);

/* --- an app --- */
typedef enum pl_log_level {
    PL_LOG_DEFAULT, /* info */
    PL_LOG_DEBUG,
    PL_LOG_INFO,
    PL_LOG_WARN,
    PL_LOG_ERROR,
    PL_LOG_NONE,
} pl_log_level;

/* A file of a bundle in memory. path is relative to the bundle ("resolvers/user.lua"), without "." and "..";
 * bytes need no terminator. Both are copied. */
typedef struct pl_app_file {
    const char *path;
    const char *bytes;
    size_t length;
} pl_app_file;

/* Everything is copied. Begin with PL_APP_OPTIONS_INIT: size says which version of this struct the caller was
 * compiled with. NULL and 0 are the defaults that are named; addresses are "HOST:PORT", port 0 is any free
 * one, or "unix:PATH", and NULL is not to listen. */
typedef struct pl_app_options {
    size_t size;
    const char *directory; /* of the bundle; NULL: it is in files, or it is empty */
    const pl_app_file *files;
    size_t file_count;

    int workers; /* threads; 0: none, it runs on the caller's; PL_WORKERS_ALL: one a processor */
    const char *http;
    const char *https; /* with certificate and key, PEM files */
    const char *grpc;
    const char *grpcs;
    const char *certificate, *key;
    /* clients over TLS must show a certificate of one of these; NULL: they need none */
    const char *client_ca;
    const char *kafka;   /* "host:9092,…", "embedded" or "off", instead of what app.lua says; NULL: that */
    const char *metrics; /* where /metrics is served; NULL: on the HTTP port */
    unsigned drain_ms;   /* how long old work may take after a reload, and at the end; 0 is 30,000 */

    /* Called with each line: one JSON object, without a newline. Any thread, one at a time; it must not call
     * back. NULL: nothing is logged. */
    void (*log)(void *data, pl_log_level level, const char *line, size_t length);
    void *log_data;
    pl_log_level log_level;

    /* The clock of timers and deadlines, in monotonic nanoseconds, instead of the system's: of an app without
     * workers, which asks it in pl_app_turn. Sleeping until something is due is then the caller's. */
    uint64_t (*clock)(void *data);
    void *clock_data;

    /* How many contexts of the program's own h2o it is attached to (perilune/h2o.h). With workers 0 it then
     * has no others, and none on the caller's thread. */
    unsigned h2o_contexts;
} pl_app_options;
#define PL_WORKERS_ALL (-1)
#define PL_APP_OPTIONS_INIT                                                                                \
    {                                                                                                      \
        sizeof(pl_app_options), NULL, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, \
            NULL, NULL, PL_LOG_DEFAULT, NULL, NULL, 0                                                      \
    }

/* NULL: memory, or options that cannot be; error says which. Nothing is read yet. To be freed by
 * pl_app_free. */
PL_API pl_app *pl_app_new(const pl_app_options *options, char *error, size_t error_size);
/* Stops it first, at once. NULL is fine. Not from inside of its callbacks and native functions, nor while
 * another thread stops it: that is logged, and nothing is done. */
PL_API void pl_app_free(pl_app *app);

/* --- functions of the host program, registered between pl_app_new and pl_app_start ---
 *
 * They are bound as if a file of the bundle defined them: a name that the schema or the protos do not know,
 * or that a file defines too, is an error of pl_app_start and of reloads. data is the caller's, and outlives
 * the app. INVALID_ARGUMENT: a name that cannot be; FAILED_PRECONDITION: the app has started;
 * RESOURCE_EXHAUSTED. */
PL_API pl_code pl_app_resolver(pl_app *app, const char *type, const char *field, pl_native_function function,
                               void *data);
/* A method of a service: "user.v1.UserService", "GetUser". One that streams gives a sequence, see
 * pl_native_put_sequence. */
PL_API pl_code pl_app_method(pl_app *app, const char *service, const char *method,
                             pl_native_function function, void *data);
/* The same for code that has messages of its own, as of protobuf-c: requests and answers are bytes, as
 * Protobuf encodes them, in strings. */
PL_API pl_code pl_app_method_bytes(pl_app *app, const char *service, const char *method,
                                   pl_native_function function, void *data);
/* serialize: internal to outgoing value; parse: incoming to internal. NULL: as it is. */
PL_API pl_code pl_app_scalar(pl_app *app, const char *type, pl_native_function serialize,
                             pl_native_function parse, void *data);
/* The program's resolvers convert the values of this scalar themselves, for instance on threads of another
 * language's: pl_native_scalars_of says where such values stand. The library converts nothing because of it;
 * the scalar may be a ready-made one, and a file of the bundle may have functions for it as well. */
PL_API pl_code pl_app_mark_scalar(pl_app *app, const char *type);
/* declaration: what a file in events/ would return, as JSON without the handler:
 * {"topic":"payment-events","group":"audit","format":"json"}. */
PL_API pl_code pl_app_consumer(pl_app *app, const char *declaration, pl_native_function handler, void *data);
/* Around each operation, call and event, outside of the bundle's own: before(ctx) may refuse it by failing;
 * after(ctx, outcome) sees how it ended. Either may be NULL. */
PL_API pl_code pl_app_interceptor(pl_app *app, pl_native_function before, pl_native_function after,
                                  void *data);

/* --- its life --- */
/* Loads the bundle, starts the workers and listens. Otherwise error has what is wrong, one
 * "file:line:column: message" a line, and it may be tried again. */
PL_API pl_code pl_app_start(pl_app *app, char *error, size_t error_size);
/* No new connections; what is in hand is finished, and after timeout_ms cut. Returns when that is done. From
 * then on everything else is UNAVAILABLE, and it cannot be started again. Not started, or stopped already:
 * does nothing. FAILED_PRECONDITION: another thread is stopping it, or this was called from inside of its
 * callbacks or native functions, which would wait for themselves; nothing has changed then. */
PL_API pl_code pl_app_stop(pl_app *app, unsigned timeout_ms);
/* The bound addresses as JSON: {"http":"127.0.0.1:8080",…}. To be freed; NULL: memory. */
PL_API char *pl_app_addresses(pl_app *app);
/* One of them: "http", "https", "grpc", "grpcs", "kafka", "metrics". Lives as long as the app; NULL: there is
 * none. */
PL_API const char *pl_app_address(pl_app *app, const char *name);

/* Reads the bundle anew and makes it live. PL_OK: done, or *unchanged (may be NULL) is set. Otherwise nothing
 * has changed, and error says why: INVALID_ARGUMENT, the bundle has errors; FAILED_PRECONDITION, another
 * reload is under way; UNAVAILABLE, the app does not run; RESOURCE_EXHAUSTED. Requests in hand end on the
 * bundle that they began on. */
PL_API pl_code pl_app_reload(pl_app *app, bool *unchanged, char *error, size_t error_size);
/* The same with files in memory, which become those of an app that was made of files. */
PL_API pl_code pl_app_reload_memory(pl_app *app, const pl_app_file *files, size_t count, char *error,
                                    size_t error_size);
/* Makes the bundle before the live one live again. FAILED_PRECONDITION: there is none, too. */
PL_API pl_code pl_app_rollback(pl_app *app, char *error, size_t error_size);
PL_API uint64_t pl_app_generation(pl_app *app); /* 1, 2, …; 0: it does not run */
/* As `perilune status` prints it. To be freed; NULL: memory. */
PL_API char *pl_app_status(pl_app *app);
/* The text of /metrics. The same. */
PL_API char *pl_app_metrics(pl_app *app);

/* --- an app without workers: the caller's loop --- */
/* A descriptor that is readable when the app has something to do (-1: it does not run), and the time until
 * then at the longest, in milliseconds (-1: there is no bound): to be asked after each pl_app_turn, as it may
 * be 0. */
PL_API int pl_app_fd(pl_app *app);
PL_API int pl_app_timeout(pl_app *app);
/* Does what there is to do, waiting for up to timeout_ms (0: not at all; -1: without a bound) until there is
 * something. FAILED_PRECONDITION: it has workers, or this is inside of a turn; UNAVAILABLE: it does not run.
 */
PL_API pl_code pl_app_turn(pl_app *app, int timeout_ms);

/* --- requests without a socket --- */
/* How a request ended; NULL: nobody is told. data is the caller's; response lives during the call, and has no
 * NUL behind it: what the functions below give. On a thread of the app's (without workers: on the caller's,
 * in pl_app_turn), which it must not block; of the functions here it may call those that do not wait. */
typedef void (*pl_app_done)(void *data, pl_code code, const char *response, size_t length);

/* Executes one GraphQL request, {"query", "operationName", "variables", "extensions"} as JSON, and waits for
 * its end. *response is the JSON response, terminated, of *length bytes (either pointer may be NULL), to be
 * freed with pl_free_text. PL_OK: it was executed, errors of resolvers are in it. Otherwise it was not, and
 * *response is
 * {"errors": […]}, or NULL when there is no memory for it: INVALID_ARGUMENT, it is not understood or not
 * valid; the code of an interceptor that has refused it; RESOURCE_EXHAUSTED, memory or a limit;
 * FAILED_PRECONDITION, the bundle has no schema, or this was called from inside of the app's callbacks or
 * native functions; UNAVAILABLE, the app does not run. */
PL_API pl_code pl_app_execute(pl_app *app, const char *request, size_t request_length, char **response,
                              size_t *length);
/* The same without waiting: done is called once, perhaps before this returns. A subscription has many
 * responses, for which neither is made: UNIMPLEMENTED. */
PL_API void pl_app_execute_async(pl_app *app, const char *request, size_t request_length, pl_app_done done,
                                 void *data);

/* Calls a unary method ("user.v1.UserService/GetUser") with a request in JSON, as proto3 maps it, and waits,
 * as a client over the Connect protocol. *response is the answer in JSON; otherwise the error as that
 * protocol has it, {"code":"not_found","message":"…","details":[…]}, or NULL when there is no memory for it.
 * UNIMPLEMENTED: there is no such method, or it is a stream. */
PL_API pl_code pl_app_call(pl_app *app, const char *method, const char *request, size_t request_length,
                           char **response, size_t *length);
PL_API void pl_app_call_async(pl_app *app, const char *method, const char *request, size_t request_length,
                              pl_app_done done, void *data);

/* To cancel requests by: given with any number of them, of any apps. NULL: memory. */
typedef struct pl_cancellation pl_cancellation;
PL_API pl_cancellation *pl_cancellation_new(void);
/* Ends the requests that were given with it and are in hand with CANCELLED, soon, on the threads of their
 * apps; what they wait for is cancelled, functions of the host program among it. Those that are given with it
 * later end so, too. Any thread, also in callbacks and native functions; again does nothing more. */
PL_API void pl_cancellation_cancel(pl_cancellation *cancellation);
/* Requests that have it go on. NULL is fine. */
PL_API void pl_cancellation_free(pl_cancellation *cancellation);

/* Either of both, with what would come with it from a client. Begin with PL_APP_REQUEST_INIT; all is copied.
 * One that does not, or has members that this version does not know, is INVALID_ARGUMENT. */
typedef struct pl_app_request {
    size_t size;
    const char *method; /* NULL: body is a GraphQL request */
    const char *body;
    size_t length;
    /* ctx.headers: name, value, name, value, …, NULL; NULL: none. Of a method, the protocol's own are left
     * out, but connect-timeout-ms is how long it may take. */
    const char *const *headers;
    const char *peer;              /* ctx.peer; NULL: "" */
    pl_cancellation *cancellation; /* NULL: it cannot be cancelled */
} pl_app_request;
#define PL_APP_REQUEST_INIT                                     \
    {                                                           \
        sizeof(pl_app_request), NULL, NULL, 0, NULL, NULL, NULL \
    }
PL_API pl_code pl_app_ask(pl_app *app, const pl_app_request *request, char **response, size_t *length);
PL_API void pl_app_ask_async(pl_app *app, const pl_app_request *request, pl_app_done done, void *data);

/* An event. Strings are copied; lengths are in bytes; key may be NULL, and value, which is a tombstone. */
typedef struct pl_app_event {
    const char *topic;
    const char *key;
    size_t key_length;
    const char *value;
    size_t value_length;
    const char *const *headers; /* name, value, name, value, …, NULL; may be NULL */
} pl_app_event;
/* Publishes it and waits until the broker has it. error says why not. The response of the second is
 * {"partition": 0, "offset": 7}, or a message. */
PL_API pl_code pl_app_publish(pl_app *app, const pl_app_event *event, char *error, size_t error_size);
PL_API void pl_app_publish_async(pl_app *app, const pl_app_event *event, pl_app_done done, void *data);
/* Has the bundle's consumers of the topic handle it as if it had come from a broker, and waits for the end of
 * the handlers, without retries and dead letters: the first failure is the result. For tests and for events
 * that come another way. NOT_FOUND: nobody consumes the topic. */
PL_API pl_code pl_app_handle_event(pl_app *app, const pl_app_event *event, char *error, size_t error_size);

/* --- the short way: a bundle on the caller's thread, started --- */
PL_API pl_app *pl_app_open(const char *directory, char *error, size_t error_size);
PL_API pl_app *pl_app_open_memory(const pl_app_file *files, size_t count, char *error, size_t error_size);
PL_API void pl_app_close(pl_app *app); /* as pl_app_free */

#ifdef __cplusplus
}
#endif

#endif
