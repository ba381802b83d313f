/* SPDX-License-Identifier: MIT */
#include "app/config_values.h"

#include <stdio.h>
#include <stdlib.h>

void cfg_wrong(cfg_context *c, const char *path, const char *expected, pl_slot slot)
{
    pl_report_error(c->report, c->file, 0, 0, "%s must be %s, not %s.", path, expected,
                    pl_kind_phrase(c->e->kind(c->state, slot)));
}

void cfg_bool(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    if (c->e->kind(c->state, slot) == PL_KIND_BOOL)
        *(bool *)target = c->e->get_bool(c->state, slot);
    else
        cfg_wrong(c, path, "true or false", slot);
}

void cfg_not_bool(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    cfg_bool(c, path, slot, target);
    *(bool *)target = !*(bool *)target;
}

bool cfg_get_count(cfg_context *c, const char *path, pl_slot slot, int64_t max, int64_t *out)
{
    pl_kind kind = c->e->kind(c->state, slot);
    double d = kind == PL_KIND_FLOAT ? c->e->get_float(c->state, slot) : 0;
    int64_t v = kind == PL_KIND_INT ? c->e->get_int(c->state, slot) : d >= 1 && d < 0x1p63 ? (int64_t)d : 0;
    if (v < 1 || v > max || (kind == PL_KIND_FLOAT && d != (double)v)) {
        char expected[64];
        snprintf(expected, sizeof expected, "a whole number from 1 to %lld", (long long)max);
        cfg_wrong(c, path, expected, slot);
        return false;
    }
    *out = v;
    return true;
}

void cfg_uint32(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    int64_t v;
    if (cfg_get_count(c, path, slot, UINT32_MAX, &v))
        *(uint32_t *)target = (uint32_t)v;
}

void cfg_uint64(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    int64_t v;
    if (cfg_get_count(c, path, slot, INT64_MAX, &v))
        *(uint64_t *)target = (uint64_t)v;
}

/* Bytes: a number, or "64MB", "512 kB", "1GiB". */
void cfg_size(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    int64_t v;
    if (c->e->kind(c->state, slot) != PL_KIND_STRING) {
        if (cfg_get_count(c, path, slot, INT64_MAX, &v))
            *(size_t *)target = (size_t)v;
        return;
    }
    char text[32], *end;
    pl_str s = c->e->get_string(c->state, slot);
    size_t len = s.len < sizeof text ? s.len : 0;
    memcpy(text, s.ptr, len);
    text[len] = '\0';
    double d = strtod(text, &end);
    while (*end == ' ')
        end++;
    static const char units[] = "kMG";
    const char *unit = *end ? strchr(units, *end == 'K' ? 'k' : *end) : NULL;
    int shift = unit ? (int)(unit - units + 1) * 10 : 0;
    d *= (double)(1ull << shift);
    end += unit != NULL;
    if (*end == 'i' && unit)
        end++;
    if (*end == 'B')
        end++;
    if (len == 0 || end != text + len || !(d >= 1 && d <= 1e15))
        cfg_wrong(c, path, "a size such as 1048576 or \"1MB\"", slot);
    else
        *(size_t *)target = (size_t)d;
}

/* Seconds, to milliseconds. */
bool cfg_get_seconds(cfg_context *c, const char *path, pl_slot slot, uint64_t *out)
{
    pl_kind kind = c->e->kind(c->state, slot);
    double d = kind == PL_KIND_INT     ? (double)c->e->get_int(c->state, slot)
               : kind == PL_KIND_FLOAT ? c->e->get_float(c->state, slot)
                                       : 0;
    if (!(d >= 0.001 && d <= 1e9)) {
        cfg_wrong(c, path, "a number of seconds, from 0.001", slot);
        return false;
    }
    *out = (uint64_t)(d * 1000.0 + 0.5);
    return true;
}

void cfg_seconds(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    uint64_t ms;
    if (cfg_get_seconds(c, path, slot, &ms))
        *(unsigned *)target = ms > UINT32_MAX ? UINT32_MAX : (unsigned)ms;
}

pl_str cfg_copy(cfg_context *c, pl_str s)
{
    pl_str kept = pl_arena_str(c->arena, s);
    if (!kept.ptr)
        c->report->errors.out_of_memory = true;
    return kept;
}

pl_str cfg_copy_string(cfg_context *c, pl_slot slot)
{
    return cfg_copy(c, c->e->get_string(c->state, slot));
}

void cfg_string(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    if (c->e->kind(c->state, slot) == PL_KIND_STRING)
        *(pl_str *)target = cfg_copy_string(c, slot);
    else
        cfg_wrong(c, path, "a string", slot);
}

size_t cfg_count_entries(cfg_context *c, pl_slot slot)
{
    size_t n = 0;
    c->e->push_absent(c->state);
    pl_slot key = c->e->top(c->state);
    while (c->e->next(c->state, slot)) {
        n++;
        c->e->pop_to(c->state, key);
    }
    return n;
}

/* A list of strings, in the arena; NULL when it is none, which has been reported. */
pl_str *cfg_strings(cfg_context *c, const char *path, pl_slot slot, const char *expected, size_t *count)
{
    size_t n = c->e->length(c->state, slot);
    pl_kind kind = c->e->kind(c->state, slot);
    if (kind != PL_KIND_LIST && (kind != PL_KIND_MAP || cfg_count_entries(c, slot) > 0)) {
        cfg_wrong(c, path, expected, slot);
        return NULL;
    }
    pl_str *strings = pl_arena_array(c->arena, n, sizeof *strings);
    if (!strings) {
        c->report->errors.out_of_memory = true;
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        c->e->element(c->state, slot, i);
        pl_slot item = c->e->top(c->state);
        if (c->e->kind(c->state, item) == PL_KIND_STRING)
            strings[i] = cfg_copy_string(c, item);
        else
            cfg_wrong(c, path, "a list of strings", item);
        c->e->pop_to(c->state, item - 1);
    }
    *count = n;
    return strings;
}

/* A string that is one of the words, as its place among them. */
bool cfg_word(cfg_context *c, pl_slot slot, const char *const *words, unsigned *out)
{
    if (c->e->kind(c->state, slot) != PL_KIND_STRING)
        return false;
    pl_str s = c->e->get_string(c->state, slot);
    for (unsigned i = 0; words[i]; i++) {
        if (pl_str_is(s, words[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* A table of settings, which may also be `false` (off) or `true` (on, with the defaults). */
void cfg_switch(cfg_context *c, const char *path, pl_slot slot, const cfg_setting *settings, bool *on)
{
    if (c->e->kind(c->state, slot) == PL_KIND_BOOL) {
        *on = c->e->get_bool(c->state, slot);
        return;
    }
    *on = true;
    if (c->e->kind(c->state, slot) == PL_KIND_MAP)
        cfg_table(c, path, slot, settings, c->config);
    else
        cfg_wrong(c, path, "true, false or a table of settings", slot);
}

/* Bytes of the arena. */
void cfg_lower(pl_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char *byte = (char *)s.ptr + i;
        *byte = *byte >= 'A' && *byte <= 'Z' ? (char)(*byte | 0x20) : *byte;
    }
}

/* A table by names: room for one item of size bytes for each entry. NULL: an error was reported, or memory
 * is short. expected says what the table should be. */
void *cfg_begin_named(cfg_context *c, const char *path, pl_slot slot, const char *expected, size_t size)
{
    if (c->e->kind(c->state, slot) != PL_KIND_MAP) {
        cfg_wrong(c, path, expected, slot);
        return NULL;
    }
    void *items = pl_arena_array(c->arena, cfg_count_entries(c, slot), size);
    if (!items)
        c->report->errors.out_of_memory = true;
    return items;
}

void cfg_each_named(cfg_context *c, const char *path, pl_slot slot,
                    void (*read)(cfg_context *c, const char *path, pl_slot slot, pl_str name))
{
    c->e->push_absent(c->state);
    pl_slot key = c->e->top(c->state);
    while (c->e->next(c->state, slot)) {
        char at[256];
        if (c->e->kind(c->state, key) == PL_KIND_STRING) {
            pl_str name = c->e->get_string(c->state, key);
            snprintf(at, sizeof at, "%s.%.*s", path, PL_STR_ARG(name));
            read(c, at, key + 1, name);
        } else {
            pl_report_error(c->report, c->file, 0, 0, "%s has an entry that is not named by a string.", path);
        }
        c->e->pop_to(c->state, key);
    }
}

/* --- tables --- */

static const cfg_setting *find_setting(const cfg_setting *settings, pl_str name)
{
    for (; settings->name; settings++) {
        if (pl_str_is(name, settings->name))
            return settings;
    }
    return NULL;
}

static void read_entry(cfg_context *c, const char *path, pl_slot key, const cfg_setting *settings, void *base)
{
    char at[256];
    if (c->e->kind(c->state, key) != PL_KIND_STRING) {
        pl_report_error(c->report, c->file, 0, 0, "%s has an entry that is not named by a string.",
                        path[0] ? path : "the settings");
        return;
    }
    pl_str name = c->e->get_string(c->state, key);
    snprintf(at, sizeof at, "%s%s%.*s", path, path[0] ? "." : "", PL_STR_ARG(name));
    const cfg_setting *s = find_setting(settings, name);
    if (s)
        s->read(c, at, key + 1, (char *)base + s->offset);
    else
        pl_report_error(c->report, c->file, 0, 0, "There is no setting \"%s\".", at);
}

void cfg_table(cfg_context *c, const char *path, pl_slot slot, const cfg_setting *settings, void *base)
{
    if (!c->e->reserve(c->state, 16)) {
        c->report->errors.out_of_memory = true;
        return;
    }
    if (c->e->kind(c->state, slot) != PL_KIND_MAP) {
        cfg_wrong(c, path[0] ? path : "what app.lua returns", "a table of settings", slot);
        return;
    }
    c->e->push_absent(c->state);
    pl_slot key = c->e->top(c->state);
    while (c->e->next(c->state, slot)) {
        read_entry(c, path, key, settings, base);
        c->e->pop_to(c->state, key);
    }
}
