/* SPDX-License-Identifier: MIT */
/* Functions that ThreadSanitizer does not intercept, in terms of those that it does; linked into the
 * executables of VARIANT=tsan alone. An executable's functions go before those of the C library, so these are
 * what libraries call.
 *
 * Threads, mutexes and condition variables of C11, which librdkafka takes where there are any. GCC 12's
 * ThreadSanitizer knows pthread_create but not thrd_create: such a thread has no state and crashes at its
 * first allocation, and locks that order what it writes with what we read are not seen. glibc's mtx_t, cnd_t,
 * once_flag and tss_t are the objects of POSIX by another name; here they must be, as libraries may have
 * initialised theirs with zeros.
 *
 * longjmp as programs built with _FORTIFY_SOURCE call it; Debian's Lua is one. ThreadSanitizer keeps a stack
 * of calls of its own, which longjmp cuts and __longjmp_chk does not: with each error of a script it grew,
 * until there was no more room. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>
#include <time.h>

#define SEEN __attribute__((visibility("default")))

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "mtx_t holds a pthread_mutex_t");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "cnd_t holds a pthread_cond_t");
_Static_assert(sizeof(once_flag) == sizeof(pthread_once_t), "once_flag is a pthread_once_t");
_Static_assert(sizeof(tss_t) == sizeof(pthread_key_t), "tss_t is a pthread_key_t");
_Static_assert(sizeof(thrd_t) == sizeof(pthread_t), "thrd_t is a pthread_t");

static int result(int error)
{
    switch (error) {
    case 0:
        return thrd_success;
    case ENOMEM:
        return thrd_nomem;
    case ETIMEDOUT:
        return thrd_timedout;
    case EBUSY:
        return thrd_busy;
    default:
        return thrd_error;
    }
}

/* ---- threads */
typedef struct {
    thrd_start_t run;
    void *arg;
} start;

static void *begin(void *arg)
{
    start s = *(start *)arg;
    free(arg);
    return (void *)(intptr_t)s.run(s.arg);
}

SEEN int thrd_create(thrd_t *thread, thrd_start_t run, void *arg)
{
    start *s = malloc(sizeof *s);
    if (!s)
        return thrd_nomem;
    *s = (start){.run = run, .arg = arg};
    int error = pthread_create(thread, NULL, begin, s);
    if (error)
        free(s);
    return error == EAGAIN ? thrd_nomem : result(error);
}

SEEN int thrd_join(thrd_t thread, int *code)
{
    void *value = NULL;
    int error = pthread_join(thread, &value);
    if (!error && code)
        *code = (int)(intptr_t)value;
    return result(error);
}

SEEN int thrd_detach(thrd_t thread)
{
    return result(pthread_detach(thread));
}

SEEN _Noreturn void thrd_exit(int code)
{
    pthread_exit((void *)(intptr_t)code);
}

SEEN thrd_t thrd_current(void)
{
    return pthread_self();
}

SEEN int thrd_equal(thrd_t a, thrd_t b)
{
    return pthread_equal(a, b);
}

SEEN void thrd_yield(void)
{
    sched_yield();
}

SEEN int thrd_sleep(const struct timespec *duration, struct timespec *left)
{
    int error = clock_nanosleep(CLOCK_REALTIME, 0, duration, left);
    return error == 0 ? 0 : error == EINTR ? -1 : -2;
}

/* ---- mutexes */
/* To make and to destroy a lock counts as writing to it. That is not looked at: what orders it with its use,
 * rwlocks and references that librdkafka counts with atomic operations, is not seen (tests/tsan.supp). */
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#define UNWATCHED(call)                                \
    do {                                               \
        AnnotateIgnoreWritesBegin(__FILE__, __LINE__); \
        call;                                          \
        AnnotateIgnoreWritesEnd(__FILE__, __LINE__);   \
    } while (0)

SEEN int mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attr;
    int error = pthread_mutexattr_init(&attr);
    if (error)
        return result(error);
    pthread_mutexattr_settype(&attr, type & mtx_recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
    UNWATCHED(error = pthread_mutex_init((pthread_mutex_t *)mutex, &attr));
    pthread_mutexattr_destroy(&attr);
    return result(error);
}

SEEN void mtx_destroy(mtx_t *mutex)
{
    UNWATCHED(pthread_mutex_destroy((pthread_mutex_t *)mutex));
}

SEEN int mtx_lock(mtx_t *mutex)
{
    return result(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

SEEN int mtx_timedlock(mtx_t *restrict mutex, const struct timespec *restrict until)
{
    return result(pthread_mutex_timedlock((pthread_mutex_t *)mutex, until));
}

SEEN int mtx_trylock(mtx_t *mutex)
{
    return result(pthread_mutex_trylock((pthread_mutex_t *)mutex));
}

SEEN int mtx_unlock(mtx_t *mutex)
{
    return result(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

/* ---- condition variables */
SEEN int cnd_init(cnd_t *cond)
{
    int error;
    UNWATCHED(error = pthread_cond_init((pthread_cond_t *)cond, NULL));
    return result(error);
}

SEEN void cnd_destroy(cnd_t *cond)
{
    UNWATCHED(pthread_cond_destroy((pthread_cond_t *)cond));
}

SEEN int cnd_signal(cnd_t *cond)
{
    return result(pthread_cond_signal((pthread_cond_t *)cond));
}

SEEN int cnd_broadcast(cnd_t *cond)
{
    return result(pthread_cond_broadcast((pthread_cond_t *)cond));
}

SEEN int cnd_wait(cnd_t *cond, mtx_t *mutex)
{
    return result(pthread_cond_wait((pthread_cond_t *)cond, (pthread_mutex_t *)mutex));
}

SEEN int cnd_timedwait(cnd_t *restrict cond, mtx_t *restrict mutex, const struct timespec *restrict until)
{
    return result(pthread_cond_timedwait((pthread_cond_t *)cond, (pthread_mutex_t *)mutex, until));
}

/* ---- once, and what each thread has for itself */
SEEN void call_once(once_flag *flag, void (*run)(void))
{
    pthread_once((pthread_once_t *)flag, run);
}

SEEN int tss_create(tss_t *key, tss_dtor_t destroy)
{
    return result(pthread_key_create(key, destroy));
}

SEEN void tss_delete(tss_t key)
{
    pthread_key_delete(key);
}

SEEN void *tss_get(tss_t key)
{
    return pthread_getspecific(key);
}

SEEN int tss_set(tss_t key, void *value)
{
    return result(pthread_setspecific(key, value));
}

/* ---- jumps */
_Noreturn void __longjmp_chk(jmp_buf place, int value);

SEEN _Noreturn void __longjmp_chk(jmp_buf place, int value)
{
    longjmp(place, value);
}
