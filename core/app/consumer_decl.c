/* SPDX-License-Identifier: MIT */
#include "app/consumer_decl.h"

#include <stdio.h>

#include "app/config_values.h"
#include "app/natives.h"
#include "proto/codec.h"

#define MOST_CONSUMERS 256

/* --- settings of a declaration: target is the pl_consumer_decl --- */
#define SELF pl_consumer_decl *d = target

static char *with_end(cfg_context *c, pl_str s)
{
    pl_str kept = cfg_copy(c, s); /* arena strings end with a NUL */
    return (char *)kept.ptr;
}

static void set_topics(cfg_context *c, pl_consumer_decl *d, const pl_str *names, size_t count)
{
    d->topics = pl_arena_array(c->arena, count, sizeof *d->topics);
    d->topic_count = d->topics ? count : 0;
    c->report->errors.out_of_memory |= !d->topics;
    for (size_t i = 0; i < d->topic_count; i++)
        d->topics[i] = with_end(c, names[i]);
}

static void read_topic(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    SELF;
    pl_str name;
    if (c->e->kind(c->state, slot) == PL_KIND_STRING && (name = c->e->get_string(c->state, slot)).len > 0)
        set_topics(c, d, &name, 1);
    else
        cfg_wrong(c, path, "the name of a topic", slot);
}

static void read_topics(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    SELF;
    size_t count = 0;
    pl_str *names = cfg_strings(c, path, slot, "a list of topics", &count);
    if (names && count > 0)
        set_topics(c, d, names, count);
    else if (names)
        cfg_wrong(c, path, "a list of topics", slot);
}

static void read_format(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"json", "protobuf", "bytes", NULL};
    SELF;
    unsigned word;
    if (cfg_word(c, slot, words, &word))
        d->format = (pl_event_format)word;
    else
        cfg_wrong(c, path, "\"json\", \"protobuf\" or \"bytes\"", slot);
}

static void read_delivery(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"at_least_once", "exactly_once", NULL};
    SELF;
    unsigned word;
    if (cfg_word(c, slot, words, &word))
        d->exactly_once = word == 1;
    else
        cfg_wrong(c, path, "\"at_least_once\" or \"exactly_once\"", slot);
}

static void read_ordering(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"partition", "key", "none", NULL};
    SELF;
    unsigned word;
    if (cfg_word(c, slot, words, &word))
        d->options.flow.ordering = (pl_ordering)word;
    else
        cfg_wrong(c, path, "\"partition\", \"key\" or \"none\"", slot);
}

static void read_assignor(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"range", "roundrobin", "cooperative-sticky", NULL};
    SELF;
    unsigned word;
    if (cfg_word(c, slot, words, &word))
        d->assignor = pl_str_of(words[word]);
    else
        cfg_wrong(c, path, "\"range\", \"roundrobin\" or \"cooperative-sticky\"", slot);
}

/* "earliest", "latest", or seconds since 1970. */
static void read_from(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"earliest", "latest", NULL};
    SELF;
    unsigned word;
    pl_kind kind = c->e->kind(c->state, slot);
    double at = kind == PL_KIND_INT     ? (double)c->e->get_int(c->state, slot)
                : kind == PL_KIND_FLOAT ? c->e->get_float(c->state, slot)
                                        : 0;
    if (cfg_word(c, slot, words, &word)) {
        d->start = (pl_start)word;
    } else if (at > 0 && at < 1e12) {
        d->start = PL_FROM_TIME;
        d->start_time = (int64_t)(at * 1000);
    } else {
        cfg_wrong(c, path, "\"earliest\", \"latest\" or a time in seconds since 1970", slot);
    }
}

static void read_dead_letter(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    SELF;
    pl_kind kind = c->e->kind(c->state, slot);
    if (kind == PL_KIND_BOOL)
        d->no_dead_letter = !c->e->get_bool(c->state, slot);
    else if (kind == PL_KIND_STRING)
        d->dead_letter = cfg_copy_string(c, slot);
    else
        cfg_wrong(c, path, "the name of a topic, or false", slot);
}

static void read_concurrency(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    SELF;
    int64_t n;
    if (cfg_get_count(c, path, slot, 100000, &n))
        d->options.concurrency = (unsigned)n;
}

static void read_message(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    SELF;
    cfg_string(c, path, slot, &d->message_name);
    d->format = PL_EVENT_PROTOBUF;
}

/* --- retry --- */
static void read_backoff(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"constant", "linear", "exponential", NULL};
    unsigned word;
    if (cfg_word(c, slot, words, &word))
        ((pl_retry_policy *)target)->growth = (pl_growth)word;
    else
        cfg_wrong(c, path, "\"constant\", \"linear\" or \"exponential\"", slot);
}

static void read_ms(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    cfg_get_seconds(c, path, slot, target);
}

static void read_jitter(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    pl_kind kind = c->e->kind(c->state, slot);
    double share = kind == PL_KIND_BOOL    ? (c->e->get_bool(c->state, slot) ? 0.5 : 0)
                   : kind == PL_KIND_FLOAT ? c->e->get_float(c->state, slot)
                   : kind == PL_KIND_INT   ? (double)c->e->get_int(c->state, slot)
                                           : -1;
    if (share >= 0 && share <= 1)
        *(double *)target = share;
    else
        cfg_wrong(c, path, "true, false or a share from 0 to 1", slot);
}

static void read_multiplier(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    pl_kind kind = c->e->kind(c->state, slot);
    double factor = kind == PL_KIND_FLOAT ? c->e->get_float(c->state, slot)
                    : kind == PL_KIND_INT ? (double)c->e->get_int(c->state, slot)
                                          : 0;
    if (factor >= 1 && factor <= 100)
        *(double *)target = factor;
    else
        cfg_wrong(c, path, "a number from 1 to 100", slot);
}

static pl_code code_named(pl_str name)
{
    for (unsigned code = PL_CANCELLED; code <= PL_UNAUTHENTICATED; code++) {
        if (pl_str_is(name, pl_code_name((pl_code)code)))
            return (pl_code)code;
    }
    return PL_OK;
}

/* Codes of errors that are not tried again: { "INVALID_ARGUMENT", … } */
static void read_never(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    size_t count = 0;
    pl_str *names = cfg_strings(c, path, slot, "a list of codes", &count);
    uint32_t never = 0;
    for (size_t i = 0; names && i < count; i++) {
        pl_code code = code_named(names[i]);
        if (code)
            never |= pl_code_bit(code);
        else
            pl_report_error(c->report, c->file, 0, 0, "%s: there is no code \"%.*s\".", path,
                            PL_STR_ARG(names[i]));
    }
    *(uint32_t *)target = never | pl_code_bit(PL_OK); /* an empty list is one, too */
}

/* { 5, 60, 600 }: how long an event waits in each retry topic. */
static void read_retry_topics(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    pl_retry_policy *policy = target;
    size_t n = c->e->length(c->state, slot);
    if (c->e->kind(c->state, slot) != PL_KIND_LIST || n > PL_MOST_RETRY_TOPICS) {
        char expected[64];
        snprintf(expected, sizeof expected, "a list of at most %d waits in seconds", PL_MOST_RETRY_TOPICS);
        cfg_wrong(c, path, expected, slot);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        c->e->element(c->state, slot, i);
        cfg_get_seconds(c, path, c->e->top(c->state), &policy->topics[i]);
        c->e->pop_to(c->state, c->e->top(c->state) - 1);
    }
    policy->topic_count = (unsigned)n;
}

static void read_attempts(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    int64_t n;
    if (cfg_get_count(c, path, slot, 1000000, &n))
        *(unsigned *)target = (unsigned)n;
}

static void read_retry(cfg_context *c, const char *path, pl_slot slot, void *target)
{
#define AT(field) offsetof(pl_retry_policy, field)
    static const cfg_setting settings[] = {{"attempts", read_attempts, AT(attempts)},
                                           {"backoff", read_backoff, 0},
                                           {"initial", read_ms, AT(initial)},
                                           {"max", read_ms, AT(max)},
                                           {"multiplier", read_multiplier, AT(multiplier)},
                                           {"jitter", read_jitter, AT(jitter)},
                                           {"never", read_never, AT(never)},
                                           {"topics", read_retry_topics, 0},
                                           {NULL, NULL, 0}};
#undef AT
    SELF;
    if (c->e->kind(c->state, slot) == PL_KIND_BOOL && !c->e->get_bool(c->state, slot))
        d->retry.attempts = 1;
    else if (c->e->kind(c->state, slot) == PL_KIND_MAP)
        cfg_table(c, path, slot, settings, &d->retry);
    else
        cfg_wrong(c, path, "a table of settings, or false", slot);
}

/* --- batch, in hand, circuit --- */
static void read_size(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    int64_t n;
    if (cfg_get_count(c, path, slot, 100000, &n))
        *(unsigned *)target = (unsigned)n;
}

static void read_batch(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"size", read_size, offsetof(pl_consumer_options, batch_size)},
                                           {"wait", cfg_seconds, offsetof(pl_consumer_options, batch_wait)},
                                           {NULL, NULL, 0}};
    SELF;
    d->batch = true;
    d->options.batch_size = 100;
    if (c->e->kind(c->state, slot) == PL_KIND_MAP)
        cfg_table(c, path, slot, settings, &d->options);
    else
        cfg_wrong(c, path, "a table { size = 100, wait = 0.5 }", slot);
}

static void read_in_hand(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"events", cfg_size, offsetof(pl_flow_config, most_records)},
                                           {"size", cfg_size, offsetof(pl_flow_config, most_bytes)},
                                           {NULL, NULL, 0}};
    SELF;
    if (c->e->kind(c->state, slot) == PL_KIND_MAP)
        cfg_table(c, path, slot, settings, &d->options.flow);
    else
        cfg_wrong(c, path, "a table { events = 1000, size = \"16MB\" }", slot);
}

static void read_circuit(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"failures", read_size, offsetof(pl_circuit_config, failures)},
                                           {"pause", cfg_seconds, offsetof(pl_circuit_config, pause)},
                                           {NULL, NULL, 0}};
    SELF;
    if (c->e->kind(c->state, slot) == PL_KIND_BOOL && !c->e->get_bool(c->state, slot))
        d->circuit.failures = 0;
    else if (c->e->kind(c->state, slot) == PL_KIND_MAP)
        cfg_table(c, path, slot, settings, &d->circuit);
    else
        cfg_wrong(c, path, "a table of settings, or false", slot);
}

static void read_timer(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    SELF;
    pl_key *every = c->e->key(c->state, PL_STR("every"));
    uint64_t ms;
    c->report->errors.out_of_memory |= !every;
    if (c->e->kind(c->state, slot) != PL_KIND_MAP || !every || !c->e->field(c->state, slot, every)) {
        cfg_wrong(c, path, "a table { every = seconds, run = function }", slot);
        return;
    }
    if (cfg_get_seconds(c, path, c->e->top(c->state), &ms))
        d->timer_ms = ms > UINT32_MAX ? UINT32_MAX : (unsigned)ms;
    c->e->pop_to(c->state, c->e->top(c->state) - 1);
    d->hooks = true;
}

static void read_hook(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    SELF;
    d->hooks = true;
    if (!c->e->is_function(c->state, slot))
        cfg_wrong(c, path, "a function", slot);
}

/* What is done about it is done already; here only whether there is one. */
static void read_registry(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    bool wanted = false;
    (void)target;
    cfg_bool(c, path, slot, &wanted);
    if (wanted && c->config->schemas.url_count == 0)
        pl_report_error(
            c->report, c->file, 0, 0,
            "%s is true, but there is no schema registry: app.lua needs kafka = { registry = … }.", path);
}

static void pass_over(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    (void)c, (void)path, (void)slot, (void)target; /* the engine's */
}

#define AT(field) offsetof(pl_consumer_decl, field)
static const cfg_setting settings[] = {{"topic", read_topic, 0},
                                       {"topics", read_topics, 0},
                                       {"group", cfg_string, AT(group)},
                                       {"format", read_format, 0},
                                       {"message", read_message, 0},
                                       {"registry", read_registry, 0},
                                       {"from", read_from, 0},
                                       {"delivery", read_delivery, 0},
                                       {"ordering", read_ordering, 0},
                                       {"concurrency", read_concurrency, 0},
                                       {"batch", read_batch, 0},
                                       {"retry", read_retry, 0},
                                       {"dead_letter", read_dead_letter, 0},
                                       {"circuit", read_circuit, 0},
                                       {"timeout", cfg_seconds, AT(timeout_ms)},
                                       {"instance", cfg_string, AT(instance)},
                                       {"assignor", read_assignor, 0},
                                       {"transactional_id", cfg_string, AT(transactional_id)},
                                       {"commit_interval", cfg_seconds, AT(options.commit_ms)},
                                       {"in_hand", read_in_hand, 0},
                                       {"handler", pass_over, 0},
                                       {"on_assigned", read_hook, 0},
                                       {"on_revoked", read_hook, 0},
                                       {"timer", read_timer, 0},
                                       {NULL, NULL, 0}};
#undef AT

/* --- what is made of them --- */
static void set_defaults(pl_consumer_decl *d, const char *file)
{
    *d = (pl_consumer_decl){.file = pl_str_of(file), .timeout_ms = 300000};
    d->retry = (pl_retry_policy){.attempts = 3, .growth = PL_EXPONENTIAL, .jitter = 0.5};
    d->circuit = (pl_circuit_config){.failures = 20, .pause = 30000};
}

static pl_str retry_topic(cfg_context *c, const pl_consumer_decl *d, unsigned i)
{
    return pl_arena_printf(c->arena, "%s-%.*s-retry-%u", d->topics[0], PL_STR_ARG(d->group), i + 1);
}

/* The topics of the application, and behind them those for retries, which are read by the same consumer. */
static void add_retry_topics(cfg_context *c, pl_consumer_decl *d)
{
    unsigned n = d->retry.topic_count;
    const char **all = pl_arena_array(c->arena, d->topic_count + n, sizeof *all);
    d->retry_topics = pl_arena_array(c->arena, n, sizeof *d->retry_topics);
    if (!all || !d->retry_topics) {
        c->report->errors.out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < d->topic_count; i++)
        all[i] = d->topics[i];
    for (unsigned i = 0; i < n; i++) {
        d->retry_topics[i] = retry_topic(c, d, i);
        all[d->topic_count + i] = d->retry_topics[i].ptr;
    }
    d->topics = all;
    d->topic_count += n;
}

/* Those that have to be there, and nobody else makes. */
static void list_own_topics(cfg_context *c, pl_consumer_decl *d)
{
    size_t sources = d->topic_count - d->retry.topic_count, n = 0;
    const char **own = pl_arena_array(c->arena, d->topic_count + 1, sizeof *own);
    c->report->errors.out_of_memory |= !own;
    if (!own)
        return;
    for (unsigned i = 0; i < d->retry.topic_count; i++)
        own[n++] = d->retry_topics[i].ptr;
    if (!d->no_dead_letter && d->dead_letter.len)
        own[n++] = d->dead_letter.ptr;
    for (size_t i = 0; i < sources && !d->no_dead_letter && d->dead_letter.len == 0; i++)
        own[n++] = pl_arena_printf(c->arena, "%s-dlq", d->topics[i]).ptr;
    d->own_topics = own;
    d->own_topic_count = n;
}

static void make_patterns(cfg_context *c, const char *path, pl_consumer_decl *d)
{
    pl_error err = {0};
    d->patterns = pl_arena_array(c->arena, d->topic_count, sizeof *d->patterns);
    c->report->errors.out_of_memory |= !d->patterns;
    for (size_t i = 0; d->patterns && i < d->topic_count; i++) {
        d->patterns[i] = d->topics[i] ? pl_topic_pattern_new(c->arena, d->topics[i], &err) : NULL;
        if (d->patterns[i])
            continue;
        if (err.code == PL_INVALID_ARGUMENT)
            pl_report_error(c->report, c->file, 0, 0, "%s%s%s", path, path[0] ? ": " : "", err.message);
        else
            c->report->errors.out_of_memory = true;
        return;
    }
}

static void check(cfg_context *c, const char *path, pl_consumer_decl *d)
{
    const char *dot = path[0] ? ": " : "";
#define WRONG(...) pl_report_error(c->report, c->file, 0, 0, "%s%s" __VA_ARGS__)
    if (d->topic_count == 0)
        WRONG("a consumer needs a topic: topic = \"payments\".", path, dot);
    if (d->group.len == 0)
        WRONG("a consumer needs a group: group = \"payment-processor\" (or a name in app.lua, which is the "
              "default).",
              path, dot);
    if (d->format == PL_EVENT_PROTOBUF && d->message_name.len == 0)
        WRONG("format \"protobuf\" needs the name of the message: message = \"pay.v1.Event\".", path, dot);
    if (d->exactly_once && pl_str_is(d->assignor, "cooperative-sticky"))
        WRONG("delivery \"exactly_once\" needs assignor \"range\" or \"roundrobin\".", path, dot);
    if (d->hooks && (d->exactly_once || pl_str_is(d->assignor, "cooperative-sticky")))
        WRONG(
            "on_assigned, on_revoked and timer are for delivery \"at_least_once\" with assignor \"range\" or "
            "\"roundrobin\".",
            path, dot);
    for (size_t i = 0; i < d->topic_count && d->retry.topic_count > 0; i++) {
        if (d->topics[i][0] == '^')
            WRONG("retry.topics cannot be used with a regular expression for topics: name them.", path, dot);
    }
#undef WRONG
}

static pl_str name_of(cfg_context *c, const pl_consumer_decl *d)
{
    return pl_arena_printf(c->arena, "%.*s:%s%s", PL_STR_ARG(d->group), d->topics[0],
                           d->topic_count > 1 ? ",…" : "");
}

static pl_str identity_of(cfg_context *c, const pl_consumer_decl *d)
{
    pl_str id = pl_arena_printf(
        c->arena, "%.*s|%.*s|%.*s|%.*s|%d|%lld|%d|%d|%d", PL_STR_ARG(d->group), PL_STR_ARG(d->instance),
        PL_STR_ARG(d->assignor), PL_STR_ARG(d->transactional_id), (int)d->start, (long long)d->start_time,
        (int)d->exactly_once, (int)d->options.flow.ordering, (int)d->batch + 2 * (int)d->hooks);
    for (size_t i = 0; i < d->topic_count && id.ptr; i++)
        id = pl_arena_printf(c->arena, "%.*s|%s", PL_STR_ARG(id), d->topics[i]);
    return id;
}

static void finish(cfg_context *c, const char *path, pl_consumer_decl *d, const struct pb_pool *protos)
{
    if (d->group.len == 0)
        d->group = c->config->name;
    check(c, path, d);
    if (pl_report_has_errors(c->report))
        return;
    if (d->retry.topic_count > 0)
        add_retry_topics(c, d);
    if (!pl_report_has_errors(c->report))
        make_patterns(c, path, d);
    if (!pl_report_has_errors(c->report))
        list_own_topics(c, d);
    if (d->format == PL_EVENT_PROTOBUF &&
        !(d->message = protos ? pb_pool_message(protos, d->message_name) : NULL))
        pl_report_error(c->report, c->file, 0, 0, "There is no message \"%.*s\" in proto/.",
                        PL_STR_ARG(d->message_name));
    /* By partition there is one lane in each; else there have to be many. */
    if (d->options.concurrency == 0 && d->options.flow.ordering != PL_BY_PARTITION)
        d->options.concurrency = 64;
    d->options.flow.concurrency = d->options.concurrency ? d->options.concurrency : 1;
    d->name = name_of(c, d);
    d->identity = identity_of(c, d);
    c->report->errors.out_of_memory |= !d->name.ptr || !d->identity.ptr;
}

/* --- files --- */
typedef struct loader {
    cfg_context c;
    pl_instance *instance;
    const pl_instance_source *source;
    size_t count;
} loader;

/* Pushes the member; false: it is no function. */
static bool push_function(loader *l, pl_slot table, const char *name)
{
    const pl_engine *e = l->c.e;
    pl_key *key = e->key(l->c.state, pl_str_of(name));
    l->c.report->errors.out_of_memory |= !key;
    return key && e->field(l->c.state, table, key) && e->is_function(l->c.state, e->top(l->c.state));
}

static pl_ref keep_function(loader *l, pl_slot table, const char *name)
{
    pl_slot top = l->c.e->top(l->c.state);
    pl_ref ref =
        push_function(l, table, name) ? l->c.e->keep(l->c.state, l->c.e->top(l->c.state)) : PL_REF_NONE;
    l->c.e->pop_to(l->c.state, top);
    return ref;
}

static void keep_hooks(loader *l, pl_slot table, pl_consumer_functions *out)
{
    const pl_engine *e = l->c.e;
    pl_slot top = e->top(l->c.state);
    pl_key *timer = e->key(l->c.state, PL_STR("timer"));
    l->c.report->errors.out_of_memory |= !timer;
    out->on_assigned = keep_function(l, table, "on_assigned");
    out->on_revoked = keep_function(l, table, "on_revoked");
    out->timer = PL_REF_NONE;
    if (timer && e->field(l->c.state, table, timer) && e->kind(l->c.state, e->top(l->c.state)) == PL_KIND_MAP)
        out->timer = keep_function(l, e->top(l->c.state), "run");
    e->pop_to(l->c.state, top);
}

static void add_one(loader *l, const char *path, pl_slot slot)
{
    const pl_engine *e = l->c.e;
    pl_state *state = l->c.state;
    pl_config *config = l->c.config;
    pl_slot top = e->top(state);
    if (e->kind(state, slot) != PL_KIND_MAP) {
        cfg_wrong(&l->c, path[0] ? path : "a file of events",
                  "a consumer { topic = …, handler = function }, or a list of them", slot);
        return;
    }
    if (l->count >= MOST_CONSUMERS) {
        pl_report_error(l->c.report, l->c.file, 0, 0, "there are more than %d consumers.", MOST_CONSUMERS);
        return;
    }
    size_t at = l->count++;
    if (l->source->read_config) {
        set_defaults(&config->consumers[at], l->c.file);
        cfg_table(&l->c, path, slot, settings, &config->consumers[at]);
        finish(&l->c, path, &config->consumers[at], l->source->protos);
    }
    if (push_function(l, slot, "handler")) {
        pl_consumer_functions *functions = &l->instance->consumers[at];
        functions->arity = e->arity(state, e->top(state));
        functions->handler = e->keep(state, e->top(state));
        keep_hooks(l, slot, functions);
    } else {
        pl_report_error(l->c.report, l->c.file, 0, 0,
                        "%s%sa consumer needs a handler: handler = function(event, msg, ctx) … end.", path,
                        path[0] ? ": " : "");
    }
    e->pop_to(state, top);
}

/* What the file has may stand for several. */
static void add(loader *l, const char *path, pl_slot slot)
{
    const pl_engine *e = l->c.e;
    pl_state *state = l->c.state;
    pl_slot top = e->top(state);
    pl_error err;
    pl_error_clear(&err);
    if (e->declare && e->declare(state, slot, &slot, &err) != PL_OK) {
        pl_report_error(l->c.report, l->c.file, 0, 0, "%s%s%s", path, path[0] ? ": " : "", err.message);
        return;
    }
    size_t n = e->kind(state, slot) == PL_KIND_LIST ? e->length(state, slot) : 0;
    if (n == 0)
        add_one(l, path, slot);
    for (size_t i = 0; i < n; i++) {
        e->element(state, slot, i);
        add_one(l, path, e->top(state));
    }
    e->pop_to(state, top);
}

/* One, or a list. */
static void add_all(loader *l, pl_slot slot)
{
    const pl_engine *e = l->c.e;
    size_t n = e->kind(l->c.state, slot) == PL_KIND_LIST ? e->length(l->c.state, slot) : 0;
    if (n == 0)
        add(l, "", slot);
    for (size_t i = 0; i < n; i++) {
        char path[32];
        snprintf(path, sizeof path, "[%zu]", i + 1);
        e->element(l->c.state, slot, i);
        add(l, path, e->top(l->c.state));
        e->pop_to(l->c.state, slot);
    }
}

static void load_file(loader *l, const pl_file *file)
{
    const pl_engine *e = l->c.e;
    pl_slot top = e->top(l->c.state), slot;
    pl_error err = {0};
    l->c.file = file->path.ptr;
    if (e->load(l->c.state, file->path, &slot, &err) != PL_OK)
        pl_report_add(l->c.report, &err);
    else if (e->reserve(l->c.state, 16))
        add_all(l, slot);
    else
        l->c.report->errors.out_of_memory = true;
    e->pop_to(l->c.state, top);
}

static void load_natives(loader *l)
{
    pl_slot top = l->c.e->top(l->c.state);
    l->c.file = PL_HOST_PROGRAM;
    pl_natives_push_consumers(l->source->natives, l->c.state);
    add_all(l, top + 1);
    l->c.e->pop_to(l->c.state, top);
}

static bool is_consumer_file(const pl_file *file)
{
    return pl_file_is(file, "events/", ".lua");
}

bool pl_bundle_has_consumers(const pl_bundle *bundle)
{
    for (size_t i = 0; i < bundle->file_count; i++) {
        if (is_consumer_file(&bundle->files[i]))
            return true;
    }
    return false;
}

static bool make_room(loader *l)
{
    pl_config *config = l->c.config;
    l->instance->consumers =
        pl_arena_array(&l->instance->arena, MOST_CONSUMERS, sizeof *l->instance->consumers);
    if (l->source->read_config)
        config->consumers = pl_arena_array(l->c.arena, MOST_CONSUMERS, sizeof *config->consumers);
    return l->instance->consumers && config->consumers;
}

static void check_twice(loader *l)
{
    const pl_config *config = l->c.config;
    for (size_t i = 0; i < config->consumer_count; i++) {
        for (size_t k = 0; k < i && !pl_report_has_errors(l->c.report); k++) {
            if (pl_str_eq(config->consumers[i].identity, config->consumers[k].identity))
                pl_report_error(
                    l->c.report, config->consumers[i].file.ptr, 0, 0,
                    "The consumer %.*s is there already, in %.*s: give one of them a group of its own.",
                    PL_STR_ARG(config->consumers[i].name), PL_STR_ARG(config->consumers[k].file));
        }
    }
}

void pl_consumers_load(pl_instance *instance, const pl_instance_source *source, pl_report *report)
{
    const pl_bundle *bundle = source->bundle;
    loader l = {.c = {instance->state, source->engine, source->config_arena, source->config, report, ""},
                .instance = instance,
                .source = source};
    size_t natives = pl_natives_consumer_count(source->natives);
    if (!pl_bundle_has_consumers(bundle) && natives == 0)
        return;
    if (!make_room(&l)) {
        report->errors.out_of_memory = true;
        return;
    }
    if (natives > 0)
        load_natives(&l);
    for (size_t i = 0; i < bundle->file_count; i++) {
        if (is_consumer_file(&bundle->files[i]))
            load_file(&l, &bundle->files[i]);
    }
    if (source->read_config) {
        source->config->consumer_count = l.count;
        check_twice(&l);
    } else if (l.count != source->config->consumer_count && !pl_report_has_errors(report)) {
        pl_report_error(report, "events/", 0, 0,
                        "The consumers are not the same every time that the files run.");
    }
    if (source->protos && !instance->codec)
        report->errors.out_of_memory |= !(instance->codec = pb_codec_new(source->protos, instance->state));
}
