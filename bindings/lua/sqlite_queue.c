/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "base/alloc.h"
#include "bindings/lua/sqlite.h"

/* The life of an operation that waits:
 *
 * - queued: sq_enqueue has put it in `queue`, or in `inside` when it is part of a transaction;
 * - picked: taken from its list; the connection is its own. It stays so, until the timer fires, while no
 * helper is free;
 * - in flight: handed to the helper threads, which run the operations of a connection one after the other.
 * When others hold a lock it is picked again, until busy_until;
 * - ended: its wait is finished.
 *
 * Single statements are handed over before those ahead of them have ended, so that a helper goes from one to
 * the next without waiting for the loop. All else is in flight alone, as what follows depends on how it ends.
 *
 * While a transaction has the connection (from the pick of its BEGIN to the end of its COMMIT or ROLLBACK)
 * only `inside` is served. All of this is on the state's thread but for run_job. */

/* Statements in flight: those that are cancelled stay until their turn comes, so it should not be many. */
#define MAX_IN_FLIGHT 16

static void advance(sq_connection *c);

/* --- lists --- */

static void list_push(sq_list *list, sq_operation *op)
{
    op->next = NULL;
    op->list = list;
    if (list->tail)
        list->tail->next = op;
    else
        list->head = op;
    list->tail = op;
}

static sq_operation *list_shift(sq_list *list)
{
    sq_operation *op = list->head;
    if (op) {
        list->head = op->next;
        if (!list->head)
            list->tail = NULL;
        op->list = NULL;
    }
    return op;
}

static void list_remove(sq_list *list, sq_operation *op)
{
    sq_operation *before = NULL, *at = list->head;
    while (at != op) {
        before = at;
        at = at->next;
    }
    *(before ? &before->next : &list->head) = op->next;
    if (list->tail == op)
        list->tail = before;
    op->list = NULL;
}

/* --- transactions --- */

sq_transaction *sq_transaction_new(sq_connection *c, sq_transaction *parent)
{
    sq_transaction *t = pl_calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    char sql[96] = "ROLLBACK";
    t->number = parent ? ++parent->root->last_number : 0;
    if (parent)
        snprintf(sql, sizeof(sql), "ROLLBACK TO perilune_%d; RELEASE perilune_%d", t->number, t->number);
    t->undo = sq_operation_new(parent ? SQ_ROLL_BACK_TO : SQ_ROLL_BACK, c, pl_str_of(sql));
    if (!t->undo) {
        pl_free(t);
        return NULL;
    }
    t->owners = 1;
    t->connection = sq_connection_hold(c);
    t->root = t;
    if (parent) {
        t->root = parent->root;
        t->root->owners++;
    }
    return t;
}

void sq_transaction_release(sq_transaction *t)
{
    if (!t || --t->owners > 0)
        return;
    sq_operation_release(t->undo);
    sq_connection_release(t->connection);
    if (t->root != t)
        sq_transaction_release(t->root);
    pl_free(t);
}

/* The connection is free for others. */
static void leave_transaction(sq_connection *c)
{
    sq_transaction *t = c->transaction;
    c->transaction = NULL;
    c->roll_back = false;
    if (t) {
        t->active = false;
        sq_transaction_release(t);
    }
}

static void enter_transaction(sq_connection *c, sq_operation *begin)
{
    c->transaction = begin->transaction;
    c->transaction->owners++;
}

/* What the end of op means for the transaction. */
static void after_control(sq_operation *op)
{
    sq_connection *c = op->connection;
    bool failed = op->error.code != PL_OK;
    if (op->kind == SQ_ROLL_BACK || (op->kind == SQ_BEGIN && failed) || (op->kind == SQ_COMMIT && !failed))
        leave_transaction(c);
}

static sq_operation *take_undo(sq_transaction *t)
{
    sq_operation *undo = t->undo;
    t->undo = NULL;
    if (undo && !undo->transaction) {
        undo->transaction = t->root;
        t->root->owners++;
    }
    return undo;
}

void sq_transaction_abandon(sq_transaction *t)
{
    sq_connection *c = t->connection;
    bool ended = c->closed || c->transaction != t->root || !t->undo;
    t->active = false;
    t->call = 0;
    if (ended)
        return;
    if (t->root == t)
        c->roll_back = true; /* after what runs now */
    else
        list_push(&c->inside, take_undo(t));
    advance(c);
}

void sq_transaction_keep(sq_transaction *t)
{
    sq_operation_release(t->undo);
    t->undo = NULL;
    t->active = false;
}

/* --- helper threads --- */

static void run_job(pl_job *job)
{
    sq_operation *op = (sq_operation *)job;
    op->outcome = sq_operation_run(op, false);
}

static void on_timer(pl_timer *timer)
{
    sq_connection *c = timer->data;
    c->timing = false;
    advance(c);
}

/* op runs next, in some milliseconds; or later, when there is such a one already. */
static void pick_later(sq_connection *c, sq_operation *op)
{
    if (c->picked) {
        list_push(&c->queue, op);
        return;
    }
    c->picked = op;
    uint64_t delay = op->tries < 4 ? 2 + op->tries : op->tries < 20 ? 10 : 20;
    op->tries++;
    c->timer.fire = on_timer;
    c->timer.data = c;
    c->timing = c->host->ops->timer_start(c->host, &c->timer, c->host->ops->now(c->host) + delay) == 0;
}

static bool retry_when_busy(sq_operation *op)
{
    sq_connection *c = op->connection;
    uint64_t now = c->host->ops->now(c->host);
    if (op->busy_until == 0)
        op->busy_until = now + c->options.busy_ms;
    if (now >= op->busy_until || c->closed || atomic_load(&op->stop))
        return false;
    pick_later(c, op);
    return c->timing || op->list;
}

static void fail_busy(sq_operation *op)
{
    pl_fail(&op->error, PL_UNAVAILABLE, "the database is locked by somebody else");
}

/* A read that turned out to write. */
static void hand_to_writer(sq_operation *op)
{
    sq_connection *reader = op->connection;
    op->connection = sq_connection_hold(reader->writer);
    list_push(&op->connection->queue, op);
    advance(op->connection);
    advance(reader);
    sq_connection_release(reader);
}

static void on_done(pl_job *job)
{
    sq_operation *op = (sq_operation *)job;
    sq_connection *c = op->connection;
    list_remove(&c->flight, op);
    c->in_flight--;
    if (op->outcome == SQ_BUSY && retry_when_busy(op)) {
        advance(c); /* the timer of another one may have fired meanwhile */
        return;
    }
    if (op->outcome == SQ_FOR_WRITER && op->wait.call && !c->closed) {
        hand_to_writer(op);
        return;
    }
    if (op->outcome == SQ_BUSY) {
        if (c->picked == op)
            c->picked = NULL;
        fail_busy(op);
    }
    after_control(op);
    advance(c); /* before Lua goes on: it may be long */
    plua_wait_finish(&op->wait);
    sq_operation_release(op);
}

/* --- the queue --- */

static sq_operation *pick(sq_connection *c)
{
    if (!c->transaction) {
        sq_operation *op = list_shift(&c->queue);
        if (op && op->kind == SQ_BEGIN)
            enter_transaction(c, op);
        return op;
    }
    sq_operation *op = list_shift(&c->inside);
    return op || !c->roll_back ? op : take_undo(c->transaction);
}

/* At load time there is nobody to wait: what a transaction leaves behind is run at once. */
static void run_all_here(sq_connection *c)
{
    sq_operation *op;
    while ((op = pick(c)) != NULL) {
        sq_operation_run(op, false);
        after_control(op);
        sq_operation_release(op);
    }
}

static bool is_single(const sq_operation *op)
{
    return op->kind < SQ_SCRIPT && !op->transaction;
}

/* Whether the next operation may be handed over while others are in flight. */
static bool may_follow(const sq_connection *c)
{
    return !c->transaction && c->in_flight < MAX_IN_FLIGHT && c->queue.head && is_single(c->queue.head) &&
           is_single(c->flight.tail);
}

static bool hand_over(sq_connection *c, sq_operation *op)
{
    op->job.run = run_job;
    op->job.done = on_done;
    if (c->host->ops->offload(c->host, &op->job, c) != 0)
        return false;
    list_push(&c->flight, op);
    c->in_flight++;
    return true;
}

static void advance(sq_connection *c)
{
    if (c->closed)
        return;
    if (!c->host) {
        run_all_here(c);
        return;
    }
    while (!c->timing && (!c->flight.head || (!c->picked && may_follow(c)))) {
        sq_operation *op = c->picked ? c->picked : pick(c);
        c->picked = NULL;
        if (!op)
            break;
        if (!hand_over(c, op)) {
            pick_later(c, op);
            break;
        }
    }
}

bool sq_is_idle(const sq_connection *c)
{
    return !c->flight.head && !c->picked && !c->transaction && !c->queue.head;
}

void sq_enqueue(sq_operation *op)
{
    sq_connection *c = op->connection;
    op->owners++;
    bool inside = op->transaction && op->kind != SQ_BEGIN;
    list_push(inside ? &c->inside : &c->queue, op);
    advance(c);
}

/* op leaves without having run. */
static void drop(sq_operation *op)
{
    sq_connection *c = op->connection;
    if (op->list) {
        list_remove(op->list, op);
    } else {
        c->picked = NULL;
        if (c->timing)
            c->host->ops->timer_stop(c->host, &c->timer);
        c->timing = false;
        if (op->kind == SQ_BEGIN)
            leave_transaction(c);
    }
    advance(c);
    sq_operation_release(op);
}

void sq_cancelled(plua_wait *wait)
{
    sq_operation *op = wait->data;
    sq_connection *c = op->connection;
    if (op->kind == SQ_BEGIN && op->transaction && c->transaction == op->transaction)
        c->roll_back = true; /* whatever comes of it */
    if (op->list == &c->flight)
        atomic_store(&op->stop, true); /* SQLite looks at it while it runs (on_progress) */
    else if (op->list || op == c->picked)
        drop(op);
}

void sq_connection_close(sq_connection *c)
{
    c->closed = true;
    if (c->timing)
        c->host->ops->timer_stop(c->host, &c->timer);
    c->timing = false;
    sq_operation *op;
    while ((op = list_shift(&c->queue)) != NULL || (op = list_shift(&c->inside)) != NULL)
        sq_operation_release(op);
    sq_operation_release(c->picked);
    c->picked = NULL;
    for (op = c->flight.head; op; op = op->next)
        atomic_store(&op->stop, true);
    leave_transaction(c); /* closing the connection rolls back */
}

/* --- load time --- */

static bool is_free_for(const sq_connection *c, const sq_operation *op)
{
    if (c->flight.head || c->picked || c->queue.head)
        return false;
    return !c->transaction || (op->kind != SQ_BEGIN && c->transaction == op->transaction);
}

bool sq_run_here(sq_operation *op)
{
    unsigned waited = 0;
    for (;;) {
        sq_connection *c = op->connection;
        if (!is_free_for(c, op))
            return false;
        sq_outcome outcome = sq_operation_run(op, false);
        if (outcome == SQ_FOR_WRITER) {
            op->connection = sq_connection_hold(c->writer);
            sq_connection_release(c);
            continue;
        }
        if (outcome != SQ_BUSY)
            break;
        if (waited >= c->options.busy_ms) {
            fail_busy(op);
            break;
        }
        usleep(5000);
        waited += 5;
    }
    if (op->kind == SQ_BEGIN && !op->error.code)
        enter_transaction(op->connection, op);
    else if (op->kind != SQ_BEGIN)
        after_control(op);
    return true;
}
