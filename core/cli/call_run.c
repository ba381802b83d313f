/* SPDX-License-Identifier: MIT */
#include "cli/call_run.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/base64.h"
#include "cli/cli.h"
#include "grpc/metadata.h"

#define STATUS_EXIT 64 /* as grpcurl has it */
#define PATIENCE_MS 50 /* after which a thread that waits for input looks whether it is still wanted */

/* Standard input, read by a helper thread. */
typedef struct reader {
    pl_job job; /* first */
    struct active *active;
    char bytes[65536];
    ssize_t count; /* 0: the end; -1: failed; -2: nothing so far */
    bool busy, ended;
} reader;

typedef struct active {
    call_run *run;
    pl_remote_call *call;
    reader stdin_reader;
    pl_buf message, line;
    unsigned sent, received;
    bool finished; /* nothing more will be sent */
    bool blocked;  /* what was sent has to leave first */
    bool has_headers;
    struct timespec began;
    pl_error err;
} active;

/* --- standard input --- */
static void read_input(pl_job *job)
{
    reader *r = (reader *)job;
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
    r->count = -2;
    if (poll(&fd, 1, PATIENCE_MS) <= 0)
        return;
    do {
        r->count = read(STDIN_FILENO, r->bytes, sizeof(r->bytes));
    } while (r->count < 0 && errno == EINTR);
}

static void input_read(pl_job *job)
{
    reader *r = (reader *)job;
    r->busy = false;
    if (r->count > 0)
        pl_buf_append(&r->active->run->input.bytes, r->bytes, (size_t)r->count);
    r->ended = r->count == 0 || r->count == -1;
    rpc_wake(r->active->run->rpc);
}

static bool ask_for_input(active *a)
{
    reader *r = &a->stdin_reader;
    pl_host *host = rpc_host(a->run->rpc);
    if (r->busy || r->ended || !a->run->from_stdin)
        return true;
    r->job = (pl_job){.run = read_input, .done = input_read};
    r->active = a;
    r->busy = host->ops->offload(host, &r->job, NULL) == 0;
    return r->busy;
}

/* --- sending --- */
static bool send_one(active *a, pl_str json)
{
    call_run *run = a->run;
    pl_error err;
    pl_buf_reset(&a->message, SIZE_MAX);
    if (rpc_codec_read(run->codec, run->method->input, json, &a->message, &err) != PL_OK) {
        pl_fail(&a->err, err.code, "message %u: %s", a->sent + 1, err.message);
        return false;
    }
    a->sent++;
    pl_remote_result result = a->call->ops->send(a->call, pl_buf_view(&a->message), &a->err);
    a->blocked = result == PL_REMOTE_WAIT;
    return result != PL_REMOTE_FAILED;
}

/* *moved: something was done. False: err says what is wrong. */
static bool send_what_there_is(active *a, bool *moved)
{
    call_run *run = a->run;
    pl_str json;
    if (a->blocked && a->call->ops->flushed(a->call) == PL_REMOTE_WAIT)
        return true;
    a->blocked = false;
    while (!a->finished && !a->blocked) {
        bool ended = !run->from_stdin || a->stdin_reader.ended;
        if (run->input.bytes.failed) {
            pl_fail_memory(&a->err);
            return false;
        }
        if (json_stream_next(&run->input, ended, &json)) {
            if (!send_one(a, json))
                return false;
        } else if (ended) {
            a->finished = true;
            a->call->ops->finish(a->call);
        } else if (!ask_for_input(a)) {
            pl_fail_memory(&a->err);
            return false;
        } else {
            break;
        }
        *moved = true;
    }
    return true;
}

/* --- what comes --- */
static void print_metadata(active *a, const pl_header *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pl_str name = items[i].name, value = items[i].value;
        pl_buf_reset(&a->line, SIZE_MAX);
        if (pl_grpc_is_binary(name))
            pl_base64_write(&a->line, value);
        else
            pl_buf_str(&a->line, value);
        fprintf(stderr, "< %.*s: %.*s\n", PL_STR_ARG(name), PL_STR_ARG(pl_buf_view(&a->line)));
    }
}

static void print_headers(active *a)
{
    const pl_header *headers;
    size_t count;
    if (a->has_headers || a->call->ops->headers(a->call, &headers, &count) != PL_REMOTE_DONE)
        return;
    a->has_headers = true;
    if (!a->run->verbose)
        return;
    fprintf(stderr, "* %.*s answers\n", PL_STR_ARG(a->call->ops->peer(a->call)));
    print_metadata(a, headers, count);
}

static bool print_message(active *a, pl_str bytes)
{
    call_run *run = a->run;
    pl_buf_reset(&a->line, SIZE_MAX);
    pl_error err;
    a->received++;
    if (rpc_codec_write(run->codec, run->method->output, bytes, &run->json, &a->line, &err) != PL_OK) {
        pl_fail(&a->err, err.code, "answer %u: %s", a->received, err.message);
        return false;
    }
    pl_buf_char(&a->line, '\n');
    pl_cli_print(&a->line);
    if (!ferror(stdout))
        return true;
    pl_fail(&a->err, PL_UNAVAILABLE, "cannot write to standard output: %s", strerror(errno));
    return false;
}

/* --- the end --- */
/* A google.rpc.Status has its details, each a google.protobuf.Any, in field 3. */
static void print_details(active *a, pl_str status)
{
    const pb_message *any = pb_pool_message(a->run->pool, PL_STR("google.protobuf.Any"));
    pb_reader rest = pb_reader_of(status);
    pb_record record;
    const char *wrong = NULL;
    while (any && pb_next_record(&rest, &record, &wrong)) {
        pl_error err;
        pl_str type = PL_STR("");
        if (record.number != 3 || record.wire != PB_WIRE_LEN)
            continue;
        pl_buf_reset(&a->line, SIZE_MAX);
        if (rpc_codec_write(a->run->codec, any, record.bytes, &a->run->json, &a->line, &err) != PL_OK) {
            pb_find_bytes(record.bytes, 1, &type);
            pl_buf_reset(&a->line, SIZE_MAX);
            pl_buf_printf(&a->line, "%.*s (not known here)", PL_STR_ARG(type));
        }
        fprintf(stderr, "  %.*s\n", PL_STR_ARG(pl_buf_view(&a->line)));
    }
}

static double milliseconds_since(const struct timespec *since)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - since->tv_sec) * 1e3 + (double)(now.tv_nsec - since->tv_nsec) / 1e6;
}

static int report_status(active *a)
{
    const pl_header *trailers;
    size_t count;
    const pl_remote_status *status = a->call->ops->status(a->call, &trailers, &count);
    print_headers(a);
    if (a->run->verbose) {
        fprintf(stderr, "< grpc-status: %d\n", status->code);
        print_metadata(a, trailers, count);
        fprintf(stderr, "* sent %u, received %u, %.1f ms\n", a->sent, a->received,
                milliseconds_since(&a->began));
    }
    if (status->code == PL_OK)
        return 0;
    fprintf(stderr, "perilune: %s%s%.*s\n", pl_code_name(status->code), status->message.len > 0 ? ": " : "",
            PL_STR_ARG(status->message));
    if (status->details.ptr)
        print_details(a, status->details);
    return STATUS_EXIT + (int)status->code;
}

/* Until the call is over; false: err says what has gone wrong here. */
static bool converse(active *a)
{
    for (;;) {
        pl_str message;
        bool moved = false;
        if (!send_what_there_is(a, &moved))
            return false;
        print_headers(a);
        pl_remote_result result = a->call->ops->receive(a->call, &message);
        if (result == PL_REMOTE_END)
            return true;
        if (result == PL_REMOTE_DONE && !print_message(a, message))
            return false;
        if (result != PL_REMOTE_DONE && !moved)
            rpc_wait(a->run->rpc);
    }
}

int call_run_it(call_run *run)
{
    static active a; /* large, and a command makes one call */
    a = (active){.run = run};
    rpc_call_options options = {.path = run->path,
                                .metadata = run->metadata,
                                .metadata_count = run->metadata_count,
                                .timeout_ms = run->timeout_ms};
    clock_gettime(CLOCK_MONOTONIC, &a.began);
    if (rpc_start(run->rpc, &options, &a.call, &a.err) != PL_OK)
        return pl_cli_fail(&a.err);
    int status = converse(&a) ? report_status(&a) : pl_cli_fail(&a.err);
    a.call->ops->free(a.call);
    while (a.stdin_reader.busy)
        rpc_wait(run->rpc);
    pl_buf_dispose(&a.message);
    pl_buf_dispose(&a.line);
    return status;
}
