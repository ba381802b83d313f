/* SPDX-License-Identifier: MIT */
#include "proto/json_read.h"

/* Well-known types that have a form of their own in JSON. */

static bool read_text(pb_job *j, pl_str *out)
{
    return pb_json_string(j->json, out) || pb_json_failed(j);
}

static bool read_time(pb_job *j, const pb_message *m)
{
    pl_str text;
    int64_t seconds = 0;
    int32_t nanos = 0;
    const pb_value_keys *keys = pb_keys(j);
    if (!keys || !read_text(j, &text))
        return false;
    const char *wrong =
        (m->special == PB_DURATION ? pb_read_duration : pb_read_timestamp)(text, &seconds, &nanos);
    if (wrong)
        return pb_bad(j, "the text %s", wrong);
    if (!pb_push_message_map(j, m))
        return false;
    pl_slot map = j->e->top(j->state);
    j->e->push_int(j->state, seconds);
    j->e->set_field(j->state, map, keys->seconds);
    j->e->push_int(j->state, nanos);
    j->e->set_field(j->state, map, keys->nanos);
    return true;
}

static bool read_wrapper(pb_job *j, const pb_message *m)
{
    pb_scalar v;
    bool skip;
    return pb_json_scalar(j, &m->fields[0], &v, &skip) && pb_push_scalar(j, &m->fields[0], &v);
}

/* "userName" is user_name. */
static bool push_path(pb_job *j, pl_str path)
{
    pl_buf *out = &j->c->unknown;
    pl_buf_reset(out, 65536);
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        if (c == '_')
            return pb_bad(j, "the path \"%.*s\" is not in lower camel case",
                          path.len > 64 ? 64 : (int)path.len, path.ptr);
        if (c >= 'A' && c <= 'Z') {
            pl_buf_char(out, '_');
            c = (char)(c - 'A' + 'a');
        }
        pl_buf_char(out, c);
    }
    if (out->failed)
        return pb_no_memory(j);
    if (!pb_spend(j, out->len + 48))
        return false;
    j->e->push_string(j->state, pl_buf_view(out));
    return true;
}

static bool read_field_mask(pb_job *j)
{
    pl_str text;
    size_t begin = 0, n = 0;
    if (!read_text(j, &text))
        return false;
    j->e->push_list(j->state, 0);
    pl_slot list = j->e->top(j->state);
    for (size_t i = 0; i <= text.len && text.len > 0; i++) {
        if (i < text.len && text.ptr[i] != ',')
            continue;
        if (!push_path(j, (pl_str){text.ptr + begin, i - begin}))
            return false;
        j->e->set_element(j->state, list, n++);
        begin = i + 1;
    }
    return true;
}

static bool read_struct(pb_job *j, const pb_message *m)
{
    const pb_message *value = m->fields[0].message->fields[1].message;
    pb_step here = {.parent = j->at, .place = PB_AT_MEMBER};
    bool first = true;
    pl_str name;
    if (!pb_json_take(j->json, '{'))
        return pb_json_failed(j);
    j->e->push_map(j->state, 0);
    pl_slot map = j->e->top(j->state);
    pb_enter(j, &here);
    while (pb_json_next(j->json, '}', &first)) {
        here.key = PL_STR("");
        if (!read_text(j, &name) || !pb_spend(j, name.len + 72))
            return false;
        j->e->push_string(j->state, name);
        here.key = j->e->get_string(j->state, map + 1);
        if (!pb_json_take(j->json, ':'))
            return pb_json_failed(j);
        if (!pb_json_read_message(j, value))
            return false;
        j->e->set_entry(j->state, map);
    }
    j->at = here.parent;
    return !j->json->wrong || pb_json_failed(j);
}

static bool read_list(pb_job *j, const pb_message *m)
{
    const pb_message *value = m->fields[0].message;
    pb_step here = {.parent = j->at, .place = PB_AT_INDEX};
    bool first = true;
    if (!pb_json_take(j->json, '['))
        return pb_json_failed(j);
    j->e->push_list(j->state, 0);
    pl_slot list = j->e->top(j->state);
    pb_enter(j, &here);
    while (pb_json_next(j->json, ']', &first)) {
        if (!pb_spend(j, 16) || !pb_json_read_message(j, value))
            return false;
        j->e->set_element(j->state, list, (size_t)here.number++);
    }
    j->at = here.parent;
    return !j->json->wrong || pb_json_failed(j);
}

static bool read_dynamic(pb_job *j, const pb_message *m)
{
    pl_str text;
    double number;
    const char *wrong;
    switch (pb_json_peek(j->json)) {
    case '{':
        return pb_json_read_message(j, pb_message_field(m, 5)->message);
    case '[':
        return pb_json_read_message(j, pb_message_field(m, 6)->message);
    case '"':
        if (!read_text(j, &text) || !pb_spend(j, text.len + 32))
            return false;
        j->e->push_string(j->state, text);
        return true;
    case 'n':
        if (!pb_json_word(j->json, "null"))
            break;
        j->e->push_null(j->state);
        return true;
    case 't':
    case 'f': {
        bool yes = pb_json_word(j->json, "true");
        if (!yes && !pb_json_word(j->json, "false"))
            break;
        j->e->push_bool(j->state, yes);
        return true;
    }
    default:
        if (!pb_json_number(j->json, &text))
            break;
        wrong = pb_json_double(text, &j->c->unknown, &number);
        if (wrong) {
            j->json->wrong = wrong;
            return pb_json_failed(j);
        }
        pb_push_number(j, number);
        return true;
    }
    return pb_bad(j, "a value is expected");
}

/* --- Any --- */

/* Looks for "@type" among the members of the map that comes next, without taking it. What is passed over for
 * that is limited, as maps inside of maps may have theirs at the end. */
static bool find_type(pb_job *j, pl_str *url, bool *empty)
{
    pb_json *json = j->json;
    const char *begin = json->p;
    bool first = true;
    pl_str name;
    *url = PL_STR_NONE;
    *empty = true;
    if (!pb_json_take(json, '{'))
        return pb_json_failed(j);
    while (!url->ptr && pb_json_next(json, '}', &first)) {
        *empty = false;
        if (!pb_json_string(json, &name))
            return pb_json_failed(j);
        bool found = pl_str_is(name, "@type");
        if (!pb_json_take(json, ':') || !(found ? pb_json_string(json, url) : pb_json_skip(json, j->depth)))
            return pb_json_failed(j);
        if ((size_t)(json->p - begin) > j->rescan)
            return pb_bad(j, "\"@type\" should be the first member of an Any, and is too far behind");
    }
    if (json->wrong && !url->ptr)
        return pb_json_failed(j);
    j->rescan -= (size_t)(json->p - begin);
    json->p = begin;
    return true;
}

/* {"@type": …, "value": …}; the value alone is pushed. */
static bool read_value_member(pb_job *j, const pb_message *type)
{
    bool first = true, found = false;
    pl_str name;
    if (!pb_json_take(j->json, '{'))
        return pb_json_failed(j);
    while (pb_json_next(j->json, '}', &first)) {
        if (!read_text(j, &name))
            return false;
        bool is_value = pl_str_is(name, "value");
        if ((is_value && found) || (!is_value && !pl_str_is(name, "@type") && !j->options->ignore_unknown))
            return pb_bad(j, "an Any of %.*s has \"@type\" and one \"value\", and nothing else",
                          PL_STR_ARG(type->full_name));
        if (!pb_json_take(j->json, ':'))
            return pb_json_failed(j);
        if (is_value ? !pb_json_read_message(j, type) : !pb_json_skip(j->json, j->depth))
            return pb_json_failed(j);
        found |= is_value;
    }
    if (j->json->wrong)
        return pb_json_failed(j);
    return found || pb_bad(j, "an Any of %.*s has its \"value\" as a member", PL_STR_ARG(type->full_name));
}

/* Pushes what the Any holds, as a map without its type. */
static bool read_packed(pb_job *j, const pb_message *type, const pb_value_keys *keys)
{
    if (type->special == PB_PLAIN)
        return pb_json_read_fields(j, type, true);
    if (!pb_is_natural(type))
        return read_value_member(j, type);
    j->e->push_map(j->state, 2);
    pl_slot map = j->e->top(j->state);
    if (!read_value_member(j, type))
        return false;
    j->e->set_field(j->state, map, keys->value);
    return true;
}

static bool read_any(pb_job *j)
{
    pl_str url;
    bool empty;
    pl_buf *urls = &j->c->urls;
    size_t before = urls->len;
    const pb_value_keys *keys = pb_keys(j);
    if (!keys || !find_type(j, &url, &empty))
        return false;
    if (empty) {
        j->e->push_map(j->state, 0);
        return pb_json_skip(j->json, 1) || pb_json_failed(j);
    }
    if (!url.ptr)
        return pb_bad(j, "an Any has to say its type in \"@type\"");
    const pb_message *type = pb_type_of_url(j->c, url);
    if (!type || memchr(url.ptr, '/', url.len) == NULL)
        return pb_bad(j, "there is no message of the type \"%.*s\" (\"@type\")",
                      url.len > 100 ? 100 : (int)url.len, url.ptr);
    pl_buf_str(urls, url);
    if (urls->failed)
        return pb_no_memory(j);
    size_t len = url.len;
    if (!pb_spend(j, len + 160) || !read_packed(j, type, keys))
        return false;
    pl_slot map = j->e->top(j->state);
    j->e->push_string(j->state, (pl_str){urls->data + before, len});
    j->e->set_field(j->state, map, keys->type_url);
    urls->len = before;
    return true;
}

bool pb_json_read_special(pb_job *j, const pb_message *m)
{
    if (m->special != PB_WRAPPER && !pb_spend(j, 64))
        return false;
    switch (m->special) {
    case PB_TIMESTAMP:
    case PB_DURATION:
        return read_time(j, m);
    case PB_WRAPPER:
        return read_wrapper(j, m);
    case PB_FIELD_MASK:
        return read_field_mask(j);
    case PB_STRUCT:
        return read_struct(j, m);
    case PB_LIST_VALUE:
        return read_list(j, m);
    case PB_VALUE:
        return read_dynamic(j, m);
    default:
        return read_any(j);
    }
}
