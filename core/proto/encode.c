/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "proto/codec_internal.h"

/* The encoder writes from the end to the beginning: when a message inside of another has been written, its
 * length is known, and the value has been looked at once. So fields are visited with the highest number
 * first, and elements with the last one first. */

#define KEEP_BYTES ((size_t)256 << 10)

/* --- the output --- */
static bool make_room(pb_job *j, size_t n)
{
    pb_codec *c = j->c;
    size_t len = c->out_size - c->out_at;
    if (n > (size_t)INT32_MAX || len > (size_t)INT32_MAX - n)
        return pb_bad(j, "the message is larger than 2 GiB");
    size_t size = c->out_size * 2 > len + n ? c->out_size * 2 : len + n + 1024;
    uint8_t *out = pl_malloc(size);
    if (!out)
        return pb_no_memory(j);
    if (len > 0)
        memcpy(out + size - len, c->out + c->out_at, len);
    pl_free(c->out);
    c->out = out;
    c->out_at = size - len;
    c->out_size = size;
    return true;
}

/* Room for n more bytes: NULL, or where they begin. */
static inline uint8_t *claim(pb_job *j, size_t n)
{
    if (__builtin_expect(j->c->out_at < n, 0) && !make_room(j, n))
        return NULL;
    j->c->out_at -= n;
    return j->c->out + j->c->out_at;
}

static inline size_t written(const pb_job *j)
{
    return j->c->out_size - j->c->out_at;
}

static bool put_bytes(pb_job *j, pl_str s)
{
    uint8_t *p = claim(j, s.len);
    if (p && s.len > 0)
        memcpy(p, s.ptr, s.len);
    return p != NULL;
}

static inline bool put_varint(pb_job *j, uint64_t v)
{
    if (__builtin_expect(v < 0x80 && j->c->out_at > 0, 1)) {
        j->c->out[--j->c->out_at] = (uint8_t)v;
        return true;
    }
    uint8_t *p = claim(j, pb_varint_size(v));
    if (p)
        pb_put_varint(p, v);
    return p != NULL;
}

static bool put_tag(pb_job *j, uint32_t number, pb_wire wire)
{
    return put_varint(j, number << 3 | wire);
}

static bool put_little_endian(pb_job *j, uint64_t v, size_t n)
{
    uint8_t *p = claim(j, n);
    for (size_t i = 0; p && i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
    return p != NULL;
}

static bool put_float(pb_job *j, const pb_field *f, double number)
{
    uint64_t bits;
    uint32_t short_bits;
    float short_number = (float)number;
    memcpy(&bits, &number, sizeof bits);
    memcpy(&short_bits, &short_number, sizeof short_bits);
    return f->type == PB_FLOAT ? put_little_endian(j, short_bits, 4) : put_little_endian(j, bits, 8);
}

/* A scalar without its tag. */
static bool put_scalar(pb_job *j, const pb_field *f, const pb_scalar *v)
{
    switch (f->type) {
    case PB_STRING:
    case PB_BYTES:
        return put_bytes(j, v->string) && put_varint(j, v->string.len);
    case PB_BOOL:
        return put_varint(j, v->boolean);
    case PB_DOUBLE:
    case PB_FLOAT:
        return put_float(j, f, v->number);
    case PB_SINT32:
    case PB_SINT64:
        return put_varint(j, pb_zigzag(v->integer));
    case PB_FIXED32:
    case PB_SFIXED32:
        return put_little_endian(j, (uint64_t)v->integer, 4);
    case PB_FIXED64:
    case PB_SFIXED64:
        return put_little_endian(j, (uint64_t)v->integer, 8);
    default:
        return put_varint(j, (uint64_t)v->integer);
    }
}

/* --- messages --- */
static bool encode_map(pb_job *j, const pb_message *m, pl_slot slot, size_t others);
static bool encode_natural(pb_job *j, const pb_message *m, pl_slot slot);

static bool encode_time(pb_job *j, const pb_message *m, pl_slot slot)
{
    int64_t seconds, nanos;
    if (!pb_get_time(j, m, slot, &seconds, &nanos))
        return false;
    return (nanos == 0 || (put_varint(j, (uint64_t)nanos) && put_tag(j, 2, PB_WIRE_VARINT))) &&
           (seconds == 0 || (put_varint(j, (uint64_t)seconds) && put_tag(j, 1, PB_WIRE_VARINT)));
}

/* The message's bytes alone. */
static bool encode_body(pb_job *j, const pb_message *m, pl_slot slot)
{
    bool ok;
    if (j->depth == 0)
        return pb_too_deep(j);
    if (!j->e->reserve(j->state, 12))
        return pb_no_memory(j);
    j->depth--;
    if ((m->special == PB_TIMESTAMP || m->special == PB_DURATION) &&
        j->e->kind(j->state, slot) != PL_KIND_MAP)
        ok = encode_time(j, m, slot);
    else if (pb_is_natural(m))
        ok = encode_natural(j, m, slot);
    else
        ok = encode_map(j, m, slot, 0);
    j->depth++;
    return ok;
}

static bool encode_message_field(pb_job *j, const pb_field *f, pl_slot slot)
{
    if (f->delimited)
        return put_tag(j, f->number, PB_WIRE_END) && encode_body(j, f->message, slot) &&
               put_tag(j, f->number, PB_WIRE_GROUP);
    size_t before = written(j);
    return encode_body(j, f->message, slot) && put_varint(j, written(j) - before) &&
           put_tag(j, f->number, PB_WIRE_LEN);
}

/* An item of a message set. */
static bool encode_item(pb_job *j, const pb_field *f, pl_slot slot)
{
    size_t before;
    if (!f->message)
        return pb_bad(j, "only messages can be in a message set");
    if (!put_tag(j, 1, PB_WIRE_END))
        return false;
    before = written(j);
    return encode_body(j, f->message, slot) && put_varint(j, written(j) - before) &&
           put_tag(j, 3, PB_WIRE_LEN) && put_varint(j, f->number) && put_tag(j, 2, PB_WIRE_VARINT) &&
           put_tag(j, 1, PB_WIRE_GROUP);
}

/* --- repeated fields, maps --- */
static bool encode_element(pb_job *j, const pb_field *f, pl_slot slot)
{
    pb_scalar v;
    pl_kind kind = j->e->shape(j->state, slot);
    if (kind == PL_KIND_ABSENT)
        return pb_bad(j, "the list has a hole here");
    if (f->message)
        return encode_message_field(j, f, slot);
    return pb_get_scalar_of(j, f, slot, kind, &v) && put_scalar(j, f, &v) &&
           (f->packed || put_tag(j, f->number, f->wire));
}

static bool encode_list(pb_job *j, const pb_field *f, pl_slot slot, pb_step *here)
{
    pl_slot top = j->e->top(j->state);
    size_t before = written(j), n;
    if (j->e->kind(j->state, slot) != PL_KIND_LIST)
        return pb_is_empty_map(j, slot) || pb_wrong_kind(j, "a list", slot);
    n = j->e->length(j->state, slot);
    here->place = PB_AT_INDEX;
    for (size_t i = n; i-- > 0;) {
        here->number = (int64_t)i;
        j->e->element(j->state, slot, i);
        if (!encode_element(j, f, top + 1))
            return false;
        j->e->pop_to(j->state, top);
    }
    here->place = PB_AT_FIELD;
    if (!f->packed || n == 0)
        return true;
    return put_varint(j, written(j) - before) && put_tag(j, f->number, PB_WIRE_LEN);
}

static bool encode_entry(pb_job *j, const pb_field *f, pl_slot key, pb_step *here)
{
    const pb_field *key_field = &f->message->fields[0], *value_field = &f->message->fields[1];
    pb_scalar k, v;
    size_t before = written(j);
    if (!pb_get_map_key(j, key_field, key, &k, here))
        return false;
    if (value_field->message) {
        if (!encode_message_field(j, value_field, key + 1))
            return false;
    } else if (!pb_get_scalar(j, value_field, key + 1, &v) || !put_scalar(j, value_field, &v) ||
               !put_tag(j, 2, value_field->wire)) {
        return false;
    }
    return put_scalar(j, key_field, &k) && put_tag(j, 1, key_field->wire) &&
           put_varint(j, written(j) - before) && put_tag(j, f->number, PB_WIRE_LEN);
}

static bool encode_entries(pb_job *j, const pb_field *f, pl_slot slot, pb_step *here)
{
    pl_kind kind = j->e->kind(j->state, slot);
    if (kind != PL_KIND_MAP && kind != PL_KIND_LIST) /* keys from 1 make it a list */
        return pb_wrong_kind(j, "a map", slot);
    j->e->push_absent(j->state);
    pl_slot key = j->e->top(j->state);
    while (j->e->next(j->state, slot)) {
        if (!encode_entry(j, f, key, here))
            return false;
        j->e->pop_to(j->state, key);
    }
    here->place = PB_AT_FIELD;
    return true;
}

/* --- a map of fields --- */
typedef struct frame {
    const pb_message *m;
    pl_slot slot;
    size_t words; /* for each oneof, the field that is set, counted from 1 */
    size_t met;   /* members that are fields */
    pl_key **keys;
    pb_step here;
} frame;

static bool encode_field(pb_job *j, frame *fr, const pb_field *f, pl_slot slot, pl_kind kind)
{
    pb_scalar v;
    if (fr->m->message_set && f->extension)
        return encode_item(j, f, slot);
    if (f->is_map)
        return encode_entries(j, f, slot, &fr->here);
    if (f->repeated)
        return encode_list(j, f, slot, &fr->here);
    if (f->oneof && !pb_check_oneof(j, fr->words, f))
        return false;
    if (f->message)
        return encode_message_field(j, f, slot);
    if (!pb_get_scalar_of(j, f, slot, kind, &v))
        return false;
    if (!f->presence && pb_is_zero(f, &v))
        return true;
    return put_scalar(j, f, &v) && put_tag(j, f->number, f->wire);
}

static bool encode_member(pb_job *j, frame *fr, const pb_field *f)
{
    pl_slot top = j->e->top(j->state);
    pl_kind kind = PL_KIND_ABSENT;
    if (j->e->field(j->state, fr->slot, fr->keys[f->index]))
        kind = j->e->shape(j->state, top + 1);
    fr->met += kind != PL_KIND_ABSENT;
    fr->here.field = f;
    if (!pb_is_set(f, kind)) {
        j->e->pop_to(j->state, top);
        return !f->required || pb_bad(j, "the field is required, and not set");
    }
    if (!encode_field(j, fr, f, top + 1, kind))
        return false;
    j->e->pop_to(j->state, top);
    return true;
}

static bool put_attached(pb_job *j, pl_slot slot)
{
    pl_slot top = j->e->top(j->state);
    if (!j->e->push_attached || !j->e->push_attached(j->state, slot))
        return true;
    bool ok = put_bytes(j, j->e->get_string(j->state, top + 1));
    j->e->pop_to(j->state, top);
    return ok;
}

/* others: how many members there are that are no fields ("@type" of an Any). Whether it is a list is asked
 * only where no field was met. */
static bool encode_map(pb_job *j, const pb_message *m, pl_slot slot, size_t others)
{
    static const char expected[] = "a map of fields";
    frame fr = {.m = m, .slot = slot, .here.parent = j->at};
    if (j->e->shape(j->state, slot) != PL_KIND_MAP)
        return pb_wrong_kind(j, expected, slot);
    fr.keys = pb_field_keys(j, m);
    fr.words = pb_words_begin(j, m->oneof_count);
    if (!fr.keys || fr.words == PB_NO_WORDS)
        return false;
    pb_enter(j, &fr.here);
    if (!put_attached(j, slot))
        return false;
    for (size_t i = m->extension_count; i-- > 0;) {
        if (!encode_member(j, &fr, m->extensions[i]))
            return false;
    }
    for (size_t i = m->field_count; i-- > 0;) {
        if (!encode_member(j, &fr, &m->fields[i]))
            return false;
    }
    fr.here.field = NULL;
    bool is_map = fr.met > 0 || j->e->kind(j->state, slot) == PL_KIND_MAP;
    if (is_map && !pb_check_members(j, m, slot, fr.met, others))
        return false;
    j->at = fr.here.parent;
    if (!is_map)
        return pb_wrong_kind(j, expected, slot);
    pb_words_end(j, fr.words);
    return true;
}

/* --- well-known types --- */
static bool encode_wrapper(pb_job *j, const pb_message *m, pl_slot slot)
{
    const pb_field *f = &m->fields[0];
    pb_scalar v;
    if (!pb_get_scalar(j, f, slot, &v))
        return false;
    return pb_is_zero(f, &v) || (put_scalar(j, f, &v) && put_tag(j, f->number, f->wire));
}

static bool encode_struct(pb_job *j, const pb_message *m, pl_slot slot)
{
    const pb_message *entry = m->fields[0].message;
    pb_step here = {.parent = j->at, .place = PB_AT_MEMBER};
    pb_enter(j, &here);
    j->e->push_absent(j->state);
    pl_slot key = j->e->top(j->state);
    while (j->e->next(j->state, slot)) {
        size_t before = written(j);
        if (j->e->kind(j->state, key) != PL_KIND_STRING)
            return pb_bad(j, "a google.protobuf.Struct has strings for keys");
        here.key = j->e->get_string(j->state, key);
        if (!pb_check_utf8(j, &entry->fields[0], here.key) ||
            !encode_message_field(j, &entry->fields[1], key + 1) || !put_bytes(j, here.key) ||
            !put_varint(j, here.key.len) || !put_tag(j, 1, PB_WIRE_LEN) ||
            !put_varint(j, written(j) - before) || !put_tag(j, 1, PB_WIRE_LEN))
            return false;
        j->e->pop_to(j->state, key);
    }
    j->at = here.parent;
    return true;
}

/* Of a ListValue, or the paths of a FieldMask. */
static bool encode_elements(pb_job *j, const pb_field *f, pl_slot slot)
{
    pl_slot top = j->e->top(j->state);
    pb_step here = {.parent = j->at, .place = PB_AT_INDEX};
    pb_enter(j, &here);
    for (size_t i = j->e->length(j->state, slot); i-- > 0;) {
        here.number = (int64_t)i;
        j->e->element(j->state, slot, i);
        if (!encode_element(j, f, top + 1))
            return false;
        j->e->pop_to(j->state, top);
    }
    j->at = here.parent;
    return true;
}

static bool encode_dynamic(pb_job *j, const pb_message *m, pl_slot slot)
{
    double number;
    uint64_t bits;
    pl_str s;
    switch (j->e->kind(j->state, slot)) {
    case PL_KIND_NULL:
        return put_varint(j, 0) && put_tag(j, 1, PB_WIRE_VARINT);
    case PL_KIND_BOOL:
        return put_varint(j, j->e->get_bool(j->state, slot)) && put_tag(j, 4, PB_WIRE_VARINT);
    case PL_KIND_INT:
    case PL_KIND_FLOAT:
        if (!pb_get_number(j, slot, &number))
            return false;
        memcpy(&bits, &number, sizeof bits);
        return put_little_endian(j, bits, 8) && put_tag(j, 2, PB_WIRE_64);
    case PL_KIND_STRING:
        s = j->e->get_string(j->state, slot);
        return pb_check_utf8(j, pb_message_field(m, 3), s) && put_bytes(j, s) && put_varint(j, s.len) &&
               put_tag(j, 3, PB_WIRE_LEN);
    case PL_KIND_MAP:
        return encode_message_field(j, pb_message_field(m, 5), slot);
    case PL_KIND_LIST:
        return encode_message_field(j, pb_message_field(m, 6), slot);
    default:
        return pb_wrong_kind(j, "a value as JSON knows it", slot);
    }
}

/* Of an Any whose type is in the pool. */
static bool encode_packed_any(pb_job *j, const pb_message *type, pl_slot slot)
{
    pl_slot top = j->e->top(j->state);
    bool ok;
    if (j->depth == 0)
        return pb_too_deep(j);
    if (!j->e->reserve(j->state, 12))
        return pb_no_memory(j);
    if (!pb_is_natural(type)) {
        j->depth--;
        ok = encode_map(j, type, slot, 1);
        j->depth++;
        return ok;
    }
    ok = j->e->field(j->state, slot, j->c->keys.value) && j->e->kind(j->state, top + 1) != PL_KIND_ABSENT;
    if (!ok)
        return pb_bad(j, "the %.*s in it is expected as its member \"value\"", PL_STR_ARG(type->full_name));
    ok = encode_body(j, type, top + 1);
    j->e->pop_to(j->state, top);
    return ok;
}

/* Of an Any whose type nobody knows: value is bytes. */
static bool encode_raw_any(pb_job *j, const pb_message *m, pl_slot slot, pl_str url)
{
    pl_slot top = j->e->top(j->state);
    if (!j->e->field(j->state, slot, j->c->keys.value) || j->e->kind(j->state, top + 1) == PL_KIND_ABSENT) {
        j->e->pop_to(j->state, top);
        if (url.len == 0)
            return pb_is_empty_map(j, slot) || pb_bad(j, "an Any has to say its type in \"@type\"");
        return pb_bad(j,
                      "there is no message of the type \"%.*s\": give its bytes as \"value\", or load its "
                      ".proto file",
                      PL_STR_ARG(url));
    }
    pb_scalar v;
    bool ok = pb_get_scalar(j, pb_message_field(m, 2), top + 1, &v) && put_bytes(j, v.string);
    j->e->pop_to(j->state, top);
    return ok;
}

static bool encode_any(pb_job *j, const pb_message *m, pl_slot slot)
{
    const pb_value_keys *keys = pb_keys(j);
    pl_slot top = j->e->top(j->state);
    pl_str url = PL_STR("");
    size_t before = written(j);
    if (!keys)
        return false;
    if (j->e->field(j->state, slot, keys->type_url) && j->e->kind(j->state, top + 1) != PL_KIND_ABSENT) {
        pb_scalar v;
        if (!pb_get_scalar(j, &m->fields[0], top + 1, &v))
            return false;
        url = v.string;
    }
    const pb_message *type = pb_type_of_url(j->c, url);
    if (!(type ? encode_packed_any(j, type, slot) : encode_raw_any(j, m, slot, url)))
        return false;
    if (written(j) > before && (!put_varint(j, written(j) - before) || !put_tag(j, 2, PB_WIRE_LEN)))
        return false;
    if (url.len > 0 && (!put_bytes(j, url) || !put_varint(j, url.len) || !put_tag(j, 1, PB_WIRE_LEN)))
        return false;
    j->e->pop_to(j->state, top);
    return true;
}

static bool encode_natural(pb_job *j, const pb_message *m, pl_slot slot)
{
    pl_kind kind = j->e->kind(j->state, slot);
    switch (m->special) {
    case PB_WRAPPER: /* also as the message that it is: { value = 5 } */
        return kind == PL_KIND_MAP ? encode_map(j, m, slot, 0) : encode_wrapper(j, m, slot);
    case PB_FIELD_MASK: /* or { paths = {…} } */
        if (kind == PL_KIND_MAP)
            return encode_map(j, m, slot, 0);
        return kind == PL_KIND_LIST ? encode_elements(j, &m->fields[0], slot)
                                    : pb_wrong_kind(j, "a list of paths", slot);
    case PB_STRUCT:
        return kind == PL_KIND_MAP ? encode_struct(j, m, slot) : pb_wrong_kind(j, "a map", slot);
    case PB_LIST_VALUE:
        if (kind == PL_KIND_LIST)
            return encode_elements(j, &m->fields[0], slot);
        return pb_is_empty_map(j, slot) || pb_wrong_kind(j, "a list", slot);
    case PB_VALUE:
        return encode_dynamic(j, m, slot);
    default:
        return kind == PL_KIND_MAP ? encode_any(j, m, slot) : pb_wrong_kind(j, "a map with \"@type\"", slot);
    }
}

pl_code pb_encode(pb_codec *codec, const pb_message *message, pl_slot value, pl_buf *out, pl_error *err)
{
    pb_job j;
    pb_job_init(&j, codec, message, err);
    pl_slot top = j.e->top(j.state);
    codec->out_at = codec->out_size;
    if (encode_body(&j, message, value)) {
        if (written(&j) > 0)
            pl_buf_append(out, codec->out + codec->out_at, written(&j));
        if (out->failed)
            pb_no_memory(&j);
    }
    j.e->pop_to(j.state, top);
    if (codec->out_size > KEEP_BYTES) {
        pl_free(codec->out);
        codec->out = NULL;
        codec->out_size = codec->out_at = 0;
    }
    return j.code;
}
