/* SPDX-License-Identifier: MIT */
#include "app/uploads.h"

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/multipart.h"
#include "value/json.h"

#define PIECE ((size_t)128 << 10)
#define PLACES_A_FILE 4 /* of the map, on average */
#define SHOWN(s) ((s).len > 100 ? 100 : (int)(s).len), (s).ptr

typedef struct file {
    pl_upload upload;
    bool there;
} file;

typedef struct form {
    pl_upload_body *body;
    const pl_uploads_limits *limits;
    pl_arena *arena;
    pl_buf text;          /* of the part at hand, when it is operations or map */
    pl_value *operations; /* NULL: not yet */
    pl_map files;         /* name of part -> file; filled by the map */
    bool mapped;
    size_t places; /* that the map has named */
    enum { IN_OPERATIONS, IN_MAP, IN_FILE } in;
    file *file;  /* the one at hand */
    pl_str name; /* its part's */
} form;

static pl_code refuse(pl_error *err, const char *fmt, pl_str name)
{
    return pl_fail(err, PL_INVALID_ARGUMENT, fmt, SHOWN(name));
}

/* --- operations and map --- */
static pl_code read_json(form *f, const char *what, pl_value **out, pl_error *err)
{
    static const pl_json_limits limits = {.unique_names = true, .skip_bom = true};
    pl_error inner = {0};
    *out = pl_arena_zalloc(f->arena, sizeof(**out));
    if (!*out || f->text.failed)
        return pl_fail_memory(err);
    pl_str text = f->text.len > 0 ? pl_buf_view(&f->text) : PL_STR("");
    if (pl_json_read(f->arena, text, &limits, *out, &inner) != PL_OK)
        return pl_fail(err, inner.code, "The part \"%s\": %s", what, inner.message);
    return PL_OK;
}

static bool to_index(pl_str step, size_t *out)
{
    *out = 0;
    if (step.len == 0 || step.len > 6)
        return false;
    for (size_t i = 0; i < step.len; i++) {
        if (step.ptr[i] < '0' || step.ptr[i] > '9')
            return false;
        *out = *out * 10 + (size_t)(step.ptr[i] - '0');
    }
    return true;
}

static const pl_value *step_down(const pl_value *v, pl_str step)
{
    size_t i;
    if (v->kind == PL_KIND_MAP)
        return pl_value_member(v, step);
    if (v->kind == PL_KIND_LIST && to_index(step, &i) && i < v->list.count)
        return &v->list.items[i];
    return NULL;
}

/* The null that a path of the map names; it stands in variables. */
static pl_code find_place(const form *f, pl_str path, pl_value **out, pl_error *err)
{
    const pl_value *v = f->operations;
    pl_str rest = path;
    bool batch = v->kind == PL_KIND_LIST;
    for (unsigned depth = 0; v && rest.ptr; depth++) {
        const char *dot = memchr(rest.ptr, '.', rest.len);
        pl_str step = {rest.ptr, dot ? (size_t)(dot - rest.ptr) : rest.len};
        rest = dot ? (pl_str){dot + 1, rest.len - step.len - 1} : PL_STR_NONE;
        if (depth == (batch ? 1 : 0) && !pl_str_is(step, "variables"))
            return refuse(err, "The map's path \"%.*s\" does not lead into the variables.", path);
        v = step_down(v, step);
    }
    if (!v)
        return refuse(err, "The map's path \"%.*s\" is not there in the operations.", path);
    if (v->kind == PL_KIND_UPLOAD)
        return refuse(err, "The map has the path \"%.*s\" twice.", path);
    if (v->kind != PL_KIND_NULL)
        return refuse(err, "At the map's path \"%.*s\" the operations must have null.", path);
    *out = (pl_value *)v; /* the tree is ours */
    return PL_OK;
}

/* One entry of the map: a file that must come, and where it goes. */
static pl_code map_file(form *f, const pl_member *entry, pl_error *err)
{
    const pl_value *paths = &entry->value;
    if (paths->kind != PL_KIND_LIST || paths->list.count == 0)
        return refuse(err, "The map must have a list of paths for \"%.*s\".", entry->name);
    file *one = pl_arena_zalloc(f->arena, sizeof *one);
    if (!one || !pl_map_set(&f->files, entry->name, one))
        return pl_fail_memory(err);
    one->upload.body = f->body;
    /* Each is looked for from the top, so there must not be many. */
    f->places += paths->list.count;
    if (f->places > (size_t)f->limits->max_files * PLACES_A_FILE)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "The map has more than %zu paths.",
                       (size_t)f->limits->max_files * PLACES_A_FILE);
    for (size_t i = 0; i < paths->list.count; i++) {
        pl_value *place = NULL;
        if (paths->list.items[i].kind != PL_KIND_STRING)
            return refuse(err, "The map must have a list of paths for \"%.*s\".", entry->name);
        if (find_place(f, paths->list.items[i].string, &place, err) != PL_OK)
            return err->code;
        *place = (pl_value){.kind = PL_KIND_UPLOAD, .upload = &one->upload};
    }
    return PL_OK;
}

static pl_code take_map(form *f, pl_error *err)
{
    pl_value *map;
    pl_code code = read_json(f, "map", &map, err);
    if (code)
        return code;
    if (map->kind != PL_KIND_MAP)
        return pl_fail(err, PL_INVALID_ARGUMENT, "The part \"map\" must be a JSON object.");
    if (map->map.count > f->limits->max_files)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "The request has more than %u files.",
                       f->limits->max_files);
    for (size_t i = 0; i < map->map.count && code == PL_OK; i++)
        code = map_file(f, &map->map.members[i], err);
    f->mapped = true;
    return code;
}

/* --- parts --- */
static pl_code begin_text(form *f, pl_error *err, const char *what)
{
    pl_buf_reset(&f->text, 4096);
    f->text.limit = f->limits->max_json;
    if (f->in == IN_OPERATIONS ? f->operations != NULL : f->mapped)
        return pl_fail(err, PL_INVALID_ARGUMENT, "The form has the part \"%s\" twice.", what);
    if (f->in == IN_MAP && !f->operations)
        return pl_fail(err, PL_INVALID_ARGUMENT,
                       "The part \"operations\" must come before the part \"map\".");
    return PL_OK;
}

static pl_code begin_file(form *f, const pl_multipart_part *part, uint64_t at, pl_error *err)
{
    if (!f->mapped)
        return refuse(err, "The parts \"operations\" and \"map\" must come before the file \"%.*s\".",
                      part->name);
    f->file = pl_map_get(&f->files, part->name);
    if (!f->file)
        return refuse(err, "The part \"%.*s\" is not in the map.", part->name);
    if (f->file->there)
        return refuse(err, "The form has the part \"%.*s\" twice.", part->name);
    if (!part->filename.ptr)
        return refuse(err, "The part \"%.*s\" is no file: it has no filename.", part->name);
    pl_upload *u = &f->file->upload;
    f->file->there = true;
    f->name = pl_arena_str(f->arena, part->name);
    u->at = at;
    u->filename = pl_arena_str(f->arena, part->filename);
    u->content_type = pl_arena_str(f->arena, part->content_type.ptr ? part->content_type
                                                                    : PL_STR("application/octet-stream"));
    return f->name.ptr && u->filename.ptr && u->content_type.ptr ? PL_OK : pl_fail_memory(err);
}

static pl_code begin(void *data, const pl_multipart_part *part, uint64_t at, pl_error *err)
{
    form *f = data;
    f->in = pl_str_is(part->name, "operations") ? IN_OPERATIONS
            : pl_str_is(part->name, "map")      ? IN_MAP
                                                : IN_FILE;
    if (f->in == IN_FILE)
        return begin_file(f, part, at, err);
    return begin_text(f, err, f->in == IN_OPERATIONS ? "operations" : "map");
}

static pl_code bytes(void *data, pl_str b, pl_error *err)
{
    form *f = data;
    if (f->in != IN_FILE) {
        if (f->text.len + b.len > f->limits->max_json)
            return pl_fail(err, PL_RESOURCE_EXHAUSTED, "The part \"%s\" is larger than %zu bytes.",
                           f->in == IN_MAP ? "map" : "operations", f->limits->max_json);
        pl_buf_str(&f->text, b);
        return PL_OK;
    }
    pl_upload *u = &f->file->upload;
    u->size += b.len;
    if (u->size > f->limits->max_file_size)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "The file \"%.*s\" is larger than %zu bytes.",
                       SHOWN(f->name), f->limits->max_file_size);
    return PL_OK;
}

static pl_code end(void *data, pl_error *err)
{
    form *f = data;
    switch (f->in) {
    case IN_OPERATIONS:
        return read_json(f, "operations", &f->operations, err);
    case IN_MAP:
        return take_map(f, err);
    case IN_FILE:
        break;
    }
    return PL_OK;
}

/* --- the whole --- */

/* From a descriptor piece by piece, so that memory is not filled with what is on disk. */
static pl_code feed_file(pl_multipart *m, const pl_upload_body *body, uint64_t len, pl_error *err)
{
    char *room = pl_malloc(PIECE);
    pl_code code = room ? PL_OK : pl_fail_memory(err);
    for (uint64_t done = 0; code == PL_OK && done < len;) {
        ssize_t n = pread(body->fd, room, len - done < PIECE ? (size_t)(len - done) : PIECE,
                          (off_t)(body->fd_at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            code = pl_fail(err, PL_UNAVAILABLE, "The body of the request cannot be read.");
        else
            code = pl_multipart_feed(m, (pl_str){room, (size_t)n}, err);
        done += n > 0 ? (uint64_t)n : 0;
    }
    pl_free(room);
    return code;
}

static pl_code check_complete(const form *f, pl_error *err)
{
    if (!f->operations)
        return pl_fail(err, PL_INVALID_ARGUMENT, "The form has no part \"operations\".");
    if (!f->mapped)
        return pl_fail(err, PL_INVALID_ARGUMENT, "The form has no part \"map\".");
    for (size_t i = 0; i < f->files.count; i++) {
        if (!((const file *)f->files.entries[i].value)->there)
            return refuse(err, "The file \"%.*s\" of the map is missing.", f->files.entries[i].key);
    }
    return PL_OK;
}

pl_code pl_uploads_read(pl_upload_body *body, uint64_t len, pl_str content_type,
                        const pl_uploads_limits *limits, pl_arena *arena, pl_value *out, pl_error *err)
{
    static const pl_multipart_handler handler = {begin, bytes, end};
    form f = {.body = body, .limits = limits, .arena = arena};
    pl_str boundary;
    pl_code code = pl_multipart_boundary(content_type, &boundary, err);
    if (code)
        return code;
    pl_multipart *m = pl_malloc(sizeof *m);
    if (!m)
        return pl_fail_memory(err);
    pl_buf_init(&f.text);
    pl_map_init(&f.files);
    pl_multipart_init(m, boundary, limits->max_files + 2, &handler, &f);
    code = body->fd >= 0 ? feed_file(m, body, len, err)
                         : pl_multipart_feed(m, (pl_str){body->bytes, (size_t)len}, err);
    if (code == PL_OK)
        code = pl_multipart_finish(m, err);
    if (code == PL_OK)
        code = check_complete(&f, err);
    if (code == PL_OK)
        *out = *f.operations;
    pl_map_dispose(&f.files);
    pl_buf_dispose(&f.text);
    pl_free(m);
    return code;
}
