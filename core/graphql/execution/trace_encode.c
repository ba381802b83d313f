/* SPDX-License-Identifier: MIT */
#include "graphql/execution/trace_internal.h"

/* A trace in the wire format of Protocol Buffers. A message inside of another has its size in front of it: a
 * first walk finds the sizes of all nodes, a second one writes. Both recur as deep as the response. */

/* Field numbers of reports.proto. */
enum {
    TIMESTAMP_SECONDS = 1,
    TIMESTAMP_NANOS = 2,
    LOCATION_LINE = 1,
    LOCATION_COLUMN = 2,
    ERROR_MESSAGE = 1,
    ERROR_LOCATION = 2,
    ERROR_TIME = 3,
    ERROR_JSON = 4,
    NODE_RESPONSE_NAME = 1,
    NODE_INDEX = 2,
    NODE_TYPE = 3,
    NODE_START = 8,
    NODE_END = 9,
    NODE_ERROR = 11,
    NODE_CHILD = 12,
    NODE_PARENT_TYPE = 13,
    NODE_ORIGINAL_NAME = 14,
    TRACE_END = 3,
    TRACE_START = 4,
    TRACE_DURATION = 11,
    TRACE_ROOT = 14,
    TRACE_INCOMPLETE = 33,
};
#define MAX_LOCATIONS 16 /* of an error, as in the response */

/* --- the wire format. All our field numbers but one take one byte with their wire type --- */

static size_t varint_size(uint64_t v)
{
    size_t n = 1;
    for (; v > 127; v >>= 7)
        n++;
    return n;
}

static void write_varint(pl_buf *out, uint64_t v)
{
    for (; v > 127; v >>= 7)
        pl_buf_char(out, (char)(v | 128));
    pl_buf_char(out, (char)v);
}

static size_t number_size(unsigned field, uint64_t v)
{
    return varint_size((uint64_t)field << 3) + varint_size(v);
}

static void write_number(pl_buf *out, unsigned field, uint64_t v)
{
    write_varint(out, (uint64_t)field << 3);
    write_varint(out, v);
}

static size_t bytes_size(unsigned field, size_t len)
{
    return number_size(field, len) + len;
}

/* What stands before len bytes of a text or of a message. */
static void write_head(pl_buf *out, unsigned field, size_t len)
{
    write_varint(out, (uint64_t)field << 3 | 2);
    write_varint(out, len);
}

static void write_text(pl_buf *out, unsigned field, pl_str text)
{
    write_head(out, field, text.len);
    pl_buf_str(out, text);
}

/* --- errors --- */

static uint32_t location_count(const gql_trace_error_node *error)
{
    uint32_t n = error->field ? error->field->node_count : 0;
    return n < MAX_LOCATIONS ? n : MAX_LOCATIONS;
}

static size_t location_size(const gql_loc *loc)
{
    return number_size(LOCATION_LINE, loc->line) + number_size(LOCATION_COLUMN, loc->column);
}

static size_t error_size(const gql_trace_error_node *error)
{
    size_t size = bytes_size(ERROR_MESSAGE, error->message.len) + number_size(ERROR_TIME, error->time) +
                  bytes_size(ERROR_JSON, error->json.len);
    for (uint32_t i = 0; i < location_count(error); i++)
        size += bytes_size(ERROR_LOCATION, location_size(&error->field->nodes[i]->loc));
    return size;
}

static void write_error(pl_buf *out, const gql_trace_error_node *error)
{
    write_head(out, NODE_ERROR, error_size(error));
    write_text(out, ERROR_MESSAGE, error->message);
    for (uint32_t i = 0; i < location_count(error); i++) {
        const gql_loc *loc = &error->field->nodes[i]->loc;
        write_head(out, ERROR_LOCATION, location_size(loc));
        write_number(out, LOCATION_LINE, loc->line);
        write_number(out, LOCATION_COLUMN, loc->column);
    }
    write_number(out, ERROR_TIME, error->time);
    write_text(out, ERROR_JSON, error->json);
}

/* --- nodes --- */

/* ptr NULL: the field has no alias. */
static pl_str original_name(const gql_trace_node *node)
{
    return pl_str_eq(node->name, node->field->def->name) ? PL_STR_NONE : node->field->def->name;
}

static size_t field_size(const gql_trace_node *node)
{
    const gql_field *def = node->field->def;
    pl_str original = original_name(node);
    return bytes_size(NODE_TYPE, def->type->text.len) + number_size(NODE_START, node->begin) +
           number_size(NODE_END, node->end) + bytes_size(NODE_PARENT_TYPE, def->parent->name.len) +
           (original.ptr ? bytes_size(NODE_ORIGINAL_NAME, original.len) : 0);
}

static size_t find_size(const gql_trace *trace, gql_trace_node *node)
{
    size_t size = 0;
    if (node->name.ptr)
        size += bytes_size(NODE_RESPONSE_NAME, node->name.len);
    else if (node != &trace->root)
        size += number_size(NODE_INDEX, node->index);
    if (node->field)
        size += field_size(node);
    for (const gql_trace_error_node *error = node->errors; error; error = error->next)
        size += bytes_size(NODE_ERROR, error_size(error));
    for (gql_trace_node *child = node->children; child; child = child->next)
        size += bytes_size(NODE_CHILD, find_size(trace, child));
    node->size = size;
    return size;
}

static void write_node(const gql_trace *trace, pl_buf *out, const gql_trace_node *node)
{
    if (node->name.ptr)
        write_text(out, NODE_RESPONSE_NAME, node->name);
    else if (node != &trace->root)
        write_number(out, NODE_INDEX, node->index);
    if (node->field) {
        write_text(out, NODE_TYPE, node->field->def->type->text);
        write_number(out, NODE_START, node->begin);
        write_number(out, NODE_END, node->end);
    }
    for (const gql_trace_error_node *error = node->errors; error; error = error->next)
        write_error(out, error);
    for (const gql_trace_node *child = node->children; child; child = child->next) {
        write_head(out, NODE_CHILD, child->size);
        write_node(trace, out, child);
    }
    if (!node->field)
        return;
    write_text(out, NODE_PARENT_TYPE, node->field->def->parent->name);
    if (original_name(node).ptr)
        write_text(out, NODE_ORIGINAL_NAME, original_name(node));
}

/* --- the trace --- */

static void write_timestamp(pl_buf *out, unsigned field, uint64_t ns)
{
    uint64_t seconds = ns / 1000000000, nanos = ns % 1000000000;
    write_head(out, field, number_size(TIMESTAMP_SECONDS, seconds) + number_size(TIMESTAMP_NANOS, nanos));
    write_number(out, TIMESTAMP_SECONDS, seconds);
    write_number(out, TIMESTAMP_NANOS, nanos);
}

void gql_trace_encode(gql_trace *trace, pl_buf *out)
{
    find_size(trace, &trace->root);
    write_timestamp(out, TRACE_END, trace->wall[1]);
    write_timestamp(out, TRACE_START, trace->wall[0]);
    write_number(out, TRACE_DURATION, trace->duration);
    write_head(out, TRACE_ROOT, trace->root.size);
    write_node(trace, out, &trace->root);
    if (trace->incomplete)
        write_number(out, TRACE_INCOMPLETE, 1);
}
