/* SPDX-License-Identifier: MIT */
#include "cli/describe.h"

#include "value/json.h"

#define MOST_DEPTH 50 /* of messages inside of messages */

static const char *type_name(pb_type type)
{
    static const char *const names[] = {
        [PB_DOUBLE] = "double",     [PB_FLOAT] = "float",     [PB_INT64] = "int64",
        [PB_UINT64] = "uint64",     [PB_INT32] = "int32",     [PB_FIXED64] = "fixed64",
        [PB_FIXED32] = "fixed32",   [PB_BOOL] = "bool",       [PB_STRING] = "string",
        [PB_BYTES] = "bytes",       [PB_UINT32] = "uint32",   [PB_SFIXED32] = "sfixed32",
        [PB_SFIXED64] = "sfixed64", [PB_SINT32] = "sint32",   [PB_SINT64] = "sint64",
        [PB_GROUP] = "group",       [PB_MESSAGE] = "message", [PB_ENUM] = "enum",
    };
    return names[type];
}

static void indent(pl_buf *out, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        PL_BUF_LIT(out, "  ");
}

static void write_type(pl_buf *out, const pb_field *f)
{
    if (f->message)
        pl_buf_str(out, f->message->full_name);
    else if (f->enumeration)
        pl_buf_str(out, f->enumeration->full_name);
    else
        pl_buf_printf(out, "%s", type_name(f->type));
}

static void write_default(pl_buf *out, const pb_field *f)
{
    PL_BUF_LIT(out, " [default = ");
    const pb_enum_value *value;
    switch (f->type) {
    case PB_STRING:
    case PB_BYTES:
        pl_json_string(out, f->otherwise.string);
        break;
    case PB_DOUBLE:
    case PB_FLOAT:
        pl_json_double(out, f->otherwise.number);
        break;
    case PB_BOOL:
        pl_buf_printf(out, "%s", f->otherwise.boolean ? "true" : "false");
        break;
    case PB_ENUM:
        value = pb_enum_numbered(f->enumeration, f->otherwise.integer);
        pl_buf_str(out, value ? value->name : PL_STR("?"));
        break;
    case PB_UINT64:
    case PB_FIXED64:
        pl_buf_printf(out, "%llu", (unsigned long long)f->otherwise.integer);
        break;
    default:
        pl_json_int(out, f->otherwise.integer);
    }
    PL_BUF_LIT(out, "]");
}

static void write_field(pl_buf *out, const pb_field *f, unsigned depth)
{
    indent(out, depth);
    if (f->is_map) {
        const pb_field *key = pb_message_field(f->message, 1), *value = pb_message_field(f->message, 2);
        pl_buf_printf(out, "map<%s, ", type_name(key->type));
        write_type(out, value);
        PL_BUF_LIT(out, ">");
    } else {
        if (f->repeated)
            PL_BUF_LIT(out, "repeated ");
        else if (f->required)
            PL_BUF_LIT(out, "required ");
        else if (f->presence && !f->oneof && !f->message)
            PL_BUF_LIT(out, "optional ");
        write_type(out, f);
    }
    pl_buf_printf(out, " %.*s = %u", PL_STR_ARG(f->extension ? f->full_name : f->name), f->number);
    if (f->has_default)
        write_default(out, f);
    PL_BUF_LIT(out, ";\n");
}

static void write_enum(pl_buf *out, const pb_enum *e, pl_str name, unsigned depth)
{
    indent(out, depth);
    pl_buf_printf(out, "enum %.*s {\n", PL_STR_ARG(name));
    for (size_t i = 0; i < e->count; i++) {
        indent(out, depth + 1);
        pl_buf_printf(out, "%.*s = %d;\n", PL_STR_ARG(e->values[i].name), e->values[i].number);
    }
    indent(out, depth);
    PL_BUF_LIT(out, "}\n");
}

static void write_fields(pl_buf *out, const pb_message *m, unsigned depth)
{
    for (size_t i = 0; i < m->field_count; i++) {
        const pb_field *f = &m->fields[i];
        if (!f->oneof) {
            write_field(out, f, depth);
        } else if (f->oneof->fields[0] == f) {
            indent(out, depth);
            pl_buf_printf(out, "oneof %.*s {\n", PL_STR_ARG(f->oneof->name));
            for (size_t k = 0; k < f->oneof->count; k++)
                write_field(out, f->oneof->fields[k], depth + 1);
            indent(out, depth);
            PL_BUF_LIT(out, "}\n");
        }
    }
}

/* Recurses as deep as messages are nested in the .proto file, at most MOST_DEPTH. */
static void write_message(pl_buf *out, const pb_pool *pool, const pb_message *m, pl_str name, unsigned depth)
{
    size_t count;
    indent(out, depth);
    pl_buf_printf(out, "message %.*s {\n", PL_STR_ARG(name));
    write_fields(out, m, depth + 1);
    const pb_message *const *messages = pb_pool_messages(pool, &count);
    for (size_t i = 0; i < count && depth < MOST_DEPTH; i++) {
        if (messages[i]->parent == m && !messages[i]->map_entry)
            write_message(out, pool, messages[i], messages[i]->name, depth + 1);
    }
    const pb_enum *const *enums = pb_pool_enums(pool, &count);
    for (size_t i = 0; i < count; i++) {
        if (enums[i]->parent == m)
            write_enum(out, enums[i], enums[i]->name, depth + 1);
    }
    indent(out, depth);
    PL_BUF_LIT(out, "}\n");
}

static void write_method(pl_buf *out, const pb_method *m, unsigned depth)
{
    indent(out, depth);
    pl_buf_printf(out, "rpc %.*s(%s%.*s) returns (%s%.*s);\n", PL_STR_ARG(m->name),
                  m->client_streaming ? "stream " : "", PL_STR_ARG(m->input->full_name),
                  m->server_streaming ? "stream " : "", PL_STR_ARG(m->output->full_name));
}

static void write_service(pl_buf *out, const pb_service *s)
{
    pl_buf_printf(out, "service %.*s {\n", PL_STR_ARG(s->full_name));
    for (size_t i = 0; i < s->count; i++)
        write_method(out, &s->methods[i], 1);
    PL_BUF_LIT(out, "}\n");
}

const pb_method *describe_method_of(const pb_pool *pool, pl_str name, pl_str *service)
{
    if (name.len > 0 && name.ptr[0] == '/')
        name = (pl_str){name.ptr + 1, name.len - 1};
    const char *at = name.len > 0 ? memrchr(name.ptr, '/', name.len) : NULL;
    if (!at && name.len > 0)
        at = memrchr(name.ptr, '.', name.len);
    *service = at ? (pl_str){name.ptr, (size_t)(at - name.ptr)} : name;
    const pb_service *s = pool && at ? pb_pool_service(pool, *service) : NULL;
    return s ? pb_service_method(s, (pl_str){at + 1, name.len - service->len - 1}) : NULL;
}

bool describe_symbol(const pb_pool *pool, pl_str symbol, pl_buf *out)
{
    pl_str service;
    const pb_service *s = pb_pool_service(pool, symbol);
    const pb_message *m = pb_pool_message(pool, symbol);
    const pb_enum *e = pb_pool_enum(pool, symbol);
    const pb_field *extension = pb_pool_extension(pool, symbol);
    const pb_method *method = describe_method_of(pool, symbol, &service);
    if (s) {
        write_service(out, s);
    } else if (m) {
        write_message(out, pool, m, m->full_name, 0);
    } else if (e) {
        write_enum(out, e, e->full_name, 0);
    } else if (extension) {
        pl_buf_printf(out, "extend %.*s {\n", PL_STR_ARG(extension->parent->full_name));
        write_field(out, extension, 1);
        PL_BUF_LIT(out, "}\n");
    } else if (method) {
        write_method(out, method, 0);
    } else {
        return false;
    }
    return true;
}
