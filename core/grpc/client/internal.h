/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_CLIENT_INTERNAL_H
#define PL_GRPC_CLIENT_INTERNAL_H

/* What the files of the client share: set.c (all channels, and the turn in which things are done), channel.c
 * (endpoints, picks, sleep), link.c (a connection), health.c (what an endpoint says of itself), call.c (a
 * call, as scripts have it), attempt.c (one try of a call), answer.c (what an answer says), local.c (calls
 * within the process). */

#include "base/map.h"
#include "grpc/client/channel.h"
#include "grpc/policy/attempts.h"

typedef struct client_call client_call;
typedef struct client_remote client_remote;
typedef struct attempt attempt;

/* --- a try of a call --- */
typedef enum attempt_state {
    ATTEMPT_NONE,
    ATTEMPT_WAITING, /* for an endpoint */
    ATTEMPT_RUNNING,
    ATTEMPT_OVER,
} attempt_state;

struct attempt {
    client_call *call;
    attempt_state state;
    attempt *prev, *next; /* WAITING: in the channel's list */
    pl_pick pick;         /* RUNNING */
    pl_client_stream *stream;
    size_t given; /* of all that the call sends: so much has been given to the stream */
    bool ended;   /* and its end */
    /* OVER: how. */
    pl_remote_status status;
    pl_grpc_metadata trailers;
};

/* --- a call --- */
struct client_call {
    pl_remote_call base;        /* first */
    client_remote *remote;      /* NULL: cut off */
    pl_client_channel *channel; /* the same */
    client_call *prev, *next;   /* in the channel's list */
    client_call *next_due;
    bool is_due;
    pl_arena arena;
    pl_str path;
    pl_grpc_metadata metadata; /* ready for the wire */
    uint64_t began, deadline;  /* 0: none */
    uint64_t metered;          /* when it began, as the meter has it */
    bool wait_for_ready;
    pl_grpc_coding coding;
    size_t max_request;

    const pl_method_config *method;
    pl_attempts policy;
    attempt tries[PL_MOST_ATTEMPTS];

    /* What goes: framed messages, from `kept_at` of all bytes on. */
    pl_buf kept;
    size_t kept_at;
    uint64_t counted; /* of the channel's `kept` */
    bool finished;
    bool sender_waits;

    /* What comes, from the attempt that the call is committed to. */
    pl_grpc_reader reader;
    pl_buf scratch;
    pl_grpc_coding answer_coding;
    size_t uncredited;
    bool wants;
    bool has_headers;
    pl_grpc_metadata headers, trailers; /* for scripts */
    pl_str peer;

    pl_remote_status status;
    bool over;
    pl_timer deadline_timer, wake_timer;
};

struct client_remote {
    pl_remote base;             /* first */
    pl_client_channel *channel; /* NULL: cut off */
    const void *owner;
    client_remote *prev, *next; /* in the channel's list */
};

/* --- a connection --- */
typedef enum link_state { LINK_CONNECTING, LINK_OPEN, LINK_OVER } link_state;

struct pl_client_link {
    pl_client_channel *channel;
    pl_client_link *prev, *next, *next_due;
    pl_endpoint *endpoint; /* NULL: it takes no new calls */
    void *connection;
    pl_client_session *session; /* from when the connection is open */
    link_state state;
    bool is_due, writing, told; /* told: the balancer knows that it is connected */
    pl_buf out;
    pl_timer timer;
    pl_str address;
    struct health *health;
};

/* --- a target --- */
struct pl_client_channel {
    pl_client_set *set;
    pl_client_channel *prev, *next, *next_due;
    bool is_due;
    pl_arena arena;
    pl_str key, target;
    pl_client_target about; /* the target, for messages, :authority and certificates */
    pl_client_settings settings;
    pl_grpc_handler *local; /* calls are answered here */
    bool is_local;
    pl_balancer *balancer; /* NULL: it sleeps */
    pl_retry_throttle throttle;
    void *resolver;
    pl_client_link *links;
    client_remote *remotes;
    client_call *calls;
    unsigned call_count;
    uint64_t id, calls_total, failed_total, last_call_at;
    attempt *waiting, **waiting_end;
    uint64_t kept; /* bytes, of all calls */
    bool repick;   /* those that wait are to look again */
    uint64_t retry_at;
    unsigned keepalive_ms;
    pl_timer timer, idle;
};

struct pl_client_set {
    pl_client_set_config config;
    pl_client_streams *streams;
    pl_grpc_coder *coder;
    pl_random random;
    pl_map by_key;
    pl_client_channel *channels;
    unsigned channel_count;
    pl_client_channel *due_channels;
    pl_client_link *due_links;
    client_call *due_calls, **due_calls_end;
    struct local_stream *due_locals;
    pl_timer soon;
    pl_client_stats stats;
    uint64_t last_id; /* of channels */
};

static inline uint64_t client_now(const pl_client_set *set)
{
    return set->config.host->ops->now(set->config.host);
}
int client_timer_start(pl_client_set *set, pl_timer *timer, uint64_t at);
void client_timer_stop(pl_client_set *set, pl_timer *timer);

/* set.c: these are looked at in the next turn. */
void client_channel_due(pl_client_channel *channel);
void client_link_due(pl_client_link *link);
void client_call_due(client_call *call);
void client_call_not_due(client_call *call);
void client_soon(pl_client_set *set);
void client_remote_close(pl_remote *remote);

/* channel.c */
pl_client_channel *client_channel_new(pl_client_set *set, const pl_remote_config *config,
                                      pl_grpc_handler *local, pl_error *err);
/* No remote may be left. */
void client_channel_free(pl_client_channel *channel);
void client_channel_turn(pl_client_channel *channel);
/* A call begins: it is awake from now on. */
pl_code client_channel_wake(pl_client_channel *channel, pl_error *err);
/* A call, or a remote, has gone. */
void client_channel_rest(pl_client_channel *channel);
/* The attempt waits for an endpoint; it may have one, or have failed, when this returns. */
void client_channel_enqueue(attempt *a);
void client_channel_dequeue(attempt *a);
/* The endpoint's state has changed. */
void client_channel_connected(pl_client_link *link);
void client_channel_lost(pl_client_link *link, const char *why);

/* link.c */
pl_client_link *client_link_new(pl_client_channel *channel, pl_endpoint *endpoint, uint64_t connect_by);
/* Its calls may go on; nothing new. */
void client_link_retire(pl_client_link *link);
void client_link_free(pl_client_link *link, const char *why);
void client_link_pump(pl_client_link *link);

/* health.c */
bool client_health_start(pl_client_link *link); /* false: memory */
void client_health_stop(pl_client_link *link);

/* call.c */
extern const pl_remote_ops client_remote_ops;
/* Ends it, as the client sees it. */
void client_call_fail(client_call *call, pl_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void client_call_detach(client_call *call);
void client_call_step(client_call *call, const pl_attempts_step *step);
/* Bytes have come for the attempt that it is committed to. */
void client_call_data(client_call *call, pl_str bytes);
void client_call_pump(client_call *call);

/* attempt.c */
void attempt_begin(attempt *a);
void attempt_cancel(attempt *a, pl_breaker_outcome outcome);
/* It has an endpoint. False: the connection takes no more. */
bool attempt_start(attempt *a, const pl_pick *pick);
void attempt_failed(attempt *a, pl_code code, const char *why);
/* Gives the stream what it takes of what the call has. */
void attempt_pump(attempt *a);

/* answer.c */
/* What the answer on a stream comes to; strings in the call's arena. */
void answer_status(const pl_client_stream *stream, const pl_client_end *end, pl_arena *arena,
                   pl_remote_status *out);
/* Whether the headers are those of an answer of gRPC's. */
bool answer_is_grpc(const pl_client_stream *stream, pl_arena *arena, pl_remote_status *out);
int64_t answer_pushback(const pl_client_stream *stream);
pl_str answer_header(const pl_grpc_metadata *list, const char *name);
/* The application's: copied, decoded. */
void answer_metadata(const pl_grpc_metadata *list, pl_arena *arena, pl_grpc_metadata *out);

/* local.c */
pl_client_stream *client_local_start(pl_client_channel *channel, const pl_header *headers, size_t count,
                                     const pl_client_stream_events *events, void *call);
void client_local_turn(pl_client_set *set);

#endif
