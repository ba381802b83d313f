/* SPDX-License-Identifier: MIT */
#ifndef PERILUNE_H
#define PERILUNE_H

#include <stddef.h>

#include "perilune/code.h"

/* The public C API. All types are opaque; nothing here aborts, installs signal handlers of its own accord
 * other than what the Lua engine needs (see docs/architecture.md, "Limits"), or keeps global state. Functions
 * of one pl_app are for one thread at a time; different apps are independent. */

#ifdef __cplusplus
extern "C" {
#endif

/* A bundle, loaded and ready to execute requests in this process, without a server. */
typedef struct pl_app pl_app;

/* A file of a bundle in memory. path is relative to the bundle ("resolvers/user.lua"); bytes need no
 * terminator. Both are copied. */
typedef struct pl_app_file {
    const char *path;
    const char *bytes;
    size_t length;
} pl_app_file;

/* Loads the bundle in a directory, or of files in memory. NULL on failure: what is wrong, one
 * "file:line:column: message" a line, is written to error (cut at error_size, always terminated; may be NULL
 * with size 0). Close with pl_app_close. */
PL_API pl_app *pl_app_open(const char *directory, char *error, size_t error_size);
PL_API pl_app *pl_app_open_memory(const pl_app_file *files, size_t count, char *error, size_t error_size);
PL_API void pl_app_close(pl_app *app); /* NULL is fine */

/* Executes one GraphQL request, {"query", "operationName", "variables"} as JSON, and waits for its end. 0:
 * *response is the JSON response, terminated, of *length bytes, to be freed with pl_app_free. Otherwise a
 * gRPC status code (3: the request is not understood; 8: memory): *response is a JSON {"errors": […]} too, or
 * NULL when there is no memory for it. */
PL_API int pl_app_execute(pl_app *app, const char *request, size_t request_length, char **response,
                          size_t *length);
PL_API void pl_app_free(char *response); /* NULL is fine */

/* "0.1.0" */
PL_API const char *pl_version(void);

#ifdef __cplusplus
}
#endif

#endif
