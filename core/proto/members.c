/* SPDX-License-Identifier: MIT */
#include "proto/codec_internal.h"

/* What is asked of a map of fields before it is written, in whatever form. */

bool pb_is_empty_map(pb_job *j, pl_slot slot)
{
    pl_slot top = j->e->top(j->state);
    if (j->e->kind(j->state, slot) != PL_KIND_MAP)
        return false;
    j->e->push_absent(j->state);
    bool empty = !j->e->next(j->state, slot);
    j->e->pop_to(j->state, top);
    return empty;
}

bool pb_check_oneof(pb_job *j, size_t words, const pb_field *f)
{
    uint64_t *set = &j->c->words[words + f->oneof->index];
    if (*set != 0)
        return pb_bad(j, "%.*s is set, too, and both are of the oneof %.*s",
                      PL_STR_ARG(f->parent->fields[*set - 1].name), PL_STR_ARG(f->oneof->name));
    *set = f->index + 1;
    return true;
}

/* null is how others say absent, but where it is a value. */
bool pb_is_set(const pb_field *f, pl_kind kind)
{
    if (kind != PL_KIND_NULL)
        return kind != PL_KIND_ABSENT;
    return !f->repeated && (f->null_value || (f->message && f->message->special == PB_VALUE));
}

/* Looks for a member that is no field; the caller has found that there is one. */
static bool find_foreign(pb_job *j, const pb_message *m, pl_slot map, bool any)
{
    j->e->push_absent(j->state);
    pl_slot key = j->e->top(j->state);
    while (j->e->next(j->state, map)) {
        if (j->e->kind(j->state, key) != PL_KIND_STRING)
            return pb_bad(j, "a map of fields is expected, and it has keys that are no strings");
        pl_str name = j->e->get_string(j->state, key);
        const pb_field *f = pb_message_field_named(m, name);
        if ((!f || !pl_str_eq(f->key, name)) && !(any && pl_str_is(name, "@type")))
            return pb_no_field(j, m, name);
        j->e->pop_to(j->state, key);
    }
    return true;
}

bool pb_check_members(pb_job *j, const pb_message *m, pl_slot map, size_t met, size_t others)
{
    return j->e->members(j->state, map) == met + others || find_foreign(j, m, map, others > 0);
}
