/* SPDX-License-Identifier: MIT */
#include "app/schema_review.h"

#include <stdio.h>

#include "app/schema_call.h"
#include "base/map.h"
#include "net/loop.h"

/* The steps of all topics' plans, one question after the other. To check a schema, the versions of what it
 * imports must be known: the one that is the same, or else the newest. What imports something that is not
 * registered at all cannot be compared, but then it is as new itself. */
typedef struct review {
    const pl_schema_sources *sources;
    pl_schema_review what;
    pl_report *report;
    pl_buf *out;
    pl_arena arena;
    pl_loop *loop;
    unsigned address;
    pl_schema_call call;
    pl_map seen; /* subject and text of what is done → its step */
    pl_schema_plan *plans;
    size_t plan_count, plan, at;
    bool failed;
} review;

static pl_schema_step *step_of(review *r)
{
    return &r->plans[r->plan].steps[r->at];
}

static bool is_last(const review *r)
{
    return r->at + 1 == r->plans[r->plan].count;
}

static void advance(review *r);

static void stop(review *r)
{
    r->plan = r->plan_count;
    pl_loop_stop(r->loop);
}

static void give_up(review *r, const pl_error *err)
{
    pl_report_error(r->report, "app.lua", 0, 0, "kafka.registry: %s.", err->message);
    r->failed = true;
    stop(r);
}

static void ask(review *r, pl_schema_ask what)
{
    pl_error err;
    pl_error_clear(&err);
    const pl_schema_step *step = step_of(r);
    if (pl_schema_call_start(&r->call, what, step->subject, 0, &step->schema, &err) != PL_OK)
        give_up(r, &err);
}

/* The version of a schema that others import is asked for, too. */
static void next(review *r)
{
    if (++r->at == r->plans[r->plan].count) {
        r->plan++;
        r->at = 0;
    }
    advance(r);
}

static void tell(review *r, const char *what)
{
    const pl_schema_step *step = step_of(r);
    pl_buf_printf(r->out, "%.*s: %s (%.*s)\n", PL_STR_ARG(step->subject), what, PL_STR_ARG(step->file));
}

static void refuse(review *r, const char *why)
{
    const pl_schema_step *step = step_of(r);
    pl_report_error(r->report, step->file.ptr, 0, 0, "subject %.*s: %s", PL_STR_ARG(step->subject), why);
    r->failed = true;
}

static void compared(review *r, const pl_schema_answer *answer)
{
    char why[1024];
    if (answer->missing) {
        tell(r, "new");
    } else if (answer->compatible) {
        tell(r, "compatible");
    } else {
        snprintf(why, sizeof why, "it is not compatible with what is registered%s%.*s",
                 answer->why.len ? ": " : "", PL_STR_ARG(answer->why));
        refuse(r, why);
    }
    if (is_last(r))
        next(r);
    else
        ask(r, PL_SCHEMA_LOOK_UP);
}

static void registered(review *r, const pl_schema_answer *answer)
{
    char text[32];
    step_of(r)->id = answer->id;
    snprintf(text, sizeof text, "id %d", answer->id);
    tell(r, text);
    if (is_last(r))
        next(r);
    else
        ask(r, PL_SCHEMA_LOOK_UP);
}

static void on_answer(pl_schema_call *call, pl_code code, const pl_schema_answer *answer, const pl_error *err)
{
    review *r = (review *)((char *)call - offsetof(review, call));
    if (code == PL_UNAVAILABLE || code == PL_RESOURCE_EXHAUSTED) {
        give_up(r, err);
    } else if (code) {
        refuse(r, err->message);
        next(r);
    } else if (call->ask == PL_SCHEMA_COMPATIBLE) {
        compared(r, answer);
    } else if (call->ask == PL_SCHEMA_REGISTER) {
        registered(r, answer);
    } else if (answer->missing && call->ask == PL_SCHEMA_LOOK_UP && r->what == PL_REVIEW_CHECK) {
        ask(r, PL_SCHEMA_LATEST);
    } else {
        step_of(r)->version = answer->missing ? 0 : answer->version;
        next(r);
    }
}

/* --- what is asked --- */

/* False: one of them is not registered. */
static bool set_references(review *r, const pl_schema_step *step)
{
    bool all = true;
    for (size_t i = 0; i < step->schema.reference_count; i++) {
        step->references[i].version = r->plans[r->plan].steps[step->imports[i]].version;
        all &= step->references[i].version > 0;
    }
    return all;
}

/* The same schema of the same subject is asked for once. */
static bool was_seen(review *r, pl_schema_step *step)
{
    pl_str key =
        pl_arena_printf(&r->arena, "%.*s\n%.*s", PL_STR_ARG(step->subject), PL_STR_ARG(step->schema.text));
    pl_schema_step *before = key.ptr ? pl_map_get(&r->seen, key) : NULL;
    if (before)
        step->version = before->version;
    /* When what came before was not imported, its version is not known. */
    bool seen = before && (is_last(r) || before->version > 0);
    if (!seen && key.ptr)
        pl_map_set(&r->seen, key, step);
    return seen;
}

static void advance(review *r)
{
    while (r->plan < r->plan_count) {
        pl_schema_step *step = step_of(r);
        if (was_seen(r, step)) {
            if (++r->at == r->plans[r->plan].count) {
                r->plan++;
                r->at = 0;
            }
        } else if (!set_references(r, step) && r->what == PL_REVIEW_CHECK) {
            tell(r, "not compared, as it imports what is not registered");
            if (++r->at == r->plans[r->plan].count) {
                r->plan++;
                r->at = 0;
            }
        } else {
            ask(r, r->what == PL_REVIEW_CHECK ? PL_SCHEMA_COMPATIBLE : PL_SCHEMA_REGISTER);
            return;
        }
    }
    stop(r);
}

static pl_code make_plans(review *r, pl_error *err)
{
    const pl_schemas_config *config = r->sources->config;
    r->plans = pl_arena_array(&r->arena, config->topic_count, sizeof *r->plans);
    pl_code code = r->plans ? PL_OK : pl_fail_memory(err);
    for (size_t i = 0; !code && i < config->topic_count; i++) {
        const pl_topic_defaults *t = &config->topics[i];
        if (t->registry)
            code = pl_schema_plan_make(r->sources, t->topic, t->message, t->schema, &r->arena,
                                       &r->plans[r->plan_count++], err);
    }
    return code;
}

static void begin(pl_message *message)
{
    advance(message->data);
}

static pl_code run(review *r, pl_error *err)
{
    pl_message message = {.run = begin, .data = r};
    if (make_plans(r, err) != PL_OK || !(r->loop = pl_loop_new(NULL, NULL, err)))
        return err->code;
    pl_http_fetcher *fetcher = pl_http_fetcher_new(r->loop, err);
    if (!fetcher)
        return err->code;
    r->call = (pl_schema_call){.host = pl_loop_host(r->loop),
                               .fetcher = fetcher,
                               .config = r->sources->config,
                               .arena = &r->arena,
                               .address = &r->address,
                               .done = on_answer};
    pl_schema_call_init(&r->call);
    pl_loop_post(r->loop, &message);
    pl_loop_run(r->loop);
    pl_schema_call_dispose(&r->call);
    pl_http_fetcher_free(fetcher);
    return PL_OK;
}

bool pl_schemas_review(const pl_schema_sources *sources, pl_schema_review what, pl_report *report,
                       pl_buf *out)
{
    review r = {.sources = sources, .what = what, .report = report, .out = out};
    pl_error err;
    pl_error_clear(&err);
    if (sources->config->url_count == 0) {
        pl_report_error(report, "app.lua", 0, 0,
                        "there is no schema registry: set kafka = { registry = { url = \"http://…\" } }.");
        return false;
    }
    pl_arena_init(&r.arena, 0);
    pl_map_init(&r.seen);
    if (run(&r, &err) != PL_OK) {
        pl_report_add(report, &err);
        r.failed = true;
    }
    pl_loop_free(r.loop);
    pl_map_dispose(&r.seen);
    pl_arena_dispose(&r.arena);
    return !r.failed;
}
