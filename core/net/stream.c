/* SPDX-License-Identifier: MIT */
#include "net/stream.h"

bool pl_http_stream_begin(pl_http_request *request, const pl_http_response *head)
{
    return false;
}
bool pl_http_stream_write(pl_http_request *request, pl_str bytes)
{
    return false;
}
size_t pl_http_stream_queued(const pl_http_request *request)
{
    return 0;
}
void pl_http_stream_end(pl_http_request *request)
{
}
