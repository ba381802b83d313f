/* SPDX-License-Identifier: MIT */
#include "grpc/reflection.h"

#include <stdlib.h>

#include "base/map.h"
#include "grpc/native_protobuf.h"
#include "grpc/reflection/v1/reflection.pb-c.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest request_message;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_message;
typedef Grpc__Reflection__V1__FileDescriptorResponse files_message;
typedef Grpc__Reflection__V1__ExtensionNumberResponse numbers_message;
typedef Grpc__Reflection__V1__ListServiceResponse list_message;
typedef Grpc__Reflection__V1__ServiceResponse service_message;
typedef Grpc__Reflection__V1__ErrorResponse error_message;

/* An answer that is being made: all of it in the arena. */
typedef struct answer {
    const pl_grpc_reflection *source;
    const pb_pool *pools[PL_GRPC_REFLECTION_POOLS];
    size_t pool_count;
    pl_arena arena;
    response_message response;
    bool failed; /* no memory */
} answer;

/* --- answers --- */
static void *make(answer *a, size_t size)
{
    void *p = pl_arena_alloc(&a->arena, size);
    a->failed |= !p;
    return p;
}

static void not_found(answer *a, pl_code code, const char *what, pl_str name)
{
    error_message *error = make(a, sizeof *error);
    pl_str text = pl_arena_printf(&a->arena, "%s: %.*s", what, PL_STR_ARG(name));
    a->failed |= !text.ptr;
    if (a->failed)
        return;
    *error = (error_message)GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    error->error_code = (int32_t)code;
    error->error_message = pl_grpc_cstr(text);
    a->response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    a->response.error_response = error;
}

/* The file with all that it imports, itself first. */
static bool collect(answer *a, const pb_file *file, pl_map *seen)
{
    if (!pl_map_set(seen, file->name, (void *)(uintptr_t)file))
        return false;
    for (size_t at = 0; at < seen->count; at++) {
        const pb_file *one = seen->entries[at].value;
        for (size_t i = 0; i < one->import_count; i++) {
            const pb_file *import = one->imports[i];
            if (!pl_map_has(seen, import->name) && !pl_map_set(seen, import->name, (void *)(uintptr_t)import))
                return false;
        }
    }
    return true;
}

static void give_files(answer *a, const pb_file *file)
{
    pl_map seen;
    pl_map_init(&seen);
    files_message *files = make(a, sizeof *files);
    a->failed |= !collect(a, file, &seen);
    ProtobufCBinaryData *list = make(a, seen.count * sizeof *list);
    if (!a->failed) {
        for (size_t i = 0; i < seen.count; i++) {
            const pb_file *one = seen.entries[i].value;
            list[i] = (ProtobufCBinaryData){one->bytes.len, (uint8_t *)(uintptr_t)one->bytes.ptr};
        }
        *files = (files_message)GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
        files->n_file_descriptor_proto = seen.count;
        files->file_descriptor_proto = list;
        a->response.message_response_case =
            GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
        a->response.file_descriptor_response = files;
    }
    pl_map_dispose(&seen);
}

/* --- what is asked for --- */
static void by_name(answer *a, pl_str name)
{
    const pb_file *file = NULL;
    for (size_t i = 0; i < a->pool_count && !file; i++)
        file = pb_pool_file(a->pools[i], name);
    if (file)
        give_files(a, file);
    else
        not_found(a, PL_NOT_FOUND, "there is no file", name);
}

/* Fields and oneofs: "pkg.Message.field". */
static const pb_file *file_of_member(const pb_pool *pool, pl_str symbol)
{
    const char *dot = symbol.len > 0 ? memrchr(symbol.ptr, '.', symbol.len) : NULL;
    if (!dot)
        return NULL;
    pl_str parent = {symbol.ptr, (size_t)(dot - symbol.ptr)};
    pl_str name = {dot + 1, symbol.len - parent.len - 1};
    const pb_message *message = pb_pool_message(pool, parent);
    if (!message)
        return NULL;
    const pb_field *field = pb_message_field_named(message, name);
    if (field && pl_str_eq(field->name, name))
        return message->file;
    for (size_t i = 0; i < message->oneof_count; i++) {
        if (pl_str_eq(message->oneofs[i].name, name))
            return message->file;
    }
    return NULL;
}

static void by_symbol(answer *a, pl_str symbol)
{
    const pb_file *file = NULL;
    for (size_t i = 0; i < a->pool_count && !file; i++) {
        file = pb_pool_file_of(a->pools[i], symbol);
        if (!file)
            file = file_of_member(a->pools[i], symbol);
    }
    if (file)
        give_files(a, file);
    else
        not_found(a, PL_NOT_FOUND, "there is no symbol", symbol);
}

/* The message in the first pool that has it. */
static const pb_message *find_message(const answer *a, pl_str name)
{
    const pb_message *message = NULL;
    for (size_t i = 0; i < a->pool_count && !message; i++)
        message = pb_pool_message(a->pools[i], name);
    return message;
}

static void by_extension(answer *a, const Grpc__Reflection__V1__ExtensionRequest *request)
{
    pl_str type = pl_str_of(request->containing_type);
    const pb_message *message = find_message(a, type);
    const pb_field *field = message && request->extension_number > 0
                                ? pb_message_extension(message, (uint32_t)request->extension_number)
                                : NULL;
    if (field)
        give_files(a, field->file);
    else if (message)
        not_found(a, PL_NOT_FOUND, "there is no extension of that number of", type);
    else
        not_found(a, PL_NOT_FOUND, "there is no message type", type);
}

static void numbers_of(answer *a, pl_str type)
{
    const pb_message *message = find_message(a, type);
    if (!message) {
        not_found(a, PL_NOT_FOUND, "there is no message type", type);
        return;
    }
    numbers_message *numbers = make(a, sizeof *numbers);
    int32_t *list = make(a, message->extension_count * sizeof *list);
    pl_str copy = pl_arena_str(&a->arena, message->full_name);
    a->failed |= !copy.ptr;
    if (a->failed)
        return;
    for (size_t i = 0; i < message->extension_count; i++)
        list[i] = (int32_t)message->extensions[i]->number;
    *numbers = (numbers_message)GRPC__REFLECTION__V1__EXTENSION_NUMBER_RESPONSE__INIT;
    numbers->base_type_name = pl_grpc_cstr(copy);
    numbers->n_extension_number = message->extension_count;
    numbers->extension_number = list;
    a->response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE;
    a->response.all_extension_numbers_response = numbers;
}

/* --- the list of services --- */
typedef struct listing {
    answer *answer;
    service_message **items; /* NULL: they are counted */
    size_t count;
} listing;

static bool has_descriptor(const answer *a, pl_str name)
{
    bool found = false;
    for (size_t i = 0; i < a->pool_count && !found; i++)
        found = pb_pool_service(a->pools[i], name) != NULL;
    return found;
}

static bool list_one(void *arg, pl_str name)
{
    listing *l = arg;
    if (!has_descriptor(l->answer, name))
        return true;
    if (l->items) {
        service_message *item = make(l->answer, sizeof *item);
        pl_str copy = pl_arena_str(&l->answer->arena, name);
        l->answer->failed |= !copy.ptr;
        if (l->answer->failed)
            return false;
        *item = (service_message)GRPC__REFLECTION__V1__SERVICE_RESPONSE__INIT;
        item->name = pl_grpc_cstr(copy);
        l->items[l->count] = item;
    }
    l->count++;
    return true;
}

static int compare(const void *a, const void *b)
{
    const service_message *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

static void list_services(answer *a)
{
    const pl_grpc_reflection *source = a->source;
    listing l = {.answer = a};
    list_message *list = make(a, sizeof *list);
    source->each(source->data, list_one, &l);
    l.items = make(a, l.count * sizeof *l.items);
    l.count = 0;
    if (!a->failed)
        source->each(source->data, list_one, &l);
    if (a->failed)
        return;
    qsort(l.items, l.count, sizeof *l.items, compare);
    *list = (list_message)GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    list->n_service = l.count;
    list->service = l.items;
    a->response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    a->response.list_services_response = list;
}

/* --- a request --- */
static void respond(answer *a, const request_message *request)
{
    switch (request->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        by_name(a, pl_str_of(request->file_by_filename));
        return;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        by_symbol(a, pl_str_of(request->file_containing_symbol));
        return;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
        by_extension(a, request->file_containing_extension);
        return;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
        numbers_of(a, pl_str_of(request->all_extension_numbers_of_type));
        return;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        list_services(a);
        return;
    default:
        not_found(a, PL_INVALID_ARGUMENT, "the request says nothing of what it is for", PL_STR(""));
    }
}

pl_code pl_grpc_reflection_answer(const pl_grpc_reflection *reflection, pl_str bytes, pl_buf *out,
                                  pl_error *err)
{
    answer a = {.source = reflection, .response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT};
    pl_code code = PL_OK;
    pl_arena_init(&a.arena, 0);
    request_message *request =
        pl_grpc_unpack(&grpc__reflection__v1__server_reflection_request__descriptor, bytes, &a.arena, err);
    if (!request) {
        code = err->code;
        goto done;
    }
    a.pool_count = reflection->pools(reflection->data, a.pools);
    a.response.valid_host = request->host;
    a.response.original_request = request;
    respond(&a, request);
    if (a.failed || !pl_grpc_pack(&a.response.base, out))
        code = pl_fail_memory(err);
done:
    pl_arena_dispose(&a.arena);
    return code;
}

static void message(pl_grpc_call *call, pl_str bytes)
{
    pl_error err = {0};
    pl_buf out;
    pl_buf_init(&out);
    if (pl_grpc_reflection_answer(pl_grpc_native_data(call), bytes, &out, &err) == PL_OK)
        pl_grpc_native_send(call, pl_buf_view(&out));
    else
        pl_grpc_native_finish(call, err.code, pl_str_of(err.message));
    pl_buf_dispose(&out);
}

pl_code pl_grpc_reflection_add(pl_grpc_service *service, pl_grpc_reflection *reflection)
{
    static const pl_grpc_native native = {.message = message};
    static const char *const paths[] = {"/" PL_GRPC_REFLECTION "/ServerReflectionInfo",
                                        "/" PL_GRPC_REFLECTION_ALPHA "/ServerReflectionInfo"};
    pl_code code = PL_OK;
    for (size_t i = 0; !code && i < 2; i++) {
        const pl_grpc_method method = {.path = pl_str_of(paths[i]),
                                       .native = &native,
                                       .native_data = reflection,
                                       .client_streaming = true,
                                       .server_streaming = true};
        code = pl_grpc_service_add(service, &method);
    }
    return code;
}
