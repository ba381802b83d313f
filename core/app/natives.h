/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_NATIVES_H
#define PL_APP_NATIVES_H

#include "app/instance.h"
#include "value/native.h"

/* Functions of the host program, and what they are bound to: each instance binds them before the files of its
 * bundle, as if a file of the name PL_HOST_PROGRAM had them, so that a clash is an error at the bundle's. The
 * list is made before the first generation, does not change afterwards, and outlives all states. */
typedef struct pl_natives pl_natives;

#define PL_HOST_PROGRAM "the host program"

pl_natives *pl_natives_new(void);          /* NULL: memory */
void pl_natives_free(pl_natives *natives); /* NULL is fine */

/* INVALID_ARGUMENT: a name that cannot be, or no function; ALREADY_EXISTS: there is one; RESOURCE_EXHAUSTED.
 * Strings are copied. */
pl_code pl_natives_add_resolver(pl_natives *natives, const char *type, const char *field,
                                pl_native_function function, void *data);
/* Either function may be NULL, not both. */
pl_code pl_natives_add_scalar(pl_natives *natives, const char *type, pl_native_function serialize,
                              pl_native_function parse, void *data);

/* Its values are converted by the program's resolvers. A second time does nothing. */
pl_code pl_natives_mark_scalar(pl_natives *natives, const char *type);

/* service: "user.v1.UserService". What a method's messages are, and whether it streams, the protos say.
 * bytes: the function has messages as bytes of Protobuf. */
pl_code pl_natives_add_method(pl_natives *natives, const char *service, const char *method, bool bytes,
                              pl_native_function function, void *data);
/* declaration: a JSON object. INVALID_ARGUMENT also when it is none; err (may be NULL) says why. */
pl_code pl_natives_add_consumer(pl_natives *natives, const char *declaration, pl_native_function handler,
                                void *data, pl_error *err);
/* Either function may be NULL, not both. The first one is the outermost. */
pl_code pl_natives_add_interceptor(pl_natives *natives, pl_native_function before, pl_native_function after,
                                   void *data);

/* --- what they are bound by; natives NULL: there are none --- */

/* Adds resolvers and scalars to the instance's binding. False: the engine knows no such functions; the report
 * says so, and nothing else may be asked for. Below pl_protect. */
bool pl_natives_bind(const pl_natives *natives, pl_instance *instance, pl_report *report);
/* When all resolvers are bound, and before gql_binding_finish: what pl_native_scalars_of gives. Marked names
 * that are no scalars of the schema are reported. */
void pl_natives_place_scalars(const pl_natives *natives, pl_instance *instance, pl_report *report);

bool pl_natives_has_methods(const pl_natives *natives);
bool pl_natives_has_method(const pl_natives *natives, pl_str service, pl_str method);
bool pl_natives_wants_bytes(const pl_natives *natives, pl_str service, pl_str method);
/* Pushes { [service] = { [method] = function } }, as a file of services returns it. [jumps] */
void pl_natives_push_services(const pl_natives *natives, pl_state *state);

size_t pl_natives_consumer_count(const pl_natives *natives);
/* Pushes the declarations with their handlers, as a file of consumers returns them. [jumps] */
void pl_natives_push_consumers(const pl_natives *natives, pl_state *state);

size_t pl_natives_interceptor_count(const pl_natives *natives);
/* Keeps interceptors, function(ctx, next), in the order of the chain. Returns how many it has kept: less than
 * there are when *err is set. [jumps] */
size_t pl_natives_keep_interceptors(const pl_natives *natives, pl_state *state, pl_ref *refs, pl_error *err);

#endif
