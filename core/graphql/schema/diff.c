/* SPDX-License-Identifier: MIT */
#include "graphql/schema/diff.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/suggest.h"
#include "graphql/language/printer.h"
#include "graphql/schema/internal.h"

typedef struct differ {
    const gql_schema *before, *after;
    pl_arena *arena;
    gql_changes *out;
    bool no_memory;
} differ;

/* What a change is about. */
typedef struct subject {
    pl_str owner, member, argument; /* member and argument: ptr NULL where there is none */
    bool directive;                 /* owner is a directive */
    gql_definition_place before, after;
} subject;

const char *gql_change_name(gql_change_kind kind)
{
    static const char *const names[GQL_CHANGE_KINDS] = {
        [GQL_TYPE_REMOVED] = "TYPE_REMOVED",
        [GQL_TYPE_CHANGED_KIND] = "TYPE_CHANGED_KIND",
        [GQL_TYPE_REMOVED_FROM_UNION] = "TYPE_REMOVED_FROM_UNION",
        [GQL_VALUE_REMOVED_FROM_ENUM] = "VALUE_REMOVED_FROM_ENUM",
        [GQL_REQUIRED_INPUT_FIELD_ADDED] = "REQUIRED_INPUT_FIELD_ADDED",
        [GQL_IMPLEMENTED_INTERFACE_REMOVED] = "IMPLEMENTED_INTERFACE_REMOVED",
        [GQL_FIELD_REMOVED] = "FIELD_REMOVED",
        [GQL_FIELD_CHANGED_KIND] = "FIELD_CHANGED_KIND",
        [GQL_REQUIRED_ARG_ADDED] = "REQUIRED_ARG_ADDED",
        [GQL_ARG_REMOVED] = "ARG_REMOVED",
        [GQL_ARG_CHANGED_KIND] = "ARG_CHANGED_KIND",
        [GQL_DIRECTIVE_REMOVED] = "DIRECTIVE_REMOVED",
        [GQL_DIRECTIVE_ARG_REMOVED] = "DIRECTIVE_ARG_REMOVED",
        [GQL_REQUIRED_DIRECTIVE_ARG_ADDED] = "REQUIRED_DIRECTIVE_ARG_ADDED",
        [GQL_DIRECTIVE_REPEATABLE_REMOVED] = "DIRECTIVE_REPEATABLE_REMOVED",
        [GQL_DIRECTIVE_LOCATION_REMOVED] = "DIRECTIVE_LOCATION_REMOVED",
        [GQL_VALUE_ADDED_TO_ENUM] = "VALUE_ADDED_TO_ENUM",
        [GQL_TYPE_ADDED_TO_UNION] = "TYPE_ADDED_TO_UNION",
        [GQL_OPTIONAL_INPUT_FIELD_ADDED] = "OPTIONAL_INPUT_FIELD_ADDED",
        [GQL_OPTIONAL_ARG_ADDED] = "OPTIONAL_ARG_ADDED",
        [GQL_IMPLEMENTED_INTERFACE_ADDED] = "IMPLEMENTED_INTERFACE_ADDED",
        [GQL_ARG_DEFAULT_VALUE_CHANGE] = "ARG_DEFAULT_VALUE_CHANGE",
        [GQL_INPUT_FIELD_DEFAULT_VALUE_CHANGE] = "INPUT_FIELD_DEFAULT_VALUE_CHANGE",
        [GQL_DESCRIPTION_CHANGED] = "DESCRIPTION_CHANGED",
        [GQL_TYPE_ADDED] = "TYPE_ADDED",
        [GQL_DIRECTIVE_ADDED] = "DIRECTIVE_ADDED",
        [GQL_FIELD_ADDED] = "FIELD_ADDED",
        [GQL_DIRECTIVE_REPEATABLE_ADDED] = "DIRECTIVE_REPEATABLE_ADDED",
        [GQL_DIRECTIVE_LOCATION_ADDED] = "DIRECTIVE_LOCATION_ADDED",
        [GQL_OPTIONAL_DIRECTIVE_ARG_ADDED] = "OPTIONAL_DIRECTIVE_ARG_ADDED",
        [GQL_FIELD_CHANGED_KIND_SAFE] = "FIELD_CHANGED_KIND_SAFE",
        [GQL_ARG_CHANGED_KIND_SAFE] = "ARG_CHANGED_KIND_SAFE",
        [GQL_ARG_DEFAULT_VALUE_ADDED] = "ARG_DEFAULT_VALUE_ADDED",
        [GQL_INPUT_FIELD_DEFAULT_VALUE_ADDED] = "INPUT_FIELD_DEFAULT_VALUE_ADDED",
    };
    return (unsigned)kind < GQL_CHANGE_KINDS ? names[kind] : NULL;
}

gql_change_level gql_change_level_of(gql_change_kind kind)
{
    return kind < GQL_VALUE_ADDED_TO_ENUM   ? GQL_CHANGE_BREAKING
           : kind < GQL_DESCRIPTION_CHANGED ? GQL_CHANGE_DANGEROUS
                                            : GQL_CHANGE_SAFE;
}

/* --- the list --- */

static pl_str coordinate_of(differ *d, const subject *s)
{
    bool member = s->member.ptr != NULL, argument = s->argument.ptr != NULL;
    return pl_arena_printf(d->arena, "%s%.*s%s%.*s%s%.*s%s", s->directive ? "@" : "", PL_STR_ARG(s->owner),
                           member ? "." : "", PL_STR_ARG(s->member), argument ? "(" : "",
                           PL_STR_ARG(s->argument), argument ? ":)" : "");
}

/* before, the coordinate of s, and then what fmt makes. */
static void report(differ *d, gql_change_kind kind, const subject *s, const char *before, const char *fmt,
                   ...) __attribute__((format(printf, 5, 6)));
static void report(differ *d, gql_change_kind kind, const subject *s, const char *before, const char *fmt,
                   ...)
{
    va_list args;
    pl_buf text;
    gql_change *change = pl_arena_zalloc(d->arena, sizeof *change);
    pl_str coordinate = coordinate_of(d, s);
    va_start(args, fmt);
    int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    pl_buf_init(&text);
    if (!change || !coordinate.ptr || length < 0 || !pl_buf_reserve(&text, (size_t)length + 1)) {
        d->no_memory = true;
        pl_buf_dispose(&text);
        return;
    }
    va_start(args, fmt);
    vsnprintf(text.data, (size_t)length + 1, fmt, args);
    va_end(args);
    *change = (gql_change){.kind = kind, .coordinate = coordinate, .before = s->before, .after = s->after};
    change->description =
        pl_arena_printf(d->arena, "%s%.*s%.*s", before, PL_STR_ARG(coordinate), length, text.data);
    pl_buf_dispose(&text);
    d->no_memory |= !change->description.ptr;
    d->out->counts[gql_change_level_of(kind)]++;
    if (d->out->last)
        d->out->last->next = change;
    else
        d->out->first = change;
    d->out->last = change;
}

static gql_definition_place place_of(const gql_source *source, gql_loc loc)
{
    return (gql_definition_place){source == &gql_builtin_source ? NULL : source, loc};
}
/* Of anything that has a source and a place. */
#define PLACE(thing) place_of((thing)->source, (thing)->loc)

static void compare_descriptions(differ *d, const subject *s, const char *what, pl_str before, pl_str after)
{
    if (!before.ptr == !after.ptr && pl_str_eq(before, after))
        return;
    if (after.ptr)
        report(d, GQL_DESCRIPTION_CHANGED, s, what, " has changed to \"%.*s\".", PL_STR_ARG(after));
    else
        report(d, GQL_DESCRIPTION_CHANGED, s, what, " was removed.");
}

/* --- references to types --- */

static bool same_name(const gql_typeref *a, const gql_typeref *b)
{
    return pl_str_eq(a->named->name, b->named->name);
}

/* What a field gives may become narrower: non-null where it was not. */
static bool is_output_safe(const gql_typeref *before, const gql_typeref *after)
{
    for (;;) {
        if (before->kind == GQL_TYPE_NAMED && after->kind == GQL_TYPE_NAMED)
            return same_name(before, after);
        if (before->kind == after->kind)
            before = before->of;
        else if (before->kind == GQL_TYPE_NON_NULL || after->kind != GQL_TYPE_NON_NULL)
            return false;
        after = after->of;
    }
}

/* What an argument takes may become wider: nullable where it was not. */
static bool is_input_safe(const gql_typeref *before, const gql_typeref *after)
{
    for (;;) {
        if (before->kind == GQL_TYPE_NAMED && after->kind == GQL_TYPE_NAMED)
            return same_name(before, after);
        if (before->kind == after->kind)
            after = after->of;
        else if (before->kind != GQL_TYPE_NON_NULL)
            return false;
        before = before->of;
    }
}

/* --- default values --- */

static int compare_object_fields(const void *a, const void *b)
{
    const gql_object_field *x = a, *y = b;
    int order = pl_natural_compare(x->name.text, y->name.text);
    return order ? order : (x > y) - (x < y);
}

/* Puts the fields of objects in order, whatever their order in the file. As deep as the parser allows. */
static bool sort_value(differ *d, gql_value *value)
{
    size_t size = value->kind == GQL_VALUE_OBJECT ? sizeof *value->fields : sizeof *value->items;
    if ((value->kind != GQL_VALUE_OBJECT && value->kind != GQL_VALUE_LIST) || value->count == 0)
        return true;
    void *copy = pl_arena_array(d->arena, value->count, size);
    if (!copy)
        return false;
    bool ok = true;
    if (value->kind == GQL_VALUE_LIST) {
        value->items = memcpy(copy, value->items, value->count * size);
        for (uint32_t i = 0; ok && i < value->count; i++)
            ok = sort_value(d, &value->items[i]);
    } else {
        value->fields = memcpy(copy, value->fields, value->count * size);
        qsort(value->fields, value->count, size, compare_object_fields);
        for (uint32_t i = 0; ok && i < value->count; i++)
            ok = sort_value(d, &value->fields[i].value);
    }
    return ok;
}

/* ptr NULL: there is none, or no memory. */
static pl_str default_of(differ *d, const gql_input *input)
{
    if (!input->default_ast)
        return PL_STR_NONE;
    pl_buf text;
    gql_value value = *input->default_ast;
    pl_buf_init(&text);
    bool ok = sort_value(d, &value);
    if (ok)
        gql_print_value_lines(&text, &value);
    pl_str copy = ok && !text.failed ? pl_arena_str(d->arena, pl_buf_view(&text)) : PL_STR_NONE;
    d->no_memory |= !copy.ptr;
    pl_buf_dispose(&text);
    return copy;
}

/* --- arguments and input fields --- */

typedef struct input_words {
    const char *changed, *changed_type, *description;
    gql_change_kind kind_changed, kind_changed_safe, default_changed, default_added;
} input_words;

static const input_words argument_words = {"Argument ",
                                           " has changed type",
                                           "Description of argument ",
                                           GQL_ARG_CHANGED_KIND,
                                           GQL_ARG_CHANGED_KIND_SAFE,
                                           GQL_ARG_DEFAULT_VALUE_CHANGE,
                                           GQL_ARG_DEFAULT_VALUE_ADDED};
static const input_words directive_argument_words = {"Argument ",
                                                     " has changed type",
                                                     "Description of ",
                                                     GQL_ARG_CHANGED_KIND,
                                                     GQL_ARG_CHANGED_KIND_SAFE,
                                                     GQL_ARG_DEFAULT_VALUE_CHANGE,
                                                     GQL_ARG_DEFAULT_VALUE_ADDED};
static const input_words input_field_words = {
    "Field ",
    " changed type",
    "Description of input-field ",
    GQL_FIELD_CHANGED_KIND,
    GQL_FIELD_CHANGED_KIND_SAFE,
    GQL_INPUT_FIELD_DEFAULT_VALUE_CHANGE,
    GQL_INPUT_FIELD_DEFAULT_VALUE_ADDED,
};

static void compare_inputs(differ *d, const subject *s, const input_words *words, const gql_input *before,
                           const gql_input *after)
{
    pl_str old_type = before->type->text, new_type = after->type->text;
    pl_str old_default = default_of(d, before), new_default = default_of(d, after);
    if (!is_input_safe(before->type, after->type))
        report(d, words->kind_changed, s, words->changed, "%s from %.*s to %.*s.", words->changed_type,
               PL_STR_ARG(old_type), PL_STR_ARG(new_type));
    else if (old_default.ptr && !new_default.ptr)
        report(d, words->default_changed, s, "", " defaultValue was removed.");
    else if (old_default.ptr && !pl_str_eq(old_default, new_default))
        report(d, words->default_changed, s, "", " has changed defaultValue from %.*s to %.*s.",
               PL_STR_ARG(old_default), PL_STR_ARG(new_default));
    else if (!old_default.ptr && new_default.ptr)
        report(d, words->default_added, s, "", " added a defaultValue %.*s.", PL_STR_ARG(new_default));
    else if (!old_default.ptr && !pl_str_eq(old_type, new_type))
        report(d, words->kind_changed_safe, s, words->changed, "%s from %.*s to %.*s.", words->changed_type,
               PL_STR_ARG(old_type), PL_STR_ARG(new_type));
    compare_descriptions(d, s, words->description, before->description, after->description);
}

/* s is that of the field or directive that they stand in. */
static subject argument_subject(const subject *s, pl_str name, const gql_input *before,
                                const gql_input *after)
{
    subject a = *s;
    a.argument = name;
    a.before = before ? PLACE(before) : s->before;
    a.after = after ? PLACE(after) : s->after;
    return a;
}

static void persisted_arguments(differ *d, const subject *s, const input_words *words, const gql_input *old,
                                uint32_t old_count, gql_input *new, uint32_t new_count)
{
    for (uint32_t i = 0; i < old_count; i++) {
        const gql_input *after = gql_input_find(new, new_count, old[i].name);
        if (!after)
            continue;
        subject a = argument_subject(s, old[i].name, &old[i], after);
        compare_inputs(d, &a, words, &old[i], after);
    }
}

static void removed_arguments(differ *d, const subject *s, gql_change_kind kind, const gql_input *old,
                              uint32_t old_count, gql_input *new, uint32_t new_count)
{
    for (uint32_t i = 0; i < old_count; i++) {
        if (gql_input_find(new, new_count, old[i].name))
            continue;
        subject a = argument_subject(s, old[i].name, &old[i], NULL);
        report(d, kind, &a, "Argument ", " was removed.");
    }
}

static void added_arguments(differ *d, const subject *s, gql_change_kind required, gql_change_kind optional,
                            gql_input *old, uint32_t old_count, const gql_input *new, uint32_t new_count)
{
    for (uint32_t i = 0; i < new_count; i++) {
        if (gql_input_find(old, old_count, new[i].name))
            continue;
        subject a = argument_subject(s, new[i].name, NULL, &new[i]);
        if (gql_is_required(&new[i]))
            report(d, required, &a, "A required argument ", " was added.");
        else
            report(d, optional, &a, "An optional argument ", " was added.");
    }
}

/* --- members of types --- */

static void input_fields(differ *d, const gql_named *before, const gql_named *after)
{
    subject type = {.owner = before->name, .before = PLACE(before), .after = PLACE(after)}, s = type;
    for (uint32_t i = 0; i < after->input_count; i++) {
        const gql_input *field = &after->inputs[i];
        if (pl_map_has(&before->input_map, field->name))
            continue;
        s = type;
        s.member = field->name;
        s.after = PLACE(field);
        if (gql_is_required(field))
            report(d, GQL_REQUIRED_INPUT_FIELD_ADDED, &s, "A required field ", " was added.");
        else
            report(d, GQL_OPTIONAL_INPUT_FIELD_ADDED, &s, "An optional field ", " was added.");
    }
    for (int persisted = 0; persisted <= 1; persisted++) {
        for (uint32_t i = 0; i < before->input_count; i++) {
            const gql_input *old = &before->inputs[i], *new = pl_map_get(&after->input_map, old->name);
            s = type;
            s.member = old->name;
            s.before = PLACE(old);
            if (new &&persisted) {
                s.after = PLACE(new);
                compare_inputs(d, &s, &input_field_words, old, new);
            } else if (!new && !persisted) {
                report(d, GQL_FIELD_REMOVED, &s, "Field ", " was removed.");
            }
        }
    }
}

/* Whether names, of another schema, has one that is called as type is. */
static bool has_type(gql_named *const *types, uint32_t count, const gql_named *type)
{
    for (uint32_t i = 0; i < count; i++) {
        if (pl_str_eq(types[i]->name, type->name))
            return true;
    }
    return false;
}

static void union_members(differ *d, const gql_named *before, const gql_named *after)
{
    subject s = {.owner = before->name, .before = PLACE(before), .after = PLACE(after)};
    for (int removed = 0; removed <= 1; removed++) {
        const gql_named *in = removed ? before : after, *other = removed ? after : before;
        const gql_schema *schema = removed ? d->after : d->before;
        for (uint32_t i = 0; i < in->possible_count; i++) {
            const gql_named *twin = gql_schema_type(schema, in->possible[i]->name);
            if (twin && gql_is_possible(other, twin))
                continue;
            pl_str words =
                pl_arena_printf(d->arena, "%.*s was %s union type ", PL_STR_ARG(in->possible[i]->name),
                                removed ? "removed from" : "added to");
            if (words.ptr)
                report(d, removed ? GQL_TYPE_REMOVED_FROM_UNION : GQL_TYPE_ADDED_TO_UNION, &s, words.ptr,
                       ".");
            d->no_memory |= !words.ptr;
        }
    }
}

static void enum_values(differ *d, const gql_named *before, const gql_named *after)
{
    subject type = {.owner = before->name, .before = PLACE(before), .after = PLACE(after)}, s = type;
    for (uint32_t i = 0; i < after->value_count; i++) {
        const gql_enum_value *value = &after->values[i];
        if (pl_map_has(&before->value_map, value->name))
            continue;
        s = type;
        s.member = value->name;
        s.after = PLACE(value);
        report(d, GQL_VALUE_ADDED_TO_ENUM, &s, "Enum value ", " was added.");
    }
    for (int persisted = 0; persisted <= 1; persisted++) {
        for (uint32_t i = 0; i < before->value_count; i++) {
            const gql_enum_value *old = &before->values[i], *new = pl_map_get(&after->value_map, old->name);
            s = type;
            s.member = old->name;
            s.before = PLACE(old);
            if (new &&persisted) {
                s.after = PLACE(new);
                compare_descriptions(d, &s, "Description of enum value ", old->description, new->description);
            } else if (!new && !persisted) {
                report(d, GQL_VALUE_REMOVED_FROM_ENUM, &s, "Enum value ", " was removed.");
            }
        }
    }
}

static void interfaces(differ *d, const gql_named *before, const gql_named *after)
{
    subject s = {.owner = before->name, .before = PLACE(before), .after = PLACE(after)};
    for (uint32_t i = 0; i < after->interface_count; i++) {
        const gql_named *interface = after->interfaces[i];
        if (has_type(before->interfaces, before->interface_count, interface))
            continue;
        pl_str words = pl_arena_printf(d->arena, "%.*s added to interfaces implemented by ",
                                       PL_STR_ARG(interface->name));
        if (words.ptr)
            report(d, GQL_IMPLEMENTED_INTERFACE_ADDED, &s, words.ptr, ".");
        d->no_memory |= !words.ptr;
    }
    for (uint32_t i = 0; i < before->interface_count; i++) {
        if (!has_type(after->interfaces, after->interface_count, before->interfaces[i]))
            report(d, GQL_IMPLEMENTED_INTERFACE_REMOVED, &s, "", " no longer implements interface %.*s.",
                   PL_STR_ARG(before->interfaces[i]->name));
    }
}

static void compare_fields(differ *d, const subject *s, const gql_field *old, const gql_field *new)
{
    removed_arguments(d, s, GQL_ARG_REMOVED, old->arguments, old->argument_count, new->arguments,
                      new->argument_count);
    persisted_arguments(d, s, &argument_words, old->arguments, old->argument_count, new->arguments,
                        new->argument_count);
    added_arguments(d, s, GQL_REQUIRED_ARG_ADDED, GQL_OPTIONAL_ARG_ADDED, old->arguments, old->argument_count,
                    new->arguments, new->argument_count);
    if (!is_output_safe(old->type, new->type))
        report(d, GQL_FIELD_CHANGED_KIND, s, "Field ", " changed type from %.*s to %.*s.",
               PL_STR_ARG(old->type->text), PL_STR_ARG(new->type->text));
    else if (!pl_str_eq(old->type->text, new->type->text))
        report(d, GQL_FIELD_CHANGED_KIND_SAFE, s, "Field ", " changed type from %.*s to %.*s.",
               PL_STR_ARG(old->type->text), PL_STR_ARG(new->type->text));
    compare_descriptions(d, s, "Description of field ", old->description, new->description);
}

static void fields(differ *d, const gql_named *before, const gql_named *after)
{
    subject type = {.owner = before->name, .before = PLACE(before), .after = PLACE(after)}, s = type;
    for (uint32_t i = 0; i < before->field_count; i++) {
        const gql_field *field = &before->fields[i];
        if (pl_map_has(&after->field_map, field->name))
            continue;
        s = type;
        s.member = field->name;
        s.before = PLACE(field);
        report(d, GQL_FIELD_REMOVED, &s, "Field ", " was removed.");
    }
    for (uint32_t i = 0; i < after->field_count; i++) {
        const gql_field *field = &after->fields[i];
        if (pl_map_has(&before->field_map, field->name))
            continue;
        s = type;
        s.member = field->name;
        s.after = PLACE(field);
        report(d, GQL_FIELD_ADDED, &s, "Field ", " was added.");
    }
    for (uint32_t i = 0; i < before->field_count; i++) {
        const gql_field *old = &before->fields[i], *new = pl_map_get(&after->field_map, old->name);
        if (!new)
            continue;
        s = type;
        s.member = old->name;
        s.before = PLACE(old);
        s.after = PLACE(new);
        compare_fields(d, &s, old, new);
    }
}

/* --- types --- */

static void compare_types(differ *d, const gql_named *before, const gql_named *after)
{
    static const char *const kinds[] = {
        [GQL_SCALAR] = "a Scalar type",        [GQL_OBJECT] = "an Object type",
        [GQL_INTERFACE] = "an Interface type", [GQL_UNION] = "a Union type",
        [GQL_ENUM] = "an Enum type",           [GQL_INPUT_OBJECT] = "an Input type",
    };
    subject s = {.owner = before->name, .before = PLACE(before), .after = PLACE(after)};
    compare_descriptions(d, &s, "Description of ", before->description, after->description);
    if (before->kind != after->kind) {
        report(d, GQL_TYPE_CHANGED_KIND, &s, "", " changed from %s to %s.", kinds[before->kind],
               kinds[after->kind]);
        return;
    }
    switch (before->kind) {
    case GQL_SCALAR:
        break;
    case GQL_OBJECT:
    case GQL_INTERFACE:
        fields(d, before, after);
        interfaces(d, before, after);
        break;
    case GQL_UNION:
        union_members(d, before, after);
        break;
    case GQL_ENUM:
        enum_values(d, before, after);
        break;
    case GQL_INPUT_OBJECT:
        input_fields(d, before, after);
        break;
    }
}

static void types(differ *d)
{
    for (uint32_t i = 0; i < d->before->type_count; i++) {
        const gql_named *type = d->before->types[i];
        subject s = {.owner = type->name, .before = PLACE(type)};
        if (gql_schema_type(d->after, type->name))
            continue;
        if (type->builtin)
            report(d, GQL_TYPE_REMOVED, &s, "Standard scalar ",
                   " was removed because it is not referenced anymore.");
        else
            report(d, GQL_TYPE_REMOVED, &s, "", " was removed.");
    }
    for (uint32_t i = 0; i < d->after->type_count; i++) {
        const gql_named *type = d->after->types[i];
        subject s = {.owner = type->name, .after = PLACE(type)};
        if (!gql_schema_type(d->before, type->name))
            report(d, GQL_TYPE_ADDED, &s, "", " was added.");
    }
    for (uint32_t i = 0; i < d->before->type_count && !d->no_memory; i++) {
        const gql_named *before = d->before->types[i], *after = gql_schema_type(d->after, before->name);
        if (after && !(before->builtin && after->builtin))
            compare_types(d, before, after);
    }
}

/* --- directives --- */

static void locations(differ *d, const subject *s, uint32_t before, uint32_t after)
{
    for (int added = 0; added <= 1; added++) {
        uint32_t only = added ? after & ~before : before & ~after;
        for (uint32_t bit = 1; bit && bit <= only; bit <<= 1) {
            if (!(only & bit))
                continue;
            pl_str words = pl_arena_printf(d->arena, "%s was %s ", gql_location_name((gql_location)bit),
                                           added ? "added to" : "removed from");
            if (words.ptr)
                report(d, added ? GQL_DIRECTIVE_LOCATION_ADDED : GQL_DIRECTIVE_LOCATION_REMOVED, s, words.ptr,
                       ".");
            d->no_memory |= !words.ptr;
        }
    }
}

static void compare_directives(differ *d, gql_directive_def *before, gql_directive_def *after)
{
    subject s = {.owner = before->name, .directive = true, .before = PLACE(before), .after = PLACE(after)};
    added_arguments(d, &s, GQL_REQUIRED_DIRECTIVE_ARG_ADDED, GQL_OPTIONAL_DIRECTIVE_ARG_ADDED,
                    before->arguments, before->argument_count, after->arguments, after->argument_count);
    removed_arguments(d, &s, GQL_DIRECTIVE_ARG_REMOVED, before->arguments, before->argument_count,
                      after->arguments, after->argument_count);
    persisted_arguments(d, &s, &directive_argument_words, before->arguments, before->argument_count,
                        after->arguments, after->argument_count);
    if (before->repeatable && !after->repeatable)
        report(d, GQL_DIRECTIVE_REPEATABLE_REMOVED, &s, "Repeatable flag was removed from ", ".");
    else if (!before->repeatable && after->repeatable)
        report(d, GQL_DIRECTIVE_REPEATABLE_ADDED, &s, "Repeatable flag was added to ", ".");
    compare_descriptions(d, &s, "Description of ", before->description, after->description);
    locations(d, &s, before->locations, after->locations);
}

static void directives(differ *d)
{
    for (uint32_t i = 0; i < d->before->directive_count; i++) {
        const gql_directive_def *def = d->before->directives[i];
        subject s = {.owner = def->name, .directive = true, .before = PLACE(def)};
        if (!def->builtin && !gql_schema_directive(d->after, def->name))
            report(d, GQL_DIRECTIVE_REMOVED, &s, "Directive ", " was removed.");
    }
    for (uint32_t i = 0; i < d->after->directive_count; i++) {
        const gql_directive_def *def = d->after->directives[i];
        subject s = {.owner = def->name, .directive = true, .after = PLACE(def)};
        if (!def->builtin && !gql_schema_directive(d->before, def->name))
            report(d, GQL_DIRECTIVE_ADDED, &s, "Directive ", " was added.");
    }
    for (uint32_t i = 0; i < d->before->directive_count && !d->no_memory; i++) {
        gql_directive_def *before = d->before->directives[i];
        gql_directive_def *after = gql_schema_directive(d->after, before->name);
        if (after && !(before->builtin && after->builtin))
            compare_directives(d, before, after);
    }
}

pl_code gql_schema_diff(const gql_schema *before, const gql_schema *after, pl_arena *arena, gql_changes *out)
{
    *out = (gql_changes){0};
    differ d = {.before = before, .after = after, .arena = arena, .out = out};
    types(&d);
    directives(&d);
    return d.no_memory ? PL_RESOURCE_EXHAUSTED : PL_OK;
}
