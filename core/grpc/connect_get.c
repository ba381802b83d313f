/* SPDX-License-Identifier: MIT */
#include "base/base64.h"
#include "grpc/connect.h"

#define MAX_DIGITS 10

bool pl_grpc_connect_timeout(pl_str text, uint64_t *ms)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > MAX_DIGITS)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *ms = value;
    return true;
}

bool pl_grpc_query_next(pl_str *query, pl_str *name, pl_str *value)
{
    while (query->len > 0) {
        const char *end = memchr(query->ptr, '&', query->len);
        size_t len = end ? (size_t)(end - query->ptr) : query->len;
        pl_str pair = {query->ptr, len};
        query->ptr += end ? len + 1 : len;
        query->len -= end ? len + 1 : len;
        if (len == 0)
            continue;
        const char *equals = memchr(pair.ptr, '=', len);
        *name = equals ? (pl_str){pair.ptr, (size_t)(equals - pair.ptr)} : pair;
        *value = equals ? (pl_str){equals + 1, len - name->len - 1} : PL_STR("");
        return true;
    }
    return false;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

pl_str pl_grpc_query_decode(pl_arena *arena, pl_str text, bool plus_is_space)
{
    char *out = pl_arena_alloc(arena, text.len + 1);
    size_t n = 0;
    for (size_t i = 0; out && i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = text.len - i > 2 ? digit_of(text.ptr[i + 1]) : -1;
            int low = high >= 0 ? digit_of(text.ptr[i + 2]) : -1;
            if (low < 0)
                return PL_STR_NONE;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out[n++] = c;
    }
    return (pl_str){out, n};
}

/* Either alphabet, padded or not. */
static bool decode_base64(pl_arena *arena, pl_str *message)
{
    char *text = (char *)message->ptr;
    size_t len = message->len;
    pl_buf bytes;
    while (len > 0 && text[len - 1] == '=')
        len--;
    for (size_t i = 0; i < len; i++)
        text[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
    pl_buf_init(&bytes);
    bool ok = pl_base64_read(&bytes, (pl_str){text, len});
    *message = ok ? pl_arena_str(arena, bytes.len > 0 ? pl_buf_view(&bytes) : PL_STR("")) : PL_STR_NONE;
    pl_buf_dispose(&bytes);
    return message->ptr != NULL;
}

bool pl_grpc_connect_get_read(pl_grpc_stream *stream, pl_grpc_connect_get *out)
{
    const char *mark = memchr(stream->path.ptr, '?', stream->path.len);
    pl_str query = PL_STR_NONE, name, value;
    bool base64 = false;
    *out = (pl_grpc_connect_get){.wrong = "a parameter of the query is malformed"};
    if (mark)
        query = (pl_str){mark + 1, stream->path.len - (size_t)(mark + 1 - stream->path.ptr)};
    while (pl_grpc_query_next(&query, &name, &value)) {
        pl_str *place = pl_str_is(name, "message")       ? &out->message
                        : pl_str_is(name, "encoding")    ? &out->encoding
                        : pl_str_is(name, "compression") ? &out->compression
                        : pl_str_is(name, "connect")     ? &out->version
                                                         : NULL;
        if (pl_str_is(name, "base64"))
            base64 = pl_str_is(value, "1");
        if (place && !(*place = pl_grpc_query_decode(&stream->arena, value, true)).ptr)
            return false;
    }
    out->wrong = !out->encoding.ptr  ? "the parameter encoding is missing: \"proto\" or \"json\""
                 : !out->message.ptr ? "the parameter message is missing"
                                     : NULL;
    if (out->wrong)
        return false;
    if (base64 && !decode_base64(&stream->arena, &out->message)) {
        out->wrong = "the parameter message is no Base64";
        return false;
    }
    return true;
}
