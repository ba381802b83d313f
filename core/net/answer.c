/* SPDX-License-Identifier: MIT */
#include "net/answer.h"

#include "net/compress.h"

/* h2o takes the names of headers by pointers: to its own tokens, or to others that live as long as the
 * request. */
#define NAME(literal)                                     \
    {                                                     \
        .buf = {(char *)"" literal, sizeof(literal) - 1 } \
    }
static const h2o_token_t x_request_id = NAME("x-request-id");
static const h2o_token_t allow_credentials = NAME("access-control-allow-credentials");
static const h2o_token_t expose_headers = NAME("access-control-expose-headers");

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    if (status == 200)
        return "OK";
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Unknown";
}

pl_str edge_error_body(int status)
{
#define BODY(message) PL_STR("{\"errors\":[{\"message\":\"" message "\"}]}")
    switch (status) {
    case 400:
        return BODY("bad request");
    case 404:
        return BODY("not found");
    case 413:
        return BODY("request body is too large");
    case 417:
        return BODY("expectation cannot be met");
    case 426:
        return BODY("WebSocket version must be 13");
    case 431:
        return BODY("request header is too large");
    case 503:
        return BODY("service unavailable");
    default:
        return BODY("internal error");
    }
#undef BODY
}

static void add(h2o_req_t *req, const h2o_token_t *name, pl_str value)
{
    h2o_add_header(&req->pool, &req->res.headers, name, NULL, value.ptr, value.len);
}

bool edge_is_bodiless(int status)
{
    return status == 204 || status == 304;
}

/* Eight bytes none of which is below 0x20, above 0x7e or not ASCII. */
static bool is_printable(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof(w));
    uint64_t low = w - 0x2020202020202020u, del = w + 0x0101010101010101u;
    return ((w | low | del) & 0x8080808080808080u) == 0;
}

static bool is_sound_value(pl_str value)
{
    size_t i = 0;
    while (value.len - i >= 8 && is_printable(value.ptr + i))
        i += 8;
    for (; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* 0: not a name; 1: a name; 2: one with upper-case letters. */
static int judge_name(pl_str name)
{
    static const unsigned char kinds[256] = {
        ['a' ... 'z'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 2, ['!'] = 1, ['#'] = 1, ['$'] = 1,
        ['%'] = 1,         ['&'] = 1,         ['\''] = 1,        ['*'] = 1, ['+'] = 1, ['-'] = 1,
        ['.'] = 1,         ['^'] = 1,         ['_'] = 1,         ['`'] = 1, ['|'] = 1, ['~'] = 1};
    unsigned all = 0, none = name.len == 0;
    for (size_t i = 0; i < name.len; i++) {
        unsigned kind = kinds[(unsigned char)name.ptr[i]];
        all |= kind;
        none |= kind == 0;
    }
    return none ? 0 : all & 2 ? 2 : 1;
}

/* Headers that h2o writes from what it knows, or that belong to the connection. */
static bool is_ours(const h2o_token_t *token)
{
    return token == H2O_TOKEN_CONTENT_LENGTH || token == H2O_TOKEN_TRANSFER_ENCODING ||
           token == H2O_TOKEN_CONNECTION || token == H2O_TOKEN_KEEP_ALIVE || token == H2O_TOKEN_UPGRADE ||
           token == H2O_TOKEN_DATE || token == H2O_TOKEN_SERVER;
}

/* Over HTTP/2 an id that the client does not know yet is shown with errors only: h2o's encoder would put each
 * one into its table of headers, in the place of those that repeat, and take half as long again for a small
 * answer. */
static bool shows_id(const edge_request *r)
{
    return r->public.id.ptr != r->id || r->public.http_version < 0x200 || r->req->res.status >= 400;
}

/* Adds a header of the service's; one that would break the answer is left out, and logged. */
static void add_checked(edge_request *r, pl_str name, pl_str value)
{
    h2o_req_t *req = r->req;
    /* Nearly every answer has this one. */
    if (name.len == 13 && memcmp(name.ptr, "cache-control", 13) == 0 && is_sound_value(value)) {
        add(req, H2O_TOKEN_CACHE_CONTROL, value);
        return;
    }
    int kind = judge_name(name);
    if (kind == 0 || !is_sound_value(value)) {
        pl_log(r->edge->log, PL_WARN, "response header left out: it has characters that headers cannot have",
               PL_F_STR("name", name), PL_F_STR("request", r->public.id));
        return;
    }
    if (kind == 2) {
        char *lower = pl_h2o_pool_alloc(&req->pool, name.len);
        memcpy(lower, name.ptr, name.len);
        h2o_strtolower(lower, name.len);
        name.ptr = lower;
    }
    const h2o_token_t *token = h2o_lookup_token(name.ptr, name.len);
    if ((token && is_ours(token)) || (!token && pl_str_is(name, "x-request-id") && shows_id(r)))
        return;
    if (token)
        add(req, token, value);
    else
        h2o_add_header_by_str(&req->pool, &req->res.headers, name.ptr, name.len, 0, NULL, value.ptr,
                              value.len);
}

static const h2o_token_t *cors_token(pl_str name)
{
    if (pl_str_is(name, "access-control-allow-origin"))
        return H2O_TOKEN_ACCESS_CONTROL_ALLOW_ORIGIN;
    if (pl_str_is(name, "access-control-allow-credentials"))
        return &allow_credentials;
    if (pl_str_is(name, "access-control-expose-headers"))
        return &expose_headers;
    return H2O_TOKEN_VARY;
}

static void add_cors(h2o_req_t *req, const pl_cors *cors, pl_str origin)
{
    if (cors->origin_count == 0)
        return;
    pl_cors_answer answer;
    pl_cors_actual(cors, origin, &answer);
    for (size_t i = 0; i < answer.count; i++)
        add(req, cors_token(answer.headers[i].name), answer.headers[i].value);
}

static bool has_header(const pl_http_response *response, const char *name)
{
    for (size_t i = 0; i < response->header_count; i++) {
        pl_str n = response->headers[i].name;
        if (n.len == strlen(name) && strncasecmp(n.ptr, name, n.len) == 0)
            return true;
    }
    return false;
}

/* A strong validator is that of the bytes that are sent: "x" becomes "x-gzip". */
static void mark_etag(h2o_req_t *req, pl_str coding)
{
    ssize_t at = h2o_find_header(&req->res.headers, H2O_TOKEN_ETAG, SIZE_MAX);
    h2o_iovec_t *value = at >= 0 ? &req->res.headers.entries[at].value : NULL;
    if (!value || value->len < 2 || value->base[0] != '"' || value->base[value->len - 1] != '"')
        return;
    char *marked = pl_h2o_pool_alloc(&req->pool, value->len + 1 + coding.len);
    size_t n = value->len - 1;
    memcpy(marked, value->base, n);
    marked[n] = '-';
    memcpy(marked + n + 1, coding.ptr, coding.len);
    marked[n + 1 + coding.len] = '"';
    *value = h2o_iovec_init(marked, n + 2 + coding.len);
}

/* Compresses the body where that is asked for and of use, and adds the headers that go with it. */
static void compress_body(edge_request *r, const pl_http_response *response, pl_str *body, bool *kept)
{
    if (body->len < PL_COMPRESS_LEAST || body->len > PL_COMPRESS_MOST ||
        !pl_coding_suits(response->content_type) || has_header(response, "content-encoding"))
        return;
    add(r->req, H2O_TOKEN_VARY, PL_STR("accept-encoding"));
    pl_coding coding = pl_coding_choose(r->accept_encoding);
    if (coding == PL_CODING_IDENTITY)
        return;
    if (!pl_compress(coding, *body, &r->compressed))
        return; /* it goes out as it is */
    add(r->req, H2O_TOKEN_CONTENT_ENCODING, pl_coding_name(coding));
    mark_etag(r->req, pl_coding_name(coding));
    *body = pl_buf_view(&r->compressed);
    *kept = true;
}

static h2o_generator_t no_generator; /* all of an answer is sent at once, so nothing asks for more */

static void send_body(h2o_req_t *req, pl_str body)
{
    h2o_iovec_t bytes = h2o_iovec_init(body.ptr, body.len);
    h2o_start_response(req, &no_generator);
    h2o_send(req, &bytes, body.len != 0 ? 1 : 0, H2O_SEND_STATE_FINAL);
}

void edge_send_nothing(h2o_req_t *req)
{
    req->res.status = 503;
    req->res.reason = reason_of(503);
    req->res.content_length = 0;
    send_body(req, PL_STR_NONE);
}

/* The request leaves the service's hands. */
static void take_back(edge_request *r)
{
    pl_edge *edge = r->edge;
    if (r->conn->waiting == r)
        r->conn->waiting = NULL;
    EDGE_ADD(edge->request_count, -1u);
    edge_request_count(r, r->req->res.status);
    r->state = EDGE_ANSWERED;
    r->answered_at = edge->host->ops->now(edge->host);
    edge_link_append(&edge->sending, &r->link);
    if (edge->draining)
        r->req->http1_is_persistent = 0;
}

static void begin(edge_request *r, int status)
{
    h2o_req_t *req = r->req;
    if (status < 200 || status > 999)
        status = 500;
    req->res.status = status;
    req->res.reason = reason_of(status);
    if (shows_id(r))
        add(req, &x_request_id, r->public.id);
}

pl_http_response *edge_copy_response(pl_arena *arena, const pl_http_response *response)
{
    pl_http_response *copy = pl_arena_alloc(arena, sizeof(*copy));
    pl_header *headers = pl_arena_array(arena, response->header_count, sizeof(*headers));
    if (!copy || !headers)
        return NULL;
    *copy = *response;
    copy->headers = headers;
    copy->content_type = pl_arena_str(arena, response->content_type);
    bool ok = copy->content_type.ptr != NULL;
    for (size_t i = 0; ok && i < response->header_count; i++) {
        headers[i] = (pl_header){pl_arena_str(arena, response->headers[i].name),
                                 pl_arena_str(arena, response->headers[i].value)};
        ok = headers[i].name.ptr && headers[i].value.ptr;
    }
    if (ok && !copy->body_in_arena) {
        copy->body = pl_arena_str(arena, response->body);
        copy->body_in_arena = true;
        ok = copy->body.ptr != NULL;
    }
    return ok ? copy : NULL;
}

/* h2o cannot take answers now: they are kept until the end of the turn. */
static void postpone(edge_request *r, const pl_http_response *response)
{
    pl_edge *edge = r->edge;
    r->postponed = edge_copy_response(&r->arena, response);
    r->state = EDGE_POSTPONED;
    if (r->conn->waiting == r)
        r->conn->waiting = NULL;
    EDGE_ADD(edge->request_count, -1u);
    edge_link_append(&edge->postponed, &r->link);
    edge_soon(edge);
}

void edge_put_head(edge_request *r, const pl_http_response *response)
{
    begin(r, response->status);
    if (response->content_type.len != 0 && is_sound_value(response->content_type))
        add(r->req, H2O_TOKEN_CONTENT_TYPE, response->content_type);
    for (size_t i = 0; i < response->header_count; i++)
        add_checked(r, response->headers[i].name, response->headers[i].value);
    add_cors(r->req, &r->edge->service->settings(r->edge->service)->cors, r->origin);
}

void pl_http_respond(pl_http_request *request, const pl_http_response *response)
{
    edge_request *r = EDGE_OF(edge_request, public, request);
    if (r->state != EDGE_AT_WORK)
        return;
    if (r->edge->disposing != 0) {
        postpone(r, response);
        return;
    }
    h2o_req_t *req = r->req;
    pl_str body = response->body;
    bool kept = response->body_in_arena;
    edge_put_head(r, response);
    if (edge_is_bodiless(req->res.status)) {
        body = PL_STR_NONE;
    } else {
        if (r->edge->service->settings(r->edge->service)->compress)
            compress_body(r, response, &body, &kept);
        req->res.content_length = body.len;
    }
    if (request->method.len == 4 && memcmp(request->method.ptr, "HEAD", 4) == 0)
        body.len = 0;
    if (body.len != 0 && !kept) {
        char *copy = pl_h2o_pool_alloc(&req->pool, body.len);
        memcpy(copy, body.ptr, body.len);
        body.ptr = copy;
    }
    take_back(r);
    send_body(req, body);
}

void edge_send_unavailable(edge_request *r, h2o_generator_t *generator)
{
    pl_str body = edge_error_body(503);
    edge_put_head(r, &(pl_http_response){.status = 503, .content_type = PL_STR("application/json")});
    r->req->res.content_length = body.len;
    bool bodiless = pl_str_is(r->public.method, "HEAD");
    h2o_iovec_t bytes = h2o_iovec_init(body.ptr, body.len);
    h2o_start_response(r->req, generator);
    h2o_send(r->req, &bytes, bodiless ? 0 : 1, H2O_SEND_STATE_FINAL);
}

void edge_answer_preflight(edge_request *r, const pl_cors_answer *answer)
{
    begin(r, 204);
    for (size_t i = 0; i < answer->count; i++)
        add_checked(r, answer->headers[i].name, answer->headers[i].value);
    take_back(r);
    send_body(r->req, PL_STR_NONE);
}

/* --- h2o's own errors --- */

typedef struct error_stream {
    h2o_ostream_t super;
    pl_str body;
} error_stream;

static void send_error_body(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *bufs, size_t count,
                            h2o_send_state_t state)
{
    pl_str body = ((error_stream *)self)->body;
    h2o_iovec_t bytes = h2o_iovec_init(body.ptr, body.len);
    h2o_ostream_send_next(self, req, &bytes, count != 0 ? 1 : 0, state);
}

void edge_rewrite_error(pl_edge *edge, h2o_req_t *req, h2o_ostream_t **slot)
{
    error_stream *stream = pl_h2o_add_ostream(req, sizeof(*stream), slot);
    stream->super.do_send = send_error_body;
    stream->body = edge_error_body(req->res.status);
    req->res.reason = reason_of(req->res.status);
    req->res.content_length = stream->body.len;
    h2o_set_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, H2O_STRLIT("application/json"), 1);
    ssize_t origin = h2o_find_header_by_str(&req->headers, H2O_STRLIT("origin"), -1);
    if (origin >= 0) {
        h2o_iovec_t value = req->headers.entries[origin].value;
        add_cors(req, &edge->service->settings(edge->service)->cors, (pl_str){value.base, value.len});
    }
    /* There is no record of a request, and its method may be anything. */
    if (edge->meter)
        edge->meter->count(edge->meter, &(pl_http_request){.method = PL_STR("")}, req->res.status,
                           pl_loop_turn_ns(edge->loop));
    h2o_setup_next_ostream(req, &stream->super.next);
}
