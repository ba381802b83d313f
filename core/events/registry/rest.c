/* SPDX-License-Identifier: MIT */
#include "events/registry/rest.h"

#include "value/json.h"

/* --- requests --- */
static void put_encoded(pl_buf *out, pl_str s)
{
    static const char unreserved[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (size_t i = 0; i < s.len; i++) {
        if (memchr(unreserved, s.ptr[i], sizeof unreserved - 1))
            pl_buf_char(out, s.ptr[i]);
        else
            pl_buf_printf(out, "%%%02X", (unsigned char)s.ptr[i]);
    }
}

void pl_schema_put_path(pl_buf *out, pl_schema_ask ask, pl_str subject, int32_t id, bool normalize)
{
    if (ask == PL_SCHEMA_GET) {
        pl_buf_printf(out, "/schemas/ids/%d", id);
        return;
    }
    pl_buf_printf(out, "%s/subjects/", ask == PL_SCHEMA_COMPATIBLE ? "/compatibility" : "");
    put_encoded(out, subject);
    if (ask == PL_SCHEMA_LATEST)
        PL_BUF_LIT(out, "/versions/latest");
    else if (ask == PL_SCHEMA_COMPATIBLE)
        PL_BUF_LIT(out, "/versions?verbose=true");
    else if (ask == PL_SCHEMA_REGISTER)
        PL_BUF_LIT(out, "/versions");
    if (normalize && pl_schema_has_body(ask))
        pl_buf_printf(out, "%snormalize=true", ask == PL_SCHEMA_COMPATIBLE ? "&" : "?");
}

static const char *const type_names[] = {"PROTOBUF", "JSON", "AVRO"};

void pl_schema_put_body(pl_buf *out, const pl_schema *schema)
{
    pl_buf_printf(out, "{\"schemaType\":\"%s\",\"schema\":", type_names[schema->type]);
    pl_json_string(out, schema->text);
    for (size_t i = 0; i < schema->reference_count; i++) {
        const pl_schema_reference *r = &schema->references[i];
        pl_buf_printf(out, "%s{\"name\":", i ? "," : ",\"references\":[");
        pl_json_string(out, r->name);
        PL_BUF_LIT(out, ",\"subject\":");
        pl_json_string(out, r->subject);
        pl_buf_printf(out, ",\"version\":%d}", r->version);
    }
    if (schema->reference_count > 0)
        pl_buf_char(out, ']');
    pl_buf_char(out, '}');
}

/* --- answers --- */
enum { NO_SUBJECT = 40401, NO_VERSION = 40402, NO_SCHEMA = 40403 };

bool pl_schema_is_passing(long status)
{
    return status == 408 || status == 429 || status >= 500;
}

static int64_t number(const pl_value *map, pl_str name)
{
    const pl_value *v = pl_value_member(map, name);
    return v && v->kind == PL_KIND_INT ? v->integer : 0;
}

static pl_str string(const pl_value *map, pl_str name)
{
    const pl_value *v = pl_value_member(map, name);
    return v && v->kind == PL_KIND_STRING ? v->string : PL_STR_NONE;
}

static pl_code no_registry(long status, const char *what, pl_error *err)
{
    return pl_fail(err, PL_UNAVAILABLE,
                   "what answers at the address of the schema registry is none (status %ld, %s)", status,
                   what);
}

static pl_code refused(long status, const pl_value *body, pl_arena *arena, pl_schema_answer *out,
                       pl_error *err)
{
    pl_str why = body ? string(body, PL_STR("message")) : PL_STR_NONE;
    int64_t code = body ? number(body, PL_STR("error_code")) : 0;
    if (!why.ptr)
        why = PL_STR("it does not say why");
    if (status == 404 && code >= NO_SUBJECT && code <= NO_SCHEMA) {
        *out = (pl_schema_answer){.missing = true, .why = why};
        return PL_OK;
    }
    if (status == 401 || status == 403)
        return pl_fail(err, PL_UNAVAILABLE,
                       "the schema registry refuses the credentials of kafka.registry (%ld): %.*s", status,
                       PL_STR_ARG(why));
    if (status == 409)
        return pl_fail(err, PL_FAILED_PRECONDITION,
                       "the schema is not compatible with what is registered: %.*s", PL_STR_ARG(why));
    if (status == 422)
        return pl_fail(err, PL_INVALID_ARGUMENT, "the schema registry does not accept the schema: %.*s",
                       PL_STR_ARG(why));
    if (pl_schema_is_passing(status))
        return pl_fail(err, PL_UNAVAILABLE, "the schema registry answers with status %ld: %.*s", status,
                       PL_STR_ARG(why));
    if (status >= 300 && status < 400)
        return no_registry(status, "it leads elsewhere: kafka.registry.url must be where that is", err);
    return no_registry(status, why.ptr, err);
}

static bool read_type(pl_str name, pl_schema_type *out)
{
    if (!name.ptr)
        name = PL_STR("AVRO"); /* what it was before there were others */
    for (size_t i = 0; i < sizeof type_names / sizeof *type_names; i++) {
        if (pl_str_is(name, type_names[i])) {
            *out = (pl_schema_type)i;
            return true;
        }
    }
    return false;
}

static pl_code read_messages(const pl_value *body, pl_arena *arena, pl_schema_answer *out, pl_error *err)
{
    const pl_value *compatible = pl_value_member(body, PL_STR("is_compatible"));
    const pl_value *messages = pl_value_member(body, PL_STR("messages"));
    pl_str all = PL_STR("");
    if (!compatible || compatible->kind != PL_KIND_BOOL)
        return no_registry(200, "is_compatible is not there", err);
    out->compatible = compatible->boolean;
    for (size_t i = 0; messages && messages->kind == PL_KIND_LIST && i < messages->list.count && i < 20;
         i++) {
        const pl_value *m = &messages->list.items[i];
        if (m->kind == PL_KIND_STRING)
            all = pl_arena_printf(arena, "%.*s%s%.*s", PL_STR_ARG(all), all.len ? "; " : "",
                                  PL_STR_ARG(m->string));
        if (!all.ptr)
            return pl_fail_memory(err);
    }
    out->why = all;
    return PL_OK;
}

static bool in_range(int64_t n)
{
    return n > 0 && n <= INT32_MAX;
}

static pl_code read_found(pl_schema_ask ask, const pl_value *body, pl_schema_answer *out, pl_error *err)
{
    int64_t id = number(body, PL_STR("id")), version = number(body, PL_STR("version"));
    bool wants_id = ask != PL_SCHEMA_GET, wants_version = ask == PL_SCHEMA_LOOK_UP || ask == PL_SCHEMA_LATEST;
    bool wants_text = ask == PL_SCHEMA_GET || ask == PL_SCHEMA_LATEST;
    if ((wants_id && !in_range(id)) || (wants_version && !in_range(version)))
        return no_registry(200, "id or version is not there", err);
    out->id = in_range(id) ? (int32_t)id : 0;
    out->version = in_range(version) ? (int32_t)version : 0;
    if (!wants_text)
        return PL_OK;
    out->text = string(body, PL_STR("schema"));
    if (!out->text.ptr)
        return no_registry(200, "schema is not there", err);
    if (!read_type(string(body, PL_STR("schemaType")), &out->type))
        return pl_fail(err, PL_UNIMPLEMENTED, "schemas of type %.*s cannot be read",
                       PL_STR_ARG(string(body, PL_STR("schemaType"))));
    return PL_OK;
}

pl_code pl_schema_read_answer(pl_schema_ask ask, long status, pl_str body, pl_arena *arena,
                              pl_schema_answer *out, pl_error *err)
{
    pl_value value;
    pl_error wrong;
    pl_error_clear(&wrong);
    *out = (pl_schema_answer){0};
    pl_code code = pl_json_read(arena, body, NULL, &value, &wrong);
    bool is_map = !code && value.kind == PL_KIND_MAP;
    if (code == PL_RESOURCE_EXHAUSTED)
        return pl_fail(err, code, "%s", wrong.message);
    if (status != 200 && status != 201)
        return refused(status, is_map ? &value : NULL, arena, out, err);
    if (!is_map)
        return no_registry(status, code ? wrong.message : "the body is no object", err);
    return ask == PL_SCHEMA_COMPATIBLE ? read_messages(&value, arena, out, err)
                                       : read_found(ask, &value, out, err);
}
