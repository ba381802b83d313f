/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "app/config_values.h"

/* kafka = { … }: most settings are properties of librdkafka under names that say what they are; what has no
 * such name is reached through `properties`, which win. */

#define MOST_PROPERTIES 64

typedef struct properties {
    pl_kafka_property list[MOST_PROPERTIES];
    size_t count;
} properties;

typedef struct kafka_table {
    properties named, own;
} kafka_table;

/* What it is without app.lua: events are written once, by all replicas in sync, and the partition of a key is
 * the one that Java clients choose. A topic that does not exist is an error before the event's time is over.
 */
static const pl_kafka_property defaults[] = {
    {PL_STR("enable.idempotence"), PL_STR("true")},
    {PL_STR("partitioner"), PL_STR("murmur2_random")},
    {PL_STR("message.timeout.ms"), PL_STR("30000")},
    /* Until then a topic that the brokers do not know may be about to come into being. */
    {PL_STR("topic.metadata.propagation.max.ms"), PL_STR("5000")},
};

void pl_config_default_kafka(pl_kafka_config *config)
{
    *config = (pl_kafka_config){.settings = {.brokers = PL_STR(""),
                                             .properties = defaults,
                                             .count = sizeof defaults / sizeof *defaults}};
}

/* --- one property --- */
static void add(cfg_context *c, const char *path, properties *to, pl_str name, pl_str value)
{
    pl_error err;
    pl_error_clear(&err);
    if (!name.ptr || !value.ptr)
        return; /* out of memory, which is reported */
    if (pl_kafka_check_property(name.ptr, value.ptr, &err) != PL_OK)
        pl_report_error(c->report, c->file, 0, 0, "%s: %s.", path, err.message);
    else if (to->count == MOST_PROPERTIES)
        pl_report_error(c->report, c->file, 0, 0, "%s: there are more than %d properties.", path,
                        MOST_PROPERTIES);
    else
        to->list[to->count++] = (pl_kafka_property){name, value};
}

static void add_named(cfg_context *c, const char *path, void *target, const char *name, pl_str value)
{
    add(c, path, &((kafka_table *)target)->named, pl_str_of(name), value);
}

static void add_number(cfg_context *c, const char *path, void *target, const char *name, uint64_t value)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    add_named(c, path, target, name, cfg_copy(c, (pl_str){text, (size_t)n}));
}

/* A string, whole number or boolean, as librdkafka is to have it. */
static pl_str as_text(cfg_context *c, const char *path, pl_slot slot)
{
    char text[32];
    int n;
    switch (c->e->kind(c->state, slot)) {
    case PL_KIND_STRING:
        return cfg_copy_string(c, slot);
    case PL_KIND_BOOL:
        return c->e->get_bool(c->state, slot) ? PL_STR("true") : PL_STR("false");
    case PL_KIND_INT:
        n = snprintf(text, sizeof text, "%lld", (long long)c->e->get_int(c->state, slot));
        return cfg_copy(c, (pl_str){text, (size_t)n});
    default:
        cfg_wrong(c, path, "a string, a whole number or a boolean", slot);
        return PL_STR_NONE;
    }
}

/* --- readers: target is the kafka_table --- */
#define READS_TEXT(function, property)                                                 \
    static void function(cfg_context *c, const char *path, pl_slot slot, void *target) \
    {                                                                                  \
        pl_str value = as_text(c, path, slot);                                         \
        if (value.ptr)                                                                 \
            add_named(c, path, target, property, value);                               \
    }
#define READS_SECONDS(function, property)                                              \
    static void function(cfg_context *c, const char *path, pl_slot slot, void *target) \
    {                                                                                  \
        uint64_t ms;                                                                   \
        if (cfg_get_seconds(c, path, slot, &ms))                                       \
            add_number(c, path, target, property, ms);                                 \
    }
READS_TEXT(read_acks, "acks")
READS_TEXT(read_compression, "compression.type")
READS_TEXT(read_idempotence, "enable.idempotence")
READS_TEXT(read_client_id, "client.id")
READS_TEXT(read_partitioner, "partitioner")
READS_TEXT(read_ca, "ssl.ca.location")
READS_TEXT(read_certificate, "ssl.certificate.location")
READS_TEXT(read_key, "ssl.key.location")
READS_TEXT(read_mechanism, "sasl.mechanism")
READS_TEXT(read_username, "sasl.username")
READS_TEXT(read_password, "sasl.password")
READS_TEXT(read_batch_messages, "batch.num.messages")
READS_SECONDS(read_timeout, "message.timeout.ms")

/* Seconds, from 0. */
static void read_linger(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    uint64_t ms = 0;
    bool none = c->e->kind(c->state, slot) == PL_KIND_INT && c->e->get_int(c->state, slot) == 0;
    if (none || cfg_get_seconds(c, path, slot, &ms))
        add_number(c, path, target, "linger.ms", ms);
}

static void read_batch_size(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    size_t bytes = 0;
    cfg_size(c, path, slot, &bytes);
    if (bytes)
        add_number(c, path, target, "batch.size", bytes);
}

static void read_max_message(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    size_t bytes = 0;
    cfg_size(c, path, slot, &bytes);
    if (bytes)
        add_number(c, path, target, "message.max.bytes", bytes);
}

static void read_tls(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {
        {"ca", read_ca, 0}, {"cert", read_certificate, 0}, {"key", read_key, 0}, {NULL, NULL, 0}};
    if (c->e->kind(c->state, slot) == PL_KIND_BOOL) {
        if (c->e->get_bool(c->state, slot))
            add_named(c, path, target, "security.protocol", PL_STR("ssl"));
        return;
    }
    add_named(c, path, target, "security.protocol", PL_STR("ssl"));
    cfg_table(c, path, slot, settings, target);
}

static void read_sasl(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"mechanism", read_mechanism, 0},
                                           {"username", read_username, 0},
                                           {"password", read_password, 0},
                                           {NULL, NULL, 0}};
    cfg_table(c, path, slot, settings, target);
}

static void read_queue(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"messages", cfg_size, CFG_AT(kafka.queue_messages)},
                                           {"size", cfg_size, CFG_AT(kafka.queue_bytes)},
                                           {NULL, NULL, 0}};
    (void)target;
    cfg_table(c, path, slot, settings, c->config);
}

static void read_brokers(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    pl_str joined;
    size_t n = 0;
    pl_buf text;
    (void)target;
    if (c->e->kind(c->state, slot) == PL_KIND_STRING) {
        c->config->kafka.settings.brokers = cfg_copy_string(c, slot);
        return;
    }
    pl_str *list = cfg_strings(c, path, slot, "\"host:port\", a list of such, or \"embedded\"", &n);
    pl_buf_init(&text);
    for (size_t i = 0; list && i < n; i++)
        pl_buf_printf(&text, "%s%.*s", i ? "," : "", PL_STR_ARG(list[i]));
    joined = cfg_copy(c, (pl_str){text.data ? text.data : "", text.len});
    c->report->errors.out_of_memory |= text.failed;
    pl_buf_dispose(&text);
    if (list)
        c->config->kafka.settings.brokers = joined;
}

static void read_properties(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    properties *own = &((kafka_table *)target)->own;
    if (c->e->kind(c->state, slot) != PL_KIND_MAP) {
        cfg_wrong(c, path, "a table { [\"librdkafka.property\"] = value }", slot);
        return;
    }
    c->e->push_absent(c->state);
    pl_slot key = c->e->top(c->state);
    while (c->e->next(c->state, slot)) {
        char at[256];
        if (c->e->kind(c->state, key) == PL_KIND_STRING) {
            pl_str name = cfg_copy_string(c, key);
            snprintf(at, sizeof at, "%s[\"%.*s\"]", path, PL_STR_ARG(name));
            add(c, at, own, name, as_text(c, at, key + 1));
        } else {
            pl_report_error(c->report, c->file, 0, 0, "%s has an entry that is not named by a string.", path);
        }
        c->e->pop_to(c->state, key);
    }
}

static int compare(const void *a, const void *b)
{
    return pl_str_cmp(((const pl_kafka_property *)a)->name, ((const pl_kafka_property *)b)->name);
}

/* Scripts give them in any order, another one each time; the same settings are to be the same. */
static void sort(properties *list)
{
    qsort(list->list, list->count, sizeof *list->list, compare);
}

/* Later ones win: what is asked for behind the defaults, and `properties` behind all. TLS and SASL together
 * make a protocol of their own. */
static void gather(cfg_context *c, kafka_table *table)
{
    size_t room = sizeof defaults / sizeof *defaults + table->named.count + table->own.count + 1, n = 0;
    pl_kafka_property *all = pl_arena_array(c->arena, room, sizeof *all);
    bool tls = false, sasl = false;
    sort(&table->named);
    sort(&table->own);
    if (!all) {
        c->report->errors.out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        all[n++] = defaults[i];
    for (size_t i = 0; i < table->named.count; i++) {
        tls |= pl_str_is(table->named.list[i].name, "security.protocol");
        sasl |= pl_str_starts(table->named.list[i].name, PL_STR("sasl."));
        all[n++] = table->named.list[i];
    }
    if (sasl)
        all[n++] = (pl_kafka_property){PL_STR("security.protocol"),
                                       tls ? PL_STR("sasl_ssl") : PL_STR("sasl_plaintext")};
    for (size_t i = 0; i < table->own.count; i++)
        all[n++] = table->own.list[i];
    c->config->kafka.settings.properties = all;
    c->config->kafka.settings.count = n;
}

void cfg_kafka(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"brokers", read_brokers, 0},
                                           {"client_id", read_client_id, 0},
                                           {"tls", read_tls, 0},
                                           {"sasl", read_sasl, 0},
                                           {"acks", read_acks, 0},
                                           {"compression", read_compression, 0},
                                           {"idempotence", read_idempotence, 0},
                                           {"partitioner", read_partitioner, 0},
                                           {"linger", read_linger, 0},
                                           {"timeout", read_timeout, 0},
                                           {"batch_messages", read_batch_messages, 0},
                                           {"batch_size", read_batch_size, 0},
                                           {"max_message", read_max_message, 0},
                                           {"queue", read_queue, 0},
                                           {"properties", read_properties, 0},
                                           {"registry", cfg_schema_registry, 0},
                                           {"topics", cfg_topics, 0},
                                           {NULL, NULL, 0}};
    kafka_table table = {0};
    (void)target;
    c->config->kafka.set = true;
    cfg_table(c, path, slot, settings, &table);
    gather(c, &table);
    cfg_check_topics(c);
}

/* --- for whoever keeps them --- */
bool pl_kafka_config_eq(const pl_kafka_config *a, const pl_kafka_config *b)
{
    const pl_kafka_settings *x = &a->settings, *y = &b->settings;
    bool eq = x->count == y->count && pl_str_eq(x->brokers, y->brokers) &&
              a->queue_messages == b->queue_messages && a->queue_bytes == b->queue_bytes;
    for (size_t i = 0; eq && i < x->count; i++)
        eq = pl_str_eq(x->properties[i].name, y->properties[i].name) &&
             pl_str_eq(x->properties[i].value, y->properties[i].value);
    return eq;
}

bool pl_kafka_config_copy(pl_kafka_config *to, const pl_kafka_config *from, pl_arena *arena)
{
    size_t n = from->settings.count;
    pl_kafka_property *list = pl_arena_array(arena, n, sizeof *list);
    *to = *from;
    to->settings.properties = list;
    to->settings.brokers = pl_arena_str(arena, from->settings.brokers);
    bool ok = list && to->settings.brokers.ptr;
    for (size_t i = 0; ok && i < n; i++) {
        list[i].name = pl_arena_str(arena, from->settings.properties[i].name);
        list[i].value = pl_arena_str(arena, from->settings.properties[i].value);
        ok = list[i].name.ptr && list[i].value.ptr;
    }
    return ok;
}
