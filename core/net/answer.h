/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_ANSWER_H
#define PL_NET_ANSWER_H

#include "net/cors.h"
#include "net/edge_internal.h"

/* Answers, from ours to h2o's. */

/* {"errors":[{"message":"not found"}]} */
pl_str edge_error_body(int status);
void edge_answer_preflight(edge_request *r, const pl_cors_answer *answer);
/* A copy in the arena; NULL: memory. */
pl_http_response *edge_copy_response(pl_arena *arena, const pl_http_response *response);
/* Hands status and headers to h2o's request, which looks at them until its response has been started. */
void edge_put_head(edge_request *r, const pl_http_response *response);
bool edge_is_bodiless(int status);
/* Instead of an answer in pieces that there is no memory for. */
void edge_send_unavailable(edge_request *r, h2o_generator_t *generator);
/* Ends h2o's request with an empty answer. */
void edge_send_nothing(h2o_req_t *req);
/* Makes an error that h2o sends itself look like ours. */
void edge_rewrite_error(pl_edge *edge, h2o_req_t *req, h2o_ostream_t **slot);

#endif
