/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_ADDRESS_H
#define PL_NET_ADDRESS_H

#include <sys/socket.h>

#include "base/error.h"
#include "base/str.h"

/* Addresses as text that need no name service. */

/* "10.0.0.1:50051", "[::1]:50051", "unix:PATH", "unix-abstract:NAME". INVALID_ARGUMENT. */
pl_code pl_address_parse(pl_str text, struct sockaddr_storage *address, socklen_t *len, pl_error *err);

#endif
