/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_PROCESS_STATS_H
#define PL_APP_PROCESS_STATS_H

/* What the system says of this process; NAN where it does not. */
typedef struct pl_process_stats {
    double cpu;               /* seconds */
    double resident, virtual; /* bytes */
    double started_at;        /* seconds since 1970 */
    double open_fds, max_fds;
} pl_process_stats;
void pl_process_stats_read(pl_process_stats *out);

#endif
