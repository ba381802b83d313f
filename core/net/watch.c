/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/loop.h"
#include "net/loop_internal.h"

struct pl_watch {
    h2o_socket_t *socket;
    void (*readable)(void *data);
    void *data;
};

static void on_readable(h2o_socket_t *socket, const char *err)
{
    pl_watch *watch = socket->data;
    watch->readable(watch->data);
}

pl_watch *pl_loop_watch(pl_loop *loop, int fd, void (*readable)(void *data), void *data)
{
    pl_error err;
    pl_watch *watch = pl_malloc(sizeof *watch);
    int own = watch && pl_descriptors_left(2, &err) == PL_OK ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (own < 0) {
        pl_free(watch);
        return NULL;
    }
    *watch = (pl_watch){.readable = readable, .data = data};
    watch->socket = h2o_evloop_socket_create(pl_loop_h2o(loop), own, H2O_SOCKET_FLAG_DONT_READ);
    watch->socket->data = watch;
    h2o_socket_read_start(watch->socket, on_readable);
    return watch;
}

void pl_watch_end(pl_watch *watch)
{
    if (!watch)
        return;
    h2o_socket_close(watch->socket);
    pl_free(watch);
}
