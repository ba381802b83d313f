/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "app/config_values.h"

#define EVERY_MS 1000 /* commits of this process wake them at once */

void pl_config_default_database(pl_database_config *config)
{
    *config = (pl_database_config){.busy_ms = 5000, .max_rows = 100000, .max_bytes = (size_t)64 << 20};
}

static void read_database_path(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    pl_str text = PL_STR("");
    if (c->e->kind(c->state, slot) == PL_KIND_STRING)
        text = c->e->get_string(c->state, slot);
    if (text.len > 0 && strlen(text.ptr) == text.len)
        *(pl_str *)target = cfg_copy(c, text);
    else
        cfg_wrong(c, path, "a path such as \"app.db\", or \":memory:\"", slot);
}

static void read_synchronous(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"normal", "full", NULL};
    unsigned word = 0;
    if (!cfg_word(c, slot, words, &word))
        cfg_wrong(c, path, "\"normal\" or \"full\"", slot);
    *(bool *)target = word == 1;
}

void cfg_sqlite(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"path", read_database_path, CFG_AT(database.path)},
                                           {"busy_timeout", cfg_seconds, CFG_AT(database.busy_ms)},
                                           {"max_rows", cfg_size, CFG_AT(database.max_rows)},
                                           {"max_bytes", cfg_size, CFG_AT(database.max_bytes)},
                                           {"synchronous", read_synchronous, CFG_AT(database.synced)},
                                           {NULL, NULL, 0}};
    (void)target;
    cfg_table(c, path, slot, settings, c->config);
    if (!c->config->database.path.ptr && !pl_report_has_errors(c->report))
        pl_report_error(c->report, c->file, 0, 0, "%s has no \"path\": { path = \"app.db\" }.", path);
}

void cfg_add_built_in(cfg_context *c)
{
    static const pl_timer_config built_in[] = {
        {PL_STR("perilune.outbox"), EVERY_MS, PL_STR("perilune.outbox.relay")},
        {PL_STR("perilune.projections"), EVERY_MS, PL_STR("perilune.sourcing.background")}};
    enum { COUNT = sizeof built_in / sizeof *built_in };
    pl_config *config = c->config;
    if (!config->database.path.ptr || pl_str_is(config->database.path, ":memory:"))
        return;
    pl_timer_config *timers = pl_arena_array(c->arena, config->timer_count + COUNT, sizeof *timers);
    if (!timers) {
        c->report->errors.out_of_memory = true;
        return;
    }
    if (config->timer_count > 0)
        memcpy(timers, config->timers, config->timer_count * sizeof *timers);
    memcpy(timers + config->timer_count, built_in, sizeof built_in);
    config->timer_count += COUNT;
    config->timers = timers;
}
