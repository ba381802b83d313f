/* SPDX-License-Identifier: MIT */
#include "grpc/status.h"

/* The messages of google.rpc are few, small and frozen: they are written by hand. */

#define BAD_REQUEST "type.googleapis.com/google.rpc.BadRequest"
/* Peers bound the size of trailers, most at 8 kB: a status that they refuse is worth less than one without
 * details, or a message that is cut. */
#define MAX_MESSAGE 2048
#define MAX_DETAILS 4096

static void write_varint(pl_buf *out, uint64_t v)
{
    while (v >= 0x80) {
        pl_buf_char(out, (char)(v | 0x80));
        v >>= 7;
    }
    pl_buf_char(out, (char)v);
}

static void write_bytes(pl_buf *out, unsigned field, pl_str bytes)
{
    write_varint(out, field << 3 | 2);
    write_varint(out, bytes.len);
    pl_buf_str(out, bytes);
}

static size_t varint_size(uint64_t v)
{
    size_t n = 1;
    while (v >>= 7)
        n++;
    return n;
}

static size_t bytes_size(pl_str bytes)
{
    return 1 + varint_size(bytes.len) + bytes.len;
}

/* message FieldViolation { string field = 1; string description = 2; }, as field 1 of BadRequest */
static void write_violation(pl_buf *out, pl_str field, pl_str description)
{
    write_varint(out, 1 << 3 | 2);
    write_varint(out, bytes_size(field) + bytes_size(description));
    write_bytes(out, 1, field);
    write_bytes(out, 2, description);
}

static void write_bad_request(pl_buf *out, const pl_value *violations)
{
    for (size_t i = 0; i < violations->map.count; i++) {
        const pl_member *m = &violations->map.members[i];
        if (m->value.kind == PL_KIND_STRING)
            write_violation(out, m->name, m->value.string);
    }
}

/* The violations as google.protobuf.Any { string type_url = 1; bytes value = 2; }. */
static void pack_violations(pl_buf *out, const pl_value *violations)
{
    pl_buf detail;
    pl_buf_init(&detail);
    write_bad_request(&detail, violations);
    if (detail.len > 0) {
        write_bytes(out, 1, PL_STR(BAD_REQUEST));
        write_bytes(out, 2, pl_buf_view(&detail));
    }
    out->failed |= detail.failed;
    pl_buf_dispose(&detail);
}

static bool write_detail(pl_buf *out, pl_str any, size_t end)
{
    if (any.len == 0 || out->len + bytes_size(any) > end)
        return false;
    write_bytes(out, 3, any);
    return true;
}

size_t pl_grpc_status_write(pl_buf *out, pl_code code, pl_str message, const pl_value *violations,
                            const pl_value *packed, size_t max)
{
    pl_buf any;
    size_t end = max > SIZE_MAX - out->len ? SIZE_MAX : out->len + max, count = 0;
    pl_buf_init(&any);
    write_varint(out, 1 << 3);
    write_varint(out, (uint64_t)code);
    write_bytes(out, 2, message);
    if (violations && violations->kind == PL_KIND_MAP) {
        pack_violations(&any, violations);
        count += write_detail(out, pl_buf_view(&any), end);
    }
    for (size_t i = 0; packed && packed->kind == PL_KIND_LIST && i < packed->list.count; i++) {
        const pl_value *v = &packed->list.items[i];
        if (v->kind == PL_KIND_STRING)
            count += write_detail(out, v->string, end);
    }
    out->failed |= any.failed;
    pl_buf_dispose(&any);
    return count;
}

/* On a boundary of UTF-8. */
static pl_str cut(pl_str text, size_t max)
{
    if (text.len <= max)
        return text;
    while (max > 0 && ((unsigned char)text.ptr[max] & 0xc0) == 0x80)
        max--;
    return (pl_str){text.ptr, max};
}

static pl_str hidden_message(const pl_failure *failure, const pl_work *work)
{
    const char *text = "Internal server error";
    if (failure->code == PL_RESOURCE_EXHAUSTED)
        text = "The method used more than it may of memory or instructions";
    else if (failure->code == PL_DEADLINE_EXCEEDED)
        text = "The method took too long";
    pl_str whole = pl_arena_printf(work->arena, "%s (request %.*s)", text, PL_STR_ARG(work->id));
    return whole.ptr ? whole : pl_str_of(text);
}

static pl_str details_of(const pl_failure *failure, pl_code code, pl_str message, pl_arena *arena)
{
    pl_buf text;
    pl_str details = PL_STR_NONE;
    if (failure->details.kind != PL_KIND_MAP && failure->packed.kind != PL_KIND_LIST)
        return details;
    pl_buf_init(&text);
    size_t count =
        pl_grpc_status_write(&text, code, message, &failure->details, &failure->packed, MAX_DETAILS);
    if (!text.failed && count > 0)
        details = pl_arena_str(arena, pl_buf_view(&text));
    pl_buf_dispose(&text);
    return details;
}

void pl_grpc_status_of_failure(pl_grpc_status *out, const pl_failure *failure, const pl_work *work,
                               bool show_internal)
{
    bool shown = failure->expected || show_internal;
    pl_code code = failure->code == PL_OK ? PL_UNKNOWN : failure->code;
    *out = (pl_grpc_status){.code = code};
    out->message = cut(shown ? failure->message : hidden_message(failure, work), MAX_MESSAGE);
    if (failure->expected)
        out->details = details_of(failure, code, out->message, work->arena);
}

pl_code pl_grpc_code_read(pl_str text)
{
    unsigned value = 0;
    if (text.len == 0 || text.len > 2 || (text.len == 2 && text.ptr[0] == '0'))
        return PL_UNKNOWN;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return PL_UNKNOWN;
        value = value * 10 + (unsigned)(text.ptr[i] - '0');
    }
    return value <= PL_UNAUTHENTICATED ? (pl_code)value : PL_UNKNOWN;
}

pl_code pl_grpc_code_of_http(int status)
{
    switch (status) {
    case 400:
        return PL_INTERNAL;
    case 401:
        return PL_UNAUTHENTICATED;
    case 403:
        return PL_PERMISSION_DENIED;
    case 404:
        return PL_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return PL_UNAVAILABLE;
    default:
        return PL_UNKNOWN;
    }
}

pl_code pl_grpc_code_of_reset(uint32_t error)
{
    switch (error) {
    case 0x7: /* REFUSED_STREAM */
        return PL_UNAVAILABLE;
    case 0x8: /* CANCEL */
        return PL_CANCELLED;
    case 0xb: /* ENHANCE_YOUR_CALM */
        return PL_RESOURCE_EXHAUSTED;
    case 0xc: /* INADEQUATE_SECURITY */
        return PL_PERMISSION_DENIED;
    default:
        return PL_INTERNAL;
    }
}
