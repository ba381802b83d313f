/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_SERVER_H
#define PL_APP_SERVER_H

#include "app/report.h"
#include "app/worker.h"

/* The server: workers that serve the live generation, and the steps from one generation to the next. All
 * functions are the main thread's; no other thread's but where said. Several servers can live in one process.
 */
typedef struct pl_server pl_server;

typedef struct pl_server_config {
    const char *directory; /* of the bundle */
    unsigned workers;      /* 0: one a processor */
    pl_edge_config edge;
    /* Without an address, a bundle that has services is served on 127.0.0.1:50051. */
    pl_bytes_config grpc;
    bool no_grpc;
    /* Brokers of Kafka, instead of those of app.lua: "host:9092,…", "embedded" (a broker of its own), or
     * "off". NULL: app.lua's; a bundle that says nothing of them but has handlers of events gets "embedded".
     */
    const char *kafka;
    const char *metrics; /* where /metrics is served, instead of the HTTP port; NULL: there */
    unsigned drain_ms;   /* for old generations and at the end; 0 is 30,000 */
    const struct pl_engine *engine;
    pl_logger *log;
    void (*override)(void *data, pl_config *config); /* see generation.h */
    void *override_data;
} pl_server_config;

/* Builds the first generation and starts the workers. NULL: *err, or report, says why. */
pl_server *pl_server_start(const pl_server_config *config, pl_report *report, pl_error *err);
const char *pl_server_address(const pl_server *server);
const char *pl_server_tls_address(const pl_server *server);      /* NULL: none */
const char *pl_server_grpc_address(const pl_server *server);     /* NULL: none */
const char *pl_server_grpc_tls_address(const pl_server *server); /* NULL: none */
const char *pl_server_kafka_address(const pl_server *server);    /* of the embedded broker; NULL: none */
const char *pl_server_metrics_address(const pl_server *server);  /* of its own; NULL: none */
/* Those that there are, as members of a JSON object: "http":"127.0.0.1:8080",… */
void pl_server_write_addresses(const pl_server *server, pl_buf *out);
uint64_t pl_server_generation(const pl_server *server);

typedef enum pl_reload_result { PL_RELOADED, PL_RELOAD_UNCHANGED, PL_RELOAD_REFUSED } pl_reload_result;
/* Reads the bundle anew and makes it live. REFUSED: nothing changed, and report says why. UNCHANGED: the
 * bundle is the one that is live (not checked with force). */
pl_reload_result pl_server_reload(pl_server *server, const char *reason, bool force, pl_report *report);
/* Makes the bundle of the generation before the live one live again, from memory. */
pl_reload_result pl_server_rollback(pl_server *server, pl_report *report);
/* JSON. */
void pl_server_status(pl_server *server, pl_buf *out);
/* The text of /metrics. False: memory. */
bool pl_server_metrics(pl_server *server, pl_buf *out);

/* A descriptor that is readable when pl_server_work has something to do. */
int pl_server_fd(const pl_server *server);
void pl_server_work(pl_server *server); /* frees what has been drained */

/* Lets go of all connections and ends. */
void pl_server_stop(pl_server *server, unsigned timeout_ms);
void pl_server_free(pl_server *server); /* stopped; NULL is fine */

#endif
