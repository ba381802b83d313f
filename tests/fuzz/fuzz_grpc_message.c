/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "grpc/coding.h"
#include "grpc/message.h"
#include "grpc/metadata.h"
#include "grpc/status.h"
#include "grpc/timeout.h"

/* The pieces of gRPC's protocol that are read from what a client says. The first byte chooses which:
 *
 *   r  messages come out of a reader the same, however the bytes are split
 *   t  a timeout that is read can be written, and is not longer then
 *   m  what a script says as metadata is refused, or read back as it was; what comes never fails
 *   p  grpc-message comes back as it went, and any text can be read
 *   c  what decompresses stays within the limit; what was compressed comes back
 *   l  lists of codings, and codes */

#define LIMIT 5000

static void must(bool condition)
{
    if (!condition)
        abort();
}

/* --- r --- */
static void read_all(pl_str bytes, size_t piece, pl_buf *told)
{
    pl_grpc_reader reader;
    pl_grpc_message message = {0};
    pl_grpc_read result = PL_GRPC_MORE;
    pl_grpc_reader_init(&reader, LIMIT);
    for (size_t at = 0; at < bytes.len; at += piece) {
        size_t n = bytes.len - at < piece ? bytes.len - at : piece;
        must(pl_grpc_reader_add(&reader, (pl_str){bytes.ptr + at, n}));
        while ((result = pl_grpc_reader_next(&reader, &message)) == PL_GRPC_MESSAGE) {
            must(message.payload.len == message.length && message.length <= LIMIT);
            pl_buf_char(told, message.compressed ? 'c' : 'm');
            pl_buf_str(told, message.payload);
        }
        must((result == PL_GRPC_TOO_LARGE) ==
             (message.length > LIMIT && result != PL_GRPC_MORE && result != PL_GRPC_BAD_FLAGS));
        if (result != PL_GRPC_MORE)
            break;
    }
    pl_buf_printf(told, "%d", (int)result);
    if (result == PL_GRPC_MORE)
        pl_buf_printf(told, " %zu", pl_grpc_reader_held(&reader));
    pl_grpc_reader_dispose(&reader);
}

static void check_reader(pl_str bytes)
{
    pl_buf whole, pieces;
    pl_buf_init(&whole);
    pl_buf_init(&pieces);
    if (bytes.len > 1) {
        size_t piece = 1 + (unsigned char)bytes.ptr[0];
        bytes.ptr++;
        bytes.len--;
        read_all(bytes, bytes.len, &whole);
        read_all(bytes, piece, &pieces);
        must(pl_str_eq(pl_buf_view(&whole), pl_buf_view(&pieces)));
    }
    pl_buf_dispose(&whole);
    pl_buf_dispose(&pieces);
}

/* --- t --- */
static void check_timeout(pl_str text)
{
    uint64_t ms = 0, again = 0;
    char out[PL_GRPC_TIMEOUT_SIZE];
    if (!pl_grpc_timeout_read(text, &ms))
        return;
    must(text.len >= 2 && text.len <= 9);
    size_t n = pl_grpc_timeout_write(out, ms);
    must(n >= 2 && n <= 9 && pl_grpc_timeout_read((pl_str){out, n}, &again));
    must(again <= ms && again >= ms - ms / 10000);
}

/* --- m --- */
static void check_values(pl_str name, pl_str value)
{
    pl_buf bytes;
    pl_str one;
    size_t count = 0;
    pl_buf_init(&bytes);
    while (pl_grpc_metadata_split(name, &value, &one)) {
        size_t before = bytes.len;
        must(++count <= 100000);
        if (pl_grpc_is_binary(name) && !pl_grpc_metadata_decode(one, &bytes))
            must(bytes.len == before);
    }
    pl_buf_dispose(&bytes);
}

static void check_metadata(pl_str bytes)
{
    const char *zero = bytes.len > 0 ? memchr(bytes.ptr, 0, bytes.len) : NULL;
    if (!zero)
        return;
    pl_str name = {bytes.ptr, (size_t)(zero - bytes.ptr)};
    pl_str value = {zero + 1, bytes.len - name.len - 1};
    pl_grpc_metadata list = {0};
    pl_arena arena;
    pl_error err;
    pl_arena_init(&arena, 0);
    check_values(name, value);
    if (pl_grpc_metadata_put(&list, &arena, name, value, &err) == PL_OK) {
        must(list.count == 1 && list.items[0].name.len == name.len &&
             !pl_grpc_is_reserved(list.items[0].name));
        pl_str rest = list.items[0].value, one;
        for (size_t i = 0; i < rest.len; i++)
            must(rest.ptr[i] >= 0x20 && rest.ptr[i] <= 0x7e);
        if (pl_grpc_is_binary(list.items[0].name)) {
            pl_buf back;
            pl_buf_init(&back);
            must(pl_grpc_metadata_split(list.items[0].name, &rest, &one) && !rest.ptr);
            must(pl_grpc_metadata_decode(one, &back) && pl_str_eq(pl_buf_view(&back), value));
            pl_buf_dispose(&back);
        }
    }
    pl_arena_dispose(&arena);
}

/* --- p --- */
static void check_percent(pl_str text)
{
    pl_buf there, back;
    pl_buf_init(&there);
    pl_buf_init(&back);
    pl_grpc_percent_read(&back, text);
    must(back.len <= text.len);
    pl_buf_reset(&back, 0);
    pl_grpc_percent_write(&there, text);
    for (size_t i = 0; i < there.len; i++)
        must(there.data[i] >= 0x20 && there.data[i] <= 0x7e);
    pl_grpc_percent_read(&back, pl_buf_view(&there));
    must(pl_str_eq(pl_buf_view(&back), text));
    pl_buf_dispose(&there);
    pl_buf_dispose(&back);
}

/* --- c --- */
static void check_coding(pl_str bytes)
{
    static pl_grpc_coder *coder; /* used again and again, as by a worker */
    pl_buf out, back;
    pl_error err = {0};
    if (!coder)
        coder = pl_grpc_coder_new();
    if (!coder || bytes.len == 0)
        return;
    pl_grpc_coding coding = (pl_grpc_coding)((unsigned char)bytes.ptr[0] % PL_GRPC_CODINGS);
    bytes.ptr++;
    bytes.len--;
    pl_buf_init(&out);
    pl_buf_init(&back);
    pl_code code = pl_grpc_decompress(coder, coding, bytes, LIMIT, &out, &err);
    must(code == PL_OK || code == PL_INTERNAL || code == PL_RESOURCE_EXHAUSTED);
    must(code != PL_OK || out.len <= LIMIT);
    pl_buf_reset(&out, 0);
    must(pl_grpc_compress(coder, coding, bytes, &out, &err) == PL_OK);
    must(pl_grpc_decompress(coder, coding, pl_buf_view(&out), bytes.len, &back, &err) == PL_OK);
    must(pl_str_eq(pl_buf_view(&back), bytes));
    pl_buf_dispose(&out);
    pl_buf_dispose(&back);
}

/* --- l --- */
static void check_list(pl_str text)
{
    unsigned found = pl_grpc_coding_list(text);
    must((found & 1u << PL_GRPC_IDENTITY) && found < 1u << PL_GRPC_CODINGS);
    must(pl_grpc_code_read(text) <= PL_UNAUTHENTICATED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    pl_str rest = {(const char *)data + 1, size - 1};
    switch (data[0]) {
    case 'r':
        check_reader(rest);
        break;
    case 't':
        check_timeout(rest);
        break;
    case 'm':
        check_metadata(rest);
        break;
    case 'p':
        check_percent(rest);
        break;
    case 'c':
        check_coding(rest);
        break;
    case 'l':
        check_list(rest);
        break;
    default:
        break;
    }
    return 0;
}
