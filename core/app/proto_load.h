/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_PROTO_LOAD_H
#define PL_APP_PROTO_LOAD_H

#include "app/bundle.h"
#include "app/report.h"
#include "proto/pool.h"

/* The messages and services of a bundle: its .proto files, compiled by protoc, and the descriptor
 * sets that it has there (*.binpb, *.pb), in one pool for all states of a generation.
 *
 * Immutable and counted (any thread). */
typedef struct pl_protos pl_protos;
/* The pools of the last few contents of proto/, so that a reload that has not changed them, or goes back,
 * need not run protoc. Of one thread at a time: the one that builds. */
typedef struct pl_proto_cache pl_proto_cache;

pl_proto_cache *pl_proto_cache_new(void);        /* NULL: memory */
void pl_proto_cache_free(pl_proto_cache *cache); /* NULL is fine */

/* May wait for protoc, for seconds. cache may be NULL. *out is NULL when there is nothing in proto/, and when
 * it is false: report says what is wrong. */
bool pl_protos_load(const pl_bundle *bundle, pl_proto_cache *cache, pl_report *report, pl_protos **out);
void pl_protos_unref(pl_protos *protos);                /* NULL is fine */
const pb_pool *pl_protos_pool(const pl_protos *protos); /* of NULL: NULL */

#endif
