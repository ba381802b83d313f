/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "events/registry/names.h"
#include "events/registry/rest.h"
#include "value/json.h"
#include "value/json_schema.h"

/* What comes from a topic (the bytes before a value) and from a schema registry; and a JSON Schema, on itself
 * as the value. */

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void read_header(pl_str bytes)
{
    int32_t id;
    pl_schema_path path, again;
    pl_buf out;
    pl_error err;
    if (pl_schema_read_id(&bytes, &id, &err) != PL_OK || pl_schema_read_path(&bytes, &path, &err) != PL_OK)
        return;
    pl_buf_init(&out);
    pl_schema_write_path(&out, &path);
    pl_str written = pl_buf_view(&out);
    must(out.failed ||
         (pl_schema_read_path(&written, &again, &err) == PL_OK && written.len == 0 &&
          again.count == path.count && memcmp(again.at, path.at, path.count * sizeof *path.at) == 0));
    pl_buf_dispose(&out);
}

static void read_schema_text(pl_str text)
{
    for (uint32_t i = 0; i < 3; i++) {
        const pl_schema_path path = {.at = {i, i / 2}, .count = 1 + i % 2};
        pl_buf out;
        pl_error err;
        pl_buf_init(&out);
        if (pl_schema_message_name(text, &path, &out, &err) != PL_OK)
            must(out.len == 0);
        pl_buf_dispose(&out);
    }
}

static void read_answers(pl_str body, pl_arena *arena)
{
    for (pl_schema_ask ask = PL_SCHEMA_GET; ask <= PL_SCHEMA_COMPATIBLE; ask++) {
        pl_schema_answer answer;
        pl_error err;
        pl_schema_read_answer(ask, 200, body, arena, &answer, &err);
        pl_schema_read_answer(ask, 404, body, arena, &answer, &err);
    }
}

static void read_json_schema(pl_str text, pl_arena *arena)
{
    pl_json_schema *schema;
    pl_value value;
    pl_error err;
    if (pl_json_schema_new(text, &schema, &err) != PL_OK)
        return;
    if (pl_json_read(arena, text, NULL, &value, &err) == PL_OK)
        pl_json_schema_check(schema, &value, 100000, &err);
    pl_json_schema_free(schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pl_arena arena;
    pl_str text = {(const char *)data, size};
    pl_arena_init(&arena, 0);
    read_header(text);
    read_schema_text(text);
    read_answers(text, &arena);
    read_json_schema(text, &arena);
    pl_arena_dispose(&arena);
    return 0;
}
