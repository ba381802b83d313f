/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_READS_H
#define PL_APP_READS_H

#include "app/instance.h"
#include "net/loop.h"
#include "value/incoming.h"

/* Topics that the scripts of a worker read (pl_host_ops.read), each with a reader of its own. */
typedef struct pl_reads pl_reads;

pl_reads *pl_reads_new(pl_loop *loop, pl_logger *log); /* NULL: memory */
/* Its sources were left. Before pl_loop_free; NULL is fine. */
void pl_reads_free(pl_reads *reads);

/* RESOURCE_EXHAUSTED: memory, or a script forgets to close what it reads. FAILED_PRECONDITION: the instance
 * has no brokers. */
pl_code pl_reads_open(pl_reads *reads, const pl_instance *instance, const pl_read_spec *spec, pl_source **out,
                      pl_error *err);
/* The instance's sources give END from now on; they may be closed later, on any thread. */
void pl_reads_leave(pl_reads *reads, const pl_instance *instance);

/* FAILED_PRECONDITION: there are none. */
pl_code pl_reads_check_brokers(const pl_kafka_config *kafka, pl_error *err);

#endif
