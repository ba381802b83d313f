/* SPDX-License-Identifier: MIT */
#include "grpc/wire.h"

/* Messages of a call, in and out: framed in the stream's buffers, whatever the protocol. */

/* --- messages in --- */
static void credit(pl_grpc_call *call, size_t bytes)
{
    if (bytes > call->uncredited)
        bytes = call->uncredited;
    call->uncredited -= bytes;
    if (bytes > 0 && !call->peer_ended)
        call->stream->ops->consumed(call->stream, bytes);
}

static void let_go(pl_grpc_call *call, size_t bytes)
{
    call->held -= bytes;
    call->server->held -= bytes;
}

static void note(const pl_grpc_call *call, uint64_t *count, uint64_t *at)
{
    pl_host *host = call->server->config.host;
    ++*count;
    *at = host->ops->now(host);
}

bool pl_grpc_wire_hold(pl_grpc_call *call, pl_str bytes)
{
    pl_grpc_server *server = call->server;
    if (!pl_grpc_server_make_room(server, call, bytes.len))
        return false;
    if (!pl_grpc_reader_add(&call->stream->reader, bytes)) {
        pl_grpc_call_fail(call, PL_RESOURCE_EXHAUSTED, "the server has received more than it can hold");
        return false;
    }
    server->held += bytes.len;
    call->held += bytes.len;
    return true;
}

static bool too_large_whole(const pl_grpc_call *call)
{
    return call->whole_body &&
           pl_grpc_reader_held(&call->stream->reader) > PL_GRPC_PREFIX + call->stream->reader.max_message;
}

bool pl_grpc_call_add(pl_grpc_call *call, pl_str bytes)
{
    pl_grpc_message message;
    size_t before = call->held;
    call->uncredited += bytes.len;
    if (!(call->wire->add ? call->wire->add(call, bytes) : pl_grpc_wire_hold(call, bytes)))
        return false;
    if (call->held - before < bytes.len) /* the rest was dropped, or was Base64's */
        credit(call, bytes.len - (call->held - before));
    if (too_large_whole(call)) {
        pl_grpc_call_fail(call, PL_RESOURCE_EXHAUSTED,
                          "the message is too large: it has more than the %zu bytes that are allowed",
                          call->stream->reader.max_message);
        return false;
    }
    /* Of a message that somebody waits for, more may come: it is bounded. */
    if (call->whole_body ||
        (call->wants && pl_grpc_reader_peek(&call->stream->reader, &message) == PL_GRPC_MORE))
        credit(call, call->uncredited);
    return true;
}

bool pl_grpc_call_complete(pl_grpc_call *call)
{
    call->peer_ended = true;
    return !call->wire->complete || call->wire->complete(call);
}

bool pl_grpc_wire_begin_body(pl_grpc_call *call)
{
    static const char none[PL_GRPC_PREFIX];
    call->whole_body = true;
    return pl_grpc_wire_hold(call, (pl_str){none, sizeof none}) ||
           pl_grpc_wire_refuse(call, PL_RESOURCE_EXHAUSTED, "the server is busy");
}

bool pl_grpc_wire_complete_body(pl_grpc_call *call)
{
    pl_grpc_reader *reader = &call->stream->reader;
    size_t length = pl_grpc_reader_held(reader) - PL_GRPC_PREFIX;
    unsigned char *p = (unsigned char *)reader->bytes.data + reader->at;
    p[0] = length > 0 && call->request_coding != PL_GRPC_IDENTITY ? PL_GRPC_FLAG_COMPRESSED : 0;
    for (int i = 0; i < 4; i++)
        p[1 + i] = (unsigned char)(length >> (24 - 8 * i));
    return true;
}

static pl_code too_large(const pl_grpc_call *call, uint32_t length, pl_error *err)
{
    return pl_fail(err, PL_RESOURCE_EXHAUSTED, "a message is too large: it has %u bytes, and %zu are allowed",
                   length, call->stream->reader.max_message);
}

pl_grpc_whole pl_grpc_call_check_single(pl_grpc_call *call)
{
    pl_grpc_message message;
    pl_error err;
    size_t held = pl_grpc_reader_held(&call->stream->reader);
    switch (pl_grpc_reader_peek(&call->stream->reader, &message)) {
    case PL_GRPC_MESSAGE:
        if (held > PL_GRPC_PREFIX + message.length)
            break;
        return call->peer_ended ? PL_GRPC_WHOLE : PL_GRPC_NOT_WHOLE;
    case PL_GRPC_TOO_LARGE:
        too_large(call, message.length, &err);
        pl_grpc_call_fail(call, err.code, "%s", err.message);
        return PL_GRPC_REFUSED;
    case PL_GRPC_BAD_FLAGS:
        pl_grpc_call_fail(call, PL_INTERNAL, "a message has flags that are not defined");
        return PL_GRPC_REFUSED;
    case PL_GRPC_MORE:
        if (!call->peer_ended)
            return PL_GRPC_NOT_WHOLE;
        if (held > 0) {
            pl_grpc_call_fail(call, PL_INTERNAL, "the request ends in the middle of a message");
            return PL_GRPC_REFUSED;
        }
        break;
    }
    pl_grpc_call_fail(call, PL_UNIMPLEMENTED, "the method takes one request message, not %s",
                      held > 0 ? "several" : "none");
    return PL_GRPC_REFUSED;
}

/* The message's own bytes: of the reader, or of the scratch buffer. */
static pl_code unpack(pl_grpc_call *call, const pl_grpc_message *message, pl_str *out, pl_error *err)
{
    pl_grpc_stream *stream = call->stream;
    *out = message->payload;
    if (!message->compressed)
        return PL_OK;
    if (call->request_coding == PL_GRPC_IDENTITY)
        return pl_fail(err, PL_INTERNAL, "a message is compressed, but the headers name no compression");
    pl_buf_reset(&stream->scratch, stream->scratch.cap);
    pl_code code = pl_grpc_decompress(call->server->coder, call->request_coding, message->payload,
                                      stream->reader.max_message, &stream->scratch, err);
    if (code == PL_INTERNAL)
        err->code = code = call->wire->malformed;
    *out = pl_buf_view(&stream->scratch);
    return code;
}

/* Pushes the value. [jumps] */
static pl_code decode(pl_grpc_call *call, pl_str payload, pl_error *err)
{
    if (call->wire->decode)
        return call->wire->decode(call, payload, err);
    return call->codec->decode(call->method->input, call->service->state, payload, err);
}

static pl_rpc_result malformed(const pl_grpc_call *call, pl_code code, pl_error *err)
{
    if (code == PL_INTERNAL)
        err->code = call->wire->malformed;
    return code == PL_OK ? PL_RPC_DONE : PL_RPC_FAILED;
}

pl_rpc_result pl_grpc_call_take_bytes(pl_grpc_call *call, pl_str *out, pl_error *err)
{
    pl_grpc_message message;
    pl_grpc_reader *reader = &call->stream->reader;
    switch (pl_grpc_reader_next(reader, &message)) {
    case PL_GRPC_MESSAGE:
        call->wants = false;
        call->received++;
        if (call->stream->traffic)
            note(call, &call->stream->traffic->received, &call->stream->traffic->received_at);
        let_go(call, PL_GRPC_PREFIX + message.length);
        credit(call, PL_GRPC_PREFIX + message.length);
        return unpack(call, &message, out, err) == PL_OK ? PL_RPC_DONE : PL_RPC_FAILED;
    case PL_GRPC_TOO_LARGE:
        too_large(call, message.length, err);
        return PL_RPC_FAILED;
    case PL_GRPC_BAD_FLAGS:
        pl_fail(err, PL_INTERNAL, "a message has flags that are not defined");
        return PL_RPC_FAILED;
    case PL_GRPC_MORE:
        break;
    }
    if (!call->peer_ended) {
        call->wants = true;
        credit(call, call->uncredited);
        return PL_RPC_WAIT;
    }
    if (pl_grpc_reader_held(reader) == 0)
        return PL_RPC_END;
    pl_fail(err, PL_INTERNAL, "the stream ends in the middle of a message");
    return PL_RPC_FAILED;
}

pl_rpc_result pl_grpc_call_take(pl_grpc_call *call, pl_error *err)
{
    pl_str bytes;
    pl_rpc_result result = pl_grpc_call_take_bytes(call, &bytes, err);
    if (result == PL_RPC_DONE)
        result = malformed(call, decode(call, bytes, err), err);
    if (call->stream->scratch.len > 0)
        pl_buf_reset(&call->stream->scratch, (size_t)16 << 10);
    return result;
}

/* --- headers and messages out --- */
static pl_code compress_from(pl_grpc_call *call, size_t begin, pl_error *err)
{
    pl_grpc_stream *stream = call->stream;
    pl_buf *out = &stream->out;
    pl_str plain = {out->data + begin + PL_GRPC_PREFIX, out->len - begin - PL_GRPC_PREFIX};
    pl_buf_reset(&stream->scratch, stream->scratch.cap);
    pl_code code = pl_grpc_compress(call->server->coder, call->response_coding, plain, &stream->scratch, err);
    if (code == PL_OK) {
        out->len = begin + PL_GRPC_PREFIX;
        pl_buf_str(out, pl_buf_view(&stream->scratch));
    }
    pl_buf_reset(&stream->scratch, (size_t)16 << 10);
    return code;
}

/* What has been sent makes room. */
static void compact(pl_grpc_stream *stream)
{
    size_t unsent = pl_grpc_stream_unsent(stream);
    if (stream->sent == 0 || unsent > stream->sent)
        return;
    memmove(stream->out.data, stream->out.data + stream->sent, unsent);
    stream->out.len = unsent;
    stream->sent = 0;
}

/* The message that begins at call->begin is whole, unless there was an error: code. */
static pl_code put_end(pl_grpc_call *call, pl_code code, pl_error *err)
{
    pl_buf *out = &call->stream->out;
    size_t begin = call->begin;
    bool compress = call->response_coding != PL_GRPC_IDENTITY &&
                    out->len - begin - PL_GRPC_PREFIX >= call->service->options.compress_from;
    if (code == PL_OK && compress)
        code = compress_from(call, begin, err);
    if (code == PL_OK && !pl_grpc_message_end(out, begin, compress ? PL_GRPC_FLAG_COMPRESSED : 0))
        code = pl_fail(err, PL_RESOURCE_EXHAUSTED, "a message is too large to be sent");
    if (code == PL_OK && call->wire->pack)
        code = call->wire->pack(call, err);
    if (code != PL_OK) {
        pl_grpc_call_abandon(call);
        return code;
    }
    call->begin = PL_GRPC_NO_MESSAGE;
    call->sent++;
    if (call->stream->traffic)
        note(call, &call->stream->traffic->sent, &call->stream->traffic->sent_at);
    return PL_OK;
}

pl_code pl_grpc_call_put(pl_grpc_call *call, pl_slot slot, pl_error *err)
{
    pl_buf *out = &call->stream->out;
    compact(call->stream);
    call->begin = pl_grpc_message_begin(out);
    pl_code code = out->failed
                       ? pl_fail_memory(err)
                       : call->codec->encode(call->method->output, call->service->state, slot, out, err);
    return put_end(call, code, err);
}

pl_code pl_grpc_call_put_bytes(pl_grpc_call *call, pl_str bytes, pl_error *err)
{
    pl_buf *out = &call->stream->out;
    compact(call->stream);
    call->begin = pl_grpc_message_begin(out);
    pl_buf_str(out, bytes);
    return put_end(call, out->failed ? pl_fail_memory(err) : PL_OK, err);
}

void pl_grpc_call_abandon(pl_grpc_call *call)
{
    if (call->begin == PL_GRPC_NO_MESSAGE)
        return;
    pl_buf *out = &call->stream->out;
    out->failed = false;
    if (out->len > call->begin)
        out->len = call->begin;
    call->begin = PL_GRPC_NO_MESSAGE;
}

void pl_grpc_call_headers(pl_grpc_call *call)
{
    if (call->headers_sent)
        return;
    call->headers_sent = true;
    call->wire->headers(call);
}

void pl_grpc_call_end(pl_grpc_call *call)
{
    pl_grpc_stream *stream = call->stream;
    pl_grpc_call_abandon(call);
    /* Time is up, or the generation: nobody waits for what the peer does not take. */
    bool cut = (call->status.code == PL_DEADLINE_EXCEEDED || call->status.code == PL_UNAVAILABLE) &&
               !call->method_over && pl_grpc_stream_unsent(stream) > 0;
    if (cut) {
        stream->ops->reset(stream, PL_GRPC_RESET_CANCEL);
        return;
    }
    pl_grpc_script_metadata(call, !call->headers_sent, true);
    call->wire->end(call);
}
