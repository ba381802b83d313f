/* SPDX-License-Identifier: MIT */
#include "proto/decode.h"

#define ELEMENT_BYTES 16 /* of a list */
#define MOST_AHEAD 1024

/* The decoder reads a message once and sets each field as it comes. What it has to remember of a message
 * (which fields have come, for defaults and merging; unknown fields) is on stacks of the codec. */

typedef struct frame {
    const pb_message *m;
    pl_slot map;
    size_t words;
    size_t unknown; /* where this message's unknown fields begin */
    bool merging;
    pl_key **keys;
    pb_step here;
} frame;

bool pb_wire_wrong(pb_job *j, const char *wrong)
{
    return pb_bad(j, "the message %s", wrong);
}

bool pb_read_scalar(pb_job *j, const pb_field *f, pb_reader *r, pb_scalar *out)
{
    uint64_t v = 0;
    uint32_t word = 0;
    const char *wrong;
    switch (f->wire) {
    case PB_WIRE_VARINT:
        wrong = pb_read_varint(r, &v);
        break;
    case PB_WIRE_64:
        wrong = pb_read_fixed64(r, &v);
        break;
    case PB_WIRE_32:
        wrong = pb_read_fixed32(r, &word);
        break;
    default:
        wrong = pb_read_bytes(r, &out->string);
        if (!wrong)
            return pb_check_utf8(j, f, out->string);
    }
    if (wrong)
        return pb_wire_wrong(j, wrong);
    switch (f->type) {
    case PB_DOUBLE:
        memcpy(&out->number, &v, sizeof v);
        break;
    case PB_FLOAT: {
        float number;
        memcpy(&number, &word, sizeof word);
        out->number = number;
        break;
    }
    case PB_BOOL:
        out->boolean = v != 0;
        break;
    case PB_INT32:
    case PB_ENUM:
        out->integer = (int32_t)(uint32_t)v;
        break;
    case PB_UINT32:
        out->integer = (uint32_t)v;
        break;
    case PB_SINT32:
        out->integer = pb_unzigzag((uint32_t)v);
        break;
    case PB_SINT64:
        out->integer = pb_unzigzag(v);
        break;
    case PB_FIXED32:
        out->integer = word;
        break;
    case PB_SFIXED32:
        out->integer = (int32_t)word;
        break;
    default:
        out->integer = (int64_t)v;
    }
    return true;
}

/* --- unknown fields --- */
static bool keep_unknown(pb_job *j, const uint8_t *begin, const uint8_t *end)
{
    if (!j->e->attach)
        return true;
    pl_buf_append(&j->c->unknown, begin, (size_t)(end - begin));
    return !j->c->unknown.failed || pb_no_memory(j);
}

static bool is_unknown_enum(const pb_field *f, const pb_scalar *v)
{
    return f->enumeration && f->enumeration->closed && !pb_enum_numbered(f->enumeration, v->integer);
}

static bool keep_enum(pb_job *j, const pb_field *f, int64_t number)
{
    uint8_t bytes[20];
    size_t n = pb_put_varint(bytes, f->number << 3 | PB_WIRE_VARINT);
    n += pb_put_varint(bytes + n, (uint64_t)number);
    return keep_unknown(j, bytes, bytes + n);
}

/* Hands over what this message has gathered, behind what an earlier occurrence of it had. */
static bool attach_unknown(pb_job *j, const frame *fr)
{
    pl_buf *unknown = &j->c->unknown;
    pl_slot top = j->e->top(j->state);
    size_t len = unknown->len - fr->unknown;
    if (len == 0)
        return true;
    if (fr->merging && j->e->push_attached(j->state, fr->map)) {
        pl_str earlier = j->e->get_string(j->state, top + 1);
        if (!pb_spend(j, earlier.len + len))
            return false;
        pl_buf_reserve(unknown, earlier.len);
        if (unknown->failed)
            return pb_no_memory(j);
        char *at = unknown->data + fr->unknown;
        memmove(at + earlier.len, at, len);
        memcpy(at, earlier.ptr, earlier.len);
        unknown->len += earlier.len;
        len += earlier.len;
        j->e->pop_to(j->state, top);
    }
    if (!pb_spend(j, len + 64))
        return false;
    j->e->push_string(j->state, (pl_str){unknown->data + fr->unknown, len});
    j->e->attach(j->state, fr->map);
    unknown->len = fr->unknown;
    return true;
}

/* --- messages inside of messages --- */
static bool decode_into(pb_job *j, const pb_message *m, pb_reader *r, uint32_t group, pl_slot map,
                        bool merging);

static bool decode_new(pb_job *j, const pb_message *m, pb_reader *r, uint32_t group)
{
    return pb_push_message_map(j, m) && decode_into(j, m, r, group, j->e->top(j->state), false);
}

/* The bytes of a message, whose tag has been read; those of a group are found by passing over it. */
static bool read_extent(pb_job *j, const pb_field *f, pb_reader *r, pl_str *out)
{
    const char *wrong;
    const uint8_t *begin = r->p;
    if (!f->delimited) {
        wrong = pb_read_bytes(r, out);
        return !wrong || pb_wire_wrong(j, wrong);
    }
    wrong = pb_skip(r, f->number << 3 | PB_WIRE_GROUP, j->depth);
    if (wrong)
        return pb_wire_wrong(j, wrong);
    size_t end_tag = pb_varint_size(f->number << 3 | PB_WIRE_END);
    *out = (pl_str){(const char *)begin, (size_t)(r->p - begin) - end_tag};
    return true;
}

static bool decode_bytes(pb_job *j, const pb_message *m, pl_str bytes, bool merging)
{
    pb_reader r = pb_reader_of(bytes);
    if (pb_is_natural(m))
        return pb_decode_natural(j, m, bytes);
    return merging ? decode_into(j, m, &r, 0, j->e->top(j->state), true) : decode_new(j, m, &r, 0);
}

/* Pushes one message of a field, or goes on with the one in the top slot. */
static bool decode_value(pb_job *j, const pb_field *f, pb_reader *r, bool merging)
{
    pl_str bytes;
    if (f->delimited && !pb_is_natural(f->message))
        return merging ? decode_into(j, f->message, r, f->number, j->e->top(j->state), true)
                       : decode_new(j, f->message, r, f->number);
    return read_extent(j, f, r, &bytes) && decode_bytes(j, f->message, bytes, merging);
}

/* The message comes next in r, or (with r NULL) is bytes. */
static bool decode_singular_message(pb_job *j, frame *fr, const pb_field *f, pb_reader *r, pl_str bytes)
{
    pl_slot top = j->e->top(j->state);
    bool merging = false;
    if (f->oneof && !pb_choose(j, f, fr->map, fr->words, fr->merging))
        return false;
    if (!pb_is_natural(f->message) && pb_seen(j, fr->words, f) &&
        j->e->field(j->state, fr->map, fr->keys[f->index]))
        merging = j->e->kind(j->state, top + 1) == PL_KIND_MAP;
    if (!merging)
        j->e->pop_to(j->state, top);
    if (!(r ? decode_value(j, f, r, merging) : decode_bytes(j, f->message, bytes, merging)))
        return false;
    if (!merging)
        j->e->set_field(j->state, fr->map, fr->keys[f->index]);
    j->e->pop_to(j->state, top);
    pb_see(j, fr->words, f);
    return true;
}

static bool decode_singular(pb_job *j, frame *fr, const pb_field *f, pb_reader *r)
{
    pb_scalar v;
    if (f->message)
        return decode_singular_message(j, fr, f, r, PL_STR_NONE);
    if (!pb_read_scalar(j, f, r, &v))
        return false;
    if (is_unknown_enum(f, &v))
        return keep_enum(j, f, v.integer);
    if (f->oneof && !pb_choose(j, f, fr->map, fr->words, fr->merging))
        return false;
    if (!pb_push_scalar(j, f, &v))
        return false;
    j->e->set_field(j->state, fr->map, fr->keys[f->index]);
    pb_see(j, fr->words, f);
    return true;
}

/* --- repeated fields --- */
static bool push_element(pb_job *j, const pb_field *f, pb_reader *r, bool *kept)
{
    pb_scalar v;
    *kept = true;
    if (f->message)
        return decode_value(j, f, r, false);
    if (!pb_read_scalar(j, f, r, &v))
        return false;
    *kept = !is_unknown_enum(f, &v);
    return *kept ? pb_push_scalar(j, f, &v) : keep_enum(j, f, v.integer);
}

/* Whether the next field is another one with this tag, which is then passed over. */
static bool goes_on(pb_reader *r, uint32_t tag)
{
    const uint8_t *before = r->p;
    uint32_t next;
    if (r->p < r->end && !pb_read_tag(r, &next) && next == tag)
        return true;
    r->p = before;
    return false;
}

/* How many elements come one after the other, beginning behind the first one's tag, so that their list or
 * map need not grow in steps. Bounded, as entries of maps may be all the same one. */
static size_t count_ahead(const pb_field *f, const pb_reader *r, uint32_t tag)
{
    pb_reader ahead = *r;
    pl_str bytes;
    size_t n = 0;
    if (f->wire != PB_WIRE_LEN)
        return 0;
    do {
        if (pb_read_bytes(&ahead, &bytes))
            break;
        n++;
    } while (n < MOST_AHEAD && goes_on(&ahead, tag));
    return n;
}

static bool decode_repeated(pb_job *j, frame *fr, const pb_field *f, pb_reader *r, uint32_t tag)
{
    if (!pb_push_container(j, f, fr->map, fr->words, count_ahead(f, r, tag)))
        return false;
    pl_slot list = j->e->top(j->state);
    size_t n = j->e->length(j->state, list);
    bool kept;
    fr->here.place = PB_AT_INDEX;
    do {
        fr->here.number = (int64_t)n;
        if (!pb_spend(j, ELEMENT_BYTES) || !push_element(j, f, r, &kept))
            return false;
        if (kept)
            j->e->set_element(j->state, list, n++);
    } while (goes_on(r, tag));
    j->e->pop_to(j->state, list - 1);
    return true;
}

/* How many elements a packed field has, if it is whole. */
static size_t count_packed(const pb_job *j, const pb_field *f, pl_str bytes)
{
    size_t n = 0;
    if (f->wire == PB_WIRE_32)
        n = bytes.len / 4;
    else if (f->wire == PB_WIRE_64)
        n = bytes.len / 8;
    else
        for (size_t i = 0; i < bytes.len; i++)
            n += (unsigned char)bytes.ptr[i] < 0x80;
    return n <= j->memory / ELEMENT_BYTES ? n : 0;
}

static bool decode_packed(pb_job *j, frame *fr, const pb_field *f, pb_reader *r)
{
    pl_str bytes;
    bool kept;
    const char *wrong = pb_read_bytes(r, &bytes);
    if (wrong)
        return pb_wire_wrong(j, wrong);
    if (!pb_push_container(j, f, fr->map, fr->words, count_packed(j, f, bytes)))
        return false;
    pb_reader inner = pb_reader_of(bytes);
    pl_slot list = j->e->top(j->state);
    size_t n = j->e->length(j->state, list);
    fr->here.place = PB_AT_INDEX;
    while (inner.p < inner.end) {
        fr->here.number = (int64_t)n;
        if (!pb_spend(j, ELEMENT_BYTES) || !push_element(j, f, &inner, &kept))
            return false;
        if (kept)
            j->e->set_element(j->state, list, n++);
    }
    j->e->pop_to(j->state, list - 1);
    return true;
}

/* --- maps --- */
/* Reads key and value; that of a message stays pushed at top + 1. */
static bool read_entry(pb_job *j, const pb_message *entry, pl_str bytes, pb_scalar v[2], pl_slot top)
{
    pb_reader r = pb_reader_of(bytes);
    while (r.p < r.end) {
        uint32_t tag;
        const char *wrong = pb_read_tag(&r, &tag);
        const pb_field *f = wrong ? NULL : pb_message_field(entry, tag >> 3);
        if (f && f->wire == (tag & 7)) {
            bool there = j->e->top(j->state) > top;
            if (f->message && there && pb_is_natural(f->message)) {
                j->e->pop_to(j->state, top);
                there = false;
            }
            if (!(f->message ? decode_value(j, f, &r, there) : pb_read_scalar(j, f, &r, &v[f->index])))
                return false;
            continue;
        }
        if (!wrong)
            wrong = pb_skip(&r, tag, j->depth);
        if (wrong)
            return pb_wire_wrong(j, wrong);
    }
    const pb_field *value = &entry->fields[1];
    if (value->message && j->e->top(j->state) == top)
        return pb_decode_any_message(j, value->message, PL_STR(""));
    return true;
}

static bool keep_entry(pb_job *j, const pb_field *f, pl_str bytes)
{
    uint8_t head[20];
    size_t n = pb_put_varint(head, f->number << 3 | PB_WIRE_LEN);
    n += pb_put_varint(head + n, bytes.len);
    const uint8_t *p = (const uint8_t *)bytes.ptr;
    return keep_unknown(j, head, head + n) && keep_unknown(j, p, p + bytes.len);
}

static bool decode_entry(pb_job *j, const pb_field *f, pl_slot map, pb_reader *r)
{
    const pb_field *key = &f->message->fields[0], *value = &f->message->fields[1];
    pb_scalar v[2] = {key->otherwise, value->otherwise};
    pl_slot top = j->e->top(j->state);
    pl_str bytes;
    const char *wrong = pb_read_bytes(r, &bytes);
    if (wrong)
        return pb_wire_wrong(j, wrong);
    if (!pb_spend(j, 40) || !read_entry(j, f->message, bytes, v, top))
        return false;
    if (!value->message && is_unknown_enum(value, &v[1]))
        return keep_entry(j, f, bytes);
    if (!pb_push_scalar(j, key, &v[0]))
        return false;
    if (value->message)
        j->e->push_copy(j->state, top + 1);
    else if (!pb_push_scalar(j, value, &v[1]))
        return false;
    j->e->set_entry(j->state, map);
    j->e->pop_to(j->state, top);
    return true;
}

static bool decode_map(pb_job *j, frame *fr, const pb_field *f, pb_reader *r, uint32_t tag)
{
    if (!pb_push_container(j, f, fr->map, fr->words, count_ahead(f, r, tag)))
        return false;
    pl_slot map = j->e->top(j->state);
    do {
        if (!decode_entry(j, f, map, r))
            return false;
    } while (goes_on(r, tag));
    j->e->pop_to(j->state, map - 1);
    return true;
}

/* --- message sets: groups of {2: type id, 3: message}, in either order --- */
#define SET_ITEM 1
#define SET_TYPE_ID 2
#define SET_MESSAGE 3

static const char *read_item(pb_reader *r, unsigned depth, uint64_t *id, pl_str *message)
{
    for (;;) {
        uint32_t tag;
        pl_str bytes;
        uint64_t number;
        const char *wrong = pb_read_tag(r, &tag);
        if (wrong || tag == (SET_ITEM << 3 | PB_WIRE_END))
            return wrong;
        if (tag == (SET_TYPE_ID << 3 | PB_WIRE_VARINT)) {
            wrong = pb_read_varint(r, &number);
            if (!wrong && *id == 0)
                *id = number;
        } else if (tag == (SET_MESSAGE << 3 | PB_WIRE_LEN)) {
            wrong = pb_read_bytes(r, &bytes);
            if (!wrong && !message->ptr)
                *message = bytes;
        } else {
            wrong = pb_skip(r, tag, depth);
        }
        if (wrong)
            return wrong;
    }
}

static bool decode_item(pb_job *j, frame *fr, pb_reader *r, const uint8_t *begin)
{
    uint64_t id = 0;
    pl_str message = PL_STR_NONE;
    const char *wrong = read_item(r, j->depth, &id, &message);
    if (wrong)
        return pb_wire_wrong(j, wrong);
    const pb_field *f = id <= UINT32_MAX ? pb_message_extension(fr->m, (uint32_t)id) : NULL;
    if (!message.ptr)
        return true;
    if (!f || !f->message || f->repeated)
        return keep_unknown(j, begin, r->p);
    fr->here.field = f;
    return decode_singular_message(j, fr, f, NULL, message);
}

/* --- one message --- */
static bool decode_field(pb_job *j, frame *fr, pb_reader *r, uint32_t tag, const uint8_t *begin)
{
    const pb_field *f = pb_message_field(fr->m, tag >> 3);
    pb_wire wire = (pb_wire)(tag & 7);
    if (!f && fr->m->extension_count)
        f = pb_message_extension(fr->m, tag >> 3);
    if (f) {
        fr->here.field = f;
        fr->here.place = PB_AT_FIELD;
        if (wire == f->wire) {
            if (!f->repeated)
                return decode_singular(j, fr, f, r);
            return f->is_map ? decode_map(j, fr, f, r, tag) : decode_repeated(j, fr, f, r, tag);
        }
        if (wire == PB_WIRE_LEN && f->repeated && pb_is_packable(f->type))
            return decode_packed(j, fr, f, r);
    }
    fr->here.field = NULL;
    fr->here.place = PB_AT_FIELD;
    if (fr->m->message_set && tag == (SET_ITEM << 3 | PB_WIRE_GROUP))
        return decode_item(j, fr, r, begin);
    const char *wrong = pb_skip(r, tag, j->depth);
    if (wrong)
        return pb_wire_wrong(j, wrong);
    return keep_unknown(j, begin, r->p);
}

static bool decode_fields(pb_job *j, frame *fr, pb_reader *r, uint32_t group)
{
    while (r->p < r->end) {
        uint32_t tag;
        const uint8_t *begin = r->p;
        const char *wrong = pb_read_tag(r, &tag);
        if (wrong)
            return pb_wire_wrong(j, wrong);
        if ((tag & 7) == PB_WIRE_END) {
            if (group != 0 && tag >> 3 == group)
                return true;
            return pb_wire_wrong(j, "has the end of a group that did not begin");
        }
        if (!decode_field(j, fr, r, tag, begin))
            return false;
    }
    return group == 0 || pb_wire_wrong(j, "ends inside of a group");
}

static bool decode_into(pb_job *j, const pb_message *m, pb_reader *r, uint32_t group, pl_slot map,
                        bool merging)
{
    size_t bits = pb_bit_words(m);
    frame fr = {.m = m, .map = map, .unknown = j->c->unknown.len, .merging = merging};
    if (j->depth == 0)
        return pb_too_deep(j);
    if (!j->e->reserve(j->state, 12))
        return pb_no_memory(j);
    fr.keys = pb_field_keys(j, m);
    fr.words = pb_words_begin(j, bits + m->oneof_count);
    if (!fr.keys || fr.words == PB_NO_WORDS)
        return false;
    if (merging && bits > 0)
        memset(j->c->words + fr.words, 0xFF, bits * sizeof(uint64_t));
    fr.here.parent = j->at;
    pb_enter(j, &fr.here);
    j->depth--;
    if (!decode_fields(j, &fr, r, group))
        return false;
    fr.here.field = NULL;
    fr.here.place = PB_AT_FIELD;
    if (!pb_fill(j, m, map, fr.words, merging) || !attach_unknown(j, &fr))
        return false;
    j->depth++;
    j->at = fr.here.parent;
    pb_words_end(j, fr.words);
    return true;
}

bool pb_decode_message(pb_job *j, const pb_message *m, pl_str bytes)
{
    pb_reader r = pb_reader_of(bytes);
    return decode_new(j, m, &r, 0);
}

pl_code pb_decode(pb_codec *codec, const pb_message *message, pl_str bytes, pl_error *err)
{
    pb_job j;
    pb_job_init(&j, codec, message, err);
    pl_slot top = j.e->top(j.state);
    if (!j.e->reserve(j.state, 12))
        return pl_fail_memory(err);
    if (bytes.len > INT32_MAX)
        pb_bad(&j, "the message is larger than 2 GiB");
    else
        pb_decode_any_message(&j, message, bytes);
    if (j.code)
        j.e->pop_to(j.state, top);
    return j.code;
}
