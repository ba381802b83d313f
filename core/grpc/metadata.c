/* SPDX-License-Identifier: MIT */
#include "grpc/metadata.h"

#include "base/base64.h"

bool pl_grpc_is_binary(pl_str name)
{
    return name.len > 4 && memcmp(name.ptr + name.len - 4, "-bin", 4) == 0;
}

/* By length, since each header of each call comes here. */
bool pl_grpc_is_reserved(pl_str name)
{
    if (name.len == 0 || name.ptr[0] == ':' || pl_str_starts(name, PL_STR("grpc-")))
        return true;
    switch (name.len) {
    case 2:
        return pl_str_is(name, "te");
    case 4:
        return pl_str_is(name, "host");
    case 7:
        return pl_str_is(name, "upgrade");
    case 10:
        return pl_str_is(name, "connection") || pl_str_is(name, "keep-alive");
    case 12:
        return pl_str_is(name, "content-type");
    case 14:
        return pl_str_is(name, "content-length");
    case 15:
        return pl_str_is(name, "accept-encoding");
    case 16:
        return pl_str_is(name, "content-encoding") || pl_str_is(name, "proxy-connection");
    case 17:
        return pl_str_is(name, "transfer-encoding");
    case 23:
        return pl_str_is(name, "connect-accept-encoding");
    case 24:
        return pl_str_is(name, "connect-content-encoding");
    default:
        return false;
    }
}

bool pl_grpc_metadata_add(pl_grpc_metadata *list, pl_arena *arena, pl_str name, pl_str value)
{
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 8;
        pl_header *items = pl_arena_alloc(arena, room * sizeof *items);
        if (!items)
            return false;
        if (list->count > 0)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = (pl_header){name, value};
    return true;
}

bool pl_grpc_metadata_copy(pl_grpc_metadata *list, pl_arena *arena, pl_str name, pl_str value)
{
    char *p = pl_arena_alloc(arena, name.len + value.len + 2), *v;
    if (!p)
        return false;
    v = p + name.len + 1;
    memcpy(p, name.ptr, name.len);
    memcpy(v, value.ptr, value.len);
    p[name.len] = v[value.len] = '\0';
    return pl_grpc_metadata_add(list, arena, (pl_str){p, name.len}, (pl_str){v, value.len});
}

static bool is_name_byte(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/* In lower case, in the arena; ptr NULL: it is none (err), or memory. */
static pl_str copy_name(pl_arena *arena, pl_str name, pl_error *err)
{
    pl_str copy = pl_arena_str(arena, name);
    if (!copy.ptr) {
        pl_fail_memory(err);
        return copy;
    }
    bool sound = name.len > 0 && name.len <= 256;
    for (size_t i = 0; sound && i < copy.len; i++) {
        char *c = (char *)copy.ptr + i;
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c | 0x20) : *c;
        sound = is_name_byte((unsigned char)*c);
    }
    if (sound && !pl_grpc_is_reserved(copy))
        return copy;
    int shown = name.len > 100 ? 100 : (int)name.len;
    if (sound)
        pl_fail(err, PL_INVALID_ARGUMENT, "the metadata name \"%.*s\" is reserved", shown, name.ptr);
    else
        pl_fail(err, PL_INVALID_ARGUMENT,
                "\"%.*s\" is no metadata name: letters, digits, \"-\", \"_\" and \".\" are allowed", shown,
                name.ptr);
    return PL_STR_NONE;
}

static pl_str trim(pl_str s)
{
    while (s.len > 0 && s.ptr[0] == ' ') {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && s.ptr[s.len - 1] == ' ')
        s.len--;
    return s;
}

static pl_str encode_bytes(pl_arena *arena, pl_str value, pl_error *err)
{
    pl_buf text;
    pl_buf_init(&text);
    pl_base64_write_unpadded(&text, value);
    pl_str copy = text.failed ? PL_STR_NONE : pl_arena_str(arena, pl_buf_view(&text));
    pl_buf_dispose(&text);
    if (!copy.ptr)
        pl_fail_memory(err);
    return copy;
}

static pl_str copy_text(pl_arena *arena, pl_str name, pl_str value, pl_error *err)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c >= 0x20 && c <= 0x7e)
            continue;
        pl_fail(err, PL_INVALID_ARGUMENT,
                "the metadata value of \"%.*s\" has a byte that is no printable ASCII: names that end with "
                "\"-bin\" take any bytes",
                PL_STR_ARG(name));
        return PL_STR_NONE;
    }
    pl_str copy = pl_arena_str(arena, trim(value));
    if (!copy.ptr)
        pl_fail_memory(err);
    return copy;
}

pl_code pl_grpc_metadata_put(pl_grpc_metadata *list, pl_arena *arena, pl_str name, pl_str value,
                             pl_error *err)
{
    pl_str own = copy_name(arena, name, err);
    if (!own.ptr)
        return err->code;
    pl_str bytes =
        pl_grpc_is_binary(own) ? encode_bytes(arena, value, err) : copy_text(arena, own, value, err);
    if (!bytes.ptr)
        return err->code;
    return pl_grpc_metadata_add(list, arena, own, bytes) ? PL_OK : pl_fail_memory(err);
}

bool pl_grpc_metadata_split(pl_str name, pl_str *rest, pl_str *value)
{
    if (!rest->ptr)
        return false;
    const char *comma = pl_grpc_is_binary(name) && rest->len > 0 ? memchr(rest->ptr, ',', rest->len) : NULL;
    if (!comma) {
        *value = trim(*rest);
        *rest = PL_STR_NONE;
        return true;
    }
    size_t len = (size_t)(comma - rest->ptr);
    *value = trim((pl_str){rest->ptr, len});
    *rest = (pl_str){comma + 1, rest->len - len - 1};
    return true;
}

bool pl_grpc_metadata_decode(pl_str value, pl_buf *out)
{
    return pl_base64_read(out, value);
}

void pl_grpc_percent_write(pl_buf *out, pl_str text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x20 && c <= 0x7e && c != '%') {
            pl_buf_char(out, (char)c);
        } else {
            char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
            pl_buf_append(out, escape, 3);
        }
    }
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void pl_grpc_percent_read(pl_buf *out, pl_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        int high = text.ptr[i] == '%' && text.len - i > 2 ? digit_of(text.ptr[i + 1]) : -1;
        int low = high >= 0 ? digit_of(text.ptr[i + 2]) : -1;
        if (low >= 0) {
            pl_buf_char(out, (char)(high << 4 | low));
            i += 2;
        } else {
            pl_buf_char(out, text.ptr[i]);
        }
    }
}
