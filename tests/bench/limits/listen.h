/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LISTEN_H
#define BENCH_LISTEN_H

/* How the limits come to their address, and say which it is. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

/* On loopback; port 0 is any free one. -1, and said why. */
static int listen_on(const char *program, int port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, SOMAXCONN) != 0) {
        perror(program);
        return -1;
    }
    return fd;
}

/* The ready line; kind: "http" or "grpc". */
static bool print_ready(int fd, const char *kind)
{
    struct sockaddr_in addr;
    socklen_t size = sizeof(addr);
    if (getsockname(fd, (struct sockaddr *)&addr, &size) != 0)
        return false;
    printf("{\"event\":\"ready\",\"%s\":\"127.0.0.1:%d\"}\n", kind, ntohs(addr.sin_port));
    return fflush(stdout) == 0;
}

#endif
