/* SPDX-License-Identifier: MIT */
#include "net/websocket.h"

bool pl_http_is_websocket(const pl_http_request *request)
{
    return false;
}
pl_websocket *pl_websocket_accept(pl_http_request *request, pl_str protocol,
                                  const pl_websocket_options *options, const pl_websocket_handler *handler,
                                  void *data)
{
    pl_http_respond(request, &(pl_http_response){.status = 503});
    return NULL;
}
pl_code pl_websocket_send(pl_websocket *ws, pl_str text)
{
    return PL_UNIMPLEMENTED;
}
size_t pl_websocket_queued(const pl_websocket *ws)
{
    return 0;
}
void pl_websocket_ping(pl_websocket *ws)
{
}
void pl_websocket_close(pl_websocket *ws, unsigned code, pl_str reason)
{
}
void *pl_websocket_data(const pl_websocket *ws)
{
    return NULL;
}
pl_str pl_websocket_peer(const pl_websocket *ws)
{
    return PL_STR_NONE;
}
