/* SPDX-License-Identifier: MIT */
#include "base/base64.h"
#include "grpc/wire.h"
#include "proto/wire.h"
#include "value/json.h"

/* Names, and what they are in HTTP. */
static const struct connect_code {
    const char *name;
    int http;
} codes[] = {[PL_OK] = {"unknown", 500},
             [PL_CANCELLED] = {"canceled", 499},
             [PL_UNKNOWN] = {"unknown", 500},
             [PL_INVALID_ARGUMENT] = {"invalid_argument", 400},
             [PL_DEADLINE_EXCEEDED] = {"deadline_exceeded", 504},
             [PL_NOT_FOUND] = {"not_found", 404},
             [PL_ALREADY_EXISTS] = {"already_exists", 409},
             [PL_PERMISSION_DENIED] = {"permission_denied", 403},
             [PL_RESOURCE_EXHAUSTED] = {"resource_exhausted", 429},
             [PL_FAILED_PRECONDITION] = {"failed_precondition", 400},
             [PL_ABORTED] = {"aborted", 409},
             [PL_OUT_OF_RANGE] = {"out_of_range", 400},
             [PL_UNIMPLEMENTED] = {"unimplemented", 501},
             [PL_INTERNAL] = {"internal", 500},
             [PL_UNAVAILABLE] = {"unavailable", 503},
             [PL_DATA_LOSS] = {"data_loss", 500},
             [PL_UNAUTHENTICATED] = {"unauthenticated", 401}};

static const struct connect_code *code_of(pl_code code)
{
    return &codes[code > PL_OK && code <= PL_UNAUTHENTICATED ? code : PL_UNKNOWN];
}

int pl_grpc_connect_http_status(pl_code code)
{
    return code_of(code)->http;
}

pl_code pl_grpc_connect_code(pl_str name)
{
    for (pl_code code = PL_CANCELLED; code <= PL_UNAUTHENTICATED; code++) {
        if (pl_str_is(name, codes[code].name))
            return code;
    }
    return PL_OK;
}

/* A google.protobuf.Any. */
static void write_detail(pl_str any, pl_buf *out)
{
    pl_str url = PL_STR(""), value = PL_STR("");
    pb_find_bytes(any, 1, &url);
    pb_find_bytes(any, 2, &value);
    const char *slash = url.len > 0 ? memrchr(url.ptr, '/', url.len) : NULL;
    if (slash)
        url = (pl_str){slash + 1, url.len - (size_t)(slash + 1 - url.ptr)};
    PL_BUF_LIT(out, "{\"type\":");
    pl_json_string(out, url);
    PL_BUF_LIT(out, ",\"value\":\"");
    pl_base64_write_unpadded(out, value);
    PL_BUF_LIT(out, "\"}");
}

/* Those of a google.rpc.Status. */
static void write_details(pl_str status, pl_buf *out)
{
    pb_reader reader = pb_reader_of(status);
    pb_record record;
    const char *wrong = NULL;
    bool first = true;
    while (pb_next_record(&reader, &record, &wrong)) {
        if (record.number != 3 || record.wire != PB_WIRE_LEN)
            continue;
        pl_buf_str(out, first ? PL_STR(",\"details\":[") : PL_STR(","));
        first = false;
        write_detail(record.bytes, out);
    }
    if (!first)
        pl_buf_char(out, ']');
}

void pl_grpc_connect_error(const pl_grpc_status *status, pl_buf *out)
{
    PL_BUF_LIT(out, "{\"code\":\"");
    pl_buf_str(out, pl_str_of(code_of(status->code)->name));
    pl_buf_char(out, '"');
    if (status->message.len > 0) {
        PL_BUF_LIT(out, ",\"message\":");
        pl_json_string(out, status->message);
    }
    if (status->details.ptr)
        write_details(status->details, out);
    pl_buf_char(out, '}');
}

/* All values of the name that stands at `at`. */
static void write_values(const pl_grpc_metadata *list, size_t at, pl_buf *out)
{
    pl_str name = list->items[at].name;
    bool first = true;
    pl_json_string(out, name);
    PL_BUF_LIT(out, ":[");
    for (size_t i = at; i < list->count; i++) {
        if (!pl_str_eq(list->items[i].name, name))
            continue;
        if (!first)
            pl_buf_char(out, ',');
        first = false;
        pl_json_string(out, list->items[i].value);
    }
    pl_buf_char(out, ']');
}

static bool came_before(const pl_grpc_metadata *list, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (pl_str_eq(list->items[i].name, list->items[at].name))
            return true;
    }
    return false;
}

void pl_grpc_connect_end(const pl_grpc_call *call, pl_buf *out)
{
    const pl_grpc_metadata *trailers = &call->trailers;
    bool any = false;
    pl_buf_char(out, '{');
    if (call->status.code != PL_OK) {
        PL_BUF_LIT(out, "\"error\":");
        pl_grpc_connect_error(&call->status, out);
    }
    for (size_t i = 0; i < trailers->count; i++) {
        if (came_before(trailers, i))
            continue;
        if (any)
            pl_buf_char(out, ',');
        else
            pl_buf_str(out,
                       call->status.code != PL_OK ? PL_STR(",\"metadata\":{") : PL_STR("\"metadata\":{"));
        any = true;
        write_values(trailers, i, out);
    }
    if (any)
        pl_buf_char(out, '}');
    pl_buf_char(out, '}');
}
