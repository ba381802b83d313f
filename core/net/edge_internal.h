/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_EDGE_INTERNAL_H
#define PL_NET_EDGE_INTERNAL_H

/* What the files of the edge share: edge.c (life of an edge, accepting, draining), connection.c (the list of
 * connections, their timeouts, clients that leave), request.c (from h2o's request to the service and
 * back), stream.c (answers in pieces) and websocket.c. */

#include "net/edge.h"
#include "net/loop_internal.h"
#include "net/mount.h"
#include "net/websocket.h"

typedef struct edge_conn edge_conn;
typedef struct edge_request edge_request;
/* Ids of requests: hexadecimal digits, the last of which count. */
#define PL_EDGE_ID_SIZE 20
#define PL_EDGE_ID_COUNTER 12

typedef struct edge_link {
    struct edge_link *prev, *next;
} edge_link;

/* A connection, from accept, or the first request on a host's, until its socket is closed. h2o closes sockets
 * itself, so to end a connection is to shut its descriptor down and let h2o find that out. Records are used
 * again and freed with the edge only: an event of the hang-up watch may come late, and must then find a
 * record. */
struct edge_conn {
    edge_link link; /* in pl_edge.conns, or .free_conns */
    pl_edge *edge;
    h2o_socket_t *socket; /* NULL: a free record */
    /* What a host wants to be called when the socket is closed; or nothing. */
    struct {
        void (*cb)(void *data);
        void *data;
    } on_close;
    int fd;
    unsigned in_hand;        /* requests that are at work, HTTP/2 */
    edge_request *waiting;   /* HTTP/1.1: the request that the service has not answered, or not to its end */
    pl_websocket *websocket; /* what has become of this connection; NULL: it speaks HTTP */
    edge_link queue;         /* HTTP/2: requests over the limit of streams, oldest first */
    uint64_t idle_since;     /* HTTP/1.1: accepted, or the last answer sent */
    uint64_t seen_at;        /* when an HTTP connection was last found on this socket */
    uint64_t partial_since;  /* since when the same request is incomplete; 0: none */
    struct timeval partial_begin,
        sweep_begin;           /* HTTP/2: when the oldest incomplete request began; as the sweep finds it */
    bool http1, sweep_partial; /* set by the sweep: speaks HTTP/1.1; has an incomplete request, HTTP/2 */
    bool watch_added, watched; /* in the hang-up watch, and armed there */
    bool input_ended;          /* by us, so that its end is no hang-up */
    bool cut;
    pl_str peer;
    char peer_room[64];
    const pl_peer_certificate *certificate; /* in the arena; NULL: none was shown */
    pl_arena arena;
};

typedef enum edge_state {
    EDGE_QUEUED, /* the service does not know it yet */
    EDGE_AT_WORK,
    EDGE_STREAMING, /* the service answers in pieces */
    EDGE_POSTPONED, /* answered while h2o could not take it */
    EDGE_ANSWERED,  /* the answer is on its way */
    EDGE_ENDED,     /* the service is being told that it is over */
} edge_state;

/* Bytes on their way out: what is queued gathers in `waiting` while h2o has a part of `sending`. */
typedef struct edge_output {
    pl_buf waiting, sending;
    size_t sent;      /* of `sending` */
    size_t in_flight; /* of what follows `sent`: h2o has them */
    uint64_t since;   /* when h2o was given them; the owner's */
} edge_output;

/* An answer in pieces. */
typedef struct edge_stream {
    h2o_generator_t generator;
    edge_link due; /* in edge->due_streams: something is to be done at the end of this turn */
    edge_output output;
    bool begun;
    bool started; /* h2o knows of it */
    bool busy;    /* h2o works at the last piece, and must not be given another one */
    bool bodiless, chunked, ended, failed;
    bool drains;    /* something was queued since `drained` was called */
    bool lost;      /* h2o, or a filter of the host's, has put another answer in its place */
    char chunk[20]; /* the head of the chunk that h2o has */
} edge_stream;

/* How a request of h2o's knows its record: lives as long as the former. */
typedef struct edge_tie {
    h2o_req_prefilter_t prefilter; /* one that filters nothing; not of mounts */
    edge_request *r;               /* NULL when the record has gone */
} edge_tie;

/* A path of a mount: a handler of the host's. */
typedef struct edge_path {
    h2o_handler_t super;
    pl_mounts *mounts; /* NULL: they have been freed */
    struct edge_path *next;
    const h2o_globalconf_t *globals;
    size_t prefix; /* length of what is taken off */
} edge_path;

/* A request, with its arena. Records are used again. */
struct edge_request {
    pl_http_request public;
    /* By state: conn->queue, edge->postponed, edge->streams, edge->sending, edge->free_requests. */
    edge_link link;
    pl_edge *edge;
    edge_conn *conn;
    h2o_req_t *req;
    edge_tie *tie;
    const edge_path *path; /* NULL: not of a mount */
    unsigned passes;       /* how often h2o had sent the request on when it came here */
    /* In the arena: the whole answer (NULL: there was no memory for it), or the head of one in pieces. */
    const pl_http_response *postponed;
    edge_state state;
    uint64_t began; /* in nanoseconds */
    uint64_t answered_at;
    size_t header_size;
    size_t held;                    /* bytes of its body on disk, counted in edge->held */
    pl_str origin, accept_encoding; /* ptr NULL when absent */
    pl_arena arena;
    pl_buf compressed; /* the body that is sent, if it was compressed */
    edge_stream stream;
    char id[PL_EDGE_ID_SIZE];
};

struct pl_edge {
    pl_loop *loop;
    pl_host *host;
    pl_http_service *service;
    pl_logger *log;
    pl_http_meter *meter; /* NULL: none */
    size_t max_body, max_header;
    unsigned request_timeout, idle_timeout, response_timeout, max_connections, max_streams;
    h2o_globalconf_t globals;
    h2o_context_t context;
    h2o_context_t *host_context; /* of a mount, which has none of these two; else NULL */
    pl_mounts *mounts;
    struct edge_listener {
        pl_edge *edge;
        h2o_socket_t *socket; /* NULL: none, or closed */
        h2o_accept_ctx_t accept;
    } listeners[2]; /* cleartext, TLS */
    edge_link conns, free_conns;
    edge_link sending;   /* requests that are answered but not sent, oldest first */
    edge_link postponed; /* requests whose answers wait for the end of the turn */
    edge_link streams;   /* answers in pieces, until they have ended */
    edge_link websockets;
    edge_link due_streams, due_websockets; /* something is to be done at the end of this turn */
    unsigned
        disposing; /* h2o is in the middle of ending a connection or stream, and must not be written to */
    edge_link free_requests;
    unsigned free_request_count;
    unsigned records; /* of requests that are in use */
    bool queued;      /* some connection may have a request in its queue that can go on */
    int watch_fd;     /* an epoll instance: hang-ups */
    h2o_socket_t *watch;
    pl_timer housekeeping; /* armed as long as the edge lives */
    pl_timer soon;         /* end of this turn */
    pl_timer accept_again; /* after accept failed */
    pl_timer uploads_look; /* upload.c */
    size_t held;           /* bytes of complete bodies on disk */
    bool streams_unknown;  /* h2o's HTTP/2 streams are not as we know them */
    uint64_t refusal_logged_at, accept_failure_logged_at;
    char last_id[PL_EDGE_ID_SIZE];
    bool draining, cutting;
    uint64_t drain_until;
    void (*drained)(void *data);
    void *drained_data;
    /* Read by other threads. */
    bool ready;
    unsigned connection_count, request_count, stream_count, websocket_count;
    uint64_t requests_total, refused_total, websockets_cut;
};

/* Counters have one writer. */
#define EDGE_ADD(counter, n) __atomic_store_n(&(counter), (counter) + (n), __ATOMIC_RELAXED)

static inline void edge_link_init(edge_link *link)
{
    link->prev = link->next = link;
}
static inline bool edge_link_empty(const edge_link *list)
{
    return list->next == list;
}
static inline void edge_link_remove(edge_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->prev = link->next = link;
}
static inline void edge_link_append(edge_link *list, edge_link *link)
{
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}
static inline void edge_link_push(edge_link *list, edge_link *link)
{
    edge_link_append(list->next, link);
}
#define EDGE_OF(type, member, ptr) ((type *)((char *)(ptr)-offsetof(type, member)))

/* connection.c */
/* Takes the socket over; false: memory (the socket is closed). */
bool edge_conn_open(pl_edge *edge, h2o_socket_t *socket);
edge_conn *edge_conn_of(h2o_conn_t *conn); /* NULL: not on a socket of ours */
/* The record of a host's connection, made when it is the first request. NULL: memory, or there is no socket.
 */
edge_conn *edge_conn_join(pl_edge *edge, h2o_conn_t *conn);
/* Whether something of the edge's is in hand there. */
bool edge_conn_is_busy(const edge_conn *conn);
/* Gives hosts' sockets back to them. */
void edge_conns_leave(pl_edge *edge);
void edge_conn_name_peer(edge_conn *conn); /* and its certificate; when there is a request */
/* Ends a connection, with what is in hand on it. */
void edge_conn_cut(edge_conn *conn);
/* Has the edge told when the client of conn->waiting leaves. */
void edge_conn_watch(edge_conn *conn);
bool edge_watch_open(pl_edge *edge, pl_error *err);
void edge_watch_close(pl_edge *edge);
/* Ends what takes too long; when draining also what is idle. */
void edge_sweep(pl_edge *edge);
void edge_conns_free(pl_edge *edge);

/* request.c */
/* Registers the handler and what else requests need in edge->globals. */
void edge_requests_register(pl_edge *edge);
/* A handler's on_req of h2o's, for one of the edge's requests. path NULL: not of a mount. */
int edge_request_begin(pl_edge *edge, const edge_path *path, h2o_req_t *req);
/* Unlinks it, and keeps the record for use again. */
void edge_request_free(edge_request *r);
/* A waiting HTTP/1.1 request: the service is told, and its connection is ended. */
void edge_request_abandon(edge_request *r);
/* What must not be done while h2o ends a connection or stream: sends postponed answers, and hands requests
 * that were queued to the service. */
void edge_requests_catch_up(pl_edge *edge);
void edge_requests_free(pl_edge *edge);

static inline unsigned edge_passes_of(const h2o_req_t *req)
{
    return req->num_reprocessed + req->num_delegated;
}
/* Whether its connection may be ended for its sake: nobody else's request can be on it, and the host does not
 * answer it by something else. */
static inline bool edge_request_owns_connection(const edge_request *r)
{
    return !r->edge->host_context || (r->public.http_version < 0x200 && edge_passes_of(r->req) == r->passes);
}
/* What the service is told when it will not be able to answer. */
void edge_request_tell(edge_request *r);
static inline void edge_request_count(const edge_request *r, int status)
{
    pl_http_meter *meter = r->edge->meter;
    if (meter)
        meter->count(meter, &r->public, status, r->began);
}
/* The request leaves the hands of the service and of h2o: its connection becomes something else. The record
 * is the caller's to free. */
void edge_request_detach(edge_request *r);

/* stream.c */
void edge_stream_init(edge_request *r);
void edge_stream_dispose(edge_request *r);
/* The client has gone; h2o is made to find that out. */
void edge_stream_abandon(edge_request *r);
/* Gives h2o what has been written in this turn. */
void edge_streams_flush(pl_edge *edge);
/* Cuts connections that take nothing. */
void edge_streams_sweep(pl_edge *edge, uint64_t now);

/* output.c */
void edge_output_init(edge_output *output);
void edge_output_dispose(edge_output *output);
/* The next piece for h2o; empty when there is none. */
pl_str edge_output_next(edge_output *output);
/* h2o has taken the piece. */
void edge_output_taken(edge_output *output);
static inline size_t edge_output_queued(const edge_output *output)
{
    return output->waiting.len + output->sending.len - output->sent;
}

/* websocket.c */
/* The socket has been closed by h2o. */
void edge_websocket_lost(pl_websocket *ws);
void edge_websockets_flush(pl_edge *edge);
/* Closes all that the service has not closed. */
void edge_websockets_drain(pl_edge *edge);

/* mount.c */
/* What the service sees of path and target. False: memory. */
bool edge_path_place(edge_request *r);
/* The same below the main path; false: there is no such place. */
bool edge_path_place_below(edge_request *r);
void edge_paths_attach(pl_edge *edge);
void edge_paths_detach(pl_edge *edge);

/* edge.c */
/* All but listeners, h2o's context, and what a mount does not have. */
pl_edge *edge_new(pl_loop *loop, const pl_edge_config *config, pl_http_service *service, pl_logger *log,
                  pl_error *err);
void edge_soon(pl_edge *edge); /* edge_requests_catch_up, and the end of a drain, at the end of this turn */

#endif
