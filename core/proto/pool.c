/* SPDX-License-Identifier: MIT */
#include "proto/pool.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "proto/pool_internal.h"
#include "proto/well_known.h"

/* --- building --- */
bool pb_fails(pb_builder *b, const char *fmt, ...)
{
    char text[512];
    va_list args;
    if (b->code)
        return false;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const char *colon = b->file ? ": " : "";
    pl_str file = b->file ? b->file->name : PL_STR("");
    if (b->scope.len > 0 && b->file && !pl_str_eq(b->scope, b->file->package))
        b->code = pl_fail(b->err, PL_INVALID_ARGUMENT, "%.*s: %.*s: %s", PL_STR_ARG(file),
                          PL_STR_ARG(b->scope), text);
    else
        b->code = pl_fail(b->err, PL_INVALID_ARGUMENT, "%.*s%s%s", PL_STR_ARG(file), colon, text);
    if (b->err && b->source)
        snprintf(b->err->file, sizeof b->err->file, "%s", b->source);
    return false;
}

bool pb_out_of_memory(pb_builder *b)
{
    if (!b->code)
        b->code = pl_fail_memory(b->err);
    return false;
}

bool pb_list_add(pb_list *list, void *item)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        void **items = pl_realloc(list->items, capacity * sizeof *items);
        if (!items)
            return false;
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
    return true;
}

static bool read_source(pb_builder *b, const char *name, pl_str bytes)
{
    pb_reader r = pb_reader_of(bytes);
    pb_record record;
    const char *wrong;
    b->source = name;
    b->file = NULL;
    while (pb_next_record(&r, &record, &wrong)) {
        pl_str file_name = PL_STR("");
        if (record.number != 1 || record.wire != PB_WIRE_LEN)
            continue;
        b->file = NULL;
        pb_find_bytes(record.bytes, 1, &file_name);
        if (file_name.len == 0)
            return pb_fails(b, "it has a file without a name: is it a descriptor set?");
        const pb_file *other = pl_map_get(&b->pool->by_name, file_name);
        if (other && (b->built_in || pl_str_eq(other->bytes, record.bytes)))
            continue;
        if (b->built_in && pb_is_defined(b, record.bytes))
            continue; /* somebody has given it under another name */
        if (other)
            return pb_fails(b, "it has another %.*s than the sets before it", PL_STR_ARG(file_name));
        if (!pb_read_file(b, file_name, record.bytes))
            return false;
    }
    b->file = NULL;
    return !wrong || pb_fails(b, "it is no descriptor set: it %s", wrong);
}

static bool build(pb_builder *b, const pb_source *sources, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pl_str copy = pl_arena_str(&b->pool->arena, sources[i].bytes);
        if (!copy.ptr)
            return pb_out_of_memory(b);
        if (!read_source(b, sources[i].name, copy))
            return false;
    }
    b->built_in = true;
    return read_source(b, NULL, pb_well_known_set()) && pb_link(b);
}

pl_code pb_pool_new(const pb_source *sources, size_t count, pb_pool **out, pl_error *err)
{
    pb_pool *pool = pl_calloc(1, sizeof *pool);
    *out = NULL;
    if (!pool)
        return pl_fail_memory(err);
    pl_arena_init(&pool->arena, 16384);
    pb_builder b = {.pool = pool, .err = err, .scope = PL_STR("")};
    if (err)
        *err = (pl_error){0};
    if (!build(&b, sources, count)) {
        pb_pool_free(pool);
        pool = NULL;
    }
    pl_free(b.fields.items);
    pl_free(b.methods.items);
    pl_free(b.files.items);
    *out = pool;
    return b.code;
}

void pb_pool_free(pb_pool *pool)
{
    if (!pool)
        return;
    pl_map_dispose(&pool->symbols);
    pl_map_dispose(&pool->by_name);
    pl_free(pool->files.items);
    pl_free(pool->messages.items);
    pl_free(pool->enums.items);
    pl_free(pool->services.items);
    pl_arena_dispose(&pool->arena);
    pl_free(pool);
}

/* --- lookups --- */
static const void *lookup(const pb_pool *pool, pl_str name, pb_symbol_kind kind)
{
    const pb_symbol *symbol = pl_map_get(&pool->symbols, name);
    return symbol && symbol->kind == kind ? symbol->is : NULL;
}

const pb_message *pb_pool_message(const pb_pool *pool, pl_str full_name)
{
    return lookup(pool, full_name, PB_SYMBOL_MESSAGE);
}

const pb_enum *pb_pool_enum(const pb_pool *pool, pl_str full_name)
{
    return lookup(pool, full_name, PB_SYMBOL_ENUM);
}

const pb_service *pb_pool_service(const pb_pool *pool, pl_str full_name)
{
    return lookup(pool, full_name, PB_SYMBOL_SERVICE);
}

const pb_field *pb_pool_extension(const pb_pool *pool, pl_str full_name)
{
    return lookup(pool, full_name, PB_SYMBOL_EXTENSION);
}

const pb_file *pb_pool_file(const pb_pool *pool, pl_str name)
{
    return pl_map_get(&pool->by_name, name);
}

const pb_file *pb_pool_file_of(const pb_pool *pool, pl_str full_name)
{
    const pb_symbol *symbol = pl_map_get(&pool->symbols, full_name);
    return symbol ? symbol->file : NULL;
}

const pb_message *const *pb_pool_messages(const pb_pool *pool, size_t *count)
{
    *count = pool->messages.count;
    return (const pb_message *const *)pool->messages.items;
}

const pb_enum *const *pb_pool_enums(const pb_pool *pool, size_t *count)
{
    *count = pool->enums.count;
    return (const pb_enum *const *)pool->enums.items;
}

const pb_service *const *pb_pool_services(const pb_pool *pool, size_t *count)
{
    *count = pool->services.count;
    return (const pb_service *const *)pool->services.items;
}

const pb_file *const *pb_pool_files(const pb_pool *pool, size_t *count)
{
    *count = pool->files.count;
    return (const pb_file *const *)pool->files.items;
}

const pb_field *pb_message_field_slow(const pb_message *message, uint32_t number)
{
    size_t low = 0, high = message->field_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (message->fields[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < message->field_count && message->fields[low].number == number ? &message->fields[low] : NULL;
}

const pb_field *pb_message_extension(const pb_message *message, uint32_t number)
{
    size_t low = 0, high = message->extension_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (message->extensions[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < message->extension_count && message->extensions[low]->number == number;
    return found ? message->extensions[low] : NULL;
}

const pb_field *pb_message_field_named(const pb_message *message, pl_str name)
{
    return pb_names_get(&message->names, name);
}

const pb_enum_value *pb_enum_named(const pb_enum *enumeration, pl_str name)
{
    return pb_names_get(&enumeration->names, name);
}

const pb_enum_value *pb_enum_numbered(const pb_enum *enumeration, int64_t number)
{
    size_t low = 0, high = enumeration->distinct;
    if (number >= 0 && (uint64_t)number < high && enumeration->by_number[number]->number == number)
        return enumeration->by_number[number];
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (enumeration->by_number[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < enumeration->distinct && enumeration->by_number[low]->number == number;
    return found ? enumeration->by_number[low] : NULL;
}

const pb_method *pb_service_method(const pb_service *service, pl_str name)
{
    for (size_t i = 0; i < service->count; i++) {
        if (pl_str_eq(service->methods[i].name, name))
            return &service->methods[i];
    }
    return NULL;
}
