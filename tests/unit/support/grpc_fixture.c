/* SPDX-License-Identifier: MIT */
#include "support/grpc_fixture.h"

#include <lauxlib.h>
#include <nghttp2/nghttp2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PIECE ((size_t)64 << 10)

struct rf {
    ls_state *s;
    pl_logger *log;
    pl_buf log_text;
    unsigned in_flight;
    pl_grpc_streams *streams;
    pl_grpc_service *service;
    pl_grpc_server *server;
    pl_grpc_session *session;
    nghttp2_session *client;
    rf_options options;
    pl_buf to_client, raw, sent;
    bool awake;
    rf_call *calls;
    char *names[64];
    size_t name_count;
    bool has_goaway;
    uint32_t goaway_error;
    int32_t goaway_last;
    char goaway_text[128];
    unsigned pongs, pings;
    char text[1 << 16];
};

/* --- the client --- */
static void line(pl_buf *out, const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len)
{
    pl_buf_append(out, name, name_len);
    PL_BUF_LIT(out, ": ");
    pl_buf_append(out, value, value_len);
    pl_buf_char(out, '\n');
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *data)
{
    rf_call *call = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
    if (!call)
        return 0;
    if (name_len == 7 && memcmp(name, ":status", 7) == 0)
        call->status = strndup((const char *)value, value_len);
    else
        line(frame->headers.cat == NGHTTP2_HCAT_RESPONSE ? &call->headers : &call->trailers, name, name_len,
             value, value_len);
    return 0;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len,
                   void *data)
{
    rf_call *call = nghttp2_session_get_stream_user_data(h2, id);
    if (call)
        pl_buf_append(&call->data, bytes, len);
    return 0;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *data)
{
    rf *f = data;
    rf_call *call =
        frame->hd.stream_id ? nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id) : NULL;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        size_t n = frame->goaway.opaque_data_len < 127 ? frame->goaway.opaque_data_len : 127;
        f->has_goaway = true;
        f->goaway_error = frame->goaway.error_code;
        f->goaway_last = frame->goaway.last_stream_id;
        if (n > 0)
            memcpy(f->goaway_text, frame->goaway.opaque_data, n);
        f->goaway_text[n] = '\0';
    } else if (frame->hd.type == NGHTTP2_PING) {
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            f->pongs++;
        else
            f->pings++;
    }
    if (!call)
        return 0;
    if (frame->hd.type == NGHTTP2_DATA)
        call->frames++;
    if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        call->ended = true;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        call->reset = true;
        call->error = frame->rst_stream.error_code;
    }
    return 0;
}

static int on_close(nghttp2_session *h2, int32_t id, uint32_t error, void *data)
{
    rf_call *call = nghttp2_session_get_stream_user_data(h2, id);
    if (call)
        call->closed = true;
    return 0;
}

static ssize_t read_out(nghttp2_session *h2, int32_t id, uint8_t *buf, size_t length, uint32_t *flags,
                        nghttp2_data_source *source, void *data)
{
    rf_call *call = source->ptr;
    size_t left = call->out.len - call->out_sent, n = left < length ? left : length;
    if (left == 0 && !call->out_end) {
        call->out_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n > 0)
        memcpy(buf, call->out.data + call->out_sent, n);
    call->out_sent += n;
    if (n == left && call->out_end)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static void make_client(rf *f)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_option_new(&option);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_option_set_no_auto_window_update(option, f->options.no_window_update);
    nghttp2_option_set_no_closed_streams(option, 1);
    assert_int_equal(nghttp2_session_client_new2(&f->client, callbacks, f, option), 0);
    nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, f->options.client_window};
    nghttp2_submit_settings(f->client, NGHTTP2_FLAG_NONE, &entry, f->options.client_window ? 1 : 0);
    if (f->options.no_window_update) /* of the streams; the connection's is out of the way */
        nghttp2_session_set_local_window_size(f->client, NGHTTP2_FLAG_NONE, 0, 1 << 30);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
}

/* --- the server --- */
static void on_log(void *data, pl_level level, pl_str text)
{
    pl_buf_str(data, text);
    pl_buf_char(data, '\n');
}

static void wake(void *data)
{
    ((rf *)data)->awake = true;
}

static pl_ref compile(rf *f, const char *function)
{
    lua_State *L = ls_lua(f->s);
    lua_pushfstring(L, "return %s", function);
    if (luaL_loadstring(L, lua_tostring(L, -1)) != LUA_OK || lua_pcall(L, 0, 1, 0) != LUA_OK)
        fail_msg("%s: %s", function, lua_tostring(L, -1));
    pl_ref ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pop(L, 1);
    return ref;
}

rf *rf_new(const rf_options *options)
{
    rf *f = calloc(1, sizeof *f);
    pl_error err = {0};
    if (options)
        f->options = *options;
    f->s = ls_new(&(ls_options){.limits = f->options.limits});
    f->log = pl_logger_new_sink(on_log, &f->log_text, PL_LOG_JSON, PL_DEBUG);
    f->streams = pl_grpc_streams_new(100);
    pl_state *state = ls_engine_state(f->s);
    pl_ref chain = PL_REF_NONE;
    if (f->options.interceptor) {
        pl_ref function = compile(f, f->options.interceptor);
        chain = pl_engine_of(state)->chain(state, &function, 1);
    }
    f->service = pl_grpc_service_new(state, &f->options.calls, chain, &f->in_flight);
    pl_grpc_server_config config = f->options.server;
    config.host = ls_host(f->s);
    config.log = f->log;
    config.id_prefix = 0xabcd;
    f->server = pl_grpc_server_new(&config);
    pl_grpc_server_set_service(f->server, f->service);
    pl_grpc_session_config session = {.options = &f->options.session,
                                      .streams = f->streams,
                                      .handler = pl_grpc_server_handler(f->server),
                                      .peer = PL_STR("10.0.0.1:1234"),
                                      .now = ls_now(f->s),
                                      .wake = wake,
                                      .data = f};
    f->session = pl_grpc_session_new(&session, &err);
    assert_non_null(f->session);
    make_client(f);
    return f;
}

void rf_free(rf *f)
{
    pl_grpc_session_free(f->session);
    pl_grpc_server_free(f->server);
    assert_int_equal(f->in_flight, 0);
    pl_grpc_service_free(f->service);
    pl_grpc_streams_free(f->streams);
    nghttp2_session_del(f->client);
    while (f->calls) {
        rf_call *call = f->calls;
        f->calls = call->next;
        free(call->status);
        pl_buf_dispose(&call->headers);
        pl_buf_dispose(&call->trailers);
        pl_buf_dispose(&call->data);
        pl_buf_dispose(&call->out);
        free(call);
    }
    for (size_t i = 0; i < f->name_count; i++)
        free(f->names[i]);
    ls_free(f->s);
    pl_logger_free(f->log);
    pl_buf_dispose(&f->log_text);
    pl_buf_dispose(&f->to_client);
    pl_buf_dispose(&f->raw);
    pl_buf_dispose(&f->sent);
    free(f);
}

ls_state *rf_state(rf *f)
{
    return f->s;
}
pl_grpc_session *rf_session(rf *f)
{
    return f->session;
}
pl_grpc_server *rf_server(rf *f)
{
    return f->server;
}
pl_grpc_service *rf_service(rf *f)
{
    return f->service;
}
unsigned rf_in_flight(const rf *f)
{
    return f->in_flight;
}
const char *rf_log(rf *f)
{
    pl_buf_char(&f->log_text, '\0');
    f->log_text.len--;
    return f->log_text.data;
}
struct nghttp2_session *rf_client(rf *f)
{
    return f->client;
}
unsigned rf_pongs(const rf *f)
{
    return f->pongs;
}
unsigned rf_pings(const rf *f)
{
    return f->pings;
}
pl_str rf_sent(const rf *f)
{
    return pl_buf_view(&f->sent);
}
int32_t rf_goaway_last(const rf *f)
{
    return f->goaway_last;
}

bool rf_goaway(const rf *f, uint32_t *error, char *text, size_t size)
{
    if (error)
        *error = f->goaway_error;
    if (text)
        snprintf(text, size, "%s", f->goaway_text);
    return f->has_goaway;
}

void rf_method(rf *f, const char *name, int kind, const char *function)
{
    lua_State *L = ls_lua(f->s);
    pl_state *state = ls_engine_state(f->s);
    pl_ref ref = compile(f, function);
    assert_true(f->name_count < 64);
    char *path = f->names[f->name_count++] = malloc(strlen(name) + 6);
    sprintf(path, "/t.S/%s", name);
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    pl_grpc_method method = {.path = pl_str_of(path),
                             .client_streaming = (kind & RF_CLIENT) != 0,
                             .server_streaming = (kind & RF_SERVER) != 0,
                             .codec = &pl_grpc_bytes_codec,
                             .function = ref,
                             .arity = pl_engine_of(state)->arity(state, lua_gettop(L))};
    lua_pop(L, 1);
    assert_int_equal(pl_grpc_service_add(f->service, &method), PL_OK);
}

/* --- calls --- */
static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0};
}

rf_call *rf_begin(rf *f, const char *name, const char *const *headers)
{
    static const char *const usual[][2] = {{":method", "POST"},
                                           {":scheme", "http"},
                                           {":path", NULL},
                                           {":authority", "test"},
                                           {"content-type", "application/grpc"},
                                           {"te", "trailers"}};
    char path[256];
    nghttp2_nv fields[600];
    size_t n = 0;
    rf_call *call = calloc(1, sizeof *call);
    snprintf(path, sizeof path, name[0] == '/' ? "%s" : "/t.S/%s", name);
    for (size_t i = 0; i < 6; i++) {
        const char *value = usual[i][1] ? usual[i][1] : path;
        for (size_t k = 0; headers && headers[k]; k += 2) {
            if (strcmp(headers[k], usual[i][0]) == 0)
                value = headers[k + 1];
        }
        if (*value)
            fields[n++] = field(usual[i][0], value);
    }
    for (size_t k = 0; headers && headers[k] && n < 600; k += 2) {
        bool is_usual = false;
        for (size_t i = 0; i < 6; i++)
            is_usual |= strcmp(headers[k], usual[i][0]) == 0;
        if (!is_usual)
            fields[n++] = field(headers[k], headers[k + 1]);
    }
    call->f = f;
    call->next = f->calls;
    f->calls = call;
    nghttp2_data_provider provider = {.source.ptr = call, .read_callback = read_out};
    call->id = nghttp2_submit_request(f->client, NULL, fields, n, &provider, call);
    assert_true(call->id > 0);
    return call;
}

static void resume(rf_call *call)
{
    if (call->out_deferred)
        nghttp2_session_resume_data(call->f->client, call->id);
    call->out_deferred = false;
}

void rf_send_bytes(rf_call *call, pl_str bytes, bool end)
{
    pl_buf_str(&call->out, bytes);
    call->out_end |= end;
    resume(call);
}

void rf_send(rf_call *call, const char *message, bool end)
{
    size_t begin = pl_grpc_message_begin(&call->out);
    pl_buf_str(&call->out, pl_str_of(message));
    pl_grpc_message_end(&call->out, begin, 0);
    call->out_end |= end;
    resume(call);
}

void rf_end(rf_call *call)
{
    rf_send_bytes(call, PL_STR(""), true);
}

void rf_reset(rf_call *call, uint32_t error)
{
    nghttp2_submit_rst_stream(call->f->client, NGHTTP2_FLAG_NONE, call->id, error);
}

rf_call *rf_unary(rf *f, const char *name, const char *const *headers, const char *message)
{
    rf_call *call = rf_begin(f, name, headers);
    rf_send(call, message, true);
    rf_turn(f);
    return call;
}

/* --- the wire between both --- */
static bool client_speaks(rf *f)
{
    const uint8_t *bytes;
    bool any = f->raw.len > 0;
    pl_buf raw = f->raw;
    f->raw = (pl_buf){0};
    if (raw.len > 0)
        pl_grpc_session_receive(f->session, pl_buf_view(&raw), ls_now(f->s));
    pl_buf_dispose(&raw);
    for (ssize_t n; !f->options.silent && (n = nghttp2_session_mem_send(f->client, &bytes)) > 0;) {
        pl_grpc_session_receive(f->session, (pl_str){(const char *)bytes, (size_t)n}, ls_now(f->s));
        any = true;
    }
    return any;
}

static bool server_speaks(rf *f)
{
    f->awake = false;
    f->to_client.len = 0;
    if (!pl_grpc_session_send(f->session, &f->to_client, PIECE, ls_now(f->s)))
        return false;
    pl_buf_str(&f->sent, pl_buf_view(&f->to_client));
    if (f->to_client.len > 0 && !f->options.silent)
        nghttp2_session_mem_recv(f->client, (const uint8_t *)f->to_client.data, f->to_client.len);
    return f->to_client.len > 0;
}

static uint64_t tick(rf *f)
{
    return pl_grpc_session_tick(f->session, ls_now(f->s));
}

void rf_turn(rf *f)
{
    do {
        tick(f);
    } while (client_speaks(f) | server_speaks(f));
}

void rf_wait(rf *f, uint64_t ms)
{
    uint64_t end = ls_now(f->s) + ms;
    while (ls_now(f->s) < end) {
        uint64_t next = tick(f);
        ls_advance(f->s, next < end && next > ls_now(f->s) ? next : end);
        rf_turn(f);
    }
}

void rf_take_all(rf *f)
{
    for (rf_call *call = f->calls; call; call = call->next) {
        size_t n = (size_t)nghttp2_session_get_stream_effective_recv_data_length(f->client, call->id);
        if ((ssize_t)n > 0)
            nghttp2_session_consume(f->client, call->id, n);
    }
    rf_turn(f);
}

void rf_raw(rf *f, pl_str bytes)
{
    pl_buf_str(&f->raw, bytes);
}

void rf_frame(rf *f, unsigned type, unsigned flags, uint32_t stream, pl_str payload)
{
    const unsigned char head[9] = {(unsigned char)(payload.len >> 16),
                                   (unsigned char)(payload.len >> 8),
                                   (unsigned char)payload.len,
                                   (unsigned char)type,
                                   (unsigned char)flags,
                                   (unsigned char)(stream >> 24),
                                   (unsigned char)(stream >> 16),
                                   (unsigned char)(stream >> 8),
                                   (unsigned char)stream};
    rf_raw(f, (pl_str){(const char *)head, 9});
    rf_raw(f, payload);
}

/* --- what came --- */
static const char *find(rf *f, const pl_buf *lines, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = lines->data, *end = at + lines->len, *stop; at && at < end; at = stop + 1) {
        stop = memchr(at, '\n', (size_t)(end - at));
        if ((size_t)(stop - at) < len + 2 || memcmp(at, name, len) != 0 || at[len] != ':')
            continue;
        snprintf(f->text, sizeof f->text, "%.*s", (int)(stop - at - (ptrdiff_t)len - 2), at + len + 2);
        return f->text;
    }
    return NULL;
}

const char *rf_header(const rf_call *call, const char *name)
{
    return find(call->f, &call->headers, name);
}

const char *rf_trailer(const rf_call *call, const char *name)
{
    return find(call->f, call->trailers.len ? &call->trailers : &call->headers, name);
}

const char *rf_messages(const rf_call *call)
{
    pl_grpc_reader reader;
    pl_grpc_message message;
    pl_buf out;
    pl_grpc_reader_init(&reader, (size_t)1 << 30);
    pl_grpc_reader_add(&reader, pl_buf_view(&call->data));
    pl_buf_init(&out);
    for (size_t i = 0; pl_grpc_reader_next(&reader, &message) == PL_GRPC_MESSAGE; i++) {
        if (i > 0)
            pl_buf_char(&out, '|');
        if (message.compressed)
            pl_buf_char(&out, '~');
        pl_buf_str(&out, message.payload);
    }
    snprintf(call->f->text, sizeof call->f->text, "%.*s%s", (int)out.len, out.data ? out.data : "",
             pl_grpc_reader_held(&reader) > 0 ? "(cut off)" : "");
    pl_buf_dispose(&out);
    pl_grpc_reader_dispose(&reader);
    return call->f->text;
}

static void print_call(const rf_call *call)
{
    print_error("status %s, closed %d, reset %d error %u\n%.*s--\n%.*s--\n%s\nlog: %s\n",
                call->status ? call->status : "none", call->closed, call->reset, call->error,
                (int)call->headers.len, call->headers.data ? call->headers.data : "", (int)call->trailers.len,
                call->trailers.data ? call->trailers.data : "", rf_messages(call), rf_log(call->f));
}

void rf_check_ok(const rf_call *call, const char *messages, const char *file, int line_number)
{
    const char *status = rf_trailer(call, "grpc-status");
    bool ok =
        status && strcmp(status, "0") == 0 && call->ended && call->status && strcmp(call->status, "200") == 0;
    if (!ok)
        print_call(call);
    _assert_true(ok, "the call is ok", file, line_number);
    _assert_string_equal(rf_messages(call), messages, file, line_number);
}

void rf_check_fails(const rf_call *call, pl_code code, const char *text, const char *file, int line_number)
{
    const char *status = rf_trailer(call, "grpc-status");
    bool ok = status && atoi(status) == (int)code && call->ended;
    if (ok && text) {
        const char *message = rf_trailer(call, "grpc-message");
        ok = message && strstr(message, text);
    }
    if (!ok)
        print_call(call);
    _assert_true(ok, "the call has failed as it should", file, line_number);
}
