/* SPDX-License-Identifier: MIT */
#include "app/instance_host.h"

#include "base/alloc.h"

static pl_host *loop_of(pl_host *host)
{
    return ((pl_instance *)host->owner)->loop;
}

static uint64_t now(pl_host *host)
{
    pl_host *loop = loop_of(host);
    return loop->ops->now(loop);
}

static int timer_start(pl_host *host, pl_timer *timer, uint64_t at)
{
    pl_host *loop = loop_of(host);
    return loop->ops->timer_start(loop, timer, at);
}

static void timer_stop(pl_host *host, pl_timer *timer)
{
    pl_host *loop = loop_of(host);
    loop->ops->timer_stop(loop, timer);
}

typedef struct counted_job {
    pl_job job; /* first */
    pl_job *inner;
    pl_instance *instance;
} counted_job;

static void run(pl_job *job)
{
    pl_job *inner = ((counted_job *)job)->inner;
    inner->run(inner);
}

static void done(pl_job *job)
{
    counted_job *counted = (counted_job *)job;
    pl_job *inner = counted->inner;
    pl_instance *instance = counted->instance;
    pl_free(counted);
    inner->done(inner);
    instance->in_flight--;
}

static int offload(pl_host *host, pl_job *job, const void *lane)
{
    pl_host *loop = loop_of(host);
    counted_job *counted = pl_calloc(1, sizeof *counted);
    if (!counted)
        return -1;
    *counted = (counted_job){.job = {.run = run, .done = done}, .inner = job, .instance = host->owner};
    counted->instance->in_flight++;
    if (loop->ops->offload(loop, &counted->job, lane) == 0)
        return 0;
    counted->instance->in_flight--;
    pl_free(counted);
    return -1;
}

void pl_instance_host_init(pl_instance *instance, pl_host *loop)
{
    static const pl_host_ops ops = {.now = now, .timer_start = timer_start, .timer_stop = timer_stop, .offload = offload};
    instance->loop = loop;
    instance->host = (pl_host){.ops = &ops, .owner = instance, .log = loop->log, .shared = loop->shared};
}
