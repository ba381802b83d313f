/* SPDX-License-Identifier: MIT */
#include "grpc/session_internal.h"

#define DRAIN_WAIT_MS 2000 /* for the PING after the first GOAWAY */
#define MAX_PING_STRIKES 2
#define PING_WITHOUT_CALLS_MS 7200000
#define NEVER UINT64_MAX

static const uint8_t drain_ping[8] = {'d', 'r', 'a', 'i', 'n', 0, 0, 1};
static const uint8_t keepalive_ping[8] = {'a', 'l', 'i', 'v', 'e', 0, 0, 1};

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void h2_say_goodbye(pl_grpc_session *session, uint32_t error, const char *why)
{
    if (session->closing || session->broken)
        return;
    session->closing = true;
    session->fault = why;
    session->hostile = error == NGHTTP2_ENHANCE_YOUR_CALM;
    int32_t last = nghttp2_session_get_last_proc_stream_id(session->h2);
    if (nghttp2_submit_goaway(session->h2, NGHTTP2_FLAG_NONE, last, error, (const uint8_t *)why,
                              strlen(why)) != 0)
        session->broken = true;
    if (!session->inside && session->wake)
        session->wake(session->data);
}

/* --- floods --- */
static void make_noise(pl_grpc_session *session)
{
    if (pl_http2_noise_frame(&session->noise))
        h2_say_goodbye(session, NGHTTP2_ENHANCE_YOUR_CALM, "too many frames without effect");
}

void h2_guard_frame(pl_grpc_session *session, const nghttp2_frame_hd *frame)
{
    if (frame->type != NGHTTP2_CONTINUATION)
        session->block_since = 0; /* a block that nghttp2 has dropped ends without a word */
    if (!pl_http2_is_useful(frame))
        make_noise(session);
}

/* Whoever heeds the number of streams has none refused. */
void h2_guard_refused(pl_grpc_session *session)
{
    make_noise(session);
}

/* Frames that nghttp2 tells nobody about, such as those of unknown types. */
void h2_guard_bytes(pl_grpc_session *session, size_t received)
{
    if (pl_http2_noise_bytes(&session->noise, received))
        h2_say_goodbye(session, NGHTTP2_ENHANCE_YOUR_CALM, "too many frames without effect");
}

/* A bucket that holds what five seconds allow. */
void h2_guard_reset(pl_grpc_session *session)
{
    double rate = session->options.max_resets, most = rate * 5;
    session->resets += (double)(session->now - session->resets_at) * rate / 1000;
    session->resets_at = session->now;
    if (session->resets > most)
        session->resets = most;
    session->resets -= 1;
    if (session->resets < 0)
        h2_say_goodbye(session, NGHTTP2_ENHANCE_YOUR_CALM, "too many streams are reset");
}

/* A peer may ping every ping_interval_ms, or whenever something was sent to it. */
void h2_guard_ping(pl_grpc_session *session)
{
    uint64_t least = session->options.ping_interval_ms;
    if (session->options.ping_with_calls_only && session->stream_count == 0)
        least = PING_WITHOUT_CALLS_MS;
    bool early = session->pinged_at != 0 && session->now - session->pinged_at < least;
    session->pinged_at = session->now ? session->now : 1;
    if (session->sent_since_ping) {
        session->sent_since_ping = false;
        session->ping_strikes = 0;
    } else if (early && ++session->ping_strikes > MAX_PING_STRIKES) {
        h2_say_goodbye(session, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
    }
}

/* --- draining --- */
static void say_last(pl_grpc_session *session)
{
    session->drain = DRAIN_SAID;
    session->drain_at = NEVER;
    int32_t last = nghttp2_session_get_last_proc_stream_id(session->h2);
    if (nghttp2_submit_goaway(session->h2, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0) != 0)
        session->broken = true;
}

void pl_grpc_session_drain(pl_grpc_session *session, uint64_t now)
{
    if (session->drain != DRAIN_NOT || session->closing)
        return;
    session->drain = DRAIN_ANNOUNCED;
    session->drain_at = now + DRAIN_WAIT_MS;
    if (nghttp2_submit_shutdown_notice(session->h2) != 0 ||
        nghttp2_submit_ping(session->h2, NGHTTP2_FLAG_NONE, drain_ping) != 0)
        session->broken = true;
    if (!session->inside && session->wake)
        session->wake(session->data);
}

void h2_ping_answered(pl_grpc_session *session, const uint8_t *opaque)
{
    if (session->drain == DRAIN_ANNOUNCED && memcmp(opaque, drain_ping, sizeof drain_ping) == 0)
        say_last(session);
}

/* --- time --- */
void h2_stream_count_changed(pl_grpc_session *session)
{
    session->idle_since = session->stream_count == 0 ? (session->now ? session->now : 1) : 0;
}

/* NEVER when the span is 0. */
static uint64_t after(uint64_t since, uint64_t span)
{
    return since == 0 || span == 0 ? NEVER : since + span;
}

static uint64_t handshake_due(const pl_grpc_session *session)
{
    uint64_t at = session->greeted ? NEVER : session->began_at + session->options.handshake_ms;
    return earlier(at, after(session->block_since, session->options.handshake_ms));
}

static uint64_t keepalive_due(const pl_grpc_session *session)
{
    if (session->ping_at)
        return session->ping_at + session->options.keepalive_timeout_ms;
    return session->options.keepalive_ms ? session->heard_at + session->options.keepalive_ms : NEVER;
}

static uint64_t end_due(const pl_grpc_session *session)
{
    if (session->drain != DRAIN_NOT)
        return session->drain_at;
    return earlier(session->age_at, after(session->idle_since, session->options.idle_ms));
}

static void keep_alive(pl_grpc_session *session)
{
    if (session->ping_at) {
        session->broken = true;
        session->fault = "it does not answer pings";
        return;
    }
    session->ping_at = session->now;
    session->keepalives++;
    if (nghttp2_submit_ping(session->h2, NGHTTP2_FLAG_NONE, keepalive_ping) != 0)
        session->broken = true;
}

static void grow_old(pl_grpc_session *session)
{
    if (session->drain == DRAIN_ANNOUNCED) {
        say_last(session);
        return;
    }
    if (session->now >= session->age_at && session->options.age_grace_ms)
        session->grace_at = session->now + session->options.age_grace_ms;
    pl_grpc_session_drain(session, session->now);
}

uint64_t pl_grpc_session_tick(pl_grpc_session *session, uint64_t now)
{
    session->now = now;
    if (session->broken || session->closing)
        return NEVER;
    session->inside = true;
    if (handshake_due(session) <= now || session->grace_at <= now)
        session->broken = true;
    else if (end_due(session) <= now)
        grow_old(session);
    if (handshake_due(session) <= now)
        session->fault = "its first bytes, or a block of headers, took too long";
    if (!session->broken && keepalive_due(session) <= now)
        keep_alive(session);
    session->inside = false;
    if (session->broken)
        return NEVER;
    return earlier(earlier(handshake_due(session), keepalive_due(session)),
                   earlier(end_due(session), session->grace_at));
}
