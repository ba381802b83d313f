/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "app/config_values.h"

/* kafka.registry: where schemas are registered, and how; kafka.topics: how the events of a topic are written
 * where the script that publishes one does not say it. */

#define MOST_URLS 16

/* --- the registry --- */
static void wrong_url(cfg_context *c, const char *path, const char *what)
{
    pl_report_error(c->report, c->file, 0, 0, "%s %s.", path, what);
}

static pl_str check_url(cfg_context *c, const char *path, pl_str url)
{
    pl_str rest = url;
    if (pl_str_starts(url, PL_STR("http://")))
        rest = (pl_str){url.ptr + 7, url.len - 7};
    else if (pl_str_starts(url, PL_STR("https://")))
        rest = (pl_str){url.ptr + 8, url.len - 8};
    else
        rest.len = 0;
    if (rest.len == 0 || memchr(url.ptr, '?', url.len) || memchr(url.ptr, '#', url.len))
        wrong_url(c, path, "must be a URL such as \"https://registry:8081\"");
    else if (memchr(rest.ptr, '@', rest.len))
        wrong_url(c, path, "must not hold a user or password: they belong into registry.user and .password");
    while (url.len > 0 && url.ptr[url.len - 1] == '/')
        url.len--;
    return url;
}

static void read_url(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    pl_schemas_config *s = target;
    pl_str *urls;
    size_t n = 1;
    if (c->e->kind(c->state, slot) == PL_KIND_STRING) {
        urls = pl_arena_array(c->arena, 1, sizeof *urls);
        if (urls)
            urls[0] = cfg_copy_string(c, slot);
    } else {
        urls = cfg_strings(c, path, slot, "a URL, or a list of them", &n);
    }
    c->report->errors.out_of_memory |= !urls;
    if (urls && (n == 0 || n > MOST_URLS))
        wrong_url(c, path, "must have one URL at least, and 16 at most");
    for (size_t i = 0; urls && i < n; i++) {
        if (urls[i].ptr)
            urls[i] = check_url(c, path, urls[i]);
    }
    s->urls = urls;
    s->url_count = urls ? n : 0;
}

static void read_strategy(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"topic_name", "record_name", "topic_record_name", NULL};
    unsigned word;
    if (cfg_word(c, slot, words, &word))
        ((pl_schemas_config *)target)->strategy = (pl_subject_strategy)word;
    else
        cfg_wrong(c, path, "\"topic_name\", \"record_name\" or \"topic_record_name\"", slot);
}

void cfg_schema_registry(cfg_context *c, const char *path, pl_slot slot, void *target)
{
#define AT(field) offsetof(pl_schemas_config, field)
    static const cfg_setting settings[] = {{"url", read_url, 0},
                                           {"user", cfg_string, AT(user)},
                                           {"password", cfg_string, AT(password)},
                                           {"token", cfg_string, AT(token)},
                                           {"ca", cfg_string, AT(ca)},
                                           {"strategy", read_strategy, 0},
                                           {"auto_register", cfg_not_bool, AT(only_registered)},
                                           {"normalize", cfg_bool, AT(normalize)},
                                           {"check", cfg_bool, AT(check)},
                                           {"timeout", cfg_seconds, AT(timeout_ms)},
                                           {"missing_ttl", cfg_seconds, AT(missing_ms)},
                                           {NULL, NULL, 0}};
#undef AT
    pl_schemas_config *s = &c->config->schemas;
    (void)target;
    if (c->e->kind(c->state, slot) == PL_KIND_STRING)
        read_url(c, path, slot, s);
    else
        cfg_table(c, path, slot, settings, s);
    if (s->url_count == 0 && !pl_report_has_errors(c->report))
        pl_report_error(c->report, c->file, 0, 0, "%s has no \"url\".", path);
    if (s->user.ptr && s->token.ptr)
        pl_report_error(c->report, c->file, 0, 0, "%s has a user and a token: one of them is to be used.",
                        path);
}

/* --- topics --- */
static void read_format(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"json", "protobuf", "bytes", NULL};
    unsigned word;
    if (cfg_word(c, slot, words, &word))
        *(pl_str *)target = pl_str_of(words[word]);
    else
        cfg_wrong(c, path, "\"json\", \"protobuf\" or \"bytes\"", slot);
}

static void check_topic(cfg_context *c, const char *path, const pl_topic_defaults *t)
{
    bool protobuf = t->format.ptr && pl_str_is(t->format, "protobuf");
    const char *what = NULL;
    if (t->message.ptr && t->schema.ptr)
        what = "has a protobuf message and a JSON Schema: its events are one or the other";
    else if (protobuf && !t->message.ptr)
        what = "has no \"message\", which format = \"protobuf\" needs";
    else if (t->format.ptr &&
             ((t->message.ptr && !protobuf) || (t->schema.ptr && !pl_str_is(t->format, "json"))))
        what = "has a schema that is not for its format";
    else if (t->registry && !t->message.ptr && !t->schema.ptr)
        what = "has no \"message\" or \"schema\", which registry = true needs";
    else if (t->registry && c->config->schemas.url_count == 0 && !pl_report_has_errors(c->report))
        what = "has registry = true, but there is no kafka.registry";
    if (what)
        pl_report_error(c->report, c->file, 0, 0, "%s %s.", path, what);
}

static void read_topic(cfg_context *c, const char *path, pl_slot slot, pl_str name)
{
    static const cfg_setting settings[] = {{"format", read_format, offsetof(pl_topic_defaults, format)},
                                           {"message", cfg_string, offsetof(pl_topic_defaults, message)},
                                           {"schema", cfg_string, offsetof(pl_topic_defaults, schema)},
                                           {"registry", cfg_bool, offsetof(pl_topic_defaults, registry)},
                                           {NULL, NULL, 0}};
    pl_topic_defaults topic = {.topic = cfg_copy(c, name)};
    if (c->e->kind(c->state, slot) != PL_KIND_MAP) {
        cfg_wrong(c, path, "a table { message = …, registry = … }", slot);
        return;
    }
    cfg_table(c, path, slot, settings, &topic);
    c->config->schemas.topics[c->config->schemas.topic_count++] = topic;
}

static int compare_topics(const void *a, const void *b)
{
    return pl_str_cmp(((const pl_topic_defaults *)a)->topic, ((const pl_topic_defaults *)b)->topic);
}

void cfg_topics(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    pl_schemas_config *s = &c->config->schemas;
    (void)target;
    s->topic_count = 0;
    s->topics = cfg_begin_named(c, path, slot, "a table { [\"topic\"] = { message = …, registry = … } }",
                                sizeof *s->topics);
    if (!s->topics)
        return;
    cfg_each_named(c, path, slot, read_topic);
    if (s->topic_count > 1)
        qsort(s->topics, s->topic_count, sizeof *s->topics, compare_topics);
}

void cfg_check_topics(cfg_context *c)
{
    char path[256];
    for (size_t i = 0; i < c->config->schemas.topic_count; i++) {
        const pl_topic_defaults *t = &c->config->schemas.topics[i];
        snprintf(path, sizeof path, "kafka.topics[\"%.*s\"]", PL_STR_ARG(t->topic));
        check_topic(c, path, t);
    }
}

/* --- for those who use them --- */
const pl_topic_defaults *pl_schemas_config_topic(const pl_schemas_config *config, pl_str topic)
{
    const pl_topic_defaults wanted = {.topic = topic};
    if (config->topic_count == 0)
        return NULL;
    return bsearch(&wanted, config->topics, config->topic_count, sizeof wanted, compare_topics);
}

bool pl_schemas_config_copy(pl_schemas_config *to, const pl_schemas_config *from, pl_arena *arena)
{
    pl_str *urls = pl_arena_array(arena, from->url_count, sizeof *urls);
    pl_str *strings[] = {&to->user, &to->password, &to->token, &to->ca};
    bool ok = urls != NULL;
    *to = *from;
    to->urls = urls;
    to->topics = NULL;
    to->topic_count = 0;
    for (size_t i = 0; ok && i < from->url_count; i++)
        ok = (urls[i] = pl_arena_str(arena, from->urls[i])).ptr != NULL;
    for (size_t i = 0; ok && i < sizeof strings / sizeof *strings; i++)
        ok = !strings[i]->ptr || (*strings[i] = pl_arena_str(arena, *strings[i])).ptr != NULL;
    return ok;
}
