/* SPDX-License-Identifier: MIT */
#include "value/json_tape.h"

static const pl_json_token *push(pl_state *state, const pl_engine *e, const pl_json_token *token);

static const pl_json_token *push_list(pl_state *state, const pl_engine *e, const pl_json_token *token)
{
    size_t count = token->count;
    e->make_room(state, 8);
    e->push_list(state, count);
    pl_slot list = e->top(state);
    token++;
    for (size_t i = 0; i < count; i++) {
        token = push(state, e, token);
        e->set_element(state, list, i);
    }
    return token;
}

static const pl_json_token *push_map(pl_state *state, const pl_engine *e, const pl_json_token *token)
{
    size_t count = token->count;
    e->make_room(state, 8);
    e->push_map(state, count);
    pl_slot map = e->top(state);
    token++;
    for (size_t i = 0; i < count; i++) {
        (e->push_name ? e->push_name : e->push_string)(state, token->string);
        token = push(state, e, token + 1);
        e->set_entry(state, map);
    }
    return token;
}

/* Returns what is behind the value. Recursion is bounded by the depth that was read. */
static const pl_json_token *push(pl_state *state, const pl_engine *e, const pl_json_token *token)
{
    switch (token->kind) {
    case PL_KIND_BOOL:
        e->push_bool(state, token->boolean);
        break;
    case PL_KIND_INT:
        e->push_int(state, token->integer);
        break;
    case PL_KIND_FLOAT:
        e->push_float(state, token->number);
        break;
    case PL_KIND_STRING:
        e->push_string(state, token->string);
        break;
    case PL_KIND_LIST:
        return push_list(state, e, token);
    case PL_KIND_MAP:
        return push_map(state, e, token);
    default:
        e->push_null(state);
        break;
    }
    return token + 1;
}

void pl_push_tape(pl_state *state, const pl_json_tape *tape)
{
    const pl_engine *e = pl_engine_of(state);
    e->make_room(state, 4);
    push(state, e, tape->tokens);
}
