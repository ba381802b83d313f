/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_GIVE_WAY_H
#define PL_BASE_GIVE_WAY_H

/* For long work beside threads that answer requests: where all cores are busy, such a thread would wait for a
 * whole time slice of the scheduler's. Lets them run first when this thread has not done so for 200 us;
 * called between pieces of work that take less. */
void pl_give_way(void);

#endif
