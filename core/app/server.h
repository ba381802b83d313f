/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_SERVER_H
#define PL_APP_SERVER_H

#include "app/report.h"
#include "app/worker.h"

/* The server: workers that serve the live generation, and the steps from one generation to the next. Several
 * servers can live in one process.
 *
 * Functions may be called from any thread while the server lives, but for start, stop and free, which are the
 * owner's. One that waits for workers, called on a worker's own thread, does that worker's part meanwhile. */
typedef struct pl_server pl_server;

typedef struct pl_server_config {
    const char *directory; /* of the bundle; NULL: an empty one */
    pl_bundle *bundle;     /* instead: files in memory; kept by reference */
    unsigned workers;      /* threads; 0: one a processor, or none when some are attached */
    unsigned attached;     /* workers on loops of others, see pl_server_attach */
    bool keeper;           /* a thread that frees what has been drained: pl_server_work need not be called */
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
    const struct pl_natives *natives; /* of the host program; outlives the server; NULL: none */
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
uint64_t pl_server_generation(pl_server *server); /* 0: it has ended */

typedef enum pl_reload_result {
    PL_RELOADED,
    PL_RELOAD_UNCHANGED,
    PL_RELOAD_REFUSED,
    PL_RELOAD_BUSY,
} pl_reload_result;
/* Reads the bundle anew and makes it live. REFUSED: nothing changed, and report says why. UNCHANGED: the
 * bundle is the one that is live (not checked with force). BUSY: another thread changes the generation, or
 * stops the server; the report is empty. */
pl_reload_result pl_server_reload(pl_server *server, const char *reason, bool force, pl_report *report);
/* The same with this bundle, which is kept by reference. */
pl_reload_result pl_server_reload_bundle(pl_server *server, pl_bundle *bundle, const char *reason, bool force,
                                         pl_report *report);
/* Makes the bundle of the generation before the live one live again, from memory. */
pl_reload_result pl_server_rollback(pl_server *server, pl_report *report);
/* JSON. False: memory, and it is an error's. */
bool pl_server_status(pl_server *server, pl_buf *out);
/* The text of /metrics. False: memory. */
bool pl_server_metrics(pl_server *server, pl_buf *out);

/* Attaches one of the config's attached workers to a loop, on the thread that turns it; see pl_worker_attach.
 * It takes part in everything from then on. NULL: err says why: FAILED_PRECONDITION (all are, or the server
 * stops), RESOURCE_EXHAUSTED. The loop is freed then. The worker is the server's; it ends by pl_worker_detach
 * on its thread, and cannot be attached again. */
pl_worker *pl_server_attach(pl_server *server, pl_loop *loop, const pl_worker_place *place, pl_error *err);
pl_helpers *pl_server_helpers(pl_server *server); /* for such a loop */
/* Workers 0, 1, …; NULL: no more, or an attached one that is not. It lives as long as the server. */
pl_worker *pl_server_worker(pl_server *server, unsigned index);

/* Gives the request (direct.h) to a worker, each in turn; it ends with UNAVAILABLE when none runs. */
void pl_server_direct(pl_server *server, pl_direct_request *request);
/* Whether the calling thread is one that turns a worker's loop. */
bool pl_server_is_inside(pl_server *server);
/* Whether it is a thread of the server's own, which ends with it. */
bool pl_server_is_own_thread(pl_server *server);

/* A descriptor that is readable when pl_server_work has something to do. */
int pl_server_fd(const pl_server *server);
void pl_server_work(pl_server *server); /* frees what has been drained */

/* Lets go of all connections and ends. Attached workers whose thread is this one are given the time, too, and
 * their loops turned meanwhile; those on foreign loops are cut at once, so better detached before. Others
 * must have been detached: it is waited for that. */
void pl_server_stop(pl_server *server, unsigned timeout_ms);
void pl_server_free(pl_server *server); /* stopped; NULL is fine */

#endif
