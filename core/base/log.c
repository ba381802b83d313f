/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log_line.h"

/* The queue is a pair of halves: callers append lines to one while the writer thread writes out the other.
 * When both are full, lines are dropped and counted; the count becomes a line of its own as soon as a half is
 * free again. A writer that is stuck in write(2) when the logger is freed is left behind, and frees the
 * logger when it gets out. */

#define HALF ((size_t)512 << 10)
#define LONGEST_LINE ((size_t)256 << 10)
#define PATIENCE_SECONDS 2 /* of free and flush, when nobody reads */
#define RETRY_MS 100

struct pl_logger {
    pl_log_format format;
    atomic_int least;
    pthread_mutex_t lock;

    void (*sink)(void *data, pl_level level, pl_str line);
    void *sink_data;

    /* From here on: loggers with a descriptor. */
    int fd;
    size_t chunk; /* bytes for one write */
    pthread_t thread;
    pthread_cond_t work, progress;
    char *queue, *batch;         /* the callers' half, the writer's half */
    size_t queued;               /* bytes in queue */
    uint64_t accepted, finished; /* bytes since the beginning */
    uint64_t dropped;            /* lines not yet reported */
    bool failing;                /* the last write was an error: a report would be lost */
    bool stop, ended;            /* asked to, and has */
    atomic_bool abandoned;       /* the writer is the owner */
};

static void destroy(pl_logger *logger)
{
    if (!logger->sink) {
        pthread_cond_destroy(&logger->work);
        pthread_cond_destroy(&logger->progress);
    }
    pthread_mutex_destroy(&logger->lock);
    pl_free(logger->queue);
    pl_free(logger->batch);
    pl_free(logger);
}

/* --- under the lock --- */

static void enqueue(pl_logger *logger, pl_str line)
{
    if (line.len + 1 > HALF - logger->queued) {
        logger->dropped++;
        return;
    }
    memcpy(logger->queue + logger->queued, line.ptr, line.len);
    logger->queue[logger->queued + line.len] = '\n';
    if (logger->queued == 0)
        pthread_cond_signal(&logger->work);
    logger->queued += line.len + 1;
    logger->accepted += line.len + 1;
}

static void report_dropped(pl_logger *logger)
{
    if (logger->dropped == 0 || logger->failing)
        return;
    pl_buf line;
    struct timespec now;
    pl_log_field count = PL_F_INT("count", logger->dropped);
    clock_gettime(CLOCK_REALTIME, &now);
    pl_buf_init(&line);
    pl_log_line(&line, logger->format, &now, PL_WARN, PL_STR("log lines dropped"), &count, 1);
    if (!line.failed && line.len < HALF - logger->queued) {
        enqueue(logger, pl_buf_view(&line));
        logger->dropped = 0;
    }
    pl_buf_dispose(&line);
}

/* False when the time is up before the writer has come as far as `target`. */
static bool await_writer(pl_logger *logger, uint64_t target, bool end)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += PATIENCE_SECONDS;
    while (end ? !logger->ended : logger->finished < target) {
        if (pthread_cond_timedwait(&logger->progress, &logger->lock, &deadline) == ETIMEDOUT)
            return end ? logger->ended : logger->finished >= target;
    }
    return true;
}

/* --- the writer --- */

/* How much of the len bytes to write at once: whole lines, if possible, so that those of other processes that
 * write to the same pipe stay apart. */
static size_t next_write(const pl_logger *logger, const char *bytes, size_t len)
{
    if (len <= logger->chunk)
        return len;
    const char *newline = memrchr(bytes, '\n', logger->chunk);
    return newline ? (size_t)(newline - bytes) + 1 : logger->chunk;
}

static uint64_t count_lines(const char *bytes, size_t len)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < len; i++)
        lines += bytes[i] == '\n';
    return lines;
}

/* Returns how many lines were lost to errors. */
static uint64_t write_out(pl_logger *logger, const char *bytes, size_t len)
{
    while (len != 0 && !atomic_load(&logger->abandoned)) {
        ssize_t n = write(logger->fd, bytes, next_write(logger, bytes, len));
        if (n >= 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd poll_fd = {.fd = logger->fd, .events = POLLOUT};
            poll(&poll_fd, 1, RETRY_MS);
        } else if (errno != EINTR) {
            return count_lines(bytes, len);
        }
    }
    return 0;
}

static void *writer(void *data)
{
    pl_logger *logger = data;
    pthread_mutex_lock(&logger->lock);
    while (!atomic_load(&logger->abandoned)) {
        while (logger->queued == 0 && !logger->stop)
            pthread_cond_wait(&logger->work, &logger->lock);
        if (logger->queued == 0)
            break;
        char *batch = logger->queue;
        size_t len = logger->queued;
        logger->queue = logger->batch;
        logger->batch = batch;
        logger->queued = 0;
        report_dropped(logger);
        pthread_mutex_unlock(&logger->lock);
        uint64_t lost = write_out(logger, batch, len);
        pthread_mutex_lock(&logger->lock);
        logger->dropped += lost;
        logger->failing = lost != 0;
        logger->finished += len;
        report_dropped(logger);
        pthread_cond_broadcast(&logger->progress);
    }
    logger->ended = true;
    pthread_cond_broadcast(&logger->progress);
    bool owner = atomic_load(&logger->abandoned);
    pthread_mutex_unlock(&logger->lock);
    if (owner)
        destroy(logger);
    return NULL;
}

/* Signals are for the threads of the program. */
static int start_writer(pl_logger *logger)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&logger->thread, NULL, writer, logger);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

/* --- public --- */

static pl_logger *make(pl_log_format format, pl_level least)
{
    pl_logger *logger = pl_calloc(1, sizeof(*logger));
    if (!logger)
        return NULL;
    logger->format = format;
    atomic_init(&logger->least, (int)least);
    atomic_init(&logger->abandoned, false);
    pthread_mutex_init(&logger->lock, NULL);
    return logger;
}

pl_logger *pl_logger_new(int fd, pl_log_format format, pl_level least)
{
    pl_logger *logger = make(format, least);
    if (!logger)
        return NULL;
    struct stat stat;
    pthread_condattr_t attributes;
    logger->fd = fd;
    logger->chunk = fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) ? HALF : PIPE_BUF;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&logger->work, &attributes);
    pthread_cond_init(&logger->progress, &attributes);
    pthread_condattr_destroy(&attributes);
    logger->queue = pl_malloc(HALF);
    logger->batch = pl_malloc(HALF);
    if (!logger->queue || !logger->batch || start_writer(logger) != 0) {
        destroy(logger);
        return NULL;
    }
    return logger;
}

pl_logger *pl_logger_new_sink(void (*sink)(void *data, pl_level level, pl_str line), void *data,
                              pl_log_format format, pl_level least)
{
    pl_logger *logger = make(format, least);
    if (!logger)
        return NULL;
    logger->sink = sink;
    logger->sink_data = data;
    return logger;
}

void pl_logger_free(pl_logger *logger)
{
    if (!logger)
        return;
    if (logger->sink) {
        destroy(logger);
        return;
    }
    pthread_mutex_lock(&logger->lock);
    report_dropped(logger);
    logger->stop = true;
    pthread_cond_signal(&logger->work);
    bool ended = await_writer(logger, 0, true);
    if (!ended) {
        pthread_detach(logger->thread);
        atomic_store(&logger->abandoned, true);
    }
    pthread_mutex_unlock(&logger->lock);
    if (ended) {
        pthread_join(logger->thread, NULL);
        destroy(logger);
    }
}

void pl_logger_flush(pl_logger *logger)
{
    if (!logger || logger->sink)
        return;
    pthread_mutex_lock(&logger->lock);
    report_dropped(logger);
    await_writer(logger, logger->accepted, false);
    pthread_mutex_unlock(&logger->lock);
}

void pl_logger_set_level(pl_logger *logger, pl_level least)
{
    if (logger)
        atomic_store_explicit(&logger->least, (int)least, memory_order_relaxed);
}

bool pl_log_enabled(const pl_logger *logger, pl_level level)
{
    return logger && (int)level >= atomic_load_explicit(&logger->least, memory_order_relaxed);
}

void pl_log_write(pl_logger *logger, pl_level level, pl_str message, const pl_log_field *fields, size_t count)
{
    if (!pl_log_enabled(logger, level))
        return;
    pl_buf line;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    pl_buf_init(&line);
    line.limit = LONGEST_LINE;
    pl_log_line(&line, logger->format, &now, level, message, fields, count);
    pthread_mutex_lock(&logger->lock);
    if (logger->sink) {
        if (!line.failed)
            logger->sink(logger->sink_data, level, pl_buf_view(&line));
    } else {
        /* Not close to the end of the room: reports between drops would fill it up. */
        if (logger->queued < HALF / 2)
            report_dropped(logger);
        if (line.failed)
            logger->dropped++;
        else
            enqueue(logger, pl_buf_view(&line));
    }
    pthread_mutex_unlock(&logger->lock);
    pl_buf_dispose(&line);
}
