/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_POLICY_BALANCER_INTERNAL_H
#define PL_GRPC_POLICY_BALANCER_INTERNAL_H

#include "grpc/policy/balancer.h"

struct pl_balancer {
    pl_balancing balancing;
    pl_backoff_config backoff;
    bool has_breaker;
    pl_breaker_config breaker;
    pl_random *random;

    pl_endpoint **list;  /* of `room` places, as are the next one */
    pl_endpoint **ready; /* those that calls may go to; weighted: a heap by `turn` */
    size_t count, ready_count, room;
    bool resolved, wants_names;
    pl_endpoint *todo, **todo_end;

    /* pick_first */
    pl_endpoint *selected;
    bool wanted;          /* it has been asked for since it was last idle */
    size_t cursor;        /* the next of the list to be tried; count: all have been */
    uint64_t next_try_at; /* while another one is being tried */

    uint32_t turn; /* round_robin */
    char target[256], why[512];
};

/* connections.c */
void pl_balancer_want(pl_balancer *b, pl_endpoint *e, pl_todo what);
/* Something has changed: what should be connected? who is ready? */
void pl_balancer_review(pl_balancer *b, uint64_t now);

/* picks.c: `ready` has changed. */
void pl_balancer_schedule(pl_balancer *b);

#endif
