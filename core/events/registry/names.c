/* SPDX-License-Identifier: MIT */
#include "events/registry/names.h"

#include <stdio.h>

#include "base/base64.h"
#include "events/registry/outline.h"
#include "proto/wire.h"

/* Numbers of fields in descriptor.proto. */
enum { FILE_PACKAGE = 2, FILE_MESSAGE = 4, MESSAGE_NAME = 1, MESSAGE_NESTED = 3 };

static pl_str name_of(pl_str message)
{
    pl_str name = PL_STR("");
    return pb_find_bytes(message, MESSAGE_NAME, &name) ? name : PL_STR("");
}

/* The n-th field of this number; or, with name, the one whose message has it: *n is which one then. */
static bool find_message(pl_str bytes, uint32_t number, const pl_str *name, uint32_t *n, pl_str *out)
{
    pb_reader r = pb_reader_of(bytes);
    pb_record record;
    const char *wrong;
    uint32_t at = 0;
    while (pb_next_record(&r, &record, &wrong)) {
        if (record.number != number || record.wire != PB_WIRE_LEN)
            continue;
        if (name ? pl_str_eq(name_of(record.bytes), *name) : at == *n) {
            *n = at;
            *out = record.bytes;
            return true;
        }
        at++;
    }
    return false;
}

bool pl_schema_message_path(pl_str descriptor, pl_str full_name, pl_schema_path *out)
{
    pl_str package = PL_STR(""), rest = full_name, in = descriptor;
    pb_find_bytes(descriptor, FILE_PACKAGE, &package);
    if (package.len > 0) {
        if (!pl_str_starts(full_name, package) || full_name.len <= package.len ||
            full_name.ptr[package.len] != '.')
            return false;
        rest = (pl_str){full_name.ptr + package.len + 1, full_name.len - package.len - 1};
    }
    for (out->count = 0; out->count < PL_SCHEMA_MOST_DEPTH; out->count++) {
        const char *dot = memchr(rest.ptr, '.', rest.len);
        pl_str part = {rest.ptr, dot ? (size_t)(dot - rest.ptr) : rest.len};
        if (!find_message(in, out->count ? MESSAGE_NESTED : FILE_MESSAGE, &part, &out->at[out->count], &in))
            return false;
        if (!dot) {
            out->count++;
            return true;
        }
        rest = (pl_str){dot + 1, rest.len - part.len - 1};
    }
    return false;
}

static bool descriptor_name(pl_str descriptor, const pl_schema_path *path, pl_buf *out)
{
    pl_str in = descriptor, package = PL_STR("");
    pb_find_bytes(descriptor, FILE_PACKAGE, &package);
    pl_buf_str(out, package);
    for (size_t i = 0; i < path->count; i++) {
        uint32_t n = path->at[i];
        if (!find_message(in, i ? MESSAGE_NESTED : FILE_MESSAGE, NULL, &n, &in))
            return false;
        if (package.len > 0 || i > 0)
            pl_buf_char(out, '.');
        pl_buf_str(out, name_of(in));
    }
    return true;
}

static pl_code no_message(const pl_schema_path *path, pl_error *err)
{
    char text[128] = "";
    size_t used = 0;
    for (size_t i = 0; i < path->count && used + 16 < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%u", i ? "," : "", path->at[i]);
    return pl_fail(err, PL_INVALID_ARGUMENT, "the schema has no message [%s]", text);
}

pl_code pl_schema_message_name(pl_str schema, const pl_schema_path *path, pl_buf *out, pl_error *err)
{
    pl_buf descriptor;
    size_t before = out->len;
    pl_code code = PL_OK;
    bool found;
    pl_buf_init(&descriptor);
    if (schema.len > 0 && pl_base64_read(&descriptor, schema))
        found = descriptor_name(pl_buf_view(&descriptor), path, out);
    else if (descriptor.failed)
        code = pl_fail_memory(err);
    else
        code = pl_schema_outline_name(schema, path, out, &found, err);
    pl_buf_dispose(&descriptor);
    if (!code && !found)
        code = no_message(path, err);
    if (!code && out->failed)
        code = pl_fail_memory(err);
    if (code)
        out->len = before;
    return code;
}
