/* SPDX-License-Identifier: MIT */
#include "wake.h"

#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool core_wake_init(core_wake *wake)
{
    wake->set = false;
    wake->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return wake->fd >= 0;
}

void core_wake_dispose(core_wake *wake)
{
    if (wake->fd >= 0)
        close(wake->fd);
    wake->fd = -1;
}

void core_wake_set(core_wake *wake)
{
    uint64_t one = 1;
    if (!wake->set && write(wake->fd, &one, sizeof one) == sizeof one)
        wake->set = true;
}

void core_wake_clear(core_wake *wake)
{
    uint64_t count;
    if (wake->set && read(wake->fd, &count, sizeof count) == sizeof count)
        wake->set = false;
}

void core_wake_wait(const core_wake *wake, int timeout_ms)
{
    struct pollfd p = {.fd = wake->fd, .events = POLLIN};
    poll(&p, 1, timeout_ms);
}
