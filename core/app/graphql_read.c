/* SPDX-License-Identifier: MIT */
#include "app/graphql_read.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "app/apq.h"
#include "app/csrf.h"
#include "app/digest.h"
#include "app/generation.h"
#include "app/media.h"
#include "app/trusted.h"
#include "app/uploads.h"

typedef struct reader {
    pl_instance *instance;
    const pl_reading_config *config;
    pl_arena *arena;
    pl_graphql_refusal *why;
    pl_str path_id; /* the document's id in the path; ptr NULL: none */
} reader;

/* --- refusals --- */
static bool refuse(reader *r, int status, pl_code code, pl_str message)
{
    *r->why = (pl_graphql_refusal){.status = status, .code = code, .message = message};
    return false;
}

static bool refuse_memory(reader *r)
{
    return refuse(r, 503, PL_RESOURCE_EXHAUSTED, PL_STR("out of memory"));
}

/* A request that is not as it must be. */
static bool refuse_request(reader *r, pl_str message)
{
    return message.ptr ? refuse(r, 400, PL_INVALID_ARGUMENT, message) : refuse_memory(r);
}

static bool refuse_error(reader *r, const char *where, const pl_error *err)
{
    pl_str message = pl_arena_printf(r->arena, "%s%s", where, err->message);
    return message.ptr ? refuse(r, 400, err->code, message) : refuse_memory(r);
}

/* Answers of Apollo's protocol, by which its clients know what to send next. */
static bool refuse_persisted(reader *r, pl_code code, const char *error_code, pl_str message)
{
    refuse(r, 200, code, message);
    r->why->error_code = error_code;
    r->why->no_store = true;
    return false;
}

void pl_graphql_write_refusal(pl_buf *out, const pl_graphql_refusal *why)
{
    PL_BUF_LIT(out, "{\"errors\":[{\"message\":");
    pl_json_string(out, why->message);
    pl_buf_printf(out, ",\"extensions\":{\"code\":\"%s\"}}]}",
                  why->error_code ? why->error_code : pl_code_name(why->code));
}

int pl_graphql_status(const pl_reading_config *config, bool graphql_media, gql_result result, bool has_errors,
                      bool invalid)
{
    if (result == GQL_RESULT_QUERY_ONLY)
        return 405;
    if (result == GQL_RESULT_THROTTLED)
        return 429;
    if (!graphql_media)
        return 200;
    if (result == GQL_RESULT_REFUSED)
        return config->draft_status && invalid ? 422 : 400;
    return config->draft_status && has_errors ? 294 : 200;
}

/* --- which document is asked for --- */
static uint64_t now_of(const reader *r)
{
    pl_host *host = &r->instance->host;
    return host->ops ? host->ops->now(host) : 0;
}

static const pl_trusted *trusted_of(const reader *r)
{
    return r->config->documents.mode == PL_DOCUMENTS_OFF ? NULL : r->instance->generation->trusted;
}

static bool refuse_unknown(reader *r, pl_str id)
{
    pl_str message = pl_arena_printf(r->arena, "There is no document with the id \"%.*s\" here.",
                                     id.len > 200 ? 200 : (int)id.len, id.ptr);
    if (!message.ptr)
        return refuse_memory(r);
    refuse(r, 404, PL_NOT_FOUND, message);
    r->why->no_store = true;
    return false;
}

static bool take_trusted(reader *r, pl_str id, gql_request *out)
{
    const pl_trusted *trusted = trusted_of(r);
    if (!trusted)
        return refuse(r, 400, PL_UNIMPLEMENTED,
                      PL_STR("Documents cannot be asked for by id here: send the text as \"query\"."));
    if (out->query.ptr)
        return refuse_request(
            r, PL_STR("The request must have either a \"documentId\" or a \"query\", not both."));
    out->query = pl_trusted_find(trusted, id);
    return out->query.ptr || refuse_unknown(r, id);
}

/* extensions.persistedQuery.sha256Hash; ptr NULL: none. */
static bool read_hash(reader *r, const gql_request *request, pl_str *hash)
{
    const pl_value *persisted =
        request->extensions ? pl_value_member(request->extensions, PL_STR("persistedQuery")) : NULL;
    *hash = PL_STR_NONE;
    if (!persisted || persisted->kind == PL_KIND_NULL)
        return true;
    const pl_value *version =
        persisted->kind == PL_KIND_MAP ? pl_value_member(persisted, PL_STR("version")) : NULL;
    const pl_value *sha256 = version ? pl_value_member(persisted, PL_STR("sha256Hash")) : NULL;
    if (!sha256 || sha256->kind != PL_KIND_STRING || sha256->string.len != PL_SHA256_HEX)
        return refuse_request(
            r, PL_STR("\"extensions.persistedQuery\" must be an object with \"version\": 1 and "
                      "\"sha256Hash\", 64 hexadecimal digits."));
    if (version->kind != PL_KIND_INT || version->integer != 1)
        return refuse_request(r, PL_STR("Unsupported persisted query version: it must be 1."));
    *hash = sha256->string;
    return true;
}

static bool find_by_hash(reader *r, pl_str hash, gql_request *out)
{
    const pl_trusted *trusted = trusted_of(r);
    bool apq = r->config->apq.on && r->config->documents.mode != PL_DOCUMENTS_STRICT;
    if (trusted)
        out->query = pl_trusted_find(trusted, hash);
    if (!out->query.ptr && apq)
        out->query = pl_apq_find(r->instance->host.shared, r->config, hash, now_of(r), r->arena);
    if (out->query.ptr)
        return true;
    if (apq)
        return refuse_persisted(r, PL_NOT_FOUND, "PERSISTED_QUERY_NOT_FOUND",
                                PL_STR("PersistedQueryNotFound"));
    if (trusted)
        return refuse_unknown(r, hash);
    return refuse_persisted(r, PL_UNIMPLEMENTED, "PERSISTED_QUERY_NOT_SUPPORTED",
                            PL_STR("PersistedQueryNotSupported"));
}

static bool keep_by_hash(reader *r, pl_str hash, const gql_request *request)
{
    char hex[PL_SHA256_HEX + 1];
    if (!pl_sha256_hex(request->query, hex))
        return refuse_memory(r);
    if (!pl_str_is(hash, hex))
        return refuse_request(r, PL_STR("provided sha does not match query"));
    if (r->config->apq.on)
        pl_apq_keep(r->instance->host.shared, r->config, hash, request->query, now_of(r));
    return true;
}

/* What Relay calls it: "doc_id", "id" or "documentId"; the last is GraphQL over HTTP's name. */
static pl_str id_of(const reader *r, const pl_value *json, const gql_request *request)
{
    static const pl_str names[] = {PL_STR("doc_id"), PL_STR("id")};
    const pl_value *v = json ? pl_value_member(json, PL_STR("documentId")) : NULL;
    if (r->path_id.ptr)
        return r->path_id;
    for (size_t i = 0; !v && json && !request->query.ptr && i < sizeof names / sizeof *names; i++)
        v = pl_value_member(json, names[i]);
    return v && v->kind == PL_KIND_STRING ? v->string : PL_STR_NONE;
}

static bool refuse_empty(reader *r, const pl_value *json)
{
    if (!json || json->map.count == 0)
        return refuse_request(r, PL_STR("The request must have a \"query\"."));
    pl_str name = json->map.members[0].name;
    return refuse_request(
        r, pl_arena_printf(r->arena, "The request must have a \"query\"; what it has begins with \"%.*s\".",
                           name.len > 100 ? 100 : (int)name.len, name.ptr));
}

/* json: the operation as an object; NULL when it came as parameters. */
static bool find_document(reader *r, const pl_value *json, pl_str id, gql_request *request)
{
    pl_str hash;
    if (!read_hash(r, request, &hash))
        return false;
    if (id.ptr)
        return take_trusted(r, id, request);
    if (hash.ptr && !request->query.ptr)
        return find_by_hash(r, hash, request);
    if (!request->query.ptr)
        return refuse_empty(r, json);
    if (r->config->documents.mode == PL_DOCUMENTS_STRICT)
        return refuse(
            r, 403, PL_PERMISSION_DENIED,
            PL_STR("Only documents that the server knows can be executed here: send the id of one as "
                   "\"documentId\", without a \"query\"."));
    return !hash.ptr || keep_by_hash(r, hash, request);
}

/* --- one operation --- */
static bool read_operation(reader *r, const pl_value *json, gql_request *out)
{
    pl_error err;
    pl_error_clear(&err);
    if (gql_request_read_members(json, out, &err) != PL_OK)
        return refuse_error(r, "", &err);
    return find_document(r, json, id_of(r, json, out), out);
}

static reader reader_of(pl_instance *instance, pl_arena *arena, pl_graphql_refusal *why)
{
    *why = (pl_graphql_refusal){0};
    return (reader){
        .instance = instance, .config = &instance->generation->config.reading, .arena = arena, .why = why};
}

bool pl_graphql_read_operation(pl_instance *instance, pl_arena *arena, const pl_value *json, gql_request *out,
                               pl_graphql_refusal *why)
{
    reader r = reader_of(instance, arena, why);
    return read_operation(&r, json, out);
}

/* --- POST --- */

static bool refuse_long_batch(reader *r, size_t count)
{
    pl_error err = {.code = PL_RESOURCE_EXHAUSTED};
    snprintf(err.message, sizeof err.message, "The list has %zu operations; http.batching allows %u.", count,
             r->config->max_batch);
    return refuse_error(r, "", &err);
}

/* What is wrong with one operation's document is that operation's; anything else is the whole request's. */
static bool read_batch(reader *r, const pl_value *json, pl_graphql_input *out)
{
    size_t count = json->list.count;
    if (r->config->max_batch == 0)
        return refuse_request(
            r, PL_STR("A list of operations is not accepted here: send one operation, as a JSON "
                      "object. (The setting http.batching allows lists.)"));
    if (count == 0)
        return refuse_request(r, PL_STR("The list of operations is empty."));
    if (count > r->config->max_batch)
        return refuse_long_batch(r, count);
    out->operations = pl_arena_array(r->arena, count, sizeof *out->operations);
    if (!out->operations)
        return refuse_memory(r);
    out->count = count;
    out->batch = true;
    for (size_t i = 0; i < count; i++) {
        reader one = *r;
        one.why = &out->operations[i].refusal;
        read_operation(&one, &json->list.items[i], &out->operations[i].request);
    }
    return true;
}

static bool read_json(reader *r, const pl_value *json, pl_graphql_input *out)
{
    if (json->kind == PL_KIND_LIST)
        return read_batch(r, json, out);
    return read_operation(r, json, &out->operations[0].request);
}

static bool parse_json(reader *r, const char *what, pl_str text, pl_value **out)
{
    static const pl_json_limits limits = {.unique_names = true, .skip_bom = true};
    pl_error err;
    pl_error_clear(&err);
    *out = pl_arena_zalloc(r->arena, sizeof(**out));
    if (!*out)
        return refuse_memory(r);
    return pl_json_read(r->arena, text, &limits, *out, &err) == PL_OK || refuse_error(r, what, &err);
}

static void end_uploads(void *data)
{
    pl_upload_body_end(data);
}

/* What holds the body for as long as the request lasts. One in memory is copied: h2o's goes before the
 * request does when its client leaves. */
static pl_upload_body *hold_body(reader *r, pl_http_request *http)
{
    int fd = http->body_fd >= 0 ? fcntl(http->body_fd, F_DUPFD_CLOEXEC, 0) : -1;
    const char *bytes = fd < 0 && http->body_fd < 0 ? pl_arena_str(r->arena, http->body).ptr : NULL;
    pl_upload_body *body = NULL;
    if (fd >= 0 || bytes)
        body = pl_upload_body_new(fd, http->body_at, bytes, r->config->uploads.directory);
    if (!body && fd >= 0)
        close(fd);
    if (body && pl_arena_on_dispose(r->arena, end_uploads, body) != 0) {
        end_uploads(body);
        body = NULL;
    }
    return body;
}

static bool read_form(reader *r, pl_http_request *http, pl_str type, pl_graphql_input *out)
{
    pl_error err;
    pl_error_clear(&err);
    pl_uploads_limits limits = {.max_file_size = r->config->uploads.max_file_size,
                                .max_json = (size_t)1 << 20,
                                .max_files = r->config->uploads.max_files};
    pl_value *json = pl_arena_zalloc(r->arena, sizeof *json);
    pl_upload_body *body = json ? hold_body(r, http) : NULL;
    if (!body)
        return refuse_memory(r);
    if (pl_uploads_read(body, http->body.len, type, &limits, r->arena, json, &err) == PL_OK)
        return read_json(r, json, out);
    refuse_error(r, "", &err);
    if (err.code == PL_RESOURCE_EXHAUSTED)
        r->why->status = 413;
    return false;
}

static bool read_body(reader *r, pl_http_request *http, pl_graphql_input *out)
{
    pl_str type = pl_http_header(http, PL_STR("content-type"));
    pl_value *value;
    if (r->config->uploads.on && pl_media_is(type, "multipart/form-data")) {
        const char *forged = pl_csrf_check(r->config, &r->instance->generation->config.http.cors, http);
        return forged ? refuse(r, 403, PL_PERMISSION_DENIED, pl_str_of(forged))
                      : read_form(r, http, type, out);
    }
    if (pl_str_is(type, "application/json"))
        return parse_json(r, "", http->body, &value) && read_json(r, value, out);
    /* No page makes a browser send this without asking first. */
    if (!pl_media_is(type, "application/json"))
        return refuse(r, 415, PL_INVALID_ARGUMENT,
                      PL_STR("The body of a POST must be JSON: content-type: application/json."));
    if (!pl_media_is_utf8(type))
        return refuse(r, 415, PL_INVALID_ARGUMENT,
                      PL_STR("The body must be in UTF-8: content-type: application/json; charset=utf-8."));
    return parse_json(r, "", http->body, &value) && read_json(r, value, out);
}

/* --- GET --- */

/* ptr NULL: it is not there. */
static bool parameter(reader *r, const pl_http_request *http, const char *name, pl_str *out)
{
    pl_str key = pl_str_of(name);
    *out = pl_query_parameter(r->arena, http->query, key);
    /* "name" without "=" is not there. */
    return out->ptr || !pl_query_has_value(http->query, key) || refuse_memory(r);
}

static bool map_parameter(reader *r, const pl_http_request *http, const char *name, const pl_value **out)
{
    pl_value *json;
    pl_str text;
    char where[64];
    snprintf(where, sizeof where, "The \"%s\" parameter: ", name);
    *out = NULL;
    if (!parameter(r, http, name, &text))
        return false;
    if (text.len == 0)
        return true;
    if (!parse_json(r, where, text, &json))
        return false;
    if (json->kind != PL_KIND_MAP && json->kind != PL_KIND_NULL)
        return refuse_request(r, pl_arena_printf(r->arena, "%sit must be a JSON object.", where));
    *out = json->kind == PL_KIND_MAP ? json : NULL;
    return true;
}

static bool read_parameters(reader *r, pl_http_request *http, gql_request *out)
{
    pl_str id;
    const char *forged = pl_csrf_check(r->config, &r->instance->generation->config.http.cors, http);
    *out = (gql_request){.query_only = true};
    if (forged)
        return refuse(r, 403, PL_PERMISSION_DENIED, pl_str_of(forged));
    if (!parameter(r, http, "query", &out->query) || !parameter(r, http, "documentId", &id) ||
        !parameter(r, http, "operationName", &out->operation_name) ||
        !map_parameter(r, http, "variables", &out->variables) ||
        !map_parameter(r, http, "extensions", &out->extensions))
        return false;
    if (r->path_id.ptr)
        id = r->path_id;
    if (!out->query.ptr && !id.ptr && !out->extensions)
        return refuse_request(r, PL_STR("The request must have a \"query\" parameter."));
    return find_document(r, NULL, id, out);
}

/* --- both --- */
static pl_str id_in_path(const pl_config *config, pl_str path)
{
    size_t n = config->path.len;
    bool below = path.len > n + 1 && pl_str_starts(path, config->path) && path.ptr[n] == '/';
    return below ? (pl_str){path.ptr + n + 1, path.len - n - 1} : PL_STR_NONE;
}

bool pl_graphql_serves(const pl_config *config, pl_str path)
{
    return pl_str_eq(path, config->path) ||
           (config->reading.documents.mode != PL_DOCUMENTS_OFF && id_in_path(config, path).ptr);
}

bool pl_graphql_read(pl_instance *instance, pl_http_request *http, pl_graphql_input *out,
                     pl_graphql_refusal *why)
{
    reader r = reader_of(instance, http->arena, why);
    pl_graphql_operation *operation = pl_arena_zalloc(http->arena, sizeof *operation);
    if (!operation)
        return refuse_memory(&r);
    *out = (pl_graphql_input){.operations = operation, .count = 1};
    r.path_id = id_in_path(&instance->generation->config, http->path);
    if (pl_str_is(http->method, "POST"))
        return read_body(&r, http, out);
    if (pl_str_is(http->method, "GET") || pl_str_is(http->method, "HEAD"))
        return read_parameters(&r, http, &operation->request);
    refuse(&r, 405, PL_INVALID_ARGUMENT, PL_STR("GraphQL is served by GET and POST."));
    why->allow = PL_STR("GET, POST");
    return false;
}
