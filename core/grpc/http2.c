/* SPDX-License-Identifier: MIT */
#include "grpc/http2.h"

#include "base/alloc.h"

#define HEADER_OVERHEAD 32 /* RFC 9113, section 6.5.2 */
#define HEADER_EXCESS 8    /* times the limit that are looked at before the connection ends */
#define MAX_NOISE 10000
#define MAX_IDLE_BYTES ((size_t)4 << 20)

static void *mem_malloc(size_t size, void *data)
{
    (void)data;
    return pl_malloc(size);
}
static void mem_free(void *ptr, void *data)
{
    (void)data;
    pl_free(ptr);
}
static void *mem_calloc(size_t count, size_t size, void *data)
{
    (void)data;
    return pl_calloc(count, size);
}
static void *mem_realloc(void *ptr, size_t size, void *data)
{
    (void)data;
    return pl_realloc(ptr, size);
}

const nghttp2_mem pl_http2_memory = {NULL, mem_malloc, mem_free, mem_calloc, mem_realloc};

int pl_http2_greet(nghttp2_session *h2, const nghttp2_settings_entry *entries, size_t count, uint32_t window)
{
    int failure = nghttp2_submit_settings(h2, NGHTTP2_FLAG_NONE, entries, count);
    return failure ? failure
                   : nghttp2_session_set_local_window_size(h2, NGHTTP2_FLAG_NONE, 0, (int32_t)window);
}

uint32_t pl_http2_window(uint32_t window, uint32_t standard)
{
    if (window == 0)
        return standard;
    return window < NGHTTP2_MAX_WINDOW_SIZE ? window : NGHTTP2_MAX_WINDOW_SIZE;
}

size_t pl_http2_fields(nghttp2_nv *fields, size_t at, const pl_header *headers, size_t count)
{
    for (size_t i = 0; i < count && at < PL_HTTP2_MAX_FIELDS; i++, at++)
        fields[at] = (nghttp2_nv){(uint8_t *)headers[i].name.ptr, (uint8_t *)headers[i].value.ptr,
                                  headers[i].name.len, headers[i].value.len, NGHTTP2_NV_FLAG_NONE};
    return at;
}

bool pl_http2_data(pl_buf *to, const uint8_t *head, pl_buf *out, size_t *sent, size_t length, size_t keep)
{
    pl_buf_append(to, head, 9);
    if (length > 0)
        pl_buf_append(to, out->data + *sent, length);
    if (to->failed)
        return false;
    *sent += length;
    if (*sent == out->len) {
        *sent = 0;
        pl_buf_reset(out, keep);
    }
    return true;
}

pl_http2_room pl_http2_header(size_t *size, size_t name_len, size_t value_len, size_t most)
{
    *size += name_len + value_len + HEADER_OVERHEAD;
    if (*size <= most)
        return PL_HTTP2_FITS;
    return *size / HEADER_EXCESS > most ? PL_HTTP2_ENDLESS : PL_HTTP2_TOO_LARGE;
}

bool pl_http2_noise_frame(pl_http2_noise *noise)
{
    return ++noise->frames > MAX_NOISE;
}

bool pl_http2_noise_bytes(pl_http2_noise *noise, size_t received)
{
    noise->bytes += received;
    return noise->bytes > MAX_IDLE_BYTES;
}

bool pl_http2_is_useful(const nghttp2_frame_hd *head)
{
    return head->type == NGHTTP2_HEADERS ||
           (head->type == NGHTTP2_DATA && (head->length > 0 || (head->flags & NGHTTP2_FLAG_END_STREAM)));
}
