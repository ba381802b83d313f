/* SPDX-License-Identifier: MIT */
#include "cli/rpc_reflection.h"

#include "proto/wire.h"

#define MOST_FILES 10000

/* Fields of ServerReflectionRequest, */
enum { FILE_BY_FILENAME = 3, FILE_CONTAINING_SYMBOL = 4, LIST_SERVICES = 7 };
/* of ServerReflectionResponse, */
enum { FILE_DESCRIPTOR_RESPONSE = 4, LIST_SERVICES_RESPONSE = 6, ERROR_RESPONSE = 7 };
/* of what is in it, and of FileDescriptorProto. */
enum { ERROR_CODE = 1, ERROR_MESSAGE = 2, SERVICE_NAME = 1, FILE_NAME = 1, FILE_DEPENDENCY = 3 };

void rpc_reflection_init(rpc_reflection *x, rpc *r, const rpc_call_options *options)
{
    *x = (rpc_reflection){.rpc = r, .options = *options};
    pl_buf_init(&x->request);
    pl_arena_init(&x->arena, (size_t)64 << 10);
    pl_map_init(&x->files);
}

static void hang_up(rpc_reflection *x)
{
    if (x->call)
        x->call->ops->free(x->call);
    x->call = NULL;
}

void rpc_reflection_dispose(rpc_reflection *x)
{
    hang_up(x);
    pl_map_dispose(&x->files);
    pl_arena_dispose(&x->arena);
    pl_buf_dispose(&x->request);
}

/* --- questions --- */
static void write_request(rpc_reflection *x, unsigned field, pl_str text)
{
    uint8_t head[20];
    size_t len = pb_put_varint(head, field << 3 | PB_WIRE_LEN);
    len += pb_put_varint(head + len, text.len);
    pl_buf_reset(&x->request, SIZE_MAX);
    pl_buf_append(&x->request, head, len);
    pl_buf_str(&x->request, text);
}

static pl_code begin(rpc_reflection *x, pl_error *err)
{
    rpc_call_options options = x->options;
    options.path = x->alpha ? "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
                            : "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    return rpc_start(x->rpc, &options, &x->call, err);
}

static pl_code explain(rpc_reflection *x, pl_error *err)
{
    size_t count;
    const pl_header *trailers;
    const pl_remote_status *status = x->call->ops->status(x->call, &trailers, &count);
    pl_code code = status->code == PL_OK ? PL_UNAVAILABLE : status->code;
    if (code == PL_UNIMPLEMENTED)
        return pl_fail(err, code,
                       "the server does not have reflection; --proto FILE or --protoset FILE say what it "
                       "speaks");
    return pl_fail(err, code, "%s: %.*s", pl_code_name(code), PL_STR_ARG(status->message));
}

static bool has_no_v1(rpc_reflection *x)
{
    size_t count;
    const pl_header *trailers;
    return !x->alpha && x->call->ops->status(x->call, &trailers, &count)->code == PL_UNIMPLEMENTED;
}

/* The error of an answer: {code, message}. */
static pl_code read_error(pl_str bytes, pl_str what, pl_error *err)
{
    uint64_t code = 0;
    pl_str message = PL_STR("");
    pb_find_varint(bytes, ERROR_CODE, &code);
    pb_find_bytes(bytes, ERROR_MESSAGE, &message);
    pl_code found = code > 0 && code <= PL_UNAUTHENTICATED ? (pl_code)code : PL_UNKNOWN;
    if (found == PL_NOT_FOUND)
        return pl_fail(err, found, "the server knows no %.*s", PL_STR_ARG(what));
    return pl_fail(err, found, "reflection of %.*s: %s: %.*s", PL_STR_ARG(what), pl_code_name(found),
                   PL_STR_ARG(message));
}

/* Asks, and finds the part of the answer that was asked for; it is valid until the next question. */
static pl_code ask(rpc_reflection *x, unsigned field, pl_str text, unsigned part, pl_str *out, pl_error *err)
{
    pl_str answer, failure;
    write_request(x, field, text);
    if (x->request.failed)
        return pl_fail_memory(err);
    for (;;) {
        if (!x->call && begin(x, err) != PL_OK)
            return err->code;
        if (x->call->ops->send(x->call, pl_buf_view(&x->request), err) == PL_REMOTE_FAILED)
            return err->code;
        if (rpc_receive(x->rpc, x->call, &answer))
            break;
        if (!has_no_v1(x))
            return explain(x, err);
        hang_up(x);
        x->alpha = true;
    }
    if (pb_find_bytes(answer, ERROR_RESPONSE, &failure))
        return read_error(failure, text, err);
    if (!pb_find_bytes(answer, part, out))
        return pl_fail(err, PL_UNKNOWN, "the server's answer by reflection is none to what was asked");
    return PL_OK;
}

/* --- files --- */
static pl_code keep_file(rpc_reflection *x, pl_str bytes, pl_error *err)
{
    pl_str name;
    if (!pb_find_bytes(bytes, FILE_NAME, &name))
        return pl_fail(err, PL_UNKNOWN, "reflection gives a file without a name");
    if (pl_map_has(&x->files, name))
        return PL_OK;
    if (x->files.count >= MOST_FILES)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "reflection gives more than %d files", MOST_FILES);
    pl_str key = pl_arena_str(&x->arena, name), copy = pl_arena_str(&x->arena, bytes);
    pl_str *kept = pl_arena_alloc(&x->arena, sizeof(*kept));
    if (!key.ptr || !copy.ptr || !kept)
        return pl_fail_memory(err);
    *kept = copy;
    return pl_map_set(&x->files, key, kept) ? PL_OK : pl_fail_memory(err);
}

static pl_code keep_files(rpc_reflection *x, pl_str response, pl_error *err)
{
    pb_reader reader = pb_reader_of(response);
    pb_record record;
    const char *wrong = NULL;
    while (pb_next_record(&reader, &record, &wrong)) {
        if (record.number == 1 && record.wire == PB_WIRE_LEN && keep_file(x, record.bytes, err) != PL_OK)
            return err->code;
    }
    return wrong ? pl_fail(err, PL_UNKNOWN, "reflection gives no message: %s", wrong) : PL_OK;
}

/* What this file imports, and nobody has given so far. What the server does not have, such as
 * google/protobuf/…, may be known here. */
static pl_code get_imports(rpc_reflection *x, pl_str file, pl_error *err)
{
    pb_reader reader = pb_reader_of(file);
    pb_record record;
    const char *wrong = NULL;
    while (pb_next_record(&reader, &record, &wrong)) {
        pl_str response;
        if (record.number != FILE_DEPENDENCY || record.wire != PB_WIRE_LEN ||
            pl_map_has(&x->files, record.bytes))
            continue;
        pl_code code = ask(x, FILE_BY_FILENAME, record.bytes, FILE_DESCRIPTOR_RESPONSE, &response, err);
        if (code == PL_NOT_FOUND)
            continue;
        if (code != PL_OK || keep_files(x, response, err) != PL_OK)
            return err->code;
    }
    return PL_OK;
}

pl_code rpc_reflection_find(rpc_reflection *x, pl_str symbol, pl_error *err)
{
    pl_str response;
    size_t first = x->files.count;
    if (ask(x, FILE_CONTAINING_SYMBOL, symbol, FILE_DESCRIPTOR_RESPONSE, &response, err) != PL_OK ||
        keep_files(x, response, err) != PL_OK)
        return err->code;
    for (size_t i = first; i < x->files.count; i++) {
        const pl_str *file = x->files.entries[i].value;
        if (get_imports(x, *file, err) != PL_OK)
            return err->code;
    }
    return PL_OK;
}

pl_code rpc_reflection_services(rpc_reflection *x, pl_buf *out, pl_error *err)
{
    pl_str response, name;
    if (ask(x, LIST_SERVICES, PL_STR("*"), LIST_SERVICES_RESPONSE, &response, err) != PL_OK)
        return err->code;
    pb_reader reader = pb_reader_of(response);
    pb_record record;
    const char *wrong = NULL;
    while (pb_next_record(&reader, &record, &wrong)) {
        if (record.number == 1 && record.wire == PB_WIRE_LEN &&
            pb_find_bytes(record.bytes, SERVICE_NAME, &name))
            pl_buf_printf(out, "%.*s\n", PL_STR_ARG(name));
    }
    if (wrong)
        return pl_fail(err, PL_UNKNOWN, "reflection gives no message: %s", wrong);
    return out->failed ? pl_fail_memory(err) : PL_OK;
}
