/* SPDX-License-Identifier: MIT */
#include "net/address.h"

#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static pl_code parse_unix(pl_str text, pl_str path, bool is_abstract, struct sockaddr_storage *address,
                          socklen_t *len, pl_error *err)
{
    struct sockaddr_un *un = (struct sockaddr_un *)address;
    size_t most = sizeof(un->sun_path) - 1;
    if (path.len == 0 || path.len > most || memchr(path.ptr, '\0', path.len))
        return pl_fail(err, PL_INVALID_ARGUMENT, "\"%.*s\" is no address: the %s has 1 to %zu bytes",
                       PL_STR_ARG(text), is_abstract ? "name" : "path", most);
    memset(un, 0, sizeof(*un));
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path + is_abstract, path.ptr, path.len);
    *len = is_abstract ? (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + path.len) : sizeof(*un);
    return PL_OK;
}

static bool split(pl_str text, char *host, size_t room, char *port, size_t port_room)
{
    const char *colon = text.len > 0 ? memrchr(text.ptr, ':', text.len) : NULL;
    if (!colon)
        return false;
    pl_str before = {text.ptr, (size_t)(colon - text.ptr)};
    pl_str after = {colon + 1, text.len - before.len - 1};
    if (before.len >= 2 && before.ptr[0] == '[' && before.ptr[before.len - 1] == ']')
        before = (pl_str){before.ptr + 1, before.len - 2};
    else if (memchr(before.ptr, ':', before.len))
        return false;
    if (before.len == 0 || before.len >= room || after.len == 0 || after.len >= port_room ||
        memchr(before.ptr, '\0', before.len))
        return false;
    memcpy(host, before.ptr, before.len);
    host[before.len] = '\0';
    unsigned long number = 0;
    for (size_t i = 0; i < after.len; i++) {
        if (after.ptr[i] < '0' || after.ptr[i] > '9')
            return false;
        number = number * 10 + (unsigned long)(after.ptr[i] - '0');
    }
    snprintf(port, port_room, "%lu", number);
    return number > 0 && number <= 65535;
}

pl_code pl_address_parse(pl_str text, struct sockaddr_storage *address, socklen_t *len, pl_error *err)
{
    static const pl_str unix_prefix = {"unix:", 5}, abstract_prefix = {"unix-abstract:", 14};
    char host[128], port[6];
    if (pl_str_starts(text, unix_prefix))
        return parse_unix(text, (pl_str){text.ptr + unix_prefix.len, text.len - unix_prefix.len}, false,
                          address, len, err);
    if (pl_str_starts(text, abstract_prefix))
        return parse_unix(text, (pl_str){text.ptr + abstract_prefix.len, text.len - abstract_prefix.len},
                          true, address, len, err);
    struct addrinfo *found = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    if (!split(text, host, sizeof(host), port, sizeof(port)) || getaddrinfo(host, port, &hints, &found) != 0)
        return pl_fail(err, PL_INVALID_ARGUMENT,
                       "\"%.*s\" is no address; IP:PORT, [IPv6]:PORT or unix:PATH is expected",
                       PL_STR_ARG(text));
    memcpy(address, found->ai_addr, found->ai_addrlen);
    *len = found->ai_addrlen;
    freeaddrinfo(found);
    return PL_OK;
}
