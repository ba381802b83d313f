/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/call_run.h"
#include "cli/cli.h"
#include "cli/describe.h"
#include "cli/rpc_schema.h"
#include "grpc/metadata.h"

/* `perilune call`: any method of any gRPC server, from the command line. */

static const char about[] =
    "Calls a method of a gRPC server, or asks what the server has:\n"
    "\n"
    "  perilune call HOST:PORT package.Service/Method JSON\n"
    "  perilune call HOST:PORT list [SERVICE]\n"
    "  perilune call HOST:PORT describe [SYMBOL]\n"
    "\n"
    "TARGET is HOST:PORT, unix:PATH, or any other that gRPC clients take (dns:, ipv4:, ipv6:, consul:).\n"
    "JSON is the request; of a method that takes a stream, several, one after the other. `-` reads them "
    "from\n"
    "standard input, and sends each as soon as it is there. Without JSON the request is {}, or, of a method\n"
    "that takes a stream, standard input. Each response is printed as a line of JSON.\n"
    "\n"
    "What the server speaks is asked of the server, by reflection, unless --proto or --protoset says it.\n"
    "\n"
    "TLS is used, unless the target is this machine (localhost, 127.0.0.1, [::1], a unix socket);\n"
    "--plaintext and --tls say otherwise, and the options about certificates imply TLS.\n"
    "\n"
    "The exit status is 0 when the call's status is OK, 64 + its code when it is another, 1 when the call\n"
    "could not be made, 2 for wrong usage.";

typedef struct command {
    const char *operands[3]; /* target, symbol or word, JSON or symbol */
    const char *headers[PL_OPTION_LIST_MAX], *protos[PL_OPTION_LIST_MAX], *folders[PL_OPTION_LIST_MAX],
        *sets[PL_OPTION_LIST_MAX];
    const char *timeout;
    unsigned connect_timeout;
    bool plaintext, tls, insecure, verbose, defaults;
    const char *ca, *certificate, *key, *server_name, *authority, *compression;
    pl_arena arena;
    pl_grpc_metadata metadata;
    uint64_t timeout_ms;
    rpc *rpc;
    rpc_schema *schema;
    pl_error err;
} command;

/* --- options --- */
static bool is_this_machine(const char *target)
{
    static const char *const own[] = {
        "localhost",        "127.",          "[::1]",       "::1",      "unix:",     "unix-abstract:",
        "dns:///localhost", "dns:localhost", "dns:///127.", "dns:127.", "ipv4:127.", "ipv6:[::1]"};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        size_t len = strlen(own[i]);
        if (strncasecmp(target, own[i], len) != 0)
            continue;
        /* "localhost" is no part of a longer name. */
        if (own[i][len - 1] != 't' || target[len] == ':' || target[len] == '\0')
            return true;
    }
    return false;
}

static int read_tls(command *c)
{
    bool certificates = c->ca || c->certificate || c->key || c->server_name || c->insecure;
    if (c->plaintext && (c->tls || certificates)) {
        fprintf(stderr, "perilune: --plaintext and options of TLS exclude each other\n");
        return 2;
    }
    if (!c->certificate != !c->key) {
        fprintf(stderr, "perilune: --cert and --key belong together\n");
        return 2;
    }
    c->tls = !c->plaintext && (c->tls || certificates || !is_this_machine(c->operands[0]));
    return 0;
}

static bool read_header(command *c, const char *header)
{
    const char *colon = strchr(header, ':');
    pl_buf bytes;
    if (!colon || colon == header) {
        pl_fail(&c->err, PL_INVALID_ARGUMENT, "the header \"%s\" is not NAME:VALUE", header);
        return false;
    }
    pl_str name = {header, (size_t)(colon - header)}, value = pl_str_of(colon + 1);
    while (value.len > 0 && value.ptr[0] == ' ')
        value = (pl_str){value.ptr + 1, value.len - 1};
    if (!pl_grpc_is_binary(name))
        return pl_grpc_metadata_add(&c->metadata, &c->arena, name, value);
    pl_buf_init(&bytes);
    bool ok = pl_grpc_metadata_decode(value, &bytes);
    if (!ok)
        pl_fail(&c->err, PL_INVALID_ARGUMENT, "the value of the header %.*s must be Base64",
                PL_STR_ARG(name));
    ok = ok &&
         pl_grpc_metadata_add(&c->metadata, &c->arena, name, pl_arena_str(&c->arena, pl_buf_view(&bytes)));
    pl_buf_dispose(&bytes);
    return ok;
}

static int read_rest(command *c)
{
    int status = read_tls(c);
    if (status)
        return status;
    for (const char **header = c->headers; *header; header++) {
        if (!read_header(c, *header)) {
            pl_cli_fail(&c->err);
            return 2;
        }
    }
    if (c->timeout) {
        char *end;
        double seconds = strtod(c->timeout, &end);
        if (*end || end == c->timeout || !(seconds > 0 && seconds < 1e9)) {
            fprintf(stderr, "perilune: the value of --timeout is not right: seconds are expected\n");
            return 2;
        }
        c->timeout_ms = (uint64_t)(seconds * 1000) > 0 ? (uint64_t)(seconds * 1000) : 1;
    }
    return 0;
}

/* --- list, describe --- */
static int list(command *c)
{
    const pb_pool *pool;
    pl_buf out;
    pl_str name = pl_str_of(c->operands[2]);
    pl_buf_init(&out);
    int status = 0;
    if (!c->operands[2]) {
        status = rpc_schema_services(c->schema, &out, &c->err) != PL_OK;
    } else if (rpc_schema_find(c->schema, name, &pool, &c->err) != PL_OK) {
        status = 1;
    } else {
        const pb_service *service = pb_pool_service(pool, name);
        for (size_t i = 0; service && i < service->count; i++)
            pl_buf_printf(&out, "%.*s/%.*s\n", PL_STR_ARG(service->full_name),
                          PL_STR_ARG(service->methods[i].name));
        status = !service;
        if (!service)
            pl_fail(&c->err, PL_INVALID_ARGUMENT, "%s is no service; describe tells what it is",
                    c->operands[2]);
    }
    if (status)
        pl_cli_fail(&c->err);
    else
        pl_cli_print(&out);
    pl_buf_dispose(&out);
    return status;
}

static pl_code describe_one(command *c, pl_str symbol, pl_buf *out)
{
    const pb_pool *pool;
    pl_str service;
    pl_str file = symbol;
    if (memchr(symbol.ptr, '/', symbol.len)) {
        describe_method_of(NULL, symbol, &service);
        file = service;
    }
    if (rpc_schema_find(c->schema, file, &pool, &c->err) != PL_OK)
        return c->err.code;
    if (describe_symbol(pool, symbol, out))
        return PL_OK;
    return pl_fail(&c->err, PL_NOT_FOUND, "there is no %.*s", PL_STR_ARG(symbol));
}

static pl_code describe_all(command *c, pl_buf *out)
{
    pl_buf names;
    pl_buf_init(&names);
    pl_code code = rpc_schema_services(c->schema, &names, &c->err);
    for (size_t at = 0; code == PL_OK && at < names.len;) {
        const char *end = memchr(names.data + at, '\n', names.len - at);
        pl_str name = {names.data + at, (size_t)(end - names.data) - at};
        code = describe_one(c, name, out);
        /* A server may name a service and have no file for it. */
        if (code == PL_NOT_FOUND) {
            pl_buf_printf(out, "// %.*s: %s\n", PL_STR_ARG(name), c->err.message);
            code = PL_OK;
        }
        at += name.len + 1;
    }
    pl_buf_dispose(&names);
    return code;
}

static int describe(command *c)
{
    pl_buf out;
    pl_buf_init(&out);
    pl_code code = c->operands[2] ? describe_one(c, pl_str_of(c->operands[2]), &out) : describe_all(c, &out);
    if (code == PL_OK)
        pl_cli_print(&out);
    else
        pl_cli_fail(&c->err);
    pl_buf_dispose(&out);
    return code != PL_OK;
}

/* --- calls --- */
static const pb_method *find_method(command *c, const pb_pool **pool)
{
    pl_str service, name = pl_str_of(c->operands[1]);
    describe_method_of(NULL, name, &service);
    if (rpc_schema_find(c->schema, service, pool, &c->err) != PL_OK)
        return NULL;
    const pb_method *method = describe_method_of(*pool, name, &service);
    if (!method)
        pl_fail(&c->err, PL_NOT_FOUND, "%.*s has no method %s; `list %.*s` tells which it has",
                PL_STR_ARG(service), c->operands[1], PL_STR_ARG(service));
    return method;
}

static int call(command *c)
{
    const pb_pool *pool = NULL;
    const pb_method *method = find_method(c, &pool);
    rpc_codec *codec = method ? rpc_codec_new(pool, &c->err) : NULL;
    if (!codec)
        return pl_cli_fail(&c->err);
    const char *json = c->operands[2] ? c->operands[2] : method->client_streaming ? "-" : "{}";
    call_run run = {
        .rpc = c->rpc,
        .codec = codec,
        .pool = pool,
        .method = method,
        .path = pl_arena_printf(&c->arena, "/%.*s/%.*s", PL_STR_ARG(method->service->full_name),
                                PL_STR_ARG(method->name))
                    .ptr,
        .json = {.defaults = c->defaults},
        .verbose = c->verbose,
        .metadata = c->metadata.items,
        .metadata_count = c->metadata.count,
        .timeout_ms = c->timeout_ms,
        .from_stdin = strcmp(json, "-") == 0,
    };
    pl_buf_init(&run.input.bytes);
    if (!run.from_stdin)
        pl_buf_str(&run.input.bytes, pl_str_of(json));
    int status = run.path ? call_run_it(&run) : pl_cli_fail(&c->err);
    pl_buf_dispose(&run.input.bytes);
    rpc_codec_free(codec);
    return status;
}

static int run(command *c)
{
    rpc_options options = {.target = c->operands[0],
                           .tls = c->tls,
                           .ca = c->ca,
                           .certificate = c->certificate,
                           .key = c->key,
                           .server_name = c->server_name,
                           .insecure = c->insecure,
                           .authority = c->authority,
                           .compression = c->compression,
                           .connect_timeout_s = c->connect_timeout};
    rpc_schema_options sources = {.protos = c->protos,
                                  .folders = c->folders,
                                  .sets = c->sets,
                                  .metadata = c->metadata.items,
                                  .metadata_count = c->metadata.count,
                                  .timeout_ms = c->timeout_ms};
    c->rpc = rpc_open(&options, &c->err);
    c->schema = c->rpc ? rpc_schema_new(c->rpc, &sources, &c->err) : NULL;
    if (!c->schema)
        return pl_cli_fail(&c->err);
    if (strcmp(c->operands[1], "list") == 0)
        return list(c);
    return strcmp(c->operands[1], "describe") == 0 ? describe(c) : call(c);
}

int pl_cli_call(int argc, char **argv)
{
    static command c; /* large */
    const pl_option table[] = {
        {"header,H", PL_OPTION_LIST, c.headers, NULL, "NAME:VALUE",
         "metadata of the call; bytes (NAME-bin) in Base64"},
        {"timeout", PL_OPTION_TEXT, &c.timeout, NULL, "SECONDS", "the call's deadline; sent to the server"},
        {"connect-timeout", PL_OPTION_COUNT, &c.connect_timeout, NULL, "SECONDS", "for a connection; 20"},
        {"proto", PL_OPTION_LIST, c.protos, NULL, "FILE", "a .proto file, instead of reflection"},
        {"import,I", PL_OPTION_LIST, c.folders, NULL, "DIR", "where .proto files and their imports are"},
        {"protoset", PL_OPTION_LIST, c.sets, NULL, "FILE",
         "a descriptor set of protoc's, instead of reflection"},
        {"plaintext", PL_OPTION_FLAG, &c.plaintext, NULL, NULL, "no TLS"},
        {"tls", PL_OPTION_FLAG, &c.tls, NULL, NULL, "TLS"},
        {"ca", PL_OPTION_TEXT, &c.ca, NULL, "FILE", "who may sign the server's certificate; the system's"},
        {"cert", PL_OPTION_TEXT, &c.certificate, NULL, "FILE", "the client's certificate"},
        {"key", PL_OPTION_TEXT, &c.key, NULL, "FILE", "its key"},
        {"server-name", PL_OPTION_TEXT, &c.server_name, NULL, "NAME",
         "whom the certificate must be for; the target's host"},
        {"insecure", PL_OPTION_FLAG, &c.insecure, NULL, NULL, "take any certificate"},
        {"authority", PL_OPTION_TEXT, &c.authority, NULL, "NAME", "the call's :authority"},
        {"compression", PL_OPTION_TEXT, &c.compression, NULL, "NAME", "of requests: gzip, deflate or zstd"},
        {"defaults", PL_OPTION_FLAG, &c.defaults, NULL, NULL, "print fields that have their default, too"},
        {"verbose,v", PL_OPTION_FLAG, &c.verbose, NULL, NULL, "headers, status and trailers on stderr"},
        {NULL, PL_OPTION_FLAG, NULL, NULL, NULL, NULL},
    };
    const pl_usage usage = {"perilune call TARGET METHOD|list|describe [JSON] [options]", about, table};
    int status = pl_options_read(&usage, argc, argv, c.operands, 3);
    if (status)
        return status == 1 ? 0 : status;
    if (!c.operands[1]) {
        fprintf(stderr, "perilune: a target and a method are expected\nUsage: %s\n", usage.synopsis);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    pl_arena_init(&c.arena, 0);
    status = read_rest(&c);
    if (!status)
        status = run(&c);
    rpc_schema_free(c.schema);
    rpc_close(c.rpc);
    pl_arena_dispose(&c.arena);
    return status;
}
