/* SPDX-License-Identifier: MIT */
#include "app/admin.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "value/json.h"

#define MAX_REQUEST 4096
#define MAX_CLIENTS 64

typedef struct client {
    int fd; /* -1: free */
    size_t len;
    char request[MAX_REQUEST];
} client;

struct pl_admin {
    pl_server *server;
    int epoll, fd;
    struct sockaddr_un address;
    client clients[MAX_CLIENTS];
};

static pl_code make_address(const char *path, struct sockaddr_un *out, pl_error *err)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof out->sun_path)
        return pl_fail(err, PL_INVALID_ARGUMENT, "%s: the path of a Unix socket can have %zu bytes at most",
                       path, sizeof out->sun_path - 1);
    strcpy(out->sun_path, path);
    return PL_OK;
}

/* EAGAIN: somebody listens there, but has too many to answer already. */
static int connect_to(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        return fd;
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return -1;
}

static pl_code listen_at(pl_admin *a, pl_error *err)
{
    struct stat st;
    int other = connect_to(&a->address);
    if (other >= 0 || errno == EAGAIN) {
        if (other >= 0)
            close(other);
        return pl_fail(err, PL_ALREADY_EXISTS,
                       "%s: another server listens on this admin socket; give --admin PATH",
                       a->address.sun_path);
    }
    if (errno == ECONNREFUSED && lstat(a->address.sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(a->address.sun_path); /* left over from a server that was killed */
    a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The mode of the descriptor becomes that of the file: so nobody else can connect, not even for a moment,
     * and the umask, which all threads share, is left alone. */
    int bound = a->fd < 0 || fchmod(a->fd, 0600) < 0
                    ? -1
                    : bind(a->fd, (struct sockaddr *)&a->address, sizeof a->address);
    if (bound < 0 || listen(a->fd, 16) < 0) {
        pl_fail(err, PL_UNAVAILABLE, "%s: %s", a->address.sun_path, strerror(errno));
        if (bound < 0)
            a->address.sun_path[0] = '\0'; /* not ours to remove */
        return PL_UNAVAILABLE;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    a->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (a->epoll < 0 || epoll_ctl(a->epoll, EPOLL_CTL_ADD, a->fd, &event) < 0)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "admin socket: %s", strerror(errno));
    return PL_OK;
}

pl_admin *pl_admin_new(const char *path, pl_server *server, pl_error *err)
{
    pl_admin *a = pl_calloc(1, sizeof *a);
    if (!a) {
        pl_fail_memory(err);
        return NULL;
    }
    a->server = server;
    a->epoll = a->fd = -1;
    for (int i = 0; i < MAX_CLIENTS; i++)
        a->clients[i].fd = -1;
    if (make_address(path, &a->address, err) == PL_OK && listen_at(a, err) == PL_OK)
        return a;
    pl_admin_free(a);
    return NULL;
}

void pl_admin_free(pl_admin *a)
{
    if (!a)
        return;
    for (int i = 0; i < MAX_CLIENTS; i++) {
        if (a->clients[i].fd >= 0)
            close(a->clients[i].fd);
    }
    if (a->fd >= 0) {
        close(a->fd);
        if (a->address.sun_path[0])
            unlink(a->address.sun_path);
    }
    if (a->epoll >= 0)
        close(a->epoll);
    pl_free(a);
}

int pl_admin_fd(const pl_admin *a)
{
    return a->epoll;
}

/* --- commands --- */
static void answer_change(pl_buf *out, pl_reload_result result, pl_server *server, const pl_report *report)
{
    static const char *const names[] = {[PL_RELOADED] = "reloaded",
                                        [PL_RELOAD_UNCHANGED] = "unchanged",
                                        [PL_RELOAD_REFUSED] = "refused",
                                        [PL_RELOAD_BUSY] = "busy"};
    pl_buf_printf(out, "{\"ok\":%s,\"result\":\"%s\",\"generation\":%llu,\"problems\":",
                  result == PL_RELOADED || result == PL_RELOAD_UNCHANGED ? "true" : "false", names[result],
                  (unsigned long long)pl_server_generation(server));
    pl_report_json(report, out);
    pl_buf_char(out, '}');
}

static void answer_metrics(pl_server *server, pl_buf *out)
{
    pl_buf text;
    pl_buf_init(&text);
    if (pl_server_metrics(server, &text)) {
        PL_BUF_LIT(out, "{\"ok\":true,\"metrics\":");
        pl_json_string(out, pl_buf_view(&text));
        pl_buf_char(out, '}');
    } else {
        PL_BUF_LIT(out, "{\"ok\":false,\"error\":\"out of memory\"}");
    }
    pl_buf_dispose(&text);
}

static void execute(pl_admin *a, pl_str command, pl_buf *out)
{
    pl_report report;
    pl_report_init(&report);
    if (pl_str_is(command, "status"))
        (void)pl_server_status(a->server, out); /* which says so itself */
    else if (pl_str_is(command, "metrics"))
        answer_metrics(a->server, out);
    else if (pl_str_is(command, "reload"))
        answer_change(out, pl_server_reload(a->server, "reload", true, &report), a->server, &report);
    else if (pl_str_is(command, "rollback"))
        answer_change(out, pl_server_rollback(a->server, &report), a->server, &report);
    else
        PL_BUF_LIT(
            out,
            "{\"ok\":false,\"error\":\"unknown command; there are status, metrics, reload and rollback\"}");
    pl_report_dispose(&report);
}

/* The answer fits the socket's buffer in all but odd cases; a client that does not read is waited for a
 * little, not for ever. */
static void send_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (sent > 0) {
            bytes += sent;
            n -= (size_t)sent;
        } else if (errno != EAGAIN || poll(&p, 1, 200) <= 0) {
            return;
        }
    }
}

static void client_close(client *c)
{
    close(c->fd);
    c->fd = -1;
}

static void client_answer(pl_admin *a, client *c)
{
    pl_buf out;
    pl_arena arena;
    pl_value request;
    pl_error err = {0};
    pl_buf_init(&out);
    pl_arena_init(&arena, 0);
    if (pl_json_read(&arena, (pl_str){c->request, c->len}, NULL, &request, &err) == PL_OK) {
        const pl_value *command = pl_value_member(&request, PL_STR("command"));
        execute(a, command && command->kind == PL_KIND_STRING ? command->string : PL_STR(""), &out);
    } else {
        PL_BUF_LIT(&out, "{\"ok\":false,\"error\":");
        pl_json_string(&out, pl_str_of(err.message));
        pl_buf_char(&out, '}');
    }
    pl_buf_char(&out, '\n');
    send_all(c->fd, out.data, out.len);
    pl_arena_dispose(&arena);
    pl_buf_dispose(&out);
    client_close(c);
}

static void client_read(pl_admin *a, client *c)
{
    ssize_t n = read(c->fd, c->request + c->len, sizeof c->request - c->len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        client_close(c);
        return;
    }
    c->len += (size_t)n;
    char *end = memchr(c->request, '\n', c->len);
    if (end) {
        c->len = (size_t)(end - c->request);
        client_answer(a, c);
    } else if (c->len == sizeof c->request) {
        client_close(c);
    }
}

static void accept_client(pl_admin *a)
{
    struct sockaddr_un peer;
    socklen_t size = sizeof peer;
    int fd = accept4(a->fd, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    for (int i = 0; i < MAX_CLIENTS; i++) {
        client *c = &a->clients[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (c->fd < 0 && epoll_ctl(a->epoll, EPOLL_CTL_ADD, fd, &event) == 0) {
            c->fd = fd;
            c->len = 0;
            return;
        }
    }
    close(fd);
}

void pl_admin_work(pl_admin *a)
{
    struct epoll_event events[16];
    int n = epoll_wait(a->epoll, events, 16, 0);
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr)
            client_read(a, events[i].data.ptr);
        else
            accept_client(a);
    }
}

/* --- for clients --- */
pl_code pl_admin_default_path(const char *directory, char *out, size_t size, pl_error *err)
{
    char absolute[PATH_MAX], folder[128];
    if (!realpath(directory, absolute))
        return pl_fail(err, PL_NOT_FOUND, "%s: %s", directory, strerror(errno));
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (runtime && runtime[0] == '/' && strlen(runtime) < 64)
        snprintf(folder, sizeof folder, "%s", runtime);
    else
        snprintf(folder, sizeof folder, "/tmp/perilune-%u", (unsigned)getuid());
    struct stat st;
    mkdir(folder, 0700);
    if (lstat(folder, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != getuid() || (st.st_mode & 022) != 0)
        return pl_fail(err, PL_PERMISSION_DENIED,
                       "%s is not a directory of this user's alone; give --admin PATH", folder);
    unsigned long long hash = 1469598103934665603ull; /* FNV-1a: the same in every process */
    for (const char *p = absolute; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 1099511628211ull;
    snprintf(out, size, "%s/perilune-%016llx.sock", folder, hash);
    return PL_OK;
}

pl_code pl_admin_call(const char *path, const char *command, unsigned timeout_ms, pl_buf *answer,
                      pl_error *err)
{
    struct sockaddr_un address;
    if (make_address(path, &address, err) != PL_OK)
        return err->code;
    int fd = connect_to(&address);
    if (fd < 0)
        return pl_fail(err, PL_UNAVAILABLE,
                       "no server answers at %s (%s); is it running, and with this bundle? --admin PATH "
                       "names another socket",
                       path, strerror(errno));
    pl_buf request;
    pl_buf_init(&request);
    PL_BUF_LIT(&request, "{\"command\":");
    pl_json_string(&request, pl_str_of(command));
    PL_BUF_LIT(&request, "}\n");
    send_all(fd, request.data, request.len);
    pl_buf_dispose(&request);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t until = pl_clock_ms() + timeout_ms;
    ssize_t got = 1;
    for (uint64_t now; got > 0 && (now = pl_clock_ms()) <= until && poll(&p, 1, (int)(until - now)) > 0 &&
                       pl_buf_reserve(answer, 4096);) {
        got = read(fd, answer->data + answer->len, 4096);
        if (got > 0)
            answer->len += (size_t)got;
    }
    close(fd);
    if (answer->len == 0 || answer->data[answer->len - 1] != '\n')
        return pl_fail(err, PL_UNAVAILABLE, "the server at %s gave no whole answer in time", path);
    answer->len--;
    return PL_OK;
}
