/* SPDX-License-Identifier: MIT */
#include "app/schemas.h"

#include <stdio.h>

#include "app/schema_call.h"
#include "base/alloc.h"
#include "events/registry/cache.h"
#include "events/registry/names.h"

#define MOST_TASKS 10000

/* One question under way. To write a message, the steps of its plan are gone through: registered, or looked
 * up. To read one, its schema is fetched. */
typedef struct task task;
struct task {
    pl_schemas *schemas;
    task *next, **place; /* place NULL: it is over */
    pl_arena arena;
    pl_str key; /* equal keys ask the same */
    pl_schemas_config config;
    pl_schema_cache *cache;
    pl_bundle *bundle; /* whose texts the plan has */
    pl_schema_asker *askers;
    pl_schema_plan plan;
    size_t at; /* the step in hand */
    bool reads;
    int32_t id;
    pl_schema_path path;
    pl_schema_call call;
    pl_str cache_key; /* of the call */
    bool ended;
    pl_error err;
    pl_schema_found found;
    pl_buf out; /* found's strings */
};

struct pl_schemas {
    pl_loop *loop;
    pl_host *host;
    pl_registry *shared;
    pl_http_fetcher *fetcher; /* NULL until it is needed */
    unsigned address;
    task *tasks;
    size_t count;
};

static uint64_t now(const task *t)
{
    return t->schemas->host->ops->now(t->schemas->host);
}

/* --- life --- */
static void unlink_task(task *t)
{
    if (!t->place)
        return;
    *t->place = t->next;
    if (t->next)
        t->next->place = t->place;
    t->place = NULL;
    t->schemas->count--;
}

static void link_task(pl_schemas *schemas, task *t)
{
    t->next = schemas->tasks;
    t->place = &schemas->tasks;
    if (t->next)
        t->next->place = &t->next;
    schemas->tasks = t;
    schemas->count++;
}

static void free_task(task *t)
{
    unlink_task(t);
    while (t->askers)
        pl_schema_asker_forget(t->askers);
    pl_schema_call_dispose(&t->call);
    pl_schema_cache_release(t->schemas->shared, t->cache);
    pl_bundle_unref(t->bundle);
    pl_buf_dispose(&t->out);
    pl_arena_dispose(&t->arena);
    pl_free(t);
}

/* --- the end --- */
static void finish(task *t, pl_code code)
{
    t->ended = true;
    t->found.code = code;
    t->found.why = t->err.message;
}

static void finish_written(task *t)
{
    const pl_schema_step *step = &t->plan.steps[t->plan.count - 1];
    pl_schema_write_id(&t->out, step->id);
    if (t->plan.protobuf)
        pl_schema_write_path(&t->out, &t->plan.path);
    t->found.header = pl_buf_view(&t->out);
    finish(t, t->out.failed ? pl_fail_memory(&t->err) : PL_OK);
}

static void finish_read(task *t, const pl_schema_answer *answer)
{
    static const char *const types[] = {"PROTOBUF", "JSON", "AVRO"};
    pl_code code = PL_OK;
    pl_error why;
    pl_error_clear(&why);
    t->found.type = types[answer->type];
    t->found.text = answer->text;
    if (answer->type == PL_SCHEMA_PROTOBUF && t->path.count > 0)
        code = pl_schema_message_name(answer->text, &t->path, &t->out, &why);
    if (code)
        pl_fail(&t->err, code, "schema %d: %s", t->id, why.message);
    t->found.name = pl_buf_view(&t->out);
    finish(t, code);
}

static void tell(task *t)
{
    unlink_task(t);
    while (t->askers) {
        pl_schema_asker *asker = t->askers;
        pl_schema_asker_forget(asker);
        asker->done(asker, &t->found);
    }
    free_task(t);
}

/* --- questions --- */
static pl_str make_cache_key(task *t, pl_schema_step *step)
{
    pl_buf key;
    pl_buf_init(&key);
    if (t->reads) {
        pl_buf_printf(&key, "id\n%d", t->id);
    } else {
        pl_buf_printf(&key, "%s\n%.*s\n", t->config.only_registered ? "look up" : "register",
                      PL_STR_ARG(step->subject));
        pl_schema_put_body(&key, &step->schema);
    }
    pl_str copy = key.failed ? PL_STR_NONE : pl_arena_str(&t->arena, pl_buf_view(&key));
    pl_buf_dispose(&key);
    return copy;
}

/* A reference names a version: of one that was registered it has to be looked up. */
static pl_schema_ask next_ask(const task *t, const pl_schema_step *step)
{
    if (t->reads)
        return PL_SCHEMA_GET;
    return t->config.only_registered || step->id > 0 ? PL_SCHEMA_LOOK_UP : PL_SCHEMA_REGISTER;
}

static void is_missing(task *t, const pl_schema_answer *answer)
{
    const pl_schema_step *step = t->reads ? NULL : &t->plan.steps[t->at];
    if (t->reads)
        pl_fail(&t->err, PL_NOT_FOUND, "the schema registry has no schema %d: %.*s", t->id,
                PL_STR_ARG(answer->why));
    else
        pl_fail(&t->err, PL_FAILED_PRECONDITION,
                "%.*s is not registered as it is for subject %.*s (%.*s), and kafka.registry.auto_register "
                "is off: register it, for example with `perilune schemas register`",
                PL_STR_ARG(step->file), PL_STR_ARG(step->subject), PL_STR_ARG(answer->why));
    finish(t, t->err.code);
}

static void take(task *t, const pl_schema_answer *answer)
{
    if (answer->missing) {
        is_missing(t, answer);
        return;
    }
    if (t->reads) {
        finish_read(t, answer);
        return;
    }
    pl_schema_step *step = &t->plan.steps[t->at];
    step->id = answer->id;
    if (answer->version > 0)
        step->version = answer->version;
}

static void begin_call(task *t, pl_schema_step *step)
{
    pl_schemas *schemas = t->schemas;
    if (!schemas->fetcher && !(schemas->fetcher = pl_http_fetcher_new(schemas->loop, &t->err))) {
        finish(t, t->err.code);
        return;
    }
    t->call.fetcher = schemas->fetcher;
    if (pl_schema_call_start(&t->call, next_ask(t, step), step ? step->subject : PL_STR_NONE, t->id,
                             step ? &step->schema : NULL, &t->err) != PL_OK)
        finish(t, t->err.code);
}

/* Sets the versions of what a step imports, which are known by now. */
static void set_references(task *t, pl_schema_step *step)
{
    for (size_t i = 0; i < step->schema.reference_count; i++)
        step->references[i].version = t->plan.steps[step->imports[i]].version;
}

static bool is_done(const task *t, const pl_schema_step *step)
{
    bool last = t->at + 1 == t->plan.count;
    return step->id > 0 && (last || step->version > 0);
}

/* Goes on until an answer has to be waited for, or all is over. */
static void advance(task *t)
{
    pl_schema_answer known;
    while (!t->ended) {
        pl_schema_step *step = t->reads ? NULL : &t->plan.steps[t->at];
        if (step && is_done(t, step)) {
            if (++t->at == t->plan.count)
                finish_written(t);
            continue;
        }
        if (step && step->id == 0)
            set_references(t, step);
        t->cache_key = make_cache_key(t, step);
        if (!t->cache_key.ptr) {
            finish(t, pl_fail_memory(&t->err));
        } else if ((!step || step->id == 0) &&
                   pl_schema_cache_find(t->cache, t->cache_key, now(t), &t->arena, &known)) {
            take(t, &known);
        } else {
            begin_call(t, step);
            return;
        }
    }
}

static void on_answer(pl_schema_call *call, pl_code code, const pl_schema_answer *answer, const pl_error *err)
{
    task *t = (task *)((char *)call - offsetof(task, call));
    if (code) {
        const pl_schema_step *step = t->reads ? NULL : &t->plan.steps[t->at];
        if (step)
            pl_fail(&t->err, code, "%.*s (subject %.*s): %s", PL_STR_ARG(step->file),
                    PL_STR_ARG(step->subject), err->message);
        else
            pl_fail(&t->err, code, "schema %d: %s", t->id, err->message);
        finish(t, code);
    } else {
        pl_schema_cache_put(t->cache, t->cache_key, answer, now(t),
                            answer->missing ? t->config.missing_ms : 0);
        take(t, answer);
        advance(t);
    }
    if (t->ended)
        tell(t);
}

/* --- who asks --- */
static bool put_key(pl_buf *out, const pl_schema_sources *sources, const pl_schema_want *want)
{
    const pl_schemas_config *c = sources->config;
    for (size_t i = 0; i < c->url_count; i++)
        pl_buf_printf(out, "%.*s\n", PL_STR_ARG(c->urls[i]));
    pl_buf_printf(out, "%s\n%s\n", c->user.ptr ? c->user.ptr : "", c->token.ptr ? c->token.ptr : "");
    size_t registry = out->len;
    pl_buf_printf(out, "%d %d %d\n", c->strategy, c->only_registered, c->normalize);
    if (want->topic.ptr)
        pl_buf_printf(out, "%s\n%.*s\n%.*s\n%.*s", sources->bundle->hash, PL_STR_ARG(want->topic),
                      (int)want->message.len, want->message.ptr ? want->message.ptr : "",
                      (int)want->schema.len, want->schema.ptr ? want->schema.ptr : "");
    else
        pl_buf_printf(out, "%d", want->id);
    for (size_t i = 0; i < want->depth; i++)
        pl_buf_printf(out, " %u", want->path[i]);
    pl_buf_char(out, '\0');
    pl_buf_append(out, &registry, sizeof registry); /* where the registry's own part ends */
    return !out->failed;
}

static pl_code set_up(task *t, const pl_schema_sources *sources, const pl_schema_want *want, pl_str key,
                      pl_str registry, pl_error *err)
{
    t->key = pl_arena_str(&t->arena, key);
    if (!t->key.ptr || !pl_schemas_config_copy(&t->config, sources->config, &t->arena))
        return pl_fail_memory(err);
    t->cache = pl_schema_cache_get(t->schemas->shared, registry, err);
    if (!t->cache)
        return err->code;
    t->bundle = pl_bundle_ref((pl_bundle *)sources->bundle);
    t->reads = !want->topic.ptr;
    t->id = want->id;
    t->path.count = want->depth < PL_SCHEMA_MOST_DEPTH ? want->depth : PL_SCHEMA_MOST_DEPTH;
    if (t->path.count > 0)
        memcpy(t->path.at, want->path, t->path.count * sizeof *t->path.at);
    if (t->reads)
        return PL_OK;
    return pl_schema_plan_make(sources, want->topic, want->message, want->schema, &t->arena, &t->plan, err);
}

static task *new_task(pl_schemas *schemas, const pl_schema_sources *sources, const pl_schema_want *want,
                      pl_str key, pl_str registry, pl_error *err)
{
    task *t = schemas->count < MOST_TASKS ? pl_calloc(1, sizeof *t) : NULL;
    if (!t) {
        if (schemas->count < MOST_TASKS)
            pl_fail_memory(err);
        else
            pl_fail(err, PL_RESOURCE_EXHAUSTED, "%d schemas are being asked for", MOST_TASKS);
        return NULL;
    }
    t->schemas = schemas;
    pl_arena_init(&t->arena, 0);
    pl_buf_init(&t->out);
    t->call = (pl_schema_call){.host = schemas->host,
                               .config = &t->config,
                               .arena = &t->arena,
                               .address = &schemas->address,
                               .done = on_answer};
    pl_schema_call_init(&t->call);
    if (set_up(t, sources, want, key, registry, err) == PL_OK)
        return t;
    free_task(t);
    return NULL;
}

static task *find_task(const pl_schemas *schemas, pl_str key)
{
    task *t = schemas->tasks;
    while (t && !pl_str_eq(t->key, key))
        t = t->next;
    return t;
}

static void add_asker(task *t, pl_schema_asker *asker, unsigned *counted)
{
    asker->next = t->askers;
    asker->place = &t->askers;
    if (asker->next)
        asker->next->place = &asker->next;
    t->askers = asker;
    asker->counted = counted;
    ++*counted;
}

pl_code pl_schemas_ask(pl_schemas *schemas, const pl_schema_sources *sources, const pl_schema_want *want,
                       pl_schema_asker *asker, unsigned *counted, pl_error *err)
{
    pl_buf text;
    size_t registry = 0;
    task *t = NULL;
    asker->place = NULL;
    if (sources->config->url_count == 0)
        return pl_fail(err, PL_FAILED_PRECONDITION,
                       "there is no schema registry: set kafka = { registry = { url = \"http://…\" } } in "
                       "app.lua");
    pl_buf_init(&text);
    if (put_key(&text, sources, want)) {
        memcpy(&registry, text.data + text.len - sizeof registry, sizeof registry);
        pl_str key = {text.data, text.len - sizeof registry};
        if (!(t = find_task(schemas, key)) &&
            (t = new_task(schemas, sources, want, key, (pl_str){text.data, registry}, err)) != NULL) {
            advance(t);
            if (!t->ended)
                link_task(schemas, t);
        }
    } else {
        pl_fail_memory(err);
    }
    pl_buf_dispose(&text);
    if (!t)
        return err->code;
    if (!t->ended) {
        add_asker(t, asker, counted);
        return PL_OK;
    }
    asker->done(asker, &t->found);
    free_task(t);
    return PL_OK;
}

/* --- life --- */
pl_schemas *pl_schemas_new(pl_loop *loop, pl_registry *shared)
{
    pl_schemas *schemas = pl_calloc(1, sizeof *schemas);
    if (!schemas)
        return NULL;
    schemas->loop = loop;
    schemas->host = pl_loop_host(loop);
    schemas->shared = shared;
    return schemas;
}

void pl_schemas_free(pl_schemas *schemas)
{
    if (!schemas)
        return;
    while (schemas->tasks)
        free_task(schemas->tasks);
    pl_http_fetcher_free(schemas->fetcher);
    pl_free(schemas);
}
