/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/consumer_decl.h"
#include "app/generation.h"
#include "cli/dlq.h"
#include "perilune/engines.h"
#include "value/shared.h"

static const char about[] =
    "Dead letters: events that consumers could not handle.\n"
    "\n"
    "  perilune dlq list [TOPIC]    which there are, by where they come from and what was wrong\n"
    "  perilune dlq show TOPIC      each with its reason, traceback, headers and value\n"
    "  perilune dlq replay TOPIC    publish the events again, to the topics they come from\n"
    "  perilune dlq drop TOPIC      give them up\n"
    "\n"
    "What was replayed or dropped stays in its topic, but is done: it is neither shown nor replayed again.\n"
    "That is remembered by the brokers as the offsets of the group perilune-dlq-TOPIC; --delete lets them\n"
    "throw away what is done up to the first event that is not.\n"
    "\n"
    "The brokers are those of --brokers, of app.lua in --dir, or of the variable KAFKA_BROKERS. How they "
    "are\n"
    "reached (TLS, SASL) is said by app.lua, too, or by --property.\n"
    "\n"
    "A filter is code=…, original-topic=…, group=…, key=…, since=2h, until=2026-11-22T21:00:00Z.\n"
    "\n"
    "The exit status is 0 when all was done, 1 when something was not, 2 for wrong usage.";

typedef struct arguments {
    const char *operands[2]; /* what to do, topic */
    const char *brokers, *dir;
    const char *properties[PL_OPTION_LIST_MAX], *filters[PL_OPTION_LIST_MAX];
    const char *partition, *offset;
    unsigned timeout;
} arguments;

int64_t dlq_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

pl_scan *dlq_open(dlq *d, const char *topic)
{
    pl_str group = pl_arena_printf(&d->arena, "perilune-dlq-%s", topic ? topic : "");
    if (!group.ptr) {
        pl_fail_memory(&d->err);
        return NULL;
    }
    return pl_scan_open(&d->kafka, topic ? group.ptr : NULL, d->timeout_ms, d->log, &d->err);
}

/* --- the bundle --- */
static bool add_declared(dlq *d, const pl_config *config)
{
    size_t n = 0, room = 0;
    for (size_t i = 0; i < config->consumer_count; i++)
        room += config->consumers[i].topic_count;
    pl_str *names = pl_arena_array(&d->arena, room, sizeof *names);
    for (size_t i = 0; names && i < config->consumer_count; i++) {
        const pl_consumer_decl *decl = &config->consumers[i];
        for (size_t k = 0; !decl->no_dead_letter && k < decl->topic_count; k++)
            names[n++] = decl->dead_letter.len > 0 ? pl_arena_str(&d->arena, decl->dead_letter)
                                                   : pl_arena_printf(&d->arena, "%s-dlq", decl->topics[k]);
    }
    d->declared = names;
    d->declared_count = n;
    return names != NULL;
}

static bool copy_kafka(dlq *d, const pl_config *config)
{
    pl_kafka_config copy;
    if (!pl_kafka_config_copy(&copy, &config->kafka, &d->arena))
        return false;
    d->kafka = copy.settings;
    return true;
}

/* Settings of the bundle; without one, or where it is not right, the defaults. What is wrong with it is told
 * by `perilune check`: dead letters have to be seen to with a broken bundle, too. */
static bool read_bundle(dlq *d, const char *directory)
{
    pl_error err = {0};
    pl_report report;
    pl_config none;
    bool ok;
    pl_config_default(&none);
    struct pl_shared *shared = pl_shared_new(0);
    pl_generation_options options = {.engine = pl_lua_engine(), .workers = 1, .shared = shared};
    pl_report_init(&report);
    char path[4096];
    snprintf(path, sizeof path, "%s/app.lua", directory);
    pl_bundle *bundle = access(path, R_OK) == 0 ? pl_bundle_read(directory, &err) : NULL;
    pl_generation *generation = bundle ? pl_generation_build(bundle, &options, &report) : NULL;
    if (generation) {
        ok = copy_kafka(d, &generation->config) && add_declared(d, &generation->config);
    } else {
        ok = copy_kafka(d, &none);
        if (bundle)
            fprintf(stderr,
                    "perilune: the bundle in %s is not right (see `perilune check`): it is left aside\n",
                    directory);
    }
    pl_generation_free(generation);
    pl_bundle_unref(bundle);
    pl_report_dispose(&report);
    pl_shared_free(shared);
    return ok;
}

/* --- arguments --- */
static pl_code add_properties(dlq *d, const char *const *properties)
{
    size_t n = 0;
    while (properties[n])
        n++;
    pl_kafka_property *all = pl_arena_array(&d->arena, d->kafka.count + n, sizeof *all);
    if (!all)
        return pl_fail_memory(&d->err);
    if (d->kafka.count > 0)
        memcpy(all, d->kafka.properties, d->kafka.count * sizeof *all);
    for (size_t i = 0; i < n; i++) {
        const char *equals = strchr(properties[i], '=');
        if (!equals)
            return pl_fail(&d->err, PL_INVALID_ARGUMENT, "the property \"%s\" is not NAME=VALUE",
                           properties[i]);
        pl_str name = pl_arena_str(&d->arena, (pl_str){properties[i], (size_t)(equals - properties[i])});
        if (!name.ptr)
            return pl_fail_memory(&d->err);
        if (pl_kafka_check_property(name.ptr, equals + 1, &d->err) != PL_OK)
            return d->err.code;
        all[d->kafka.count + i] = (pl_kafka_property){name, pl_str_of(equals + 1)};
    }
    d->kafka.properties = all;
    d->kafka.count += n;
    return PL_OK;
}

static pl_code find_brokers(dlq *d, const arguments *a)
{
    const char *variable = getenv("KAFKA_BROKERS");
    if (!read_bundle(d, a->dir ? a->dir : "."))
        return pl_fail_memory(&d->err);
    if (a->brokers)
        d->kafka.brokers = pl_str_of(a->brokers);
    else if ((d->kafka.brokers.len == 0 || pl_str_is(d->kafka.brokers, "embedded")) && variable)
        d->kafka.brokers = pl_str_of(variable);
    if (d->kafka.brokers.len == 0)
        return pl_fail(&d->err, PL_INVALID_ARGUMENT, "which brokers? --brokers HOST:9092, or --dir BUNDLE");
    if (pl_str_is(d->kafka.brokers, "embedded"))
        return pl_fail(
            &d->err, PL_INVALID_ARGUMENT,
            "the brokers are \"embedded\" in the server: give --brokers the address that its ready line "
            "has as \"kafka\"");
    return add_properties(d, a->properties);
}

static bool read_place(const char *text, const char *option, int64_t *out, pl_error *err)
{
    char *end;
    if (!text)
        return true;
    long long n = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end) {
        pl_fail(err, PL_INVALID_ARGUMENT, "the value of --%s is not right: a number is expected", option);
        return false;
    }
    *out = n;
    return true;
}

static pl_code read_arguments(dlq *d, const arguments *a)
{
    if (dlq_filter_read(&d->filter, a->filters, dlq_now(), &d->err) != PL_OK ||
        !read_place(a->partition, "partition", &d->filter.partition, &d->err) ||
        !read_place(a->offset, "offset", &d->filter.offset, &d->err))
        return d->err.code;
    if (d->filter.offset >= 0 && d->filter.partition < 0)
        return pl_fail(&d->err, PL_INVALID_ARGUMENT, "--offset needs a --partition");
    d->timeout_ms = (a->timeout ? a->timeout : 30) * 1000;
    return find_brokers(d, a);
}

static const struct verb {
    const char *name;
    int (*run)(dlq *d, const char *topic);
    bool needs_topic;
} verbs[] = {{"list", dlq_list, false},
             {"show", dlq_show, true},
             {"replay", dlq_replay, true},
             {"drop", dlq_drop, true}};

static const struct verb *find_verb(const arguments *a)
{
    for (size_t i = 0; a->operands[0] && i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verbs[i].name, a->operands[0]) == 0)
            return &verbs[i];
    }
    return NULL;
}

static int run(dlq *d, const arguments *a)
{
    const struct verb *verb = find_verb(a);
    if (!verb || (verb->needs_topic && !a->operands[1])) {
        fprintf(stderr, "perilune: %s\nUsage: perilune dlq list|show|replay|drop [TOPIC] [options]\n",
                verb ? "which topic? `perilune dlq list` says which there are"
                     : "list, show, replay or drop?");
        return 2;
    }
    if (read_arguments(d, a) != PL_OK) {
        pl_cli_fail(&d->err);
        return 2;
    }
    int status = verb->run(d, a->operands[1]);
    fflush(stdout);
    if (status && d->err.code)
        pl_cli_fail(&d->err);
    return status;
}

int pl_cli_dlq(int argc, char **argv)
{
    arguments a = {.operands = {NULL, NULL}};
    dlq d = {.limit = DLQ_NO_LIMIT};
    const pl_option table[] = {
        {"brokers", PL_OPTION_TEXT, &a.brokers, "PERILUNE_KAFKA", "BROKERS", "of Kafka: HOST:PORT,…"},
        {"dir", PL_OPTION_TEXT, &a.dir, NULL, "DIR", "the bundle (default: this directory)"},
        {"property,X", PL_OPTION_LIST, a.properties, NULL, "NAME=VALUE", "of librdkafka; repeatable"},
        {"timeout", PL_OPTION_COUNT, &a.timeout, NULL, "SECONDS", "that brokers may be silent (30)"},
        {"filter,f", PL_OPTION_LIST, a.filters, NULL, "NAME=VALUE", "only such events; repeatable"},
        {"partition", PL_OPTION_TEXT, &a.partition, NULL, "N", "only of this partition of TOPIC"},
        {"offset", PL_OPTION_TEXT, &a.offset, NULL, "N", "only from this offset of it on"},
        {"limit,n", PL_OPTION_COUNT, &d.limit, NULL, "N", "at most so many; show: 20, 0 is all"},
        {"all", PL_OPTION_FLAG, &d.all, NULL, NULL, "show: what is done, too; drop: without a filter"},
        {"json", PL_OPTION_FLAG, &d.json, NULL, NULL, "list, show: a JSON object a line"},
        {"dry-run", PL_OPTION_FLAG, &d.dry_run, NULL, NULL, "replay, drop: only say what would be done"},
        {"to", PL_OPTION_TEXT, &d.to, NULL, "TOPIC", "replay: there, not where they come from"},
        {"by-key", PL_OPTION_FLAG, &d.by_key, NULL, NULL, "replay: choose partitions by key anew"},
        {"keep-timestamp", PL_OPTION_FLAG, &d.keep_timestamp, NULL, NULL,
         "replay: with the event's own timestamp"},
        {"delete", PL_OPTION_FLAG, &d.delete, NULL, NULL, "replay, drop: throw away what is done"},
        {NULL, PL_OPTION_FLAG, NULL, NULL, NULL, NULL},
    };
    const pl_usage usage = {"perilune dlq list|show|replay|drop [TOPIC] [options]", about, table};
    int status = pl_options_read(&usage, argc, argv, a.operands, 2);
    if (status)
        return status == 1 ? 0 : status;
    pl_arena_init(&d.arena, 0);
    d.log = pl_logger_new(STDERR_FILENO, PL_LOG_TEXT, PL_WARN);
    status = run(&d, &a);
    pl_logger_free(d.log);
    pl_arena_dispose(&d.arena);
    return status;
}
