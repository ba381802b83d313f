/* SPDX-License-Identifier: MIT */
#ifndef TEST_APP_HARNESS_H
#define TEST_APP_HARNESS_H

/* Bundles in folders and in memory, reports as text, and a blocking HTTP client. Included by one file of each
 * test program, after cmocka. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/bundle.h"
#include "app/report.h"
#include "value/json.h"

#define LONGEST_MS 20000 /* what takes longer hangs */

/* A script that does not end. ThreadSanitizer hands a thread its signals in the next call that it knows, so
 * there the loop makes one. */
#ifdef __SANITIZE_THREAD__
#define SPIN "while true do require('perilune.time').now() end"
#else
#define SPIN "while true do end"
#endif

/* AddressSanitizer's leak check: h2o keeps buffers in thread-local lists that it never frees. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_mem_alloc_pool\nleak:h2o_mem_alloc_recycle\nleak:h2o_buffer_reserve\n";
}

static inline uint64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- folders --- */

typedef struct folder {
    char path[256];
} folder;

static inline void folder_new(folder *f)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(f->path, sizeof(f->path), "%.200s/perilune-unit-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->path));
}

/* The path of a file below, in one of a few buffers that take turns. */
static inline const char *in(const folder *f, const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, PATH_MAX, "%s/%s", f->path, name);
    return path;
}

/* Writes a file, making the directories above it. */
static inline void folder_write(const folder *f, const char *name, const char *text)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", f->path, name);
    for (char *slash = path + strlen(f->path) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        assert_true(mkdir(path, 0777) == 0 || errno == EEXIST);
        *slash = '/';
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    size_t len = strlen(text);
    assert_int_equal(write(fd, text, len), len);
    close(fd);
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    return remove(path);
}

static inline void folder_remove(const folder *f)
{
    assert_int_equal(nftw(f->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* --- bundles in memory --- */

#define MEMORY_BUNDLE(...) memory_bundle((const char *const[]){__VA_ARGS__, NULL})

/* Of path, text, path, text …, NULL. */
static inline pl_bundle *memory_bundle(const char *const *pairs)
{
    pl_file files[64];
    size_t count = 0;
    pl_error err = {0};
    for (; pairs[2 * count]; count++) {
        assert_true(count < sizeof(files) / sizeof(files[0]));
        files[count] = (pl_file){pl_str_of(pairs[2 * count]), pl_str_of(pairs[2 * count + 1])};
    }
    pl_bundle *bundle = pl_bundle_from_memory(files, count, &err);
    if (!bundle)
        fail_msg("%s", err.message);
    return bundle;
}

/* --- reports --- */

/* As text, in a buffer that the next call uses again. */
static inline const char *report_text(const pl_report *report)
{
    static char text[65536];
    pl_buf buf;
    pl_buf_init(&buf);
    pl_report_text(report, &buf);
    assert_false(buf.failed);
    size_t len = buf.len < sizeof(text) ? buf.len : sizeof(text) - 1;
    if (len > 0)
        memcpy(text, buf.data, len);
    text[len] = '\0';
    pl_buf_dispose(&buf);
    return text;
}

static inline void expect_text(const char *text, const char *part, const char *file, int line)
{
    if (!strstr(text, part)) {
        print_error("%s:%d: there is no \"%s\" in:\n%s\n", file, line, part, text);
        _fail(file, line);
    }
}
#define assert_has(text, part) expect_text(text, part, __FILE__, __LINE__)

/* --- HTTP --- */

static inline int http_connect(const char *address)
{
    struct timeval limit = {.tv_sec = LONGEST_MS / 1000};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    at.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

static inline void http_send(int fd, const char *query)
{
    char text[4096];
    int n = snprintf(text, sizeof(text),
                     "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n{\"query\":\"%s\"}",
                     strlen(query) + 12, query);
    assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
}

/* The body of the next answer, in a buffer that the next call uses again; NULL when the connection ends.
 * *status may be NULL. */
static inline const char *http_receive(int fd, int *status)
{
    static char text[16384];
    size_t len = 0, expected = 0;
    char *body = NULL;
    while (!body || len < (size_t)(body - text) + expected) {
        ssize_t n = recv(fd, text + len, body ? (size_t)(body - text) + expected - len : 1, 0);
        if (n <= 0)
            return NULL;
        len += (size_t)n;
        text[len] = '\0';
        assert_true(len < sizeof(text) - 1);
        if (!body && len >= 4 && memcmp(text + len - 4, "\r\n\r\n", 4) == 0) {
            body = text + len;
            const char *length = strcasestr(text, "\r\ncontent-length: ");
            expected = length ? (size_t)atol(length + 18) : 0;
            assert_true(len + expected < sizeof(text));
        }
    }
    if (status)
        assert_int_equal(sscanf(text, "HTTP/1.1 %d", status), 1);
    return body;
}

static inline const char *http_ask(const char *address, const char *query)
{
    int fd = http_connect(address);
    http_send(fd, query);
    const char *body = http_receive(fd, NULL);
    close(fd);
    return body ? body : "the connection ended";
}

#endif
