/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_CONSUMER_DECL_H
#define PL_APP_CONSUMER_DECL_H

#include "app/instance.h"
#include "app/topic_pattern.h"
#include "events/consumer.h"
#include "events/policy/circuit.h"
#include "events/policy/retry.h"

/* The consumers that a bundle declares in its folder events/. */
typedef enum pl_event_format { PL_EVENT_JSON, PL_EVENT_PROTOBUF, PL_EVENT_BYTES } pl_event_format;

typedef struct pl_consumer_decl {
    pl_str file;     /* "events/payments.lua" */
    pl_str name;     /* for people: its group and topics */
    pl_str identity; /* what another consumer is needed for when it changes */
    pl_str group;
    const char **topics;
    pl_topic_pattern **patterns; /* of the same */
    size_t topic_count;
    pl_str instance; /* of static membership, of all workers; empty: none */
    pl_str assignor; /* empty: the default */
    pl_start start;
    int64_t start_time;
    bool exactly_once;
    pl_str transactional_id; /* empty: made */
    pl_event_format format;
    pl_str message_name;
    const struct pb_message *message;
    pl_retry_policy retry;
    pl_str *retry_topics;    /* retry.topic_count of them */
    const char **own_topics; /* those, and the ones of dead letters */
    size_t own_topic_count;
    pl_str dead_letter;  /* a topic; empty: TOPIC-dlq */
    bool no_dead_letter; /* what fails is tried for ever */
    bool batch;
    unsigned timeout_ms; /* of a handler; 0: none */
    bool hooks;          /* it has functions besides its handler */
    unsigned timer_ms;   /* 0: no timer */
    pl_consumer_options options;
    pl_circuit_config circuit; /* counts failures that do not say that the event is wrong */
} pl_consumer_decl;

/* What scripts have for one. */
typedef struct pl_consumer_functions {
    pl_ref handler;
    pl_ref on_assigned, on_revoked, timer; /* consumer_hooks.h; PL_REF_NONE */
    int arity;
} pl_consumer_functions;

/* Runs the files of events/ on the instance and keeps what it finds: the declarations in *config (in the
 * generation's arena, when they are read), the functions in the instance. Below pl_protect. */
void pl_consumers_load(pl_instance *instance, const pl_instance_source *source, pl_report *report);
bool pl_bundle_has_consumers(const pl_bundle *bundle);

#endif
