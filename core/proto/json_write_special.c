/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "proto/json_write.h"
#include "value/json.h"

/* Well-known types that have a form of their own in JSON. */

static bool write_time(pb_job *j, const pb_message *m, pl_slot slot)
{
    char text[48];
    size_t len = 0;
    int64_t seconds, nanos;
    if (!pb_get_time(j, m, slot, &seconds, &nanos))
        return false;
    const char *wrong =
        (m->special == PB_DURATION ? pb_write_duration : pb_write_timestamp)(text, &len, seconds, nanos);
    if (wrong)
        return pb_bad(j, "the value %s", wrong);
    return pl_json_string(j->out, (pl_str){text, len});
}

/* What a message that is given as the map of its fields has in its only one: pushed. */
static bool push_only_field(pb_job *j, const pb_message *m, pl_slot slot, pl_slot *inner)
{
    pl_slot top = j->e->top(j->state);
    pl_key **keys = pb_field_keys(j, m);
    *inner = slot;
    if (!keys || j->e->kind(j->state, slot) != PL_KIND_MAP)
        return keys != NULL;
    bool pushed = j->e->field(j->state, slot, keys[0]) && j->e->kind(j->state, top + 1) != PL_KIND_ABSENT;
    *inner = pushed ? top + 1 : 0;
    return pb_check_members(j, m, slot, pushed, 0);
}

static bool write_wrapper(pb_job *j, const pb_message *m, pl_slot slot)
{
    pl_slot top = j->e->top(j->state);
    pb_scalar v = m->fields[0].otherwise;
    if (!push_only_field(j, m, slot, &slot) || (slot && !pb_get_scalar(j, &m->fields[0], slot, &v)) ||
        !pb_json_write_scalar(j, &m->fields[0], &v))
        return false;
    j->e->pop_to(j->state, top);
    return true;
}

/* "user_name" is userName; false when the way back would lead elsewhere. */
static bool write_path(pb_job *j, pl_str path)
{
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        if (c == '_') {
            c = i + 1 < path.len ? path.ptr[++i] : '\0';
            if (c < 'a' || c > 'z')
                return false;
            c = (char)(c - 'a' + 'A');
        } else if ((c >= 'A' && c <= 'Z') || (unsigned char)c < ' ' || c == '"' || c == '\\' || c == ',') {
            return false;
        }
        pl_buf_char(j->out, c);
    }
    return pl_str_is_utf8(path);
}

static bool write_field_mask(pb_job *j, const pb_message *m, pl_slot slot)
{
    pb_scalar path;
    pl_slot top = j->e->top(j->state);
    pb_step here = {.parent = j->at, .place = PB_AT_INDEX};
    if (!push_only_field(j, m, slot, &slot))
        return false;
    if (slot && j->e->kind(j->state, slot) != PL_KIND_LIST)
        return pb_wrong_kind(j, "a list of paths", slot);
    size_t n = slot ? j->e->length(j->state, slot) : 0;
    pl_slot base = j->e->top(j->state);
    pb_enter(j, &here);
    pl_buf_char(j->out, '"');
    for (size_t i = 0; i < n; i++) {
        here.number = (int64_t)i;
        if (i > 0)
            pl_buf_char(j->out, ',');
        j->e->element(j->state, slot, i);
        if (!pb_get_scalar(j, &m->fields[0], base + 1, &path))
            return false;
        if (!write_path(j, path.string))
            return pb_bad(j, "the path has no form in JSON: lower snake case is expected");
        j->e->pop_to(j->state, base);
    }
    pl_buf_char(j->out, '"');
    j->at = here.parent;
    j->e->pop_to(j->state, top);
    return true;
}

static bool write_struct(pb_job *j, const pb_message *m, pl_slot slot)
{
    const pb_message *value = m->fields[0].message->fields[1].message;
    pb_step here = {.parent = j->at, .place = PB_AT_MEMBER};
    bool first = true;
    if (j->e->kind(j->state, slot) != PL_KIND_MAP)
        return pb_wrong_kind(j, "a map", slot);
    pb_enter(j, &here);
    pl_buf_char(j->out, '{');
    j->e->push_absent(j->state);
    pl_slot key = j->e->top(j->state);
    while (j->e->next(j->state, slot)) {
        if (!first)
            pl_buf_char(j->out, ',');
        first = false;
        if (j->e->kind(j->state, key) != PL_KIND_STRING)
            return pb_bad(j, "a google.protobuf.Struct has strings for keys");
        here.key = j->e->get_string(j->state, key);
        if (!pl_json_string(j->out, here.key))
            return pb_bad(j, "the name is not UTF-8");
        pl_buf_char(j->out, ':');
        if (!pb_json_write_message(j, value, key + 1))
            return false;
        j->e->pop_to(j->state, key);
    }
    pl_buf_char(j->out, '}');
    j->at = here.parent;
    return true;
}

static bool write_list(pb_job *j, const pb_message *m, pl_slot slot)
{
    pb_step here = {.parent = j->at};
    if (pb_is_empty_map(j, slot)) {
        PL_BUF_LIT(j->out, "[]");
        return true;
    }
    if (j->e->kind(j->state, slot) != PL_KIND_LIST)
        return pb_wrong_kind(j, "a list", slot);
    pb_enter(j, &here);
    if (!pb_json_write_list(j, &m->fields[0], slot, &here))
        return false;
    j->at = here.parent;
    return true;
}

static bool write_dynamic(pb_job *j, const pb_message *m, pl_slot slot)
{
    double number;
    switch (j->e->kind(j->state, slot)) {
    case PL_KIND_NULL:
        PL_BUF_LIT(j->out, "null");
        return true;
    case PL_KIND_BOOL:
        pl_buf_str(j->out, j->e->get_bool(j->state, slot) ? PL_STR("true") : PL_STR("false"));
        return true;
    case PL_KIND_INT:
    case PL_KIND_FLOAT:
        if (!pb_get_number(j, slot, &number))
            return false;
        return pl_json_double(j->out, number) ||
               pb_bad(j, "a google.protobuf.Value that is no finite number has no form in JSON");
    case PL_KIND_STRING:
        return pl_json_string(j->out, j->e->get_string(j->state, slot)) ||
               pb_bad(j, "the string is not UTF-8");
    case PL_KIND_MAP:
        return pb_json_write_message(j, pb_message_field(m, 5)->message, slot);
    case PL_KIND_LIST:
        return pb_json_write_message(j, pb_message_field(m, 6)->message, slot);
    default:
        return pb_wrong_kind(j, "a value as JSON knows it", slot);
    }
}

/* --- Any --- */
static bool write_packed(pb_job *j, const pb_message *type, pl_slot slot)
{
    pl_slot top = j->e->top(j->state);
    bool first = false;
    if (type->special == PB_PLAIN)
        return pb_json_write_fields(j, type, slot, 1, &first);
    PL_BUF_LIT(j->out, ",\"value\":");
    if (!pb_is_natural(type)) { /* a time, or nothing: its fields stand beside the type */
        if (type->special == PB_EMPTY)
            PL_BUF_LIT(j->out, "{}");
        return type->special == PB_EMPTY || write_time(j, type, slot);
    }
    if (!j->e->field(j->state, slot, j->c->keys.value) || j->e->kind(j->state, top + 1) == PL_KIND_ABSENT)
        return pb_bad(j, "the %.*s in it is expected as its member \"value\"", PL_STR_ARG(type->full_name));
    if (!pb_json_write_message(j, type, top + 1))
        return false;
    j->e->pop_to(j->state, top);
    return true;
}

static bool write_any(pb_job *j, const pb_message *m, pl_slot slot)
{
    pl_slot top = j->e->top(j->state);
    const pb_value_keys *keys = pb_keys(j);
    pb_scalar url;
    if (!keys)
        return false;
    if (pb_is_empty_map(j, slot)) {
        PL_BUF_LIT(j->out, "{}");
        return true;
    }
    if (j->e->kind(j->state, slot) != PL_KIND_MAP)
        return pb_wrong_kind(j, "a map with \"@type\"", slot);
    if (!j->e->field(j->state, slot, keys->type_url) || j->e->kind(j->state, top + 1) == PL_KIND_ABSENT)
        return pb_bad(j, "an Any has to say its type in \"@type\"");
    if (!pb_get_scalar(j, &m->fields[0], top + 1, &url))
        return false;
    const pb_message *type = pb_type_of_url(j->c, url.string);
    if (!type)
        return pb_bad(j, "there is no message of the type \"%.*s\" (\"@type\")",
                      url.string.len > 100 ? 100 : (int)url.string.len, url.string.ptr);
    PL_BUF_LIT(j->out, "{\"@type\":");
    pl_json_string(j->out, url.string);
    if (!write_packed(j, type, slot))
        return false;
    pl_buf_char(j->out, '}');
    j->e->pop_to(j->state, top);
    return true;
}

bool pb_json_write_special(pb_job *j, const pb_message *m, pl_slot slot)
{
    switch (m->special) {
    case PB_TIMESTAMP:
    case PB_DURATION:
        return write_time(j, m, slot);
    case PB_WRAPPER:
        return write_wrapper(j, m, slot);
    case PB_FIELD_MASK:
        return write_field_mask(j, m, slot);
    case PB_STRUCT:
        return write_struct(j, m, slot);
    case PB_LIST_VALUE:
        return write_list(j, m, slot);
    case PB_VALUE:
        return write_dynamic(j, m, slot);
    default:
        return write_any(j, m, slot);
    }
}
