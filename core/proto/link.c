/* SPDX-License-Identifier: MIT */
#include "proto/pool_internal.h"

/* Looks up what fields, methods and imports name, and settles what follows from that. */

static const char *source_of(const pb_builder *b, const pb_file *file)
{
    for (size_t i = 0; i < b->files.count; i++) {
        const pb_raw_file *raw = b->files.items[i];
        if (raw->file == file)
            return raw->source;
    }
    return "";
}

static void now_at(pb_builder *b, const pb_file *file, pl_str scope)
{
    if (b->file != file)
        b->source = source_of(b, file);
    b->file = file;
    b->scope = scope;
}

/* ".user.v1.User", as compilers write it; or a name that is to be looked up from the inside to the outside.
 */
static pb_symbol *resolve(pb_builder *b, pl_str name, pl_str scope)
{
    char text[512];
    if (pl_str_starts(name, PL_STR(".")))
        return pl_map_get(&b->pool->symbols, (pl_str){name.ptr + 1, name.len - 1});
    for (;;) {
        if (scope.len + 1 + name.len > sizeof text)
            return NULL;
        memcpy(text, scope.ptr, scope.len);
        size_t len = scope.len;
        if (len > 0)
            text[len++] = '.';
        memcpy(text + len, name.ptr, name.len);
        pb_symbol *symbol = pl_map_get(&b->pool->symbols, (pl_str){text, len + name.len});
        if (symbol || scope.len == 0)
            return symbol;
        while (scope.len > 0 && scope.ptr[scope.len - 1] != '.')
            scope.len--;
        if (scope.len > 0)
            scope.len--;
    }
}

static const pb_message *resolve_message(pb_builder *b, pl_str name, pl_str scope, const char *what,
                                         pl_str of)
{
    const pb_symbol *symbol = resolve(b, name, scope);
    if (symbol && symbol->kind == PB_SYMBOL_MESSAGE)
        return symbol->is;
    pb_fails(b, "%s %.*s: there is no message %.*s", what, PL_STR_ARG(of), PL_STR_ARG(name));
    return NULL;
}

/* --- types --- */
static bool link_type(pb_builder *b, pb_raw_field *raw)
{
    pb_field *f = raw->field;
    if (f->type == PB_GROUP) {
        f->type = PB_MESSAGE;
        f->delimited = true;
    }
    if (f->type == PB_MESSAGE) {
        f->message = resolve_message(b, raw->type_name, raw->scope, "field", f->name);
        if (!f->message)
            return false;
    } else if (f->type == PB_ENUM) {
        const pb_symbol *symbol = resolve(b, raw->type_name, raw->scope);
        if (!symbol || symbol->kind != PB_SYMBOL_ENUM)
            return pb_fails(b, "field %.*s: there is no enum %.*s", PL_STR_ARG(f->name),
                            PL_STR_ARG(raw->type_name));
        f->enumeration = symbol->is;
        f->null_value = pl_str_is(f->enumeration->full_name, "google.protobuf.NullValue");
    }
    return true;
}

static pb_wire wire_of(const pb_field *f)
{
    switch (f->type) {
    case PB_DOUBLE:
    case PB_FIXED64:
    case PB_SFIXED64:
        return PB_WIRE_64;
    case PB_FLOAT:
    case PB_FIXED32:
    case PB_SFIXED32:
        return PB_WIRE_32;
    case PB_STRING:
    case PB_BYTES:
        return PB_WIRE_LEN;
    case PB_MESSAGE:
        return f->delimited ? PB_WIRE_GROUP : PB_WIRE_LEN;
    default:
        return PB_WIRE_VARINT;
    }
}

static bool in_map_entry(const pb_field *f)
{
    return f->parent && f->parent->map_entry;
}

static void settle_features(pb_raw_field *raw)
{
    pb_field *f = raw->field;
    uint64_t packed;
    f->is_map = f->repeated && f->message && f->message->map_entry;
    if (f->message && raw->features.encoding == PB_DELIMITED && !f->is_map && !in_map_entry(f))
        f->delimited = true;
    if (f->repeated && pb_is_packable(f->type)) {
        f->packed = raw->features.repeated == PB_PACKED;
        if (pb_find_varint(f->options, 2, &packed))
            f->packed = packed != 0;
    }
    f->presence = !f->repeated && (f->message || f->oneof || f->extension || raw->label == 2 ||
                                   raw->features.presence != PB_IMPLICIT);
    f->required = !f->repeated && !f->extension && !f->oneof &&
                  (raw->label == 2 || raw->features.presence == PB_LEGACY_REQUIRED);
    f->utf8 = f->type == PB_STRING && raw->features.utf8 == PB_UTF8_VERIFY;
    f->wire = wire_of(f);
}

static bool link_field(pb_builder *b, pb_raw_field *raw)
{
    pb_field *f = raw->field;
    now_at(b, f->file, raw->scope);
    if (f->extension) {
        pb_message *extended =
            (pb_message *)resolve_message(b, raw->extendee, raw->scope, "extension", f->name);
        if (!extended)
            return false;
        f->parent = extended;
        extended->extension_count++;
    } else {
        f->key = f->name;
        if (f->json_name.len == 0)
            f->json_name = pb_json_name(&b->pool->arena, f->name);
        if (!f->json_name.ptr)
            return pb_out_of_memory(b);
    }
    if (!link_type(b, raw))
        return false;
    settle_features(raw);
    return f->repeated || f->type == PB_MESSAGE || pb_read_default(b, raw);
}

static bool link_extensions(pb_builder *b)
{
    for (size_t i = 0; i < b->pool->messages.count; i++) {
        pb_message *m = b->pool->messages.items[i];
        if (m->extension_count == 0)
            continue;
        m->extensions = pl_arena_array(&b->pool->arena, m->extension_count, sizeof *m->extensions);
        if (!m->extensions)
            return pb_out_of_memory(b);
        m->extension_count = 0;
    }
    for (size_t i = 0; i < b->fields.count; i++) {
        pb_field *f = ((pb_raw_field *)b->fields.items[i])->field;
        pb_message *m = (pb_message *)f->parent;
        if (f->extension)
            m->extensions[m->extension_count++] = f;
    }
    return true;
}

/* --- services, imports --- */
static bool link_method(pb_builder *b, const pb_raw_method *raw)
{
    pb_method *m = raw->method;
    now_at(b, m->service->file, m->service->full_name);
    m->input = resolve_message(b, raw->input, m->service->full_name, "method", m->name);
    if (!m->input)
        return false;
    m->output = resolve_message(b, raw->output, m->service->full_name, "method", m->name);
    return m->output != NULL;
}

static bool link_imports(pb_builder *b, const pb_raw_file *raw)
{
    pb_file *file = raw->file;
    now_at(b, file, PL_STR(""));
    file->imports = pl_arena_array(&b->pool->arena, raw->import_count, sizeof(pb_file *));
    if (!file->imports)
        return pb_out_of_memory(b);
    for (size_t i = 0; i < raw->import_count; i++) {
        const pb_file *import = pl_map_get(&b->pool->by_name, raw->imports[i]);
        if (import)
            file->imports[file->import_count++] = import;
        else if (!raw->file->built_in)
            return pb_fails(b,
                            "it imports \"%.*s\", which is not among the files: write the set with "
                            "protoc --include_imports",
                            PL_STR_ARG(raw->imports[i]));
    }
    return true;
}

/* --- messages with a form of their own --- */
static bool has_field(const pb_message *m, uint32_t number, pb_type type, bool repeated)
{
    for (size_t i = 0; i < m->field_count; i++) {
        const pb_field *f = &m->fields[i];
        if (f->number == number)
            return f->type == type && f->repeated == repeated;
    }
    return false;
}

static pb_special special_of(const pb_message *m)
{
    static const char *const wrappers[] = {"DoubleValue", "FloatValue",  "Int64Value",
                                           "UInt64Value", "Int32Value",  "UInt32Value",
                                           "BoolValue",   "StringValue", "BytesValue"};
    if (!m->file || m->parent || !pl_str_is(m->file->package, "google.protobuf"))
        return PB_PLAIN;
    if (pl_str_is(m->name, "Any") && has_field(m, 1, PB_STRING, false) && has_field(m, 2, PB_BYTES, false))
        return PB_ANY;
    if (has_field(m, 1, PB_INT64, false) && has_field(m, 2, PB_INT32, false)) {
        if (pl_str_is(m->name, "Timestamp"))
            return PB_TIMESTAMP;
        if (pl_str_is(m->name, "Duration"))
            return PB_DURATION;
    }
    if (pl_str_is(m->name, "FieldMask") && has_field(m, 1, PB_STRING, true))
        return PB_FIELD_MASK;
    if (pl_str_is(m->name, "Struct") && has_field(m, 1, PB_MESSAGE, true))
        return PB_STRUCT;
    if (pl_str_is(m->name, "ListValue") && has_field(m, 1, PB_MESSAGE, true))
        return PB_LIST_VALUE;
    if (pl_str_is(m->name, "Value") && has_field(m, 1, PB_ENUM, false) && has_field(m, 2, PB_DOUBLE, false) &&
        has_field(m, 3, PB_STRING, false) && has_field(m, 4, PB_BOOL, false) &&
        has_field(m, 5, PB_MESSAGE, false) && has_field(m, 6, PB_MESSAGE, false))
        return PB_VALUE;
    if (pl_str_is(m->name, "Empty") && m->field_count == 0)
        return PB_EMPTY;
    for (size_t i = 0; i < sizeof wrappers / sizeof wrappers[0]; i++) {
        if (pl_str_is(m->name, wrappers[i]) && m->field_count == 1 && m->fields[0].number == 1 &&
            !m->fields[0].repeated && m->fields[0].type != PB_MESSAGE)
            return PB_WRAPPER;
    }
    return PB_PLAIN;
}

static bool check_map_entry(pb_builder *b, const pb_message *m)
{
    const pb_field *key = NULL;
    if (!m->map_entry)
        return true;
    for (size_t i = 0; i < m->field_count; i++) {
        if (m->fields[i].number == 1)
            key = &m->fields[i];
    }
    bool ok = m->field_count == 2 && key && !key->repeated && !m->fields[0].repeated &&
              !m->fields[1].repeated && m->fields[0].number + m->fields[1].number == 3 &&
              key->type != PB_MESSAGE && key->type != PB_BYTES && key->type != PB_ENUM &&
              key->type != PB_DOUBLE && key->type != PB_FLOAT;
    return ok || pb_fails(b, "it is a map's entry, but has not the key and the value of one");
}

bool pb_link(pb_builder *b)
{
    const pb_pool *pool = b->pool;
    for (size_t i = 0; i < b->files.count; i++) {
        if (!link_imports(b, b->files.items[i]))
            return false;
    }
    for (size_t i = 0; i < b->fields.count; i++) {
        if (!link_field(b, b->fields.items[i]))
            return false;
    }
    for (size_t i = 0; i < b->methods.count; i++) {
        if (!link_method(b, b->methods.items[i]))
            return false;
    }
    if (!link_extensions(b))
        return false;
    for (size_t i = 0; i < pool->enums.count; i++) {
        if (!pb_layout_enum(b, pool->enums.items[i]))
            return false;
    }
    for (size_t i = 0; i < pool->messages.count; i++) {
        pb_message *m = pool->messages.items[i];
        now_at(b, m->file, m->full_name);
        m->special = special_of(m);
        if (!check_map_entry(b, m) || !pb_layout_message(b, m))
            return false;
    }
    return true;
}
