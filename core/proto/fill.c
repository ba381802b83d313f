/* SPDX-License-Identifier: MIT */
#include "proto/codec_internal.h"

/* Messages that are made field by field. When an occurrence of a message is merged into an earlier one
 * (`merging`), the map has all that a complete one has, and nothing is known of what came. */

#define TABLE_BYTES 56
#define ENTRY_BYTES 32

bool pb_push_message_map(pb_job *j, const pb_message *m)
{
    if (!pb_spend(j, TABLE_BYTES + m->filled_count * ENTRY_BYTES))
        return false;
    j->e->push_map(j->state, m->filled_count);
    return true;
}

static bool push_empty(pb_job *j, const pb_field *f, size_t size_hint)
{
    if (!pb_spend(j, TABLE_BYTES))
        return false;
    if (f->is_map)
        j->e->push_map(j->state, size_hint);
    else
        j->e->push_list(j->state, size_hint);
    return true;
}

bool pb_push_container(pb_job *j, const pb_field *f, pl_slot map, size_t words, size_t size_hint)
{
    pl_key **keys = pb_field_keys(j, f->parent);
    if (!keys)
        return false;
    if (pb_seen(j, words, f) && j->e->field(j->state, map, keys[f->index]))
        return true;
    if (!push_empty(j, f, size_hint))
        return false;
    j->e->push_copy(j->state, j->e->top(j->state));
    j->e->set_field(j->state, map, keys[f->index]);
    pb_see(j, words, f);
    return true;
}

bool pb_choose(pb_job *j, const pb_field *f, pl_slot map, size_t words, bool merging)
{
    uint64_t *current = &j->c->words[words + pb_bit_words(f->parent) + f->oneof->index];
    pl_key **keys = pb_field_keys(j, f->parent);
    if (!keys)
        return false;
    if (*current == f->index + 1)
        return true;
    for (size_t i = 0; i < f->oneof->count; i++) {
        const pb_field *other = f->oneof->fields[i];
        if (other != f && (*current == other->index + 1 || (merging && *current == 0))) {
            j->e->push_absent(j->state);
            j->e->set_field(j->state, map, keys[other->index]);
        }
    }
    *current = f->index + 1;
    return true;
}

bool pb_fill(pb_job *j, const pb_message *m, pl_slot map, size_t words, bool merging)
{
    pl_key **keys;
    if (merging || m->filled_count + m->required_count == 0)
        return true;
    keys = pb_field_keys(j, m);
    if (!keys)
        return false;
    for (size_t i = 0; i < m->field_count; i++) {
        const pb_field *f = &m->fields[i];
        if (pb_seen(j, words, f))
            continue;
        if (f->required)
            return pb_bad(j, "%.*s.%.*s, which is required, is not set", PL_STR_ARG(m->full_name),
                          PL_STR_ARG(f->name));
        if (f->presence)
            continue;
        if (!(f->repeated ? push_empty(j, f, 0) : pb_push_scalar(j, f, &f->otherwise)))
            return false;
        j->e->set_field(j->state, map, keys[i]);
    }
    return true;
}

pl_code pb_push_defaults(pb_codec *codec, const pb_message *message, pl_error *err)
{
    pb_job j;
    pb_job_init(&j, codec, message, err);
    pl_slot top = j.e->top(j.state);
    pl_key **keys = pb_field_keys(&j, message);
    if (!keys || !j.e->reserve(j.state, 8))
        return pl_fail_memory(err);
    j.e->push_map(j.state, message->field_count);
    for (size_t i = 0; !j.code && i < message->field_count; i++) {
        const pb_field *f = &message->fields[i];
        if (!f->repeated && f->message)
            continue;
        if (f->repeated ? push_empty(&j, f, 0) : pb_push_scalar(&j, f, &f->otherwise))
            j.e->set_field(j.state, top + 1, keys[i]);
    }
    if (j.code)
        j.e->pop_to(j.state, top);
    return j.code;
}
