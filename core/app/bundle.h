/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_BUNDLE_H
#define PL_APP_BUNDLE_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/error.h"
#include "value/engine.h"

/* The files of an application, read into memory at one moment: what a generation is made of. Immutable,
 * shared by reference count (any thread). */
typedef struct pl_bundle {
    pl_arena arena;
    pl_file *files; /* sorted by path */
    size_t file_count;
    char hash[65];    /* SHA-256 of paths and contents, hexadecimal */
    pl_str directory; /* absolute */
    atomic_uint refs;
} pl_bundle;

/* Reads the *.lua, *.graphql(s), *.gql, *.proto, *.binpb and *.pb files below directory, manifests of trusted
 * documents (*manifest.json, *documents.json, *queries.json), and keys (*.pem, *jwks.json, *keys.json);
 * hidden ones, node_modules and links out of it are left out. At most 64 MiB and 20,000 files. What is there
 * and cannot be read is an error. NULL with *err filled. */
pl_bundle *pl_bundle_read(const char *directory, pl_error *err);
/* Whether a file of this name belongs to a bundle. */
bool pl_bundle_wants(pl_str name);
/* "a/b.lua": relative, without empty parts, "." and "..". */
bool pl_bundle_is_path(pl_str path);
/* Of files in memory, which are copied. */
pl_bundle *pl_bundle_from_memory(const pl_file *files, size_t count, pl_error *err);
pl_bundle *pl_bundle_ref(pl_bundle *bundle);
void pl_bundle_unref(pl_bundle *bundle); /* NULL is fine */
const pl_file *pl_bundle_find(const pl_bundle *bundle, pl_str path);
/* Whether path is directly or deeper below folder ("resolvers/") and ends with ending (".lua"). */
bool pl_file_is(const pl_file *file, const char *folder, const char *ending);

#endif
