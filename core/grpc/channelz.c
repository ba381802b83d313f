/* SPDX-License-Identifier: MIT */
#include "grpc/channelz.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "grpc/channelz/v1/channelz.pb-c.h"
#include "grpc/native_protobuf.h"

#define DEFAULT_PAGE 100
#define SERVER_NAME "perilune"

typedef Grpc__Channelz__V1__Server server_message;
typedef Grpc__Channelz__V1__ServerData server_data;
typedef Grpc__Channelz__V1__Socket socket_message;
typedef Grpc__Channelz__V1__SocketData socket_data;
typedef Grpc__Channelz__V1__SocketRef socket_ref;
typedef Google__Protobuf__Timestamp timestamp;

/* What a call waits for. */
typedef struct waiting {
    void (*reply)(pl_grpc_call *call, const pl_grpc_channelz_result *result);
    uint64_t id;
    void *mark; /* NULL: the answer is there */
} waiting;

/* --- parts of answers, in the call's arena; NULL: no memory --- */
static char *text(pl_arena *arena, const char *s)
{
    return pl_grpc_cstr(pl_arena_str(arena, pl_str_of(s)));
}

static timestamp *time_of(pl_arena *arena, uint64_t ms, bool *ok)
{
    timestamp *t = ms ? pl_arena_alloc(arena, sizeof *t) : NULL;
    *ok &= t || !ms;
    if (!t)
        return NULL;
    *t = (timestamp)GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    t->seconds = (int64_t)(ms / 1000);
    t->nanos = (int32_t)(ms % 1000) * 1000000;
    return t;
}

static Google__Protobuf__Int64Value *wrapped(pl_arena *arena, int64_t value, bool *ok)
{
    Google__Protobuf__Int64Value *v = pl_arena_alloc(arena, sizeof *v);
    *ok &= v != NULL;
    if (!v)
        return NULL;
    *v = (Google__Protobuf__Int64Value)GOOGLE__PROTOBUF__INT64_VALUE__INIT;
    v->value = value;
    return v;
}

static socket_ref *ref_of(pl_arena *arena, uint64_t id, const char *name)
{
    socket_ref *ref = pl_arena_alloc(arena, sizeof *ref);
    if (!ref)
        return NULL;
    *ref = (socket_ref)GRPC__CHANNELZ__V1__SOCKET_REF__INIT;
    ref->socket_id = (int64_t)id;
    ref->name = text(arena, name);
    return ref->name ? ref : NULL;
}

/* "10.0.0.1:80", "[::1]:80": the bytes of the address, and the port. */
static bool read_ip(pl_arena *arena, const char *s, Grpc__Channelz__V1__Address__TcpIpAddress *out)
{
    const char *colon = strrchr(s, ':');
    char host[64];
    size_t n = colon ? (size_t)(colon - s) : 0;
    bool v6 = n > 2 && s[0] == '[' && s[n - 1] == ']';
    if (n == 0 || n >= sizeof host)
        return false;
    memcpy(host, v6 ? s + 1 : s, v6 ? n - 2 : n);
    host[v6 ? n - 2 : n] = '\0';
    uint8_t *bytes = pl_arena_alloc(arena, 16);
    if (!bytes || inet_pton(v6 ? AF_INET6 : AF_INET, host, bytes) != 1)
        return false;
    out->ip_address = (ProtobufCBinaryData){v6 ? 16 : 4, bytes};
    out->port = atoi(colon + 1);
    return true;
}

static Grpc__Channelz__V1__Address *address_of(pl_arena *arena, const char *s)
{
    typedef struct room {
        Grpc__Channelz__V1__Address address;
        Grpc__Channelz__V1__Address__TcpIpAddress ip;
        Grpc__Channelz__V1__Address__UdsAddress uds;
    } room;
    room *r = pl_arena_alloc(arena, sizeof *r);
    if (!r)
        return NULL;
    r->address = (Grpc__Channelz__V1__Address)GRPC__CHANNELZ__V1__ADDRESS__INIT;
    r->ip = (Grpc__Channelz__V1__Address__TcpIpAddress)GRPC__CHANNELZ__V1__ADDRESS__TCP_IP_ADDRESS__INIT;
    r->uds = (Grpc__Channelz__V1__Address__UdsAddress)GRPC__CHANNELZ__V1__ADDRESS__UDS_ADDRESS__INIT;
    if (read_ip(arena, s, &r->ip)) {
        r->address.address_case = GRPC__CHANNELZ__V1__ADDRESS__ADDRESS_TCPIP_ADDRESS;
        r->address.tcpip_address = &r->ip;
        return &r->address;
    }
    r->uds.filename = text(arena, strncmp(s, "unix:", 5) == 0 ? s + 5 : s);
    r->address.address_case = GRPC__CHANNELZ__V1__ADDRESS__ADDRESS_UDS_ADDRESS;
    r->address.uds_address = &r->uds;
    return r->uds.filename ? &r->address : NULL;
}

static Grpc__Channelz__V1__Security *security_of(pl_arena *arena, const char *cipher)
{
    typedef struct room {
        Grpc__Channelz__V1__Security security;
        Grpc__Channelz__V1__Security__Tls tls;
    } room;
    room *r = pl_arena_alloc(arena, sizeof *r);
    if (!r)
        return NULL;
    r->security = (Grpc__Channelz__V1__Security)GRPC__CHANNELZ__V1__SECURITY__INIT;
    r->tls = (Grpc__Channelz__V1__Security__Tls)GRPC__CHANNELZ__V1__SECURITY__TLS__INIT;
    r->security.model_case = GRPC__CHANNELZ__V1__SECURITY__MODEL_TLS;
    r->security.tls = &r->tls;
    r->tls.cipher_suite_case = GRPC__CHANNELZ__V1__SECURITY__TLS__CIPHER_SUITE_OTHER_NAME;
    r->tls.other_name = text(arena, cipher);
    return r->tls.other_name ? &r->security : NULL;
}

static server_message *server_of(pl_arena *arena, const pl_grpc_channelz_result *result)
{
    typedef struct room {
        server_message server;
        Grpc__Channelz__V1__ServerRef ref;
        server_data data;
        socket_ref *listeners[2];
    } room;
    static char name[] = SERVER_NAME;
    bool ok = true;
    room *r = pl_arena_zalloc(arena, sizeof *r);
    if (!r)
        return NULL;
    r->ref = (Grpc__Channelz__V1__ServerRef)GRPC__CHANNELZ__V1__SERVER_REF__INIT;
    r->ref.server_id = PL_GRPC_CHANNELZ_SERVER;
    r->ref.name = name;
    r->data = (server_data)GRPC__CHANNELZ__V1__SERVER_DATA__INIT;
    r->data.calls_started = (int64_t)result->calls;
    r->data.calls_succeeded = (int64_t)result->succeeded;
    r->data.calls_failed = (int64_t)result->failures;
    r->data.last_call_started_timestamp = time_of(arena, result->last_call_at, &ok);
    r->server = (server_message)GRPC__CHANNELZ__V1__SERVER__INIT;
    r->server.ref = &r->ref;
    r->server.data = &r->data;
    r->server.listen_socket = r->listeners;
    for (uint64_t i = 0; i < 2; i++) {
        if (!result->listeners[i])
            continue;
        socket_ref *ref = ref_of(arena, PL_GRPC_CHANNELZ_LISTENER + i, result->listeners[i]);
        ok &= ref != NULL;
        r->listeners[r->server.n_listen_socket++] = ref;
    }
    return ok ? &r->server : NULL;
}

static void fill_data(pl_arena *arena, const pl_grpc_session_stats *stats, socket_data *out, bool *ok)
{
    *out = (socket_data)GRPC__CHANNELZ__V1__SOCKET_DATA__INIT;
    out->streams_started = (int64_t)stats->begun;
    out->streams_succeeded = (int64_t)stats->succeeded;
    out->streams_failed = (int64_t)stats->failed;
    out->messages_sent = (int64_t)stats->traffic.sent;
    out->messages_received = (int64_t)stats->traffic.received;
    out->keep_alives_sent = (int64_t)stats->keepalives;
    out->last_remote_stream_created_timestamp = time_of(arena, stats->begun_at, ok);
    out->last_message_sent_timestamp = time_of(arena, stats->traffic.sent_at, ok);
    out->last_message_received_timestamp = time_of(arena, stats->traffic.received_at, ok);
    out->local_flow_control_window = wrapped(arena, stats->local_window, ok);
    out->remote_flow_control_window = wrapped(arena, stats->remote_window, ok);
}

static socket_message *socket_of(pl_arena *arena, const pl_grpc_channelz_socket *s)
{
    typedef struct room {
        socket_message socket;
        socket_data data;
    } room;
    bool ok = true;
    room *r = pl_arena_alloc(arena, sizeof *r);
    if (!r)
        return NULL;
    r->socket = (socket_message)GRPC__CHANNELZ__V1__SOCKET__INIT;
    r->socket.ref = ref_of(arena, s->id, s->remote);
    fill_data(arena, &s->stats, &r->data, &ok);
    r->socket.data = &r->data;
    r->socket.local = address_of(arena, s->local);
    r->socket.remote = address_of(arena, s->remote);
    r->socket.security = s->cipher[0] ? security_of(arena, s->cipher) : NULL;
    ok &= r->socket.ref && r->socket.local && r->socket.remote && (r->socket.security || !s->cipher[0]);
    return ok ? &r->socket : NULL;
}

/* --- answers --- */
static void no_memory(pl_grpc_call *call)
{
    pl_grpc_native_finish(call, PL_RESOURCE_EXHAUSTED, PL_STR("out of memory"));
}

static void not_found(pl_grpc_call *call, const char *what, int64_t id)
{
    pl_str message = pl_arena_printf(pl_grpc_native_arena(call), "there is no %s %lld", what, (long long)id);
    pl_grpc_native_finish(call, PL_NOT_FOUND, message);
}

static void reply_servers(pl_grpc_call *call, const pl_grpc_channelz_result *result)
{
    const waiting *w = pl_grpc_native_state(call);
    Grpc__Channelz__V1__GetServersResponse response = GRPC__CHANNELZ__V1__GET_SERVERS_RESPONSE__INIT;
    server_message *server = server_of(pl_grpc_native_arena(call), result);
    response.server = &server;
    response.n_server = w->id <= PL_GRPC_CHANNELZ_SERVER;
    response.end = true;
    if (server)
        pl_grpc_native_reply(call, &response.base);
    else
        no_memory(call);
}

static void reply_server(pl_grpc_call *call, const pl_grpc_channelz_result *result)
{
    Grpc__Channelz__V1__GetServerResponse response = GRPC__CHANNELZ__V1__GET_SERVER_RESPONSE__INIT;
    response.server = server_of(pl_grpc_native_arena(call), result);
    if (response.server)
        pl_grpc_native_reply(call, &response.base);
    else
        no_memory(call);
}

static void reply_sockets(pl_grpc_call *call, const pl_grpc_channelz_result *result)
{
    pl_arena *arena = pl_grpc_native_arena(call);
    Grpc__Channelz__V1__GetServerSocketsResponse response =
        GRPC__CHANNELZ__V1__GET_SERVER_SOCKETS_RESPONSE__INIT;
    socket_ref **refs = pl_arena_array(arena, result->count, sizeof *refs);
    bool ok = refs != NULL;
    for (size_t i = 0; ok && i < result->count; i++) {
        refs[i] = ref_of(arena, result->sockets[i].id, result->sockets[i].remote);
        ok = refs[i] != NULL;
    }
    response.socket_ref = refs;
    response.n_socket_ref = result->count;
    response.end = !result->more;
    if (ok)
        pl_grpc_native_reply(call, &response.base);
    else
        no_memory(call);
}

/* What the server listens on has an address and no more. */
static socket_message *listener_of(pl_arena *arena, uint64_t id, const char *address)
{
    socket_message *s = pl_arena_alloc(arena, sizeof *s);
    if (!s)
        return NULL;
    *s = (socket_message)GRPC__CHANNELZ__V1__SOCKET__INIT;
    s->ref = ref_of(arena, id, address);
    s->local = address_of(arena, address);
    return s->ref && s->local ? s : NULL;
}

static void reply_socket(pl_grpc_call *call, const pl_grpc_channelz_result *result)
{
    const waiting *w = pl_grpc_native_state(call);
    pl_arena *arena = pl_grpc_native_arena(call);
    Grpc__Channelz__V1__GetSocketResponse response = GRPC__CHANNELZ__V1__GET_SOCKET_RESPONSE__INIT;
    uint64_t listener = w->id - PL_GRPC_CHANNELZ_LISTENER;
    if (result->count > 0)
        response.socket = socket_of(arena, &result->sockets[0]);
    else if (listener < 2 && result->listeners[listener])
        response.socket = listener_of(arena, w->id, result->listeners[listener]);
    if (response.socket)
        pl_grpc_native_reply(call, &response.base);
    else if (result->count > 0 || (listener < 2 && result->listeners[listener]))
        no_memory(call);
    else
        not_found(call, "socket", (int64_t)w->id);
}

void pl_grpc_channelz_answer(pl_grpc_call *call, const pl_grpc_channelz_result *result)
{
    waiting *w = pl_grpc_native_state(call);
    w->mark = NULL;
    if (result->failed)
        no_memory(call);
    else
        w->reply(call, result);
}

/* --- questions --- */
static void ask(pl_grpc_call *call, const pl_grpc_channelz_query *query, uint64_t id,
                void (*reply)(pl_grpc_call *call, const pl_grpc_channelz_result *result))
{
    pl_grpc_channelz_source *source = pl_grpc_native_data(call);
    waiting *w = pl_grpc_native_state(call);
    w->reply = reply;
    w->id = id;
    w->mark = source->ask(source->data, query, call);
    if (!w->mark)
        no_memory(call);
}

static void closed(pl_grpc_call *call)
{
    const pl_grpc_channelz_source *source = pl_grpc_native_data(call);
    waiting *w = pl_grpc_native_state(call);
    if (w->mark)
        source->forget(source->data, w->mark);
    w->mark = NULL;
}

/* The request; NULL: the call has been ended with an error. */
static const void *read(pl_grpc_call *call, const ProtobufCMessageDescriptor *type, pl_str bytes)
{
    pl_error err = {0};
    const void *request = pl_grpc_unpack(type, bytes, pl_grpc_native_arena(call), &err);
    if (!request)
        pl_grpc_native_finish(call, err.code, pl_str_of(err.message));
    return request;
}

static void refuse_negative(pl_grpc_call *call)
{
    pl_grpc_native_finish(call, PL_INVALID_ARGUMENT, PL_STR("ids and max_results are not negative"));
}

static void get_servers(pl_grpc_call *call, pl_str bytes)
{
    const Grpc__Channelz__V1__GetServersRequest *r =
        read(call, &grpc__channelz__v1__get_servers_request__descriptor, bytes);
    if (!r)
        return;
    if (r->start_server_id < 0 || r->max_results < 0)
        refuse_negative(call);
    else
        ask(call, &(pl_grpc_channelz_query){0}, (uint64_t)r->start_server_id, reply_servers);
}

static void get_server(pl_grpc_call *call, pl_str bytes)
{
    const Grpc__Channelz__V1__GetServerRequest *r =
        read(call, &grpc__channelz__v1__get_server_request__descriptor, bytes);
    if (!r)
        return;
    if (r->server_id != PL_GRPC_CHANNELZ_SERVER)
        not_found(call, "server", r->server_id);
    else
        ask(call, &(pl_grpc_channelz_query){0}, PL_GRPC_CHANNELZ_SERVER, reply_server);
}

static size_t page_of(int64_t max_results)
{
    int64_t most = max_results ? max_results : DEFAULT_PAGE;
    return most < PL_GRPC_CHANNELZ_MOST ? (size_t)most : PL_GRPC_CHANNELZ_MOST;
}

static void get_server_sockets(pl_grpc_call *call, pl_str bytes)
{
    const Grpc__Channelz__V1__GetServerSocketsRequest *r =
        read(call, &grpc__channelz__v1__get_server_sockets_request__descriptor, bytes);
    if (!r)
        return;
    if (r->server_id != PL_GRPC_CHANNELZ_SERVER) {
        not_found(call, "server", r->server_id);
    } else if (r->start_socket_id < 0 || r->max_results < 0) {
        refuse_negative(call);
    } else {
        const pl_grpc_channelz_query query = {.kind = PL_GRPC_CHANNELZ_SOCKETS,
                                              .first = (uint64_t)r->start_socket_id,
                                              .last = UINT64_MAX,
                                              .most = page_of(r->max_results)};
        ask(call, &query, 0, reply_sockets);
    }
}

static void get_socket(pl_grpc_call *call, pl_str bytes)
{
    const Grpc__Channelz__V1__GetSocketRequest *r =
        read(call, &grpc__channelz__v1__get_socket_request__descriptor, bytes);
    if (!r)
        return;
    const pl_grpc_channelz_query query = {.kind = PL_GRPC_CHANNELZ_SOCKETS,
                                          .first = (uint64_t)r->socket_id,
                                          .last = (uint64_t)r->socket_id,
                                          .most = 1};
    ask(call, &query, (uint64_t)r->socket_id, reply_socket);
}

/* --- channels: of clients --- */
static Grpc__Channelz__V1__Channel *channel_of(pl_arena *arena, const pl_grpc_channelz_channel *c)
{
    typedef struct room {
        Grpc__Channelz__V1__Channel channel;
        Grpc__Channelz__V1__ChannelRef ref;
        Grpc__Channelz__V1__ChannelData data;
        Grpc__Channelz__V1__ChannelConnectivityState state;
    } room;
    bool ok = true;
    room *r = pl_arena_alloc(arena, sizeof *r);
    char *target = text(arena, c->target);
    if (!r || !target)
        return NULL;
    r->ref = (Grpc__Channelz__V1__ChannelRef)GRPC__CHANNELZ__V1__CHANNEL_REF__INIT;
    r->ref.channel_id = (int64_t)c->id;
    r->ref.name = target;
    r->state =
        (Grpc__Channelz__V1__ChannelConnectivityState)GRPC__CHANNELZ__V1__CHANNEL_CONNECTIVITY_STATE__INIT;
    r->state.state = (Grpc__Channelz__V1__ChannelConnectivityState__State)c->state;
    r->data = (Grpc__Channelz__V1__ChannelData)GRPC__CHANNELZ__V1__CHANNEL_DATA__INIT;
    r->data.state = &r->state;
    r->data.target = target;
    r->data.calls_started = (int64_t)c->calls;
    r->data.calls_succeeded = (int64_t)c->succeeded;
    r->data.calls_failed = (int64_t)c->failed;
    r->data.last_call_started_timestamp = time_of(arena, c->last_call_at, &ok);
    r->channel = (Grpc__Channelz__V1__Channel)GRPC__CHANNELZ__V1__CHANNEL__INIT;
    r->channel.ref = &r->ref;
    r->channel.data = &r->data;
    return ok ? &r->channel : NULL;
}

static void reply_channels(pl_grpc_call *call, const pl_grpc_channelz_result *result)
{
    pl_arena *arena = pl_grpc_native_arena(call);
    Grpc__Channelz__V1__GetTopChannelsResponse response = GRPC__CHANNELZ__V1__GET_TOP_CHANNELS_RESPONSE__INIT;
    Grpc__Channelz__V1__Channel **channels = pl_arena_array(arena, result->count, sizeof *channels);
    bool ok = channels != NULL;
    for (size_t i = 0; ok && i < result->count; i++) {
        channels[i] = channel_of(arena, &result->channels[i]);
        ok = channels[i] != NULL;
    }
    response.channel = channels;
    response.n_channel = result->count;
    response.end = !result->more;
    if (ok)
        pl_grpc_native_reply(call, &response.base);
    else
        no_memory(call);
}

static void reply_channel(pl_grpc_call *call, const pl_grpc_channelz_result *result)
{
    const waiting *w = pl_grpc_native_state(call);
    Grpc__Channelz__V1__GetChannelResponse response = GRPC__CHANNELZ__V1__GET_CHANNEL_RESPONSE__INIT;
    if (result->count > 0)
        response.channel = channel_of(pl_grpc_native_arena(call), &result->channels[0]);
    if (response.channel)
        pl_grpc_native_reply(call, &response.base);
    else if (result->count > 0)
        no_memory(call);
    else
        not_found(call, "channel", (int64_t)w->id);
}

static void get_top_channels(pl_grpc_call *call, pl_str bytes)
{
    const Grpc__Channelz__V1__GetTopChannelsRequest *r =
        read(call, &grpc__channelz__v1__get_top_channels_request__descriptor, bytes);
    if (!r)
        return;
    if (r->start_channel_id < 0 || r->max_results < 0) {
        refuse_negative(call);
        return;
    }
    const pl_grpc_channelz_query query = {.kind = PL_GRPC_CHANNELZ_CHANNELS,
                                          .first = (uint64_t)r->start_channel_id,
                                          .last = UINT64_MAX,
                                          .most = page_of(r->max_results)};
    ask(call, &query, 0, reply_channels);
}

static void get_channel(pl_grpc_call *call, pl_str bytes)
{
    const Grpc__Channelz__V1__GetChannelRequest *r =
        read(call, &grpc__channelz__v1__get_channel_request__descriptor, bytes);
    if (!r)
        return;
    const pl_grpc_channelz_query query = {.kind = PL_GRPC_CHANNELZ_CHANNELS,
                                          .first = (uint64_t)r->channel_id,
                                          .last = (uint64_t)r->channel_id,
                                          .most = 1};
    ask(call, &query, (uint64_t)r->channel_id, reply_channel);
}

/* A channel's endpoints are not told apart. */
static void get_subchannel(pl_grpc_call *call, pl_str bytes)
{
    const Grpc__Channelz__V1__GetSubchannelRequest *r =
        read(call, &grpc__channelz__v1__get_subchannel_request__descriptor, bytes);
    if (r)
        not_found(call, "subchannel", r->subchannel_id);
}

pl_code pl_grpc_channelz_add(pl_grpc_service *service, pl_grpc_channelz_source *source)
{
#define PATH(method) PL_STR("/" PL_GRPC_CHANNELZ "/" method)
    static const pl_grpc_native natives[] = {
        {.message = get_servers, .closed = closed, .size = sizeof(waiting)},
        {.message = get_server, .closed = closed, .size = sizeof(waiting)},
        {.message = get_server_sockets, .closed = closed, .size = sizeof(waiting)},
        {.message = get_socket, .closed = closed, .size = sizeof(waiting)},
        {.message = get_top_channels, .closed = closed, .size = sizeof(waiting)},
        {.message = get_channel, .closed = closed, .size = sizeof(waiting)},
        {.message = get_subchannel}};
    const pl_str paths[] = {PATH("GetServers"),   PATH("GetServer"),      PATH("GetServerSockets"),
                            PATH("GetSocket"),    PATH("GetTopChannels"), PATH("GetChannel"),
                            PATH("GetSubchannel")};
    pl_code code = PL_OK;
    for (size_t i = 0; !code && i < sizeof paths / sizeof *paths; i++) {
        const pl_grpc_method method = {.path = paths[i], .native = &natives[i], .native_data = source};
        code = pl_grpc_service_add(service, &method);
    }
    return code;
#undef PATH
}
