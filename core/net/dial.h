/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_DIAL_H
#define PL_NET_DIAL_H

#include "net/bytestream.h"
#include "net/tls_client.h"

/* Byte connections to servers, with the functions and the contract of net/bytestream.h. Nothing here blocks
 * but the reading of credentials' own files that have changed; the system's certificates are read by a helper
 * thread of the loop's, where there is one. */

/* One loop's. */
typedef struct pl_dialer pl_dialer;
/* write_ms: for a server to take a piece; 0 is 60 s. NULL: memory. */
pl_dialer *pl_dialer_new(pl_loop *loop, unsigned write_ms);
/* Connections that are left are cut: `failed` or `closed` is called for each. NULL is fine. */
void pl_dialer_free(pl_dialer *dialer);
unsigned pl_dialer_count(const pl_dialer *dialer); /* connections, and attempts; any thread */

typedef struct pl_dial_to {
    /* Resolved: "10.0.0.1:50051", "[::1]:50051", "unix:PATH", "unix-abstract:NAME" */
    pl_str address;
    pl_tls_credentials *tls; /* kept as long as it is needed; NULL: cleartext */
    pl_str name;             /* with TLS: the host name or IP address that the certificate must be for */
    unsigned timeout_ms;     /* until it is open, with TLS; 0 is 20 s */
} pl_dial_to;

/* Begins to connect; connection->data is `data` from the start. Then comes either `failed`, or `opened` and
 * at the end `closed`; never before this function has returned. A connection that is cut before it is open
 * gets `failed` (CANCELLED). Where `opened` returns false, nothing more comes.
 * NULL, and nothing comes: INVALID_ARGUMENT (address, name), RESOURCE_EXHAUSTED (memory, descriptors),
 * UNAVAILABLE (refused at once). All errors name the address. */
pl_connection *pl_dial(pl_dialer *dialer, const pl_dial_to *to, pl_bytes_service *service, void *data,
                       pl_error *err);

#endif
