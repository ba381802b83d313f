/* SPDX-License-Identifier: MIT */
#include "net/edge_internal.h"

/* A client that takes a piece is alive: small enough for a slow one to do so in time. */
#define PIECE ((size_t)128 << 10)

void edge_output_init(edge_output *output)
{
    *output = (edge_output){0};
    pl_buf_init(&output->waiting);
    pl_buf_init(&output->sending);
}

void edge_output_dispose(edge_output *output)
{
    pl_buf_dispose(&output->waiting);
    pl_buf_dispose(&output->sending);
    edge_output_init(output);
}

pl_str edge_output_next(edge_output *output)
{
    if (output->sent == output->sending.len) {
        pl_buf_dispose(&output->sending);
        output->sending = output->waiting;
        output->sent = 0;
        pl_buf_init(&output->waiting);
    }
    size_t left = output->sending.len - output->sent;
    output->in_flight = left < PIECE ? left : PIECE;
    return output->in_flight != 0 ? (pl_str){output->sending.data + output->sent, output->in_flight}
                                  : PL_STR_NONE;
}

void edge_output_taken(edge_output *output)
{
    output->sent += output->in_flight;
    output->in_flight = 0;
    if (output->sent == output->sending.len) {
        pl_buf_dispose(&output->sending); /* what is idle holds no memory */
        output->sent = 0;
    }
}
