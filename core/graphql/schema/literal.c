/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/suggest.h"
#include "graphql/language/printer.h"
#include "graphql/schema/internal.h"

/* Values as they are written in SDL: defaults, and arguments of directives. Recursion here is as deep as a
 * value or a type reference is written, and the parser bounds both. */

/* --- fields of object literals --- */

#define LARGE_OBJECT 8

bool gql_object_index_init(gql_builder *b, gql_object_index *index, const gql_value *object)
{
    *index = (gql_object_index){.object = object};
    if (object->count <= LARGE_OBJECT)
        return true;
    for (uint32_t i = 0; i < object->count; i++) {
        if (!gql_build_map(b, &index->map, object->fields[i].name.text, &object->fields[i]))
            return false;
    }
    return true;
}

const gql_object_field *gql_object_index_find(const gql_object_index *index, pl_str name)
{
    const gql_value *object = index->object;
    if (object->count > LARGE_OBJECT)
        return pl_map_get(&index->map, name);
    for (uint32_t i = 0; i < object->count; i++) {
        if (pl_str_eq(object->fields[i].name.text, name))
            return &object->fields[i];
    }
    return NULL;
}

void gql_object_index_dispose(gql_object_index *index)
{
    pl_map_dispose(&index->map);
}

/* --- messages --- */

pl_str gql_step_text(gql_builder *b, const gql_step *path)
{
    pl_str text = PL_STR("");
    for (; path; path = path->parent) {
        if (path->field.ptr)
            text = pl_arena_printf(&b->scratch, ".%.*s%.*s", PL_STR_ARG(path->field), PL_STR_ARG(text));
        else
            text = pl_arena_printf(&b->scratch, "[%u]%.*s", path->index, PL_STR_ARG(text));
        if (!text.ptr) {
            b->no_memory = true;
            return PL_STR("");
        }
    }
    return text;
}

static pl_str print_value(gql_builder *b, const gql_value *value)
{
    pl_buf buf;
    pl_buf_init(&buf);
    gql_print_value(&buf, value);
    pl_str text = buf.failed ? PL_STR_NONE : pl_arena_str(&b->scratch, pl_buf_view(&buf));
    pl_buf_dispose(&buf);
    b->no_memory |= !text.ptr;
    return text.ptr ? text : PL_STR("");
}

static void fault(gql_literal_check *check, gql_loc loc, const gql_step *path, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void fault(gql_literal_check *check, gql_loc loc, const gql_step *path, const char *fmt, ...)
{
    gql_builder *b = check->builder;
    char *text = NULL;
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    if (len >= 0 && (text = gql_scratch_alloc(b, (size_t)len + 1, 1)))
        vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    va_end(args);
    if (text && !b->no_memory)
        check->fault(check, loc, path, (pl_str){text, (size_t)len});
}

static void fault_value(gql_literal_check *check, const gql_value *value, const gql_step *path,
                        const char *what)
{
    pl_str text = print_value(check->builder, value);
    fault(check, value->loc, path, "%s%.*s", what, PL_STR_ARG(text));
}

/* --- checking --- */

static void check_enum(gql_literal_check *check, const gql_value *value, const gql_named *type,
                       const gql_step *path)
{
    gql_builder *b = check->builder;
    if (value->kind == GQL_VALUE_ENUM && pl_map_has(&type->value_map, value->text))
        return;
    pl_str text = print_value(b, value);
    pl_suggestions near;
    pl_suggest_init(&near, text);
    for (uint32_t i = 0; i < type->value_count; i++)
        pl_suggest_add(&near, type->values[i].name);
    pl_str hint = pl_suggest_text(&near, &b->scratch, "the enum value");
    if (value->kind == GQL_VALUE_ENUM)
        fault(check, value->loc, path, "Value \"%.*s\" does not exist in \"%.*s\" enum.%.*s",
              PL_STR_ARG(text), PL_STR_ARG(type->name), PL_STR_ARG(hint));
    else
        fault(check, value->loc, path, "Enum \"%.*s\" cannot represent non-enum value: %.*s.%.*s",
              PL_STR_ARG(type->name), PL_STR_ARG(text), PL_STR_ARG(hint));
}

/* Digits as an integer; false when they do not fit. */
static bool read_int(pl_str text, int64_t *out)
{
    char digits[32];
    if (text.len >= sizeof(digits))
        return false;
    memcpy(digits, text.ptr, text.len);
    digits[text.len] = '\0';
    errno = 0;
    *out = strtoll(digits, NULL, 10);
    return errno == 0;
}

static double read_float(gql_builder *b, pl_str text)
{
    char digits[64], *copy = digits;
    if (text.len >= sizeof(digits) && !(copy = gql_scratch_alloc(b, text.len + 1, 1)))
        return 0;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return strtod(copy, NULL);
}

static void check_int(gql_literal_check *check, const gql_value *value, const gql_step *path)
{
    int64_t n = 0;
    if (value->kind != GQL_VALUE_INT)
        fault_value(check, value, path, "Int cannot represent non-integer value: ");
    else if (!read_int(value->text, &n) || n > INT32_MAX || n < INT32_MIN)
        fault(check, value->loc, path, "Int cannot represent non 32-bit signed integer value: %.*s",
              PL_STR_ARG(value->text));
}

static void check_scalar(gql_literal_check *check, const gql_value *value, const gql_named *type,
                         const gql_step *path)
{
    gql_builder *b = check->builder;
    const char *what = NULL;
    switch (type->scalar) {
    case GQL_SCALAR_INT:
        check_int(check, value, path);
        return;
    case GQL_SCALAR_FLOAT:
        if ((value->kind != GQL_VALUE_INT && value->kind != GQL_VALUE_FLOAT) ||
            !isfinite(read_float(b, value->text)))
            what = "Float cannot represent non numeric value: ";
        break;
    case GQL_SCALAR_STRING:
        if (value->kind != GQL_VALUE_STRING)
            what = "String cannot represent a non string value: ";
        break;
    case GQL_SCALAR_BOOLEAN:
        if (value->kind != GQL_VALUE_BOOLEAN)
            what = "Boolean cannot represent a non boolean value: ";
        break;
    case GQL_SCALAR_ID:
        if (value->kind != GQL_VALUE_STRING && value->kind != GQL_VALUE_INT)
            what = "ID cannot represent a non-string and non-integer value: ";
        break;
    default: /* what a custom scalar takes is for its parse function to say */
        break;
    }
    if (what)
        fault_value(check, value, path, what);
}

static void report_unknown_field(gql_literal_check *check, const gql_value *value,
                                 const gql_object_field *field, const gql_named *type, const gql_step *path)
{
    gql_builder *b = check->builder;
    pl_suggestions near;
    pl_suggest_init(&near, field->name.text);
    for (uint32_t i = 0; i < type->input_count; i++)
        pl_suggest_add(&near, type->inputs[i].name);
    pl_str hint = pl_suggest_text(&near, &b->scratch, NULL), text = print_value(b, value);
    fault(check, field->name.loc, path,
          "Expected value of type \"%.*s\" not to include unknown field \"%.*s\"%s%.*s%s: %.*s.",
          PL_STR_ARG(type->name), PL_STR_ARG(field->name.text), hint.len ? "." : "", PL_STR_ARG(hint),
          hint.len ? " Found" : ", found", PL_STR_ARG(text));
}

static void report_missing_field(gql_literal_check *check, const gql_value *value, const gql_input *input,
                                 const gql_named *type, const gql_step *path)
{
    pl_str text = print_value(check->builder, value);
    fault(check, value->loc, path,
          "Expected value of type \"%.*s\" to include required field \"%.*s\", found: %.*s.",
          PL_STR_ARG(type->name), PL_STR_ARG(input->name), PL_STR_ARG(text));
}

static void check_one_of(gql_literal_check *check, const gql_value *value, const gql_named *type,
                         const gql_step *path, const gql_object_field *known, uint32_t known_count)
{
    static const char message[] =
        "Within OneOf Input Object type \"%.*s\", exactly one field must be specified, and "
        "the value for that field must be non-null.";
    if (known_count != 1) {
        fault(check, value->loc, path, message, PL_STR_ARG(type->name));
    } else if (known->value.kind == GQL_VALUE_NULL) {
        gql_step step = {path, known->name.text, 0};
        fault(check, value->loc, &step, message, PL_STR_ARG(type->name));
    }
}

static void check_object(gql_literal_check *check, const gql_value *value, const gql_named *type,
                         const gql_step *path)
{
    gql_builder *b = check->builder;
    if (value->kind != GQL_VALUE_OBJECT) {
        pl_str text = print_value(b, value);
        fault(check, value->loc, path, "Expected value of type \"%.*s\" to be an object, found: %.*s.",
              PL_STR_ARG(type->name), PL_STR_ARG(text));
        return;
    }
    gql_object_index index;
    bool ok = gql_object_index_init(b, &index, value);
    for (uint32_t i = 0; ok && i < type->input_count && !gql_build_stop(b); i++) {
        const gql_input *input = &type->inputs[i];
        const gql_object_field *field = gql_object_index_find(&index, input->name);
        gql_step step = {path, input->name, 0};
        if (field)
            gql_check_literal(check, &field->value, input->type, &step);
        else if (gql_is_required(input))
            report_missing_field(check, value, input, type, path);
    }
    gql_object_index_dispose(&index);
    const gql_object_field *known = NULL;
    uint32_t known_count = 0;
    for (uint32_t i = 0; i < value->count && !gql_build_stop(b); i++) {
        if (pl_map_has(&type->input_map, value->fields[i].name.text)) {
            known = &value->fields[i];
            known_count++;
        } else {
            report_unknown_field(check, value, &value->fields[i], type, path);
        }
    }
    if (type->one_of)
        check_one_of(check, value, type, path, known, known_count);
}

void gql_check_literal(gql_literal_check *check, const gql_value *value, const gql_typeref *type,
                       const gql_step *path)
{
    if (gql_build_stop(check->builder))
        return;
    if (type->kind == GQL_TYPE_NON_NULL) {
        if (value->kind == GQL_VALUE_NULL) {
            fault(check, value->loc, path, "Expected value of non-null type \"%.*s\" not to be null.",
                  PL_STR_ARG(type->text));
            return;
        }
        type = type->of;
    }
    if (value->kind == GQL_VALUE_NULL)
        return;
    if (type->kind == GQL_TYPE_LIST) {
        if (value->kind != GQL_VALUE_LIST)
            gql_check_literal(check, value, type->of, path);
        for (uint32_t i = 0; value->kind == GQL_VALUE_LIST && i < value->count; i++) {
            gql_step step = {path, PL_STR_NONE, i};
            gql_check_literal(check, &value->items[i], type->of, &step);
        }
    } else if (type->named->kind == GQL_INPUT_OBJECT) {
        check_object(check, value, type->named, path);
    } else if (type->named->kind == GQL_ENUM) {
        check_enum(check, value, type->named, path);
    } else if (type->named->kind == GQL_SCALAR) {
        check_scalar(check, value, type->named, path);
    }
}

/* --- coercing: the value is right --- */

static bool coerce_untyped(gql_builder *b, const gql_value *value, const gql_named *type, pl_value *out);

static bool coerce_untyped_list(gql_builder *b, const gql_value *value, const gql_named *type, pl_value *out)
{
    pl_value *items = gql_build_alloc(b, value->count, sizeof(*items));
    if (!items)
        return false;
    *out = (pl_value){.kind = PL_KIND_LIST, .list = {items, value->count}};
    for (uint32_t i = 0; i < value->count; i++) {
        if (!coerce_untyped(b, &value->items[i], type, &items[i]))
            return false;
    }
    return true;
}

static bool coerce_untyped_object(gql_builder *b, const gql_value *value, const gql_named *type,
                                  pl_value *out)
{
    pl_member *members = gql_build_alloc(b, value->count, sizeof(*members));
    if (!members)
        return false;
    *out = (pl_value){.kind = PL_KIND_MAP, .map = {members, value->count}};
    for (uint32_t i = 0; i < value->count; i++) {
        members[i].name = value->fields[i].name.text;
        if (!coerce_untyped(b, &value->fields[i].value, type, &members[i].value))
            return false;
    }
    return true;
}

/* A number of a BigInt that does not fit in 64 bits stays exact, as a string of its digits. */
static bool coerce_untyped(gql_builder *b, const gql_value *value, const gql_named *type, pl_value *out)
{
    *out = (pl_value){.kind = PL_KIND_NULL};
    switch (value->kind) {
    case GQL_VALUE_INT:
        out->kind = PL_KIND_INT;
        if (read_int(value->text, &out->integer))
            break;
        if (type->scalar == GQL_SCALAR_BIGINT) {
            *out = (pl_value){.kind = PL_KIND_STRING, .string = value->text};
            break;
        } /* fall through */
    case GQL_VALUE_FLOAT:
        *out = (pl_value){.kind = PL_KIND_FLOAT, .number = read_float(b, value->text)};
        break;
    case GQL_VALUE_STRING:
    case GQL_VALUE_ENUM:
        *out = (pl_value){.kind = PL_KIND_STRING, .string = value->text};
        break;
    case GQL_VALUE_BOOLEAN:
        *out = (pl_value){.kind = PL_KIND_BOOL, .boolean = value->boolean};
        break;
    case GQL_VALUE_LIST:
        return coerce_untyped_list(b, value, type, out);
    case GQL_VALUE_OBJECT:
        return coerce_untyped_object(b, value, type, out);
    case GQL_VALUE_NULL:
    case GQL_VALUE_VARIABLE: /* none in SDL */
        break;
    }
    return !b->no_memory;
}

static bool coerce_leaf(gql_builder *b, const gql_value *value, const gql_named *type, pl_value *out)
{
    if (type->kind == GQL_SCALAR && type->scalar == GQL_SCALAR_FLOAT)
        *out = (pl_value){.kind = PL_KIND_FLOAT, .number = read_float(b, value->text)};
    else if (type->kind == GQL_SCALAR && type->scalar == GQL_SCALAR_ID)
        *out = (pl_value){.kind = PL_KIND_STRING, .string = value->text};
    else
        return coerce_untyped(b, value, type, out);
    return !b->no_memory;
}

static bool coerce_object(gql_builder *b, const gql_value *value, const gql_named *type, pl_value *out)
{
    gql_object_index index;
    uint32_t n = 0;
    pl_member *members = gql_build_alloc(b, type->input_count, sizeof(*members));
    bool ok = gql_object_index_init(b, &index, value) && members;
    for (uint32_t i = 0; ok && i < type->input_count; i++) {
        const gql_input *input = &type->inputs[i];
        const gql_object_field *field = gql_object_index_find(&index, input->name);
        if (!field && !input->default_value)
            continue;
        members[n].name = input->name;
        if (field)
            ok = gql_coerce_literal(b, &field->value, input->type, &members[n].value);
        else
            members[n].value = *input->default_value;
        n++;
    }
    gql_object_index_dispose(&index);
    *out = (pl_value){.kind = PL_KIND_MAP, .map = {members, n}};
    return ok;
}

bool gql_coerce_literal(gql_builder *b, const gql_value *value, const gql_typeref *type, pl_value *out)
{
    *out = (pl_value){.kind = PL_KIND_NULL};
    if (type->kind == GQL_TYPE_NON_NULL)
        type = type->of;
    if (value->kind == GQL_VALUE_NULL)
        return true;
    if (type->kind == GQL_TYPE_LIST) {
        bool list = value->kind == GQL_VALUE_LIST, ok = true;
        uint32_t count = list ? value->count : 1;
        pl_value *items = gql_build_alloc(b, count, sizeof(*items));
        for (uint32_t i = 0; items && ok && i < count; i++)
            ok = gql_coerce_literal(b, list ? &value->items[i] : value, type->of, &items[i]);
        *out = (pl_value){.kind = PL_KIND_LIST, .list = {items, count}};
        return items && ok;
    }
    if (type->named->kind == GQL_INPUT_OBJECT)
        return coerce_object(b, value, type->named, out);
    return coerce_leaf(b, value, type->named, out);
}
