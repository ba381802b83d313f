/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "value/native_internal.h"

/* The life of a call. Its phase says who may do what next; all changes are made with compare and exchange, as
 * the thread that finishes a call knows nothing of the loop's. */

#define POOLED 64 /* calls that a state keeps */

enum { RUNNING, WAITING, FINISHED, DELIVERED, CANCELLED };

/* --- memory --- */
static pl_native_call *call_make(void)
{
    pl_native_call *call = pl_calloc(1, sizeof *call);
    pthread_mutexattr_t recursive;
    if (!call)
        return NULL;
    pl_arena_init(&call->arena, 1024);
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&call->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    return call;
}

/* What the call has made or used. */
static void drop_sequences(pl_native_call *call)
{
    if (call->sequence)
        pl_native_sequence_unref(call->sequence);
    if (call->of)
        pl_native_sequence_unref(call->of);
    call->sequence = call->of = NULL;
}

static void call_dispose(pl_native_call *call)
{
    drop_sequences(call);
    pl_mailbox_unref(call->mailbox);
    pl_arena_dispose(&call->arena);
    pthread_mutex_destroy(&call->lock);
    pl_free(call);
}

static bool let_go(pl_native_call *call)
{
    return atomic_fetch_sub(&call->refs, 1) == 1;
}

void pl_native_pool_dispose(pl_native_pool *pool)
{
    while (pool->calls) {
        pl_native_call *call = pool->calls;
        pool->calls = call->next;
        call_dispose(call);
    }
    pool->count = 0;
}

pl_native_call *pl_native_call_new(pl_native_pool *pool)
{
    pl_native_call *call = pool->calls;
    if (call) {
        pool->calls = call->next;
        pool->count--;
    } else if (!(call = call_make())) {
        return NULL;
    }
    atomic_store_explicit(&call->refs, 1, memory_order_relaxed);
    atomic_store_explicit(&call->phase, RUNNING, memory_order_relaxed);
    call->result.kind = PL_KIND_ABSENT;
    call->asks = false;
    call->has_result = call->no_memory = call->failed = call->unexpected = false;
    call->open = NULL;
    call->depth = 0;
    call->misuse = NULL;
    call->traceback = PL_STR_NONE;
    call->violations = NULL;
    call->violation_count = call->violation_room = 0;
    call->cancelled = NULL;
    return call;
}

void pl_native_call_free(pl_native_pool *pool, pl_native_call *call)
{
    if (call->of)
        call->of->busy = false;
    if (!let_go(call))
        return;
    if (pool->count >= POOLED) {
        call_dispose(call);
        return;
    }
    drop_sequences(call);
    pl_mailbox_unref(call->mailbox);
    call->mailbox = NULL;
    pl_arena_reset(&call->arena);
    call->next = pool->calls;
    pool->calls = call;
    pool->count++;
}

void *native_check(pl_native_call *call, void *p)
{
    call->no_memory |= !p;
    return p;
}

void native_misuse(pl_native_call *call, const char *what)
{
    if (!call->misuse)
        call->misuse = what;
}

void *native_grow(pl_native_call *call, void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return array;
    size_t more = *room ? *room * 2 : 8;
    void *grown = native_check(call, pl_arena_array(&call->arena, more, size));
    if (!grown)
        return NULL;
    if (count > 0)
        memcpy(grown, array, count * size);
    *room = more;
    return grown;
}

/* --- the function --- */
pl_native_status pl_native_call_run(pl_native_call *call, const pl_native_entry *entry, pl_state *state,
                                    const pl_work *work, pl_lazy *info, int count)
{
    call->entry = entry;
    call->state = state;
    call->e = pl_engine_of(state);
    call->work = work;
    call->count = count;
    call->info = info;
    call->info_slot = 0;
    call->first = call->e->top(state) - count + 1;
    atomic_store_explicit(&call->refs, 2, memory_order_relaxed);
    pl_native_status status = entry->function(call, entry->data);
    call->state = NULL;
    if (status == PL_NATIVE_PENDING)
        return status;
    atomic_store_explicit(&call->refs, 1, memory_order_relaxed); /* it is over for the host program */
    if (status == PL_NATIVE_FAILED && !call->failed)
        native_misuse(call, "it has failed, but pl_native_fail was not called");
    else if (status != PL_NATIVE_DONE && status != PL_NATIVE_FAILED)
        native_misuse(call, "what it has returned is no pl_native_status");
    return pl_native_call_outcome(call);
}

static void describe_failure(pl_native_call *call)
{
    call->failure = (pl_failure){.code = call->code,
                                 .expected = !call->unexpected,
                                 .message = call->message,
                                 .traceback = call->traceback};
    if (call->violation_count > 0) {
        call->failure.details.kind = PL_KIND_MAP;
        call->failure.details.map.members = call->violations;
        call->failure.details.map.count = call->violation_count;
    }
}

pl_native_status pl_native_call_outcome(pl_native_call *call)
{
    if (!call->failed && call->open)
        native_misuse(call, "a list or map was begun, and not ended");
    if (call->misuse) {
        call->failure = (pl_failure){.code = PL_INTERNAL};
        call->failure.message = pl_arena_printf(&call->arena, "the host program's function for %s: %s",
                                                call->entry->name, call->misuse);
        call->no_memory |= !call->failure.message.ptr;
    } else if (call->failed) {
        describe_failure(call);
    }
    if (call->no_memory)
        call->failure = pl_failure_no_memory;
    return call->misuse || call->failed || call->no_memory ? PL_NATIVE_FAILED : PL_NATIVE_DONE;
}

const pl_value *pl_native_call_result(const pl_native_call *call)
{
    return &call->result;
}

pl_native_sequence *pl_native_call_sequence(const pl_native_call *call)
{
    return call->sequence;
}

bool pl_native_call_asks(const pl_native_call *call)
{
    return call->asks;
}

const pl_failure *pl_native_call_failure(const pl_native_call *call)
{
    return &call->failure;
}

/* --- waiting --- */
bool pl_native_call_wait(pl_native_call *call, pl_mailbox *mailbox, void (*wake)(void *waiter), void *waiter)
{
    int running = RUNNING;
    pl_mailbox_unref(call->mailbox);
    call->mailbox = pl_mailbox_ref(mailbox);
    call->wake = wake;
    call->waiter = waiter;
    return atomic_compare_exchange_strong(&call->phase, &running, WAITING);
}

/* On the loop's thread, or on the one that frees the loop. */
static void on_message(pl_message *message)
{
    pl_native_call *call = message->data;
    int finished = FINISHED;
    bool wanted = !pl_mailbox_is_closed(call->mailbox) &&
                  atomic_compare_exchange_strong(&call->phase, &finished, DELIVERED);
    if (let_go(call))
        call_dispose(call);
    else if (wanted)
        call->wake(call->waiter);
}

static void finish_waiting(pl_native_call *call)
{
    /* When the message has been posted the call may be gone, and its reference with it. */
    pl_mailbox *mailbox = pl_mailbox_ref(call->mailbox);
    call->message_to_loop = (pl_message){.run = on_message, .data = call};
    bool posted = pl_mailbox_post(mailbox, &call->message_to_loop);
    pl_mailbox_unref(mailbox);
    if (!posted && let_go(call))
        call_dispose(call);
}

void pl_native_finish(pl_native_call *call)
{
    int phase = RUNNING;
    while (phase == RUNNING || phase == WAITING) {
        int was = phase;
        if (!atomic_compare_exchange_strong(&call->phase, &phase, FINISHED))
            continue;
        if (was == WAITING)
            finish_waiting(call);
        else if (let_go(call))
            call_dispose(call);
        return;
    }
    /* Cancelled: when this returns, nobody is inside of `cancelled`, but perhaps this thread itself. */
    pthread_mutex_lock(&call->lock);
    pthread_mutex_unlock(&call->lock);
    if (let_go(call))
        call_dispose(call);
}

void pl_native_on_cancel(pl_native_call *call, void (*cancelled)(void *data), void *data)
{
    call->cancelled = cancelled;
    call->cancelled_data = data;
}

void pl_native_call_cancel(pl_native_call *call)
{
    pthread_mutex_lock(&call->lock);
    int phase = atomic_exchange(&call->phase, CANCELLED);
    if ((phase == RUNNING || phase == WAITING) && call->cancelled)
        call->cancelled(call->cancelled_data);
    pthread_mutex_unlock(&call->lock);
    if (let_go(call))
        call_dispose(call);
}
