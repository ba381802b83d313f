/* SPDX-License-Identifier: MIT */
#ifndef PL_PROTO_CODEC_INTERNAL_H
#define PL_PROTO_CODEC_INTERNAL_H

#include "base/arena.h"
#include "proto/codec.h"

/* What the four directions share. Every function that returns a bool has told the error when it is false.
 * Nothing is owned but by the codec, so that all of them may be left by a jump. */

typedef struct pb_value_keys {
    pl_key *type_url, *value, *seconds, *nanos, *paths;
} pb_value_keys;

struct pb_codec {
    const pb_pool *pool;
    pl_state *state;
    const pl_engine *e;
    pl_arena arena;
    pl_key ***fields; /* by message, then by field; made at the first use */
    pl_key ***values; /* by enum, then by pb_enum_value.index */
    pb_value_keys keys;
    pb_limits limits;
    /* Stacks that grow and shrink with the nesting of messages. */
    uint64_t *words;
    size_t word_count, word_capacity;
    pl_buf unknown;
    pl_buf text; /* one string at a time */
    pl_buf urls; /* of the Anys that are being read from JSON */
    /* What is encoded, from its end to its beginning. */
    uint8_t *out;
    size_t out_size, out_at;
};

/* Where in the value the work is, for messages: one for each message on the C stack, changed as it goes on.
 */
typedef enum pb_place { PB_AT_FIELD, PB_AT_INDEX, PB_AT_KEY, PB_AT_NUMBER, PB_AT_MEMBER } pb_place;
typedef struct pb_step {
    const struct pb_step *parent;
    const pb_field *field; /* NULL: the message as a whole, or a value inside of a Struct */
    pb_place place;
    int64_t number; /* INDEX, from 0; NUMBER: a map's key */
    pl_str key;     /* KEY, MEMBER */
} pb_step;

typedef struct pb_job {
    pb_codec *c;
    const pl_engine *e;
    pl_state *state;
    const pb_message *root;
    const pb_step *at;
    unsigned depth; /* levels that are left */
    size_t memory;  /* bytes that are left */
    const pb_json_options *options;
    pl_buf *out;          /* JSON that is written */
    struct pb_json *json; /* JSON that is read: errors name the byte */
    size_t rescan;        /* bytes of it that may be read once more */
    pl_error *err;
    pl_code code;
} pb_job;

void pb_job_init(pb_job *j, pb_codec *codec, const pb_message *message, pl_error *err);

/* Left again by j->at = here->parent; after an error nobody looks at it any more. */
static inline void pb_enter(pb_job *j, const pb_step *here)
{
    j->at = here;
}

/* --- errors --- */
bool pb_bad(pb_job *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool pb_no_memory(pb_job *j);
bool pb_too_deep(pb_job *j);
/* "is expected" errors: what, the kind of the value in slot. */
bool pb_wrong_kind(pb_job *j, const char *expected, pl_slot slot);
bool pb_no_field(pb_job *j, const pb_message *m, pl_str name);
bool pb_no_value(pb_job *j, const pb_enum *e, pl_str name);
const char *pb_type_phrase(const pb_field *f); /* "an int32", "a string" */

/* --- keys: NULL, with the error told, when memory is short --- */
pl_key **pb_field_keys_slow(pb_job *j, const pb_message *m);
static inline pl_key **pb_field_keys(pb_job *j, const pb_message *m)
{
    pl_key **keys = j->c->fields[m->index];
    return keys ? keys : pb_field_keys_slow(j, m);
}
const pl_key *pb_enum_key(pb_job *j, const pb_enum *e, const pb_enum_value *v);
const pb_value_keys *pb_keys(pb_job *j);

/* --- words of a message being read: one bit for each field that has come, and the current field of each
 * oneof. An offset, as they move. --- */
#define PB_NO_WORDS SIZE_MAX
size_t pb_words_begin(pb_job *j, size_t count); /* zeroed; PB_NO_WORDS: memory, told */
static inline void pb_words_end(pb_job *j, size_t at)
{
    j->c->word_count = at;
}
static inline size_t pb_bit_words(const pb_message *m)
{
    return (m->field_count + m->extension_count + 63) / 64;
}
static inline bool pb_seen(const pb_job *j, size_t words, const pb_field *f)
{
    return j->c->words[words + f->index / 64] >> (f->index % 64) & 1;
}
static inline void pb_see(pb_job *j, size_t words, const pb_field *f)
{
    j->c->words[words + f->index / 64] |= (uint64_t)1 << (f->index % 64);
}

/* --- scalars --- */
/* The value in slot, checked against the field's type. Enums: by name or number. */
bool pb_get_scalar_of(pb_job *j, const pb_field *f, pl_slot slot, pl_kind kind, pb_scalar *out);
static inline bool pb_get_scalar(pb_job *j, const pb_field *f, pl_slot slot, pb_scalar *out)
{
    return pb_get_scalar_of(j, f, slot, j->e->kind(j->state, slot), out);
}
bool pb_push_scalar(pb_job *j, const pb_field *f, const pb_scalar *v);
/* Whether a field without presence need not be written. */
bool pb_is_zero(const pb_field *f, const pb_scalar *v);
bool pb_check_utf8(pb_job *j, const pb_field *f, pl_str s);
/* A map's key in the slot, as text that stays valid while the slot is held. */
bool pb_get_map_key(pb_job *j, const pb_field *key, pl_slot slot, pb_scalar *out, pb_step *here);
/* A number that is an integer becomes one, so that it prints as such: for google.protobuf.Value. */
void pb_push_number(pb_job *j, double v);
bool pb_get_number(pb_job *j, pl_slot slot, double *out);

/* --- messages that are made field by field, by the decoder and the JSON reader --- */
/* What a message that is complete must have and has not: pushes defaults, empty lists and maps. */
bool pb_fill(pb_job *j, const pb_message *m, pl_slot map, size_t words, bool merging);
/* A oneof's other fields go. */
bool pb_choose(pb_job *j, const pb_field *f, pl_slot map, size_t words, bool merging);
/* Pushes the list or map of a repeated field: the one that is there, or a new one, with room for so many. */
bool pb_push_container(pb_job *j, const pb_field *f, pl_slot map, size_t words, size_t size_hint);
bool pb_push_message_map(pb_job *j, const pb_message *m);
static inline bool pb_spend(pb_job *j, size_t bytes)
{
    if (__builtin_expect(bytes <= j->memory, 1)) {
        j->memory -= bytes;
        return true;
    }
    return pb_no_memory(j);
}

/* --- maps of fields that are written, by the encoder and the JSON writer --- */
bool pb_is_empty_map(pb_job *j, pl_slot slot);
/* Whether what a script has for the field is a value: null is how others say absent, but where it is one. */
bool pb_is_set(const pb_field *f, pl_kind kind);
/* words: for each oneof, the field that is set, counted from 1. */
bool pb_check_oneof(pb_job *j, size_t words, const pb_field *f);
/* That the map has no members but the fields that were met, and as many others ("@type" of an Any). */
bool pb_check_members(pb_job *j, const pb_message *m, pl_slot map, size_t met, size_t others);

/* The message that a type URL names; NULL: the pool has none. */
const pb_message *pb_type_of_url(const pb_codec *codec, pl_str url);
/* Whether a message, inside of an Any, is under "value": its form is no map of its fields. */
static inline bool pb_is_natural(const pb_message *m)
{
    return m->special != PB_PLAIN && m->special != PB_TIMESTAMP && m->special != PB_DURATION &&
           m->special != PB_EMPTY;
}

/* --- times, as text --- */
/* NULL, or what is wrong. */
const char *pb_read_timestamp(pl_str text, int64_t *seconds, int32_t *nanos);
const char *pb_read_duration(pl_str text, int64_t *seconds, int32_t *nanos);
const char *pb_write_timestamp(char out[48], size_t *len, int64_t seconds, int64_t nanos);
const char *pb_write_duration(char out[48], size_t *len, int64_t seconds, int64_t nanos);
/* A Timestamp or Duration in slot: a map {seconds, nanos}, a number of seconds, or text. */
bool pb_get_time(pb_job *j, const pb_message *m, pl_slot slot, int64_t *seconds, int64_t *nanos);

#endif
