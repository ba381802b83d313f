/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/buf.h"
#include "base/multipart.h"

/* The same form, fed at once and in pieces, must be told the same way; the parts' bytes stand in the body
 * where the parser says. The first byte is the size of the pieces. */

typedef struct telling {
    pl_buf text;
    uint64_t at, end; /* of the part at hand */
    pl_str body;
} telling;

static void must(bool condition)
{
    if (!condition)
        abort();
}

static pl_code begin(void *data, const pl_multipart_part *part, uint64_t at, pl_error *err)
{
    telling *t = data;
    (void)err;
    must(part->name.ptr != NULL && pl_str_is_utf8(part->name));
    must(at >= t->end && at <= t->body.len);
    t->at = t->end = at;
    pl_buf_printf(&t->text, "[%zu %zu %zu]", part->name.len, part->filename.len, part->content_type.len);
    pl_buf_str(&t->text, part->name);
    pl_buf_str(&t->text, part->filename);
    return PL_OK;
}

static pl_code bytes(void *data, pl_str b, pl_error *err)
{
    telling *t = data;
    (void)err;
    must(b.len > 0 && b.len <= t->body.len - t->end);
    must(memcmp(t->body.ptr + t->end, b.ptr, b.len) == 0);
    t->end += b.len;
    return PL_OK;
}

static pl_code end(void *data, pl_error *err)
{
    telling *t = data;
    (void)err;
    pl_buf_printf(&t->text, "(%llu);", (unsigned long long)(t->end - t->at));
    return PL_OK;
}

static pl_code parse(telling *t, pl_str body, size_t step)
{
    static const pl_multipart_handler handler = {begin, bytes, end};
    pl_multipart m;
    pl_error err = {0};
    pl_code code = PL_OK;
    pl_buf_init(&t->text);
    t->at = t->end = 0;
    t->body = body;
    pl_multipart_init(&m, PL_STR("xy"), 50, &handler, t);
    for (size_t i = 0; i < body.len && code == PL_OK; i += step) {
        size_t n = body.len - i < step ? body.len - i : step;
        code = pl_multipart_feed(&m, (pl_str){body.ptr + i, n}, &err);
    }
    if (code == PL_OK)
        code = pl_multipart_finish(&m, &err);
    must(code == PL_OK || (err.code == code && err.message[0]));
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    telling whole, pieces;
    pl_str boundary;
    pl_error err;
    if (size == 0)
        return 0;
    pl_str body = {(const char *)data + 1, size - 1};
    pl_code code = parse(&whole, body, size);
    must(parse(&pieces, body, data[0] % 64 + 1) == code);
    must(pl_str_eq(pl_buf_view(&whole.text), pl_buf_view(&pieces.text)));
    pl_buf_dispose(&whole.text);
    pl_buf_dispose(&pieces.text);
    if (pl_multipart_boundary(body, &boundary, &err) == PL_OK)
        must(boundary.len > 0 && boundary.len <= PL_MULTIPART_MAX_BOUNDARY);
    return 0;
}
