/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_UPLOAD_H
#define PL_NET_UPLOAD_H

#include "net/edge_internal.h"

/* Bodies that may be large. h2o collects each body in a buffer, which it moves to an unlinked temporary file
 * (in TMPDIR, or /tmp) when it grows beyond a threshold, and maps that into memory. It knows one bound for
 * all bodies; so while uploads are allowed that one is theirs, and what is no upload is watched here while it
 * arrives: it is ended as soon as it is larger than anything that would be accepted. What is on disk is not
 * held in memory: pages of the mapping are let go of, and readers are given the descriptor. */

/* The settings may be others now: bounds and timeouts follow. */
void edge_uploads_configure(pl_edge *edge);
/* Whether a request may bring an upload, by its head; it need not be complete. */
bool edge_is_upload(const pl_edge *edge, const h2o_req_t *req);
/* How large the body of a complete request may be. */
size_t edge_body_limit(const edge_request *r);
/* How long it may take to arrive, in milliseconds. */
unsigned edge_receive_timeout(const pl_edge *edge, const h2o_req_t *req);
/* A complete request: fills in where its body is on disk, and counts it. */
void edge_body_arrived(edge_request *r);
void edge_body_gone(edge_request *r);
void edge_uploads_stop(pl_edge *edge);

#endif
