/* SPDX-License-Identifier: MIT */
#include "graphql/schema/print.h"

#include <stdlib.h>

#include "base/suggest.h"
#include "graphql/language/printer.h"

typedef struct printer {
    pl_buf *out;
    gql_print_options options;
    pl_arena scratch;
} printer;

static void print_string(pl_buf *out, pl_str text, bool block)
{
    gql_value value = {.kind = GQL_VALUE_STRING, .text = text, .block = block};
    gql_print_value(out, &value);
}

/* Whether a block string with this text reads back as the same text. */
static bool block_keeps(pl_str text)
{
    bool empty_line = true, indented = false, all_indented = true, any_line = false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '\n') {
            if (empty_line && !any_line)
                return false; /* a leading empty line is lost */
            any_line = true;
            empty_line = true;
            indented = false;
        } else if (c == '\t' || c == ' ') {
            indented |= empty_line;
        } else if (c < 0x10) {
            return false; /* control characters, and carriage returns, which are line ends */
        } else {
            all_indented &= indented;
            empty_line = false;
        }
    }
    return text.len == 0 || !(empty_line || (all_indented && any_line));
}

static void print_description(pl_buf *out, pl_str text, const char *indent, bool first)
{
    pl_buf string;
    if (!text.ptr)
        return;
    if (*indent && !first)
        pl_buf_char(out, '\n');
    pl_buf_str(out, pl_str_of(indent));
    pl_buf_init(&string);
    print_string(&string, text, block_keeps(text));
    for (size_t i = 0; i < string.len; i++) {
        pl_buf_char(out, string.data[i]);
        if (string.data[i] == '\n')
            pl_buf_str(out, pl_str_of(indent));
    }
    out->failed |= string.failed;
    pl_buf_dispose(&string);
    pl_buf_char(out, '\n');
}

/* --- order --- */

/* Pointers to things that begin with their name. */
static int compare_things(const void *a, const void *b)
{
    return pl_natural_compare(**(const pl_str *const *)a, **(const pl_str *const *)b);
}

static int compare_types(const void *a, const void *b)
{
    return pl_natural_compare((*(const gql_named *const *)a)->name, (*(const gql_named *const *)b)->name);
}

static const void **room_for(printer *p, uint32_t count)
{
    const void **list = pl_arena_array(&p->scratch, count, sizeof *list);
    p->out->failed |= !list;
    return list;
}

/* Pointers to the elements of an array, in the order in which they are printed. NULL: no memory. */
static const void **in_order(printer *p, const void *items, uint32_t count, size_t size)
{
    const void **list = room_for(p, count);
    for (uint32_t i = 0; list && i < count; i++)
        list[i] = (const char *)items + i * size;
    if (list && p->options.sort)
        qsort(list, count, sizeof *list, compare_things);
    return list;
}

static const gql_named *const *types_in_order(printer *p, gql_named *const *types, uint32_t count)
{
    const void **list = room_for(p, count);
    for (uint32_t i = 0; list && i < count; i++)
        list[i] = types[i];
    if (list && p->options.sort)
        qsort(list, count, sizeof *list, compare_types);
    return (const gql_named *const *)list;
}

/* --- directives on definitions --- */

static void print_applied(printer *p, const gql_directives *directives)
{
    for (uint32_t i = 0; directives && i < directives->count; i++) {
        const gql_directive *d = &directives->items[i];
        PL_BUF_LIT(p->out, " @");
        pl_buf_str(p->out, d->name.text);
        for (uint32_t j = 0; j < d->argument_count; j++) {
            pl_buf_str(p->out, j == 0 ? PL_STR("(") : PL_STR(", "));
            pl_buf_str(p->out, d->arguments[j].name.text);
            PL_BUF_LIT(p->out, ": ");
            gql_print_value(p->out, &d->arguments[j].value);
        }
        if (d->argument_count > 0)
            pl_buf_char(p->out, ')');
    }
}

/* All directives, or @deprecated alone. */
static void print_directives(printer *p, const gql_directives *directives, const gql_deprecation *deprecation)
{
    if (p->options.directives) {
        print_applied(p, directives);
        return;
    }
    if (!deprecation->is)
        return;
    PL_BUF_LIT(p->out, " @deprecated");
    if (pl_str_is(deprecation->reason, "No longer supported"))
        return;
    PL_BUF_LIT(p->out, "(reason: ");
    print_string(p->out, deprecation->reason, false);
    pl_buf_char(p->out, ')');
}

/* --- members --- */

static void print_input(printer *p, const gql_input *input)
{
    pl_buf_str(p->out, input->name);
    PL_BUF_LIT(p->out, ": ");
    pl_buf_str(p->out, input->type->text);
    if (input->default_ast) {
        PL_BUF_LIT(p->out, " = ");
        gql_print_value(p->out, input->default_ast);
    }
    print_directives(p, input->directives, &input->deprecation);
}

/* On one line when no argument has a description. */
static void print_arguments(printer *p, const gql_input *inputs, uint32_t count, bool in_block)
{
    bool described = false;
    const char *indent = in_block ? "    " : "  ";
    const gql_input **list = (const gql_input **)in_order(p, inputs, count, sizeof *inputs);
    for (uint32_t i = 0; i < count; i++)
        described |= inputs[i].description.ptr != NULL;
    if (count == 0 || !list)
        return;
    pl_buf_char(p->out, '(');
    for (uint32_t i = 0; i < count; i++) {
        if (described) {
            pl_buf_char(p->out, '\n');
            print_description(p->out, list[i]->description, indent, i == 0);
            pl_buf_str(p->out, pl_str_of(indent));
        } else if (i > 0) {
            PL_BUF_LIT(p->out, ", ");
        }
        print_input(p, list[i]);
    }
    if (described)
        pl_buf_str(p->out, pl_str_of(in_block ? "\n  " : "\n"));
    pl_buf_char(p->out, ')');
}

static void print_names(printer *p, gql_named *const *types, uint32_t count, const char *before,
                        const char *between)
{
    const gql_named *const *list = types_in_order(p, types, count);
    for (uint32_t i = 0; list && i < count; i++) {
        pl_buf_str(p->out, pl_str_of(i == 0 ? before : between));
        pl_buf_str(p->out, list[i]->name);
    }
}

static void print_fields(printer *p, const gql_named *type)
{
    const gql_field **list =
        (const gql_field **)in_order(p, type->fields, type->field_count, sizeof *type->fields);
    for (uint32_t i = 0; list && i < type->field_count; i++) {
        const gql_field *field = list[i];
        print_description(p->out, field->description, "  ", i == 0);
        PL_BUF_LIT(p->out, "  ");
        pl_buf_str(p->out, field->name);
        print_arguments(p, field->arguments, field->argument_count, true);
        PL_BUF_LIT(p->out, ": ");
        pl_buf_str(p->out, field->type->text);
        print_directives(p, field->directives, &field->deprecation);
        pl_buf_char(p->out, '\n');
    }
}

static void print_values(printer *p, const gql_named *type)
{
    const gql_enum_value **list =
        (const gql_enum_value **)in_order(p, type->values, type->value_count, sizeof *type->values);
    for (uint32_t i = 0; list && i < type->value_count; i++) {
        print_description(p->out, list[i]->description, "  ", i == 0);
        PL_BUF_LIT(p->out, "  ");
        pl_buf_str(p->out, list[i]->name);
        print_directives(p, list[i]->directives, &list[i]->deprecation);
        pl_buf_char(p->out, '\n');
    }
}

static void print_inputs(printer *p, const gql_named *type)
{
    const gql_input **list =
        (const gql_input **)in_order(p, type->inputs, type->input_count, sizeof *type->inputs);
    for (uint32_t i = 0; list && i < type->input_count; i++) {
        print_description(p->out, list[i]->description, "  ", i == 0);
        PL_BUF_LIT(p->out, "  ");
        print_input(p, list[i]);
        pl_buf_char(p->out, '\n');
    }
}

/* --- definitions --- */

static void print_type_directives(printer *p, const gql_named *type)
{
    if (p->options.directives) {
        print_applied(p, type->directives);
    } else if (type->one_of) {
        PL_BUF_LIT(p->out, " @oneOf");
    } else if (type->specified_by.ptr) {
        PL_BUF_LIT(p->out, " @specifiedBy(url: ");
        print_string(p->out, type->specified_by, false);
        pl_buf_char(p->out, ')');
    }
}

static void print_type(printer *p, const gql_named *type)
{
    static const struct {
        const char *keyword;
        void (*members)(printer *p, const gql_named *type);
    } kinds[] = {
        [GQL_SCALAR] = {"scalar ", NULL},
        [GQL_OBJECT] = {"type ", print_fields},
        [GQL_INTERFACE] = {"interface ", print_fields},
        [GQL_UNION] = {"union ", NULL},
        [GQL_ENUM] = {"enum ", print_values},
        [GQL_INPUT_OBJECT] = {"input ", print_inputs},
    };
    print_description(p->out, type->description, "", true);
    pl_buf_str(p->out, pl_str_of(kinds[type->kind].keyword));
    pl_buf_str(p->out, type->name);
    print_names(p, type->interfaces, type->interface_count, " implements ", " & ");
    print_type_directives(p, type);
    if (type->kind == GQL_UNION)
        print_names(p, type->possible, type->possible_count, " = ", " | ");
    if (type->field_count + type->value_count + type->input_count == 0)
        return;
    PL_BUF_LIT(p->out, " {\n");
    kinds[type->kind].members(p, type);
    pl_buf_char(p->out, '}');
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void print_locations(printer *p, uint32_t locations)
{
    const char *names[32];
    size_t count = 0;
    for (unsigned bit = 0; bit < 32; bit++) {
        const char *name = gql_location_name((gql_location)(locations & (uint32_t)1 << bit));
        if (name)
            names[count++] = name;
    }
    if (p->options.sort)
        qsort(names, count, sizeof *names, compare_words);
    for (size_t i = 0; i < count; i++) {
        pl_buf_str(p->out, i == 0 ? PL_STR(" on ") : PL_STR(" | "));
        pl_buf_str(p->out, pl_str_of(names[i]));
    }
}

static void print_directive(printer *p, const gql_directive_def *def)
{
    print_description(p->out, def->description, "", true);
    PL_BUF_LIT(p->out, "directive @");
    pl_buf_str(p->out, def->name);
    print_arguments(p, def->arguments, def->argument_count, false);
    if (def->repeatable)
        PL_BUF_LIT(p->out, " repeatable");
    print_locations(p, def->locations);
}

/* Blank lines go between the parts. */
static void separate(printer *p, bool *first)
{
    if (!*first)
        PL_BUF_LIT(p->out, "\n\n");
    *first = false;
}

static bool is_specified(const gql_directive_def *def)
{
    static const char *const names[] = {"skip", "include", "deprecated", "specifiedBy", "oneOf"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (pl_str_is(def->name, names[i]))
            return true;
    }
    return def->builtin;
}

static void print_roots(printer *p, const gql_schema *schema, bool *first)
{
    static const struct {
        gql_operation_kind kind;
        const char *word, *usual;
    } roots[] = {{GQL_QUERY, "query", "Query"},
                 {GQL_MUTATION, "mutation", "Mutation"},
                 {GQL_SUBSCRIPTION, "subscription", "Subscription"}};
    bool usual = !p->options.directives || schema->applied->count == 0;
    for (int i = 0; i < 3; i++)
        usual &= gql_schema_root(schema, roots[i].kind) == gql_schema_type(schema, pl_str_of(roots[i].usual));
    if (usual && !schema->description.ptr)
        return;
    separate(p, first);
    print_description(p->out, schema->description, "", true);
    PL_BUF_LIT(p->out, "schema");
    if (p->options.directives)
        print_applied(p, schema->applied);
    PL_BUF_LIT(p->out, " {\n");
    for (int i = 0; i < 3; i++) {
        const gql_named *root = gql_schema_root(schema, roots[i].kind);
        if (root)
            pl_buf_printf(p->out, "  %s: %.*s\n", roots[i].word, PL_STR_ARG(root->name));
    }
    pl_buf_char(p->out, '}');
}

void gql_schema_print_with(pl_buf *out, const gql_schema *schema, const gql_print_options *options)
{
    bool first = true;
    printer p = {.out = out, .options = *options};
    pl_arena_init(&p.scratch, 0);
    const void **directives = room_for(&p, schema->directive_count);
    const gql_named *const *types = types_in_order(&p, schema->types, schema->type_count);
    for (uint32_t i = 0; directives && i < schema->directive_count; i++)
        directives[i] = schema->directives[i];
    if (directives && options->sort)
        qsort(directives, schema->directive_count, sizeof *directives, compare_things);
    print_roots(&p, schema, &first);
    for (uint32_t i = 0; directives && i < schema->directive_count; i++) {
        if (is_specified(directives[i]))
            continue;
        separate(&p, &first);
        print_directive(&p, directives[i]);
    }
    for (uint32_t i = 0; types && i < schema->type_count; i++) {
        if (types[i]->builtin)
            continue;
        separate(&p, &first);
        print_type(&p, types[i]);
    }
    pl_arena_dispose(&p.scratch);
}

void gql_schema_print(pl_buf *out, const gql_schema *schema)
{
    gql_schema_print_with(out, schema, &(gql_print_options){0});
}
