/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "base/alloc.h"
#include "proto/pool_internal.h"

/* Reads descriptor.proto's messages by hand: there are few, options have to stay bytes, and sets come from
 * compilers that are newer than any generated code. The numbers are those of descriptor.proto. */

#define MAX_NESTING 100

typedef struct scope {
    pl_str name; /* of the enclosing message or package; may be empty */
    pb_message *message;
    pb_features features;
    unsigned depth;
} scope;

static pl_str join(pb_builder *b, pl_str outer, pl_str name)
{
    if (outer.len == 0)
        return name;
    return pl_arena_printf(&b->pool->arena, "%.*s.%.*s", PL_STR_ARG(outer), PL_STR_ARG(name));
}

static bool define(pb_builder *b, pl_str full_name, pb_symbol_kind kind, void *is)
{
    const pb_symbol *other = pl_map_get(&b->pool->symbols, full_name);
    if (!full_name.ptr)
        return pb_out_of_memory(b);
    if (other)
        return pb_fails(b, "\"%.*s\" is defined in %.*s already", PL_STR_ARG(full_name),
                        PL_STR_ARG(other->file->name));
    pb_symbol *symbol = pl_arena_zalloc(&b->pool->arena, sizeof *symbol);
    if (!symbol)
        return pb_out_of_memory(b);
    *symbol = (pb_symbol){kind, is, b->file};
    return pl_map_set(&b->pool->symbols, full_name, symbol) || pb_out_of_memory(b);
}

/* The LEN field of this number in a message's bytes; absent as an empty string. */
static pl_str text_of(pl_str bytes, uint32_t number)
{
    pl_str text = PL_STR("");
    pb_find_bytes(bytes, number, &text);
    return text;
}

static size_t count_records(pl_str bytes, uint32_t number)
{
    pb_reader r = pb_reader_of(bytes);
    pb_record record;
    const char *wrong;
    size_t n = 0;
    while (pb_next_record(&r, &record, &wrong))
        n += record.number == number && record.wire == PB_WIRE_LEN;
    return n;
}

/* Steps through the LEN fields of one number. */
static bool each(pb_reader *r, uint32_t number, pl_str *out)
{
    pb_record record;
    const char *wrong;
    while (pb_next_record(r, &record, &wrong)) {
        if (record.number == number && record.wire == PB_WIRE_LEN) {
            *out = record.bytes;
            return true;
        }
    }
    return false;
}

static bool check_bytes(pb_builder *b, pl_str bytes, const char *what)
{
    pb_reader r = pb_reader_of(bytes);
    pb_record record;
    const char *wrong;
    while (pb_next_record(&r, &record, &wrong))
        continue;
    return !wrong || pb_fails(b, "the descriptor of %s %s", what, wrong);
}

static bool check_name(pb_builder *b, pl_str name, const char *what)
{
    if (name.len == 0)
        return pb_fails(b, "%s has no name", what);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool ok =
            c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9' && i > 0);
        if (!ok)
            return pb_fails(b, "%s has a name that is no identifier", what);
    }
    return true;
}

/* --- enums --- */
static bool read_enum_values(pb_builder *b, pl_str bytes, const scope *s, pb_enum *e)
{
    pb_reader r = pb_reader_of(bytes);
    pl_str value;
    e->values = pl_arena_array(&b->pool->arena, count_records(bytes, 2), sizeof *e->values);
    if (!e->values)
        return pb_out_of_memory(b);
    while (each(&r, 2, &value)) {
        pb_enum_value *v = &e->values[e->count];
        uint64_t number = 0;
        if (!check_bytes(b, value, "an enum value"))
            return false;
        pb_find_varint(value, 2, &number);
        *v = (pb_enum_value){
            .name = text_of(value, 1), .options = text_of(value, 3), .number = (int32_t)number};
        v->index = (uint32_t)e->count++;
        if (!check_name(b, v->name, "an enum value") ||
            !define(b, join(b, s->name, v->name), PB_SYMBOL_ENUM_VALUE, NULL))
            return false;
    }
    return e->count > 0 || pb_fails(b, "enum %.*s has no values", PL_STR_ARG(e->full_name));
}

static bool read_enum(pb_builder *b, pl_str bytes, const scope *s)
{
    pb_enum *e = pl_arena_zalloc(&b->pool->arena, sizeof *e);
    pb_features features = s->features;
    if (!e)
        return pb_out_of_memory(b);
    if (!check_bytes(b, bytes, "an enum"))
        return false;
    e->name = text_of(bytes, 1);
    e->full_name = join(b, s->name, e->name);
    e->options = text_of(bytes, 3);
    e->file = b->file;
    e->parent = s->message;
    e->index = (uint32_t)b->pool->enums.count;
    pb_features_merge(&features, e->options, 7);
    e->closed = features.enum_type == PB_CLOSED;
    return check_name(b, e->name, "an enum") && define(b, e->full_name, PB_SYMBOL_ENUM, e) &&
           (pb_list_add(&b->pool->enums, e) || pb_out_of_memory(b)) && read_enum_values(b, bytes, s, e);
}

/* --- fields --- */
static bool check_field(pb_builder *b, pl_str bytes, const pb_field *f)
{
    uint64_t v = 0;
    if (!check_name(b, f->name, "a field"))
        return false;
    pb_find_varint(bytes, 3, &v);
    if (v == 0 || v > PB_MAX_NUMBER)
        return pb_fails(b, "field %.*s has the number %lld", PL_STR_ARG(f->name), (long long)v);
    if (f->type < PB_DOUBLE || f->type > PB_SINT64)
        return pb_fails(b, "field %.*s has no type, or one that is not known", PL_STR_ARG(f->name));
    return true;
}

static bool read_field(pb_builder *b, pl_str bytes, const scope *s, pb_field *f)
{
    pb_raw_field *raw = pl_arena_zalloc(&b->pool->arena, sizeof *raw);
    uint64_t number = 0, label = 1, type = 0, v;
    pl_str oneof_options = PL_STR("");
    if (!raw)
        return pb_out_of_memory(b);
    if (!check_bytes(b, bytes, "a field"))
        return false;
    pb_find_varint(bytes, 3, &number);
    pb_find_varint(bytes, 4, &label);
    pb_find_varint(bytes, 5, &type);
    bool proto3_optional = pb_find_varint(bytes, 17, &v) && v;
    *f = (pb_field){.name = text_of(bytes, 1),
                    .json_name = text_of(bytes, 10),
                    .options = text_of(bytes, 8),
                    .number = (uint32_t)number,
                    .type = type > PB_SINT64 ? 0 : (pb_type)type,
                    .repeated = label == 3,
                    .parent = s->message,
                    .file = b->file};
    *raw = (pb_raw_field){.field = f,
                          .type_name = text_of(bytes, 6),
                          .extendee = text_of(bytes, 2),
                          .scope = s->name,
                          .features = s->features,
                          .label = (uint8_t)label};
    raw->has_default = pb_find_bytes(bytes, 7, &raw->default_text);
    if (!check_field(b, bytes, f))
        return false;
    if (raw->extendee.len == 0 && !proto3_optional && pb_find_varint(bytes, 9, &v)) {
        if (!s->message || v >= s->message->oneof_count)
            return pb_fails(b, "field %.*s is in a oneof that does not exist", PL_STR_ARG(f->name));
        f->oneof = &s->message->oneofs[v];
        oneof_options = f->oneof->options;
    }
    pb_features_merge(&raw->features, oneof_options, 1);
    pb_features_merge(&raw->features, f->options, 21);
    if (proto3_optional)
        raw->features.presence = PB_EXPLICIT;
    return pb_list_add(&b->fields, raw) || pb_out_of_memory(b);
}

static bool read_extensions(pb_builder *b, pl_str bytes, uint32_t number, const scope *s)
{
    pb_reader r = pb_reader_of(bytes);
    pl_str field;
    while (each(&r, number, &field)) {
        pb_field *f = pl_arena_zalloc(&b->pool->arena, sizeof *f);
        if (!f)
            return pb_out_of_memory(b);
        if (!read_field(b, field, s, f))
            return false;
        f->extension = true;
        f->full_name = join(b, s->name, f->name);
        if (!define(b, f->full_name, PB_SYMBOL_EXTENSION, f))
            return false;
        f->key = f->json_name = pl_arena_printf(&b->pool->arena, "[%.*s]", PL_STR_ARG(f->full_name));
        if (!f->key.ptr)
            return pb_out_of_memory(b);
    }
    return true;
}

/* --- messages --- */
static bool read_oneofs(pb_builder *b, pl_str bytes, pb_message *m)
{
    pb_reader r = pb_reader_of(bytes);
    pl_str oneof;
    m->oneofs = pl_arena_array(&b->pool->arena, count_records(bytes, 8), sizeof *m->oneofs);
    if (!m->oneofs)
        return pb_out_of_memory(b);
    while (each(&r, 8, &oneof)) {
        m->oneofs[m->oneof_count] = (pb_oneof){
            .name = text_of(oneof, 1), .options = text_of(oneof, 2), .index = (uint32_t)m->oneof_count};
        m->oneof_count++;
    }
    return true;
}

static bool read_fields(pb_builder *b, pl_str bytes, const scope *s)
{
    pb_message *m = s->message;
    pb_reader r = pb_reader_of(bytes);
    pl_str field;
    m->fields = pl_arena_array(&b->pool->arena, count_records(bytes, 2), sizeof *m->fields);
    if (!m->fields)
        return pb_out_of_memory(b);
    while (each(&r, 2, &field)) {
        if (!read_field(b, field, s, &m->fields[m->field_count]))
            return false;
        m->field_count++;
    }
    return true;
}

static bool read_message(pb_builder *b, pl_str bytes, const scope *outer);

/* Messages and enums inside of one. */
static bool read_nested(pb_builder *b, pl_str bytes, uint32_t messages, uint32_t enums, const scope *s)
{
    pb_reader r = pb_reader_of(bytes);
    pl_str part;
    while (each(&r, messages, &part)) {
        if (!read_message(b, part, s))
            return false;
        b->scope = s->name;
    }
    r = pb_reader_of(bytes);
    while (each(&r, enums, &part)) {
        if (!read_enum(b, part, s))
            return false;
    }
    return true;
}

static bool read_message(pb_builder *b, pl_str bytes, const scope *outer)
{
    pb_message *m = pl_arena_zalloc(&b->pool->arena, sizeof *m);
    uint64_t v;
    if (!m)
        return pb_out_of_memory(b);
    if (outer->depth == 0)
        return pb_fails(b, "its messages are nested too deep");
    m->name = text_of(bytes, 1);
    m->full_name = join(b, outer->name, m->name);
    m->options = text_of(bytes, 7);
    m->map_entry = pb_find_varint(m->options, 7, &v) && v;
    m->message_set = pb_find_varint(m->options, 1, &v) && v;
    m->file = b->file;
    m->parent = outer->message;
    m->index = (uint32_t)b->pool->messages.count;
    if (!check_bytes(b, bytes, "a message") || !check_name(b, m->name, "a message") ||
        !define(b, m->full_name, PB_SYMBOL_MESSAGE, m))
        return false;
    if (!pb_list_add(&b->pool->messages, m))
        return pb_out_of_memory(b);
    b->scope = m->full_name;
    scope s = {m->full_name, m, outer->features, outer->depth - 1};
    pb_features_merge(&s.features, m->options, 12);
    return read_oneofs(b, bytes, m) && read_fields(b, bytes, &s) && read_nested(b, bytes, 3, 4, &s) &&
           read_extensions(b, bytes, 6, &s);
}

/* --- services --- */
static bool read_method(pb_builder *b, pl_str bytes, pb_service *service, pb_method *method)
{
    pb_raw_method *raw = pl_arena_zalloc(&b->pool->arena, sizeof *raw);
    uint64_t v;
    if (!raw)
        return pb_out_of_memory(b);
    if (!check_bytes(b, bytes, "a method"))
        return false;
    *method = (pb_method){.name = text_of(bytes, 1),
                          .options = text_of(bytes, 4),
                          .client_streaming = pb_find_varint(bytes, 5, &v) && v,
                          .server_streaming = pb_find_varint(bytes, 6, &v) && v,
                          .service = service};
    method->full_name = join(b, service->full_name, method->name);
    *raw = (pb_raw_method){method, text_of(bytes, 2), text_of(bytes, 3)};
    return check_name(b, method->name, "a method") &&
           define(b, method->full_name, PB_SYMBOL_METHOD, method) &&
           (pb_list_add(&b->methods, raw) || pb_out_of_memory(b));
}

static bool read_service(pb_builder *b, pl_str bytes, const scope *s)
{
    pb_service *service = pl_arena_zalloc(&b->pool->arena, sizeof *service);
    pb_reader r = pb_reader_of(bytes);
    pl_str part;
    if (!service)
        return pb_out_of_memory(b);
    if (!check_bytes(b, bytes, "a service"))
        return false;
    service->name = text_of(bytes, 1);
    service->full_name = join(b, s->name, service->name);
    service->options = text_of(bytes, 3);
    service->file = b->file;
    service->methods = pl_arena_array(&b->pool->arena, count_records(bytes, 2), sizeof *service->methods);
    if (!service->methods)
        return pb_out_of_memory(b);
    if (!check_name(b, service->name, "a service") ||
        !define(b, service->full_name, PB_SYMBOL_SERVICE, service))
        return false;
    if (!pb_list_add(&b->pool->services, service))
        return pb_out_of_memory(b);
    while (each(&r, 2, &part)) {
        if (!read_method(b, part, service, &service->methods[service->count]))
            return false;
        service->count++;
    }
    return true;
}

/* --- files --- */
static bool read_imports(pb_builder *b, pl_str bytes, pb_raw_file *raw)
{
    pb_reader r = pb_reader_of(bytes);
    pl_str import;
    raw->imports = pl_arena_array(&b->pool->arena, count_records(bytes, 3), sizeof *raw->imports);
    if (!raw->imports)
        return pb_out_of_memory(b);
    while (each(&r, 3, &import))
        raw->imports[raw->import_count++] = import;
    return true;
}

bool pb_is_defined(const pb_builder *b, pl_str bytes)
{
    static const uint32_t lists[] = {4, 5, 7};
    pl_str package = text_of(bytes, 2), part;
    char name[512];
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        pb_reader r = pb_reader_of(bytes);
        while (each(&r, lists[i], &part)) {
            pl_str own = text_of(part, 1);
            int n = snprintf(name, sizeof name, "%.*s.%.*s", PL_STR_ARG(package), PL_STR_ARG(own));
            if ((size_t)n < sizeof name && pl_map_has(&b->pool->symbols, (pl_str){name, (size_t)n}))
                return true;
        }
    }
    return false;
}

bool pb_read_file(pb_builder *b, pl_str name, pl_str bytes)
{
    pb_file *file = pl_arena_zalloc(&b->pool->arena, sizeof *file);
    pb_raw_file *raw = pl_arena_zalloc(&b->pool->arena, sizeof *raw);
    uint64_t edition = 0;
    scope s = {.depth = MAX_NESTING};
    pl_str part;
    if (!file || !raw || !pb_list_add(&b->files, raw) || !pb_list_add(&b->pool->files, file))
        return pb_out_of_memory(b);
    *raw = (pb_raw_file){.file = file, .source = b->source};
    file->name = name;
    file->bytes = bytes;
    file->built_in = b->built_in;
    b->file = file;
    b->scope = PL_STR("");
    if (!check_bytes(b, bytes, "the file"))
        return false;
    if (!pl_map_set(&b->pool->by_name, name, file))
        return pb_out_of_memory(b);
    file->package = s.name = text_of(bytes, 2);
    file->options = text_of(bytes, 8);
    pb_find_varint(bytes, 14, &edition);
    if (!pb_features_of_file(b, file, text_of(bytes, 12), edition, &s.features) ||
        !read_imports(b, bytes, raw) || !read_nested(b, bytes, 4, 5, &s) || !read_extensions(b, bytes, 7, &s))
        return false;
    pb_reader r = pb_reader_of(bytes);
    while (each(&r, 6, &part)) {
        if (!read_service(b, part, &s))
            return false;
    }
    return true;
}
