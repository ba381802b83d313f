/* SPDX-License-Identifier: MIT */
#include "grpc/channelz.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "grpc/channelz/v1/channelz.pb-c.h"
#include "grpc/native_protobuf.h"
#include "support/failing.h"
#include "support/native_fixture.h"

#define PATH(method) "/" PL_GRPC_CHANNELZ "/" method

/* A source that answers when it is told to. */
typedef struct world {
    nf f;
    pl_grpc_channelz_source source;
    pl_grpc_channelz_query query;
    pl_grpc_call *call; /* that waits */
    unsigned asked, forgotten;
    bool no_memory;
    pl_arena arena;
} world;

static void *ask(void *data, const pl_grpc_channelz_query *query, pl_grpc_call *call)
{
    world *w = data;
    w->asked++;
    w->query = *query;
    w->call = call;
    return w->no_memory ? NULL : w;
}

static void forget(void *data, void *mark)
{
    world *w = data;
    assert_ptr_equal(mark, w);
    w->forgotten++;
    w->call = NULL;
}

static void set_up(world *w)
{
    memset(w, 0, sizeof *w);
    w->source = (pl_grpc_channelz_source){.ask = ask, .forget = forget, .data = w};
    nf_open(&w->f);
    pl_arena_init(&w->arena, 0);
    assert_int_equal(pl_grpc_channelz_add(w->f.service, &w->source), PL_OK);
}

static void tear_down(world *w)
{
    pl_arena_dispose(&w->arena);
    nf_close(&w->f);
}

static pl_str pack(world *w, const ProtobufCMessage *message)
{
    pl_buf buf;
    pl_buf_init(&buf);
    assert_true(pl_grpc_pack(message, &buf));
    pl_str copy = pl_arena_str(&w->arena, buf.len ? pl_buf_view(&buf) : PL_STR(""));
    pl_buf_dispose(&buf);
    return copy;
}

static const void *response(world *w, const nf_call *call, const ProtobufCMessageDescriptor *type)
{
    pl_error err;
    assert_int_equal(call->code, PL_OK);
    const void *message = pl_grpc_unpack(type, nf_message(call, 0), &w->arena, &err);
    assert_non_null(message);
    return message;
}

static pl_grpc_channelz_socket socket_at(uint64_t id, const char *local, const char *remote,
                                         const char *cipher)
{
    pl_grpc_channelz_socket s = {.id = id,
                                 .stats = {.begun = 10,
                                           .succeeded = 7,
                                           .failed = 2,
                                           .keepalives = 3,
                                           .begun_at = 1700000000123,
                                           .traffic = {.sent = 4, .received = 5, .sent_at = 1700000001000},
                                           .local_window = 65535,
                                           .remote_window = -1}};
    snprintf(s.local, sizeof s.local, "%s", local);
    snprintf(s.remote, sizeof s.remote, "%s", remote);
    snprintf(s.cipher, sizeof s.cipher, "%s", cipher);
    return s;
}

static const pl_grpc_channelz_result some = {.calls = 12,
                                             .succeeded = 8,
                                             .failures = 3,
                                             .last_call_at = 1700000000500,
                                             .listeners = {NULL, "[::1]:443"}};

static void test_servers(void **state)
{
    world w;
    set_up(&w);
    Grpc__Channelz__V1__GetServersRequest ask_for = GRPC__CHANNELZ__V1__GET_SERVERS_REQUEST__INIT;
    nf_call *call = nf_unary(&w.f, PATH("GetServers"), pack(&w, &ask_for.base));
    assert_int_equal(w.query.kind, PL_GRPC_CHANNELZ_COUNTERS);
    assert_int_equal(call->code, -1);
    pl_grpc_channelz_answer(w.call, &some);
    const Grpc__Channelz__V1__GetServersResponse *all =
        response(&w, call, &grpc__channelz__v1__get_servers_response__descriptor);
    assert_true(all->end);
    assert_int_equal(all->n_server, 1);
    const Grpc__Channelz__V1__Server *server = all->server[0];
    assert_int_equal(server->ref->server_id, 1);
    assert_int_equal(server->data->calls_started, 12);
    assert_int_equal(server->data->calls_succeeded, 8);
    assert_int_equal(server->data->calls_failed, 3);
    assert_int_equal(server->data->last_call_started_timestamp->seconds, 1700000000);
    assert_int_equal(server->data->last_call_started_timestamp->nanos, 500000000);
    assert_int_equal(server->n_listen_socket, 1);
    assert_int_equal(server->listen_socket[0]->socket_id, 3);
    assert_string_equal(server->listen_socket[0]->name, "[::1]:443");
    nf_end(call);
    assert_int_equal(w.forgotten, 0);
    tear_down(&w);
}

static void test_sockets(void **state)
{
    world w;
    set_up(&w);
    const pl_grpc_channelz_socket sockets[] = {socket_at(5000, "127.0.0.1:1", "10.0.0.1:2", ""),
                                               socket_at(5001, "unix:/run/x", "unix", "")};
    pl_grpc_channelz_result result = {.sockets = sockets, .count = 2, .more = true};
    Grpc__Channelz__V1__GetServerSocketsRequest ask_for =
        GRPC__CHANNELZ__V1__GET_SERVER_SOCKETS_REQUEST__INIT;
    ask_for.server_id = 1;
    ask_for.start_socket_id = 4999;
    nf_call *call = nf_unary(&w.f, PATH("GetServerSockets"), pack(&w, &ask_for.base));
    assert_int_equal(w.query.kind, PL_GRPC_CHANNELZ_SOCKETS);
    assert_true(w.query.first == 4999 && w.query.last == UINT64_MAX && w.query.most == 100);
    pl_grpc_channelz_answer(w.call, &result);
    const Grpc__Channelz__V1__GetServerSocketsResponse *page =
        response(&w, call, &grpc__channelz__v1__get_server_sockets_response__descriptor);
    assert_int_equal(page->n_socket_ref, 2);
    assert_false(page->end);
    assert_int_equal(page->socket_ref[0]->socket_id, 5000);
    assert_string_equal(page->socket_ref[1]->name, "unix");
    nf_end(call);
    ask_for.max_results = INT64_MAX;
    call = nf_unary(&w.f, PATH("GetServerSockets"), pack(&w, &ask_for.base));
    assert_int_equal(w.query.most, PL_GRPC_CHANNELZ_MOST);
    nf_end(call); /* it does not wait for the answer */
    assert_int_equal(w.forgotten, 1);
    tear_down(&w);
}

static const Grpc__Channelz__V1__Socket *get_socket(world *w, const pl_grpc_channelz_socket *s,
                                                    nf_call **call)
{
    Grpc__Channelz__V1__GetSocketRequest ask_for = GRPC__CHANNELZ__V1__GET_SOCKET_REQUEST__INIT;
    ask_for.socket_id = (int64_t)s->id;
    *call = nf_unary(&w->f, PATH("GetSocket"), pack(w, &ask_for.base));
    assert_true(w->query.first == s->id && w->query.last == s->id && w->query.most == 1);
    pl_grpc_channelz_answer(w->call, &(pl_grpc_channelz_result){.sockets = s, .count = 1});
    const Grpc__Channelz__V1__GetSocketResponse *r =
        response(w, *call, &grpc__channelz__v1__get_socket_response__descriptor);
    return r->socket;
}

static void test_socket(void **state)
{
    world w;
    nf_call *call;
    set_up(&w);
    pl_grpc_channelz_socket s = socket_at(7777, "[::1]:443", "10.1.2.3:65535", "TLS_AES_128_GCM_SHA256");
    const Grpc__Channelz__V1__Socket *socket = get_socket(&w, &s, &call);
    const Grpc__Channelz__V1__SocketData *data = socket->data;
    assert_int_equal(data->streams_started, 10);
    assert_int_equal(data->streams_succeeded, 7);
    assert_int_equal(data->streams_failed, 2);
    assert_int_equal(data->messages_sent, 4);
    assert_int_equal(data->messages_received, 5);
    assert_int_equal(data->keep_alives_sent, 3);
    assert_int_equal(data->last_remote_stream_created_timestamp->nanos, 123000000);
    assert_int_equal(data->last_message_sent_timestamp->seconds, 1700000001);
    assert_null(data->last_message_received_timestamp);
    assert_int_equal(data->remote_flow_control_window->value, -1);
    assert_int_equal(socket->local->tcpip_address->ip_address.len, 16);
    assert_int_equal(socket->local->tcpip_address->port, 443);
    assert_int_equal(socket->remote->tcpip_address->ip_address.len, 4);
    assert_memory_equal(socket->remote->tcpip_address->ip_address.data, "\x0a\x01\x02\x03", 4);
    assert_int_equal(socket->remote->tcpip_address->port, 65535);
    assert_string_equal(socket->security->tls->other_name, "TLS_AES_128_GCM_SHA256");
    nf_end(call);
    s = socket_at(7778, "unix:/run/x", "unix", "");
    socket = get_socket(&w, &s, &call);
    assert_string_equal(socket->local->uds_address->filename, "/run/x");
    assert_string_equal(socket->remote->uds_address->filename, "unix");
    assert_null(socket->security);
    nf_end(call);
    tear_down(&w);
}

static void test_channels(void **state)
{
    world w;
    set_up(&w);
    const pl_grpc_channelz_channel channels[] = {{.id = 6144,
                                                  .target = "dns:///users",
                                                  .state = 3,
                                                  .calls = 9,
                                                  .succeeded = 5,
                                                  .failed = 3,
                                                  .last_call_at = 1500},
                                                 {.id = 6145, .target = "unix:/x", .state = 1}};
    nf_call *call = nf_unary(&w.f, PATH("GetTopChannels"), PL_STR("\x08\x07\x10\x02"));
    assert_int_equal(w.query.kind, PL_GRPC_CHANNELZ_CHANNELS);
    assert_true(w.query.first == 7 && w.query.last == UINT64_MAX && w.query.most == 2);
    pl_grpc_channelz_answer(w.call,
                            &(pl_grpc_channelz_result){.channels = channels, .count = 2, .more = true});
    const Grpc__Channelz__V1__GetTopChannelsResponse *all =
        response(&w, call, &grpc__channelz__v1__get_top_channels_response__descriptor);
    assert_false(all->end);
    assert_int_equal(all->n_channel, 2);
    assert_int_equal(all->channel[1]->ref->channel_id, 6145);
    const Grpc__Channelz__V1__ChannelData *data = all->channel[0]->data;
    assert_string_equal(data->target, "dns:///users");
    assert_int_equal(data->state->state, 3);
    assert_int_equal(data->calls_started, 9);
    assert_int_equal(data->calls_succeeded, 5);
    assert_int_equal(data->calls_failed, 3);
    assert_int_equal(data->last_call_started_timestamp->nanos, 500000000);
    assert_null(all->channel[1]->data->last_call_started_timestamp);
    nf_end(call);
    call = nf_unary(&w.f, PATH("GetChannel"), PL_STR("\x08\x07"));
    assert_true(w.query.first == 7 && w.query.last == 7 && w.query.most == 1);
    pl_grpc_channelz_answer(w.call, &(pl_grpc_channelz_result){.channels = channels, .count = 1});
    assert_int_equal(call->code, PL_OK);
    nf_end(call);
    call = nf_unary(&w.f, PATH("GetChannel"), PL_STR("\x08\x07"));
    pl_grpc_channelz_answer(w.call, &(pl_grpc_channelz_result){0});
    assert_int_equal(call->code, PL_NOT_FOUND);
    nf_end(call);
    tear_down(&w);
}

/* Requests that fail, by their bytes: field 1 is an id. */
static void test_errors(void **state)
{
    static const struct {
        const char *path;
        pl_str request;
        int code;
    } cases[] = {
        {PATH("GetServer"), {"\x08\x02", sizeof "\x08\x02" - 1}, PL_NOT_FOUND},
        {PATH("GetServer"), {"", 0}, PL_NOT_FOUND},
        {PATH("GetServerSockets"), {"\x08\x02", sizeof "\x08\x02" - 1}, PL_NOT_FOUND},
        {PATH("GetServerSockets"),
         {"\x08\x01\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
          sizeof "\x08\x01\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" - 1},
         PL_INVALID_ARGUMENT},
        {PATH("GetServers"),
         {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
          sizeof "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" - 1},
         PL_INVALID_ARGUMENT},
        {PATH("GetServers"), {"\x08", sizeof "\x08" - 1}, PL_INTERNAL},
        {PATH("GetChannel"), {"\x08", 1}, PL_INTERNAL},
        {PATH("GetSubchannel"), {"\x08\x05", sizeof "\x08\x05" - 1}, PL_NOT_FOUND},
        {PATH("GetTopChannels"), {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, PL_INVALID_ARGUMENT}};
    world w;
    set_up(&w);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nf_call *call = nf_unary(&w.f, cases[i].path, cases[i].request);
        assert_int_equal(call->code, cases[i].code);
        nf_end(call);
    }
    assert_int_equal(w.asked, 0);
    nf_call *call = nf_unary(&w.f, PATH("GetSocket"), PL_STR("\x08\x02")); /* nothing listens without TLS */
    pl_grpc_channelz_answer(w.call, &some);
    assert_int_equal(call->code, PL_NOT_FOUND);
    nf_end(call);
    call = nf_unary(&w.f, PATH("GetSocket"), PL_STR("\x08\x03"));
    pl_grpc_channelz_answer(w.call, &some);
    assert_int_equal(call->code, PL_OK);
    nf_end(call);
    call = nf_unary(&w.f, PATH("GetSocket"), PL_STR("\x08\x03"));
    pl_grpc_channelz_answer(w.call, &(pl_grpc_channelz_result){.failed = true});
    assert_int_equal(call->code, PL_RESOURCE_EXHAUSTED);
    nf_end(call);
    w.no_memory = true;
    call = nf_unary(&w.f, PATH("GetServer"), PL_STR("\x08\x01"));
    assert_int_equal(call->code, PL_RESOURCE_EXHAUSTED);
    nf_end(call);
    assert_int_equal(w.forgotten, 0);
    tear_down(&w);
}

static void test_no_memory(void **state)
{
    const pl_grpc_channelz_socket s = socket_at(7777, "127.0.0.1:1", "unix", "x");
    const pl_grpc_channelz_channel channel = {.id = 1, .target = "dns:///users", .last_call_at = 1};
    failing a = {0};
    while (failing_next(&a)) {
        world w;
        set_up(&w);
        pl_str id = PL_STR("\x08\x01");
        failing_begin(&a);
        nf_call *server = nf_unary(&w.f, PATH("GetServer"), id);
        if (server->code == -1)
            pl_grpc_channelz_answer(w.call, &some);
        pl_grpc_channelz_result result = {.sockets = &s, .count = 1};
        nf_call *sockets = nf_unary(&w.f, PATH("GetServerSockets"), id);
        if (sockets->code == -1)
            pl_grpc_channelz_answer(w.call, &result);
        nf_call *socket = nf_unary(&w.f, PATH("GetSocket"), PL_STR("\x08\xe1\x3c"));
        if (socket->code == -1)
            pl_grpc_channelz_answer(w.call, &result);
        nf_call *channels = nf_unary(&w.f, PATH("GetTopChannels"), PL_STR(""));
        if (channels->code == -1)
            pl_grpc_channelz_answer(w.call, &(pl_grpc_channelz_result){.channels = &channel, .count = 1});
        bool failed = channels->code != PL_OK || server->code != PL_OK || sockets->code != PL_OK ||
                      socket->code != PL_OK;
        assert_int_equal(failing_end(&a), failed);
        nf_end(channels);
        nf_end(server);
        nf_end(sockets);
        nf_end(socket);
        tear_down(&w);
    }
    assert_true(a.made > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_servers), cmocka_unit_test(test_sockets),
                                       cmocka_unit_test(test_socket),  cmocka_unit_test(test_channels),
                                       cmocka_unit_test(test_errors),  cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
