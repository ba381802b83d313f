/* SPDX-License-Identifier: MIT */
#include "net/dial.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/address.h"
#include "net/bytes_internal.h"
#include "net/peer.h"

struct pl_dialer {
    bytes_owner owner;
};

typedef struct preparation preparation;

/* A connection to a server: bytes.c sees the connection alone. */
typedef struct dialed {
    bytes_connection base; /* first */
    pl_error why;
    preparation *preparation; /* what its TLS waits for; NULL: nothing */
    pl_str address, name;
    char text[]; /* of both */
} dialed;

/* A helper thread reads the system's certificates, while the connection comes about. */
struct preparation {
    pl_job job; /* first */
    pl_tls_credentials *credentials;
    dialed *dialed; /* NULL: it has gone */
};

static void on_failed(bytes_connection *c)
{
    dialed *d = (dialed *)c;
    pl_error why;
    if (d->preparation)
        d->preparation->dialed = NULL;
    pl_fail(&why, d->why.code != PL_OK ? d->why.code : PL_UNAVAILABLE, "cannot connect to %.*s: %s",
            PL_STR_ARG(d->address), pl_connection_why(&c->public));
    c->service->failed(c->service, &c->public, &why);
}

static void on_connected(h2o_socket_t *socket, const char *err)
{
    bytes_connection *c = socket->data;
    dialed *d = (dialed *)c;
    int failure = 0;
    socklen_t size = sizeof(failure);
    if (getsockopt(h2o_socket_get_fd(socket), SOL_SOCKET, SO_ERROR, &failure, &size) != 0)
        failure = errno;
    if (err || c->cut || failure != 0) {
        bytes_because(c, PL_UNAVAILABLE, "%s", failure ? strerror(failure) : "it was closed");
        bytes_close(c);
    } else if (d->preparation) {
        c->public.secure = c->resting = true;
    } else if (c->tls) {
        c->public.secure = true;
        bytes_begin_tls(c);
    } else {
        bytes_open(c);
    }
}

/* --- TLS that is not ready --- */
static void prepare(pl_job *job)
{
    pl_tls_credentials_prepare(((preparation *)job)->credentials);
}

static void prepared(pl_job *job)
{
    preparation *p = (preparation *)job;
    dialed *d = p->dialed;
    pl_error err;
    if (d) {
        bytes_connection *c = &d->base;
        d->preparation = NULL;
        c->tls = c->cut ? NULL : pl_tls_client_new(p->credentials, d->name, &err);
        if (!c->cut && !c->tls) {
            bytes_because(c, err.code, "%s", err.message);
            bytes_give_up(c);
        } else if (!c->cut && c->resting) {
            bytes_begin_tls(c);
        }
    }
    pl_tls_credentials_drop(p->credentials);
    pl_free(p);
}

/* False: no thread can be had for it. */
static bool begin_to_prepare(pl_dialer *dialer, dialed *d, pl_tls_credentials *credentials)
{
    pl_host *host = dialer->owner.host;
    preparation *p = pl_calloc(1, sizeof(*p));
    if (!p)
        return false;
    p->job = (pl_job){.run = prepare, .done = prepared};
    p->credentials = credentials;
    p->dialed = d;
    /* In one lane, so that what they wait for is read once. */
    if (host->ops->offload(host, &p->job, credentials) != 0) {
        pl_free(p);
        return false;
    }
    pl_tls_credentials_keep(credentials);
    d->preparation = p;
    return true;
}

/* A descriptor that connects, or -1 and err. */
static int begin(pl_str address, pl_error *err)
{
    struct sockaddr_storage at;
    socklen_t len;
    int on = 1;
    if (pl_address_parse(address, &at, &len, err) != PL_OK)
        return -1;
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        pl_code code = errno == EAFNOSUPPORT ? PL_UNAVAILABLE : PL_RESOURCE_EXHAUSTED;
        pl_fail(err, code, "cannot connect to %.*s: %s", PL_STR_ARG(address), strerror(errno));
        return -1;
    }
    if (at.ss_family != AF_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        pl_socket_keep_alive(fd);
    }
    if (connect(fd, (struct sockaddr *)&at, len) == 0 || errno == EINPROGRESS)
        return fd;
    /* A unix socket: its queue is full. */
    const char *why =
        errno == EAGAIN ? "the server does not accept connections fast enough" : strerror(errno);
    pl_fail(err, PL_UNAVAILABLE, "cannot connect to %.*s: %s", PL_STR_ARG(address), why);
    close(fd);
    return -1;
}

static dialed *new_dialed(const pl_dial_to *to, pl_error *err)
{
    dialed *d = pl_calloc(1, sizeof(*d) + to->address.len + to->name.len);
    if (!d) {
        pl_fail_memory(err);
        return NULL;
    }
    char *name = d->text + to->address.len;
    memcpy(d->text, to->address.len > 0 ? to->address.ptr : "", to->address.len);
    memcpy(name, to->name.len > 0 ? to->name.ptr : "", to->name.len);
    d->address = (pl_str){d->text, to->address.len};
    d->name = (pl_str){name, to->name.len};
    return d;
}

/* False: err says why there can be no TLS. */
static bool set_up_tls(pl_dialer *dialer, dialed *d, const pl_dial_to *to, pl_error *err)
{
    if (!to->tls)
        return true;
    if (!pl_tls_credentials_is_ready(to->tls) && begin_to_prepare(dialer, d, to->tls))
        return true;
    d->base.tls = pl_tls_client_new(to->tls, to->name, err);
    return d->base.tls != NULL;
}

pl_connection *pl_dial(pl_dialer *dialer, const pl_dial_to *to, pl_bytes_service *service, void *data,
                       pl_error *err)
{
    dialed *d = new_dialed(to, err);
    if (!d)
        return NULL;
    bytes_connection *c = &d->base;
    int fd = set_up_tls(dialer, d, to, err) ? begin(to->address, err) : -1;
    if (fd < 0) {
        if (d->preparation)
            d->preparation->dialed = NULL;
        pl_tls_client_free(c->tls);
        pl_free(d);
        return NULL;
    }
    c->public.data = data;
    c->service = service;
    c->why = &d->why;
    c->failed = on_failed;
    h2o_socket_t *socket = h2o_evloop_socket_create(pl_loop_h2o(dialer->owner.loop), fd, 0);
    bytes_adopt(&dialer->owner, c, socket);
    h2o_socket_notify_write(socket, on_connected);
    bytes_set_timer(c, to->timeout_ms != 0 ? to->timeout_ms : 20000);
    return &c->public;
}

pl_dialer *pl_dialer_new(pl_loop *loop, unsigned write_ms)
{
    pl_dialer *dialer = pl_calloc(1, sizeof(*dialer));
    if (dialer)
        bytes_owner_init(&dialer->owner, loop, write_ms != 0 ? write_ms : 60000);
    return dialer;
}

void pl_dialer_free(pl_dialer *dialer)
{
    if (!dialer)
        return;
    bytes_owner_dispose(&dialer->owner);
    pl_free(dialer);
}

unsigned pl_dialer_count(const pl_dialer *dialer)
{
    return __atomic_load_n(&dialer->owner.count, __ATOMIC_RELAXED);
}
