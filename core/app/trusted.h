/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_TRUSTED_H
#define PL_APP_TRUSTED_H

#include "app/bundle.h"
#include "app/config.h"
#include "app/report.h"

/* Trusted documents: the operations that a bundle brings along, which clients ask for by id. Each file
 * *.graphql (*.gql) is one document, known by the SHA-256 of its bytes, of its bytes without white space at
 * the end, and by its path below the folder, "." for "/", without the ending. A JSON manifest is Apollo's
 * ({"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id", "body"}]}), or a map
 * from id to text, as Relay and graphql-codegen write it; its documents are known by their id and their
 * SHA-256.
 *
 * Made once for a generation, read only, used by all workers. */
typedef struct pl_trusted pl_trusted;

/* Reads and validates. NULL: something is wrong with the documents (or memory), see report. schema NULL: the
 * bundle has none, which is an error where there are documents. */
pl_trusted *pl_trusted_new(const pl_bundle *bundle, pl_str path, const gql_schema *schema,
                           const gql_service_options *options, pl_report *report);
void pl_trusted_free(pl_trusted *trusted); /* NULL is fine */
/* The text of a document, by id with or without "sha256:" before it; ptr NULL when there is none. Lives as
 * long as trusted. */
pl_str pl_trusted_find(const pl_trusted *trusted, pl_str id);
/* Whether text is one of the documents, byte for byte. */
bool pl_trusted_has_text(const pl_trusted *trusted, pl_str text);
size_t pl_trusted_count(const pl_trusted *trusted);

#endif
