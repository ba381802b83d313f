/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/alloc.h"
#include "support/test_engine_internal.h"

/* Interceptors of the test engine: each is called once for each step that it takes, see te_invocation.step. A
 * chain is a function whose `fields` is the list of them. */

typedef struct frame {
    te_invocation in;
    bool asked_next;
} frame;

struct te_chain {
    te_value functions;
    int count, depth; /* depth: of the innermost that is at work */
    frame frames[];
};

static te_outcome no_function(te_invocation *in, void *data)
{
    abort();
}

bool te_is_chain(te_value v)
{
    return te_is_function(v) && v.node->callback == no_function;
}

static pl_ref chain(pl_state *state, const pl_ref *functions, size_t count)
{
    te *t = (te *)state;
    const pl_engine *e = t->head.engine;
    te_value list = te_list(t, 0);
    for (size_t i = 0; i < count; i++)
        te_append(t, list, te_kept(t, functions[i]));
    te_value f = te_function(t, no_function, NULL, 1);
    f.node->fields = list;
    if (!e->reserve(state, 1))
        te_jump(t);
    pl_slot slot = te_push(t, f);
    pl_ref ref = e->keep(state, slot);
    e->pop_to(state, slot - 1);
    return ref;
}

te_chain *te_chain_new(te *t, te_value f, const te_invocation *in)
{
    int count = (int)f.node->fields.node->count;
    te_chain *c = pl_calloc(1, sizeof *c + (size_t)count * sizeof(frame));
    if (!c)
        return NULL;
    c->functions = f.node->fields;
    c->count = count;
    c->frames[0].in = *in;
    return c;
}

static void enter(te_chain *c, const te_invocation *by)
{
    frame *f = &c->frames[++c->depth];
    *f = (frame){.in = {.t = by->t, .count = 1, .work = by->work, .args = {by->args[0]}}};
}

/* The innermost one's outcome is what the next of the one around it returns or raises. */
static void leave(te_chain *c, te_outcome outcome)
{
    te_invocation *from = &c->frames[c->depth].in, *to = &c->frames[--c->depth].in;
    to->step++;
    to->next_failed = outcome == TE_FAIL;
    to->next_failure = from->failure;
    to->next_value = from->result;
}

te_outcome te_chain_run(te_chain *c, te_invocation *in)
{
    for (;;) {
        frame *f = &c->frames[c->depth];
        te_value function = te_item(c->functions, (size_t)c->depth);
        te_outcome outcome = function.node->callback(&f->in, function.node->data);
        if (outcome == TE_NEXT && f->asked_next)
            outcome = te_crash(&f->in, "next can be called once only");
        *in = f->in;
        if (outcome == TE_PEND)
            return outcome;
        if (outcome == TE_NEXT) {
            f->asked_next = true;
            if (c->depth + 1 == c->count)
                return outcome;
            enter(c, &f->in);
            continue;
        }
        if (c->depth == 0)
            return outcome;
        leave(c, outcome);
    }
}

void te_chain_goes_on(te_chain *c, pl_call_status status, te_value value, const pl_failure *failure)
{
    te_invocation *in = &c->frames[c->depth].in;
    in->step++;
    in->next_failed = status != PL_CALL_DONE;
    in->next_value = value;
    if (failure)
        in->next_failure = *failure;
}

static void proceed(pl_state *state, pl_call *pending, pl_call_status status, const pl_failure *failure)
{
    te *t = (te *)state;
    te_call *c = (te_call *)pending;
    te_value value = {0};
    if (status == PL_CALL_DONE) {
        pl_slot top = t->head.engine->top(state);
        value = te_copy(t, top);
        t->head.engine->pop_to(state, top - 1);
    }
    c->call.wants_next = false;
    te_chain_goes_on(c->chain, status, value, failure);
    te_chain_turn(t, c);
}

void te_chain_init(pl_engine *e)
{
    e->chain = chain;
    e->proceed = proceed;
}
