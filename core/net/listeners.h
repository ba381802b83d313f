/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_LISTENERS_H
#define PL_NET_LISTENERS_H

#include <openssl/ssl.h>

#include "net/edge.h"

/* What an edge takes for its worker. The descriptors are the caller's from then on (-1: none, or taken
 * before). */
int pl_listeners_take(pl_listeners *listeners, unsigned worker);
int pl_listeners_take_tls(pl_listeners *listeners, unsigned worker);
SSL_CTX *pl_listeners_tls(pl_listeners *listeners); /* NULL: none; the listeners' */

#endif
