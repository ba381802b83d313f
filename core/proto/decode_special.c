/* SPDX-License-Identifier: MIT */
#include "proto/decode.h"

/* Well-known types whose form in scripts is not a map of their fields. Of a field that comes twice the last
 * one counts; unknown fields are dropped. */

/* Pushed as it is. */
static void push_text(pb_job *j, pl_str s)
{
    j->e->push_string(j->state, s);
}

static bool decode_wrapper(pb_job *j, const pb_message *m, pl_str bytes)
{
    const pb_field *f = &m->fields[0];
    pb_scalar v = f->otherwise;
    pb_reader r = pb_reader_of(bytes);
    while (r.p < r.end) {
        uint32_t tag;
        const char *wrong = pb_read_tag(&r, &tag);
        if (!wrong && tag == (f->number << 3 | f->wire)) {
            if (!pb_read_scalar(j, f, &r, &v))
                return false;
            continue;
        }
        if (!wrong)
            wrong = pb_skip(&r, tag, j->depth);
        if (wrong)
            return pb_wire_wrong(j, wrong);
    }
    return pb_push_scalar(j, f, &v);
}

static bool decode_field_mask(pb_job *j, const pb_message *m, pl_str bytes)
{
    pb_reader r = pb_reader_of(bytes);
    pb_record record;
    const char *wrong;
    size_t n = 0;
    j->e->push_list(j->state, 0);
    pl_slot list = j->e->top(j->state);
    while (pb_next_record(&r, &record, &wrong)) {
        if (record.number != 1 || record.wire != PB_WIRE_LEN)
            continue;
        if (!pb_check_utf8(j, &m->fields[0], record.bytes) || !pb_spend(j, record.bytes.len + 48))
            return false;
        push_text(j, record.bytes);
        j->e->set_element(j->state, list, n++);
    }
    return !wrong || pb_wire_wrong(j, wrong);
}

/* The fields of a message that has no others: LEN ones of number 1 and 2. */
static bool read_pair(pb_job *j, pl_str bytes, pl_str *first, pl_str *second)
{
    pb_reader r = pb_reader_of(bytes);
    pb_record record;
    const char *wrong;
    *first = *second = PL_STR("");
    while (pb_next_record(&r, &record, &wrong)) {
        if (record.wire == PB_WIRE_LEN && record.number == 1)
            *first = record.bytes;
        else if (record.wire == PB_WIRE_LEN && record.number == 2)
            *second = record.bytes;
    }
    return !wrong || pb_wire_wrong(j, wrong);
}

static bool decode_struct(pb_job *j, const pb_message *m, pl_str bytes)
{
    const pb_message *entry = m->fields[0].message;
    pb_reader r = pb_reader_of(bytes);
    pb_record record;
    const char *wrong;
    pb_step here = {.parent = j->at, .place = PB_AT_MEMBER};
    j->e->push_map(j->state, 0);
    pl_slot map = j->e->top(j->state);
    pb_enter(j, &here);
    while (pb_next_record(&r, &record, &wrong)) {
        pl_str value;
        if (record.number != 1 || record.wire != PB_WIRE_LEN)
            continue;
        here.key = PL_STR("");
        if (!read_pair(j, record.bytes, &here.key, &value) ||
            !pb_check_utf8(j, &entry->fields[0], here.key) || !pb_spend(j, here.key.len + 72))
            return false;
        push_text(j, here.key);
        if (!pb_decode_natural(j, entry->fields[1].message, value))
            return false;
        j->e->set_entry(j->state, map);
    }
    j->at = here.parent;
    return !wrong || pb_wire_wrong(j, wrong);
}

static bool decode_list(pb_job *j, const pb_message *m, pl_str bytes)
{
    pb_reader r = pb_reader_of(bytes);
    pb_record record;
    const char *wrong;
    size_t n = 0;
    pb_step here = {.parent = j->at, .place = PB_AT_INDEX};
    j->e->push_list(j->state, 0);
    pl_slot list = j->e->top(j->state);
    pb_enter(j, &here);
    while (pb_next_record(&r, &record, &wrong)) {
        if (record.number != 1 || record.wire != PB_WIRE_LEN)
            continue;
        here.number = (int64_t)n;
        if (!pb_spend(j, 16) || !pb_decode_natural(j, m->fields[0].message, record.bytes))
            return false;
        j->e->set_element(j->state, list, n++);
    }
    j->at = here.parent;
    return !wrong || pb_wire_wrong(j, wrong);
}

static bool decode_dynamic(pb_job *j, const pb_message *m, pl_str bytes)
{
    pb_reader r = pb_reader_of(bytes);
    pb_record record, last = {0};
    const char *wrong;
    double number;
    while (pb_next_record(&r, &record, &wrong)) {
        const pb_field *f = pb_message_field(m, record.number);
        if (f && f->wire == record.wire)
            last = record;
    }
    if (wrong)
        return pb_wire_wrong(j, wrong);
    switch (last.number) {
    case 2:
        memcpy(&number, &last.value, sizeof number);
        pb_push_number(j, number);
        return true;
    case 3:
        if (!pb_check_utf8(j, pb_message_field(m, 3), last.bytes) || !pb_spend(j, last.bytes.len + 32))
            return false;
        push_text(j, last.bytes);
        return true;
    case 4:
        j->e->push_bool(j->state, last.value != 0);
        return true;
    case 5:
    case 6:
        return pb_decode_natural(j, pb_message_field(m, last.number)->message, last.bytes);
    default:
        j->e->push_null(j->state);
        return true;
    }
}

static bool decode_any(pb_job *j, const pb_message *m, pl_str bytes)
{
    pl_str url, value;
    const pb_value_keys *keys = pb_keys(j);
    if (!keys || !read_pair(j, bytes, &url, &value) || !pb_check_utf8(j, &m->fields[0], url) ||
        !pb_spend(j, url.len + value.len + 160))
        return false;
    const pb_message *type = pb_type_of_url(j->c, url);
    pl_slot map = j->e->top(j->state) + 1;
    if (type && !pb_is_natural(type)) {
        if (!pb_decode_message(j, type, value))
            return false;
    } else {
        j->e->push_map(j->state, 2);
        if (type && !pb_decode_natural(j, type, value))
            return false;
        if (!type && (url.len > 0 || value.len > 0) && j->e->push_bytes)
            j->e->push_bytes(j->state, value);
        else if (!type && (url.len > 0 || value.len > 0))
            push_text(j, value);
        if (j->e->top(j->state) > map)
            j->e->set_field(j->state, map, keys->value);
    }
    if (url.len > 0) {
        push_text(j, url);
        j->e->set_field(j->state, map, keys->type_url);
    }
    return true;
}

bool pb_decode_natural(pb_job *j, const pb_message *m, pl_str bytes)
{
    bool ok;
    if (j->depth == 0)
        return pb_too_deep(j);
    if (!j->e->reserve(j->state, 8))
        return pb_no_memory(j);
    if (m->special != PB_WRAPPER && !pb_spend(j, 64))
        return false;
    j->depth--;
    switch (m->special) {
    case PB_WRAPPER:
        ok = decode_wrapper(j, m, bytes);
        break;
    case PB_FIELD_MASK:
        ok = decode_field_mask(j, m, bytes);
        break;
    case PB_STRUCT:
        ok = decode_struct(j, m, bytes);
        break;
    case PB_LIST_VALUE:
        ok = decode_list(j, m, bytes);
        break;
    case PB_VALUE:
        ok = decode_dynamic(j, m, bytes);
        break;
    default:
        ok = decode_any(j, m, bytes);
    }
    j->depth++;
    return ok;
}
