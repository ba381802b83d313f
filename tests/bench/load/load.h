/* SPDX-License-Identifier: MIT */
/* What the load generators have in common. They end with a message and status 1 as soon as anything is not as
 * it must be: a figure of a run with failures is worth nothing. */
#ifndef LOAD_H
#define LOAD_H

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
    va_list args;
    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* How long nothing may happen, in microseconds: LOAD_PATIENCE seconds, 30 unless told otherwise. */
__attribute__((unused)) static int64_t patience(void)
{
    const char *seconds = getenv("LOAD_PATIENCE");
    return (seconds != NULL ? strtol(seconds, NULL, 10) : 30) * 1000000;
}

/* A number from 1 to max. */
static long number(const char *what, const char *text, long max)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (*end != '\0' || n < 1 || n > max)
        die("%s must be a number from 1 to %ld, not \"%s\"", what, max, text);
    return n;
}

/* HOST:PORT, by IPv4. */
static struct sockaddr_in address(const char *text)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    struct sockaddr_in addr;
    char host[256];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
        die("\"%s\" is not HOST:PORT", text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    int failed = getaddrinfo(host, colon + 1, &hints, &found);
    if (failed != 0)
        die("%s: %s", text, gai_strerror(failed));
    memcpy(&addr, found->ai_addr, sizeof(addr));
    freeaddrinfo(found);
    return addr;
}

static void nodelay(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* Raises the limit on open files to the hard limit, and says so if that is not enough. */
static void need_files(long wanted)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        die("getrlimit: %s", strerror(errno));
    files.rlim_cur = files.rlim_max;
    if (files.rlim_max != RLIM_INFINITY && (long)files.rlim_max < wanted)
        die("%ld open files are needed, the hard limit is %ld: raise it (ulimit -Hn, LimitNOFILE=)", wanted,
            (long)files.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        die("setrlimit: %s", strerror(errno));
}

#endif
