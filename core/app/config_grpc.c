/* SPDX-License-Identifier: MIT */
#include "app/config_values.h"

/* grpc = { … } */

void pl_config_default_grpc(pl_grpc_config *config)
{
    *config = (pl_grpc_config){.max_held = (size_t)256 << 20, .health = true, .reflection = true};
    config->session.keepalive_ms = 7200000;
    config->session.keepalive_timeout_ms = 20000;
    config->session.ping_interval_ms = 10000;
}

/* "mirror", "gzip", "deflate", "zstd" or false */
static void read_compression(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"mirror", "gzip", "deflate", "zstd", NULL};
    static const pl_grpc_coding codings[] = {PL_GRPC_IDENTITY, PL_GRPC_GZIP, PL_GRPC_DEFLATE, PL_GRPC_ZSTD};
    pl_grpc_options *options = &c->config->grpc.calls;
    unsigned word;
    (void)target;
    if (cfg_word(c, slot, words, &word)) {
        options->compression = word == 0 ? PL_GRPC_MIRROR : PL_GRPC_ALWAYS;
        options->coding = codings[word];
    } else if (c->e->kind(c->state, slot) == PL_KIND_BOOL && !c->e->get_bool(c->state, slot)) {
        options->compression = PL_GRPC_NEVER;
    } else {
        cfg_wrong(c, path, "\"mirror\", \"gzip\", \"deflate\", \"zstd\" or false", slot);
    }
}

/* Seconds, or false: never. */
static void read_span(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    if (c->e->kind(c->state, slot) == PL_KIND_BOOL && !c->e->get_bool(c->state, slot))
        *(unsigned *)target = 0;
    else
        cfg_seconds(c, path, slot, target);
}

static void read_keepalive(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {
        {"time", read_span, CFG_AT(grpc.session.keepalive_ms)},
        {"timeout", cfg_seconds, CFG_AT(grpc.session.keepalive_timeout_ms)},
        {"min_interval", read_span, CFG_AT(grpc.session.ping_interval_ms)},
        {"with_calls_only", cfg_bool, CFG_AT(grpc.session.ping_with_calls_only)},
        {NULL, NULL, 0}};
    (void)target;
    cfg_table(c, path, slot, settings, c->config);
}

void cfg_grpc(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {
        {"max_message", cfg_size, CFG_AT(grpc.calls.max_message)},
        {"max_metadata", cfg_size, CFG_AT(grpc.session.max_headers)},
        {"max_streams", cfg_uint32, CFG_AT(grpc.session.max_streams)},
        {"max_resets", cfg_uint32, CFG_AT(grpc.session.max_resets)},
        {"max_held", cfg_size, CFG_AT(grpc.max_held)},
        {"stream_window", cfg_uint32, CFG_AT(grpc.session.stream_window)},
        {"connection_window", cfg_uint32, CFG_AT(grpc.session.connection_window)},
        {"timeout", read_span, CFG_AT(grpc.calls.timeout_ms)},
        {"compression", read_compression, 0},
        {"compress_from", cfg_size, CFG_AT(grpc.calls.compress_from)},
        {"keepalive", read_keepalive, 0},
        {"idle_timeout", read_span, CFG_AT(grpc.session.idle_ms)},
        {"max_age", read_span, CFG_AT(grpc.session.age_ms)},
        {"max_age_grace", read_span, CFG_AT(grpc.session.age_grace_ms)},
        {"health", cfg_bool, CFG_AT(grpc.health)},
        {"reflection", cfg_bool, CFG_AT(grpc.reflection)},
        {"channelz", cfg_bool, CFG_AT(grpc.channelz)},
        {"require_connect_version", cfg_bool, CFG_AT(grpc.calls.connect_version)},
        {"show_internal_errors", cfg_bool, CFG_AT(grpc.calls.show_internal)},
        {NULL, NULL, 0}};
    (void)target;
    cfg_table(c, path, slot, settings, c->config);
}
