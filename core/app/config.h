/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_CONFIG_H
#define PL_APP_CONFIG_H

#include "app/report.h"
#include "events/kafka.h"
#include "graphql/service.h"
#include "grpc/service.h"
#include "grpc/session.h"
#include "net/edge.h"
#include "value/schemas.h"

/* What app.lua says: the settings of a generation. Everything lives in the arena that it was read into. */
typedef struct pl_timer_config {
    pl_str name;
    uint64_t every_ms;
    pl_str module; /* of the script library, whose function `run` it is; ptr NULL: it is app.lua's own */
} pl_timer_config;

typedef struct pl_loader_config {
    pl_str name;
    uint32_t max_batch; /* 0: no bound */
    bool uncached;
} pl_loader_config;

/* How GraphQL requests may come in (graphql_read.h). All zero is the default. */
typedef enum pl_csrf_mode { PL_CSRF_ON, PL_CSRF_OFF, PL_CSRF_STRICT } pl_csrf_mode; /* csrf.h */
typedef enum pl_documents_mode {
    PL_DOCUMENTS_OFF,
    PL_DOCUMENTS_MIXED,
    PL_DOCUMENTS_STRICT
} pl_documents_mode;
typedef struct pl_reading_config {
    struct {
        pl_csrf_mode mode;
        const pl_str *headers; /* lower case; count 0: the ones that csrf.h names */
        size_t header_count;
    } csrf;
    uint32_t max_batch; /* operations in a JSON array; 0: none may be sent */
    struct {
        pl_documents_mode mode;
        pl_str path; /* a folder or a file of the bundle */
    } documents;
    struct {
        bool on;
        size_t size;     /* bytes for all texts */
        uint64_t ttl_ms; /* since a text was last sent */
    } apq;
    struct {
        bool on;
        size_t max_file_size, max_size; /* bytes: of one file, of the whole request */
        uint32_t max_files;
        unsigned timeout_ms; /* to receive the whole request */
        size_t max_total;    /* of all that one worker holds at once */
        pl_str directory;    /* where upload:save may write; "": nowhere */
    } uploads;
    bool draft_status; /* status codes of the newest draft instead of those of the graphql-http audits */
} pl_reading_config;

/* http.websocket */
typedef struct pl_ws_config {
    unsigned init_timeout_ms;          /* for connection_init, interceptors included */
    unsigned ping_ms, pong_timeout_ms; /* when nothing comes; and for the answer */
    uint32_t max_operations;           /* of one connection, at once */
    size_t max_message, max_queued;    /* bytes: of a client's message; that wait for a client */
} pl_ws_config;

/* http.graphiql: the page for browsers (ide.h). */
typedef struct pl_ide_config {
    bool enabled;
    pl_str title;         /* empty: made of the application's name */
    pl_str default_query; /* ptr NULL: GraphiQL's own welcome */
    bool no_headers;      /* no editor for headers */
} pl_ide_config;

/* What a client may spend on operations (rate_limit.h). */
typedef enum pl_rate_by { PL_RATE_BY_PEER, PL_RATE_BY_USER, PL_RATE_BY_HEADER } pl_rate_by;
typedef struct pl_rate_config {
    double capacity; /* of cost; 0: no limit */
    double refill;   /* a second */
    pl_rate_by by;
    pl_str header; /* in lower case */
} pl_rate_config;

/* grpc */
typedef struct pl_grpc_config {
    pl_grpc_options calls;
    pl_grpc_session_options session;   /* of connections that are accepted while the generation is live */
    size_t max_held;                   /* bytes of requests that one worker holds */
    bool health, reflection, channelz; /* the built-in services are there */
} pl_grpc_config;

/* kafka */
typedef struct pl_kafka_config {
    bool set;                           /* app.lua has such a table */
    pl_kafka_settings settings;         /* brokers empty: none; "embedded": the server's own */
    size_t queue_messages, queue_bytes; /* of the producer; 0: its defaults */
} pl_kafka_config;

/* metrics */
typedef struct pl_metrics_config {
    bool enabled;
    pl_str path; /* "/metrics" */
} pl_metrics_config;
/* kafka.registry, kafka.topics */
typedef enum pl_subject_strategy { PL_TOPIC_NAME, PL_RECORD_NAME, PL_TOPIC_RECORD_NAME } pl_subject_strategy;
typedef struct pl_schemas_config {
    const pl_str *urls;               /* without a slash at their end */
    size_t url_count;                 /* 0: there is no registry */
    pl_str user, password, token, ca; /* ptr NULL: none */
    pl_subject_strategy strategy;
    bool only_registered; /* schemas are looked up, and not registered */
    bool normalize, check;
    unsigned timeout_ms, missing_ms; /* for an answer; how long is believed that something is not there */
    pl_topic_defaults *topics;       /* sorted by name */
    size_t topic_count;
} pl_schemas_config;

typedef struct pl_config {
    pl_str name;
    pl_str path; /* http.path: where GraphQL is served; "/graphql" */
    pl_http_settings http;
    pl_ide_config ide;
    pl_ws_config websocket;
    bool pretty; /* http.pretty: indented JSON for all; ?pretty asks for it once */
    pl_reading_config reading;
    gql_service_options graphql;
    uint32_t max_operations;   /* graphql.max_operations: of a worker, in hand at once */
    gql_access_options access; /* graphql.roles, graphql.introspection, graphql.enforce_scopes */
    pl_rate_config rate_limit;
    pl_grpc_config grpc;
    pl_kafka_config kafka;
    pl_str pubsub_topic; /* pubsub.topic: of Kafka, that perilune.pubsub goes through; empty: none */
    pl_metrics_config metrics;
    pl_database_config database; /* sqlite */
    pl_schemas_config schemas;
    gql_schema_options schema;
    pl_state_limits limits;
    pl_timer_config *timers; /* sorted by name; built-in ones at the end */
    size_t timer_count;
    pl_loader_config *loaders; /* sorted by name */
    size_t loader_count;
    struct pl_consumer_decl *consumers; /* consumer_decl.h; of the files in events/ */
    size_t consumer_count;
} pl_config;

bool pl_kafka_config_eq(const pl_kafka_config *a, const pl_kafka_config *b);
/* Into the arena. False: memory. */
bool pl_kafka_config_copy(pl_kafka_config *to, const pl_kafka_config *from, pl_arena *arena);

/* What is said of a topic; NULL: nothing. */
const pl_topic_defaults *pl_schemas_config_topic(const pl_schemas_config *config, pl_str topic);
/* Into the arena, but for the topics. False: memory. */
bool pl_schemas_config_copy(pl_schemas_config *to, const pl_schemas_config *from, pl_arena *arena);

void pl_config_default(pl_config *config);
/* Reads the table that app.lua returned, at slot: what is set replaces what is in *config. Settings that do
 * not exist, and values of a wrong kind, are errors. Below pl_protect. */
void pl_config_read(pl_state *state, pl_slot slot, pl_arena *arena, pl_config *config, pl_report *report);

#endif
