/* SPDX-License-Identifier: MIT */
#include "app/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/give_way.h"

#define MAX_BYTES ((size_t)64 << 20)
#define MAX_FILES 20000
#define MAX_DEPTH 32
#define READ_BYTES 65536

typedef struct reader {
    pl_bundle *bundle;
    const char *root; /* absolute; NULL in memory */
    size_t capacity, bytes;
    pl_error *err;
} reader;

static bool ends_with(pl_str s, const char *ending)
{
    size_t n = strlen(ending);
    return s.len >= n && memcmp(s.ptr + s.len - n, ending, n) == 0;
}

bool pl_bundle_wants(pl_str name)
{
    static const char *const endings[] = {
        ".lua",          ".graphql",       ".graphqls",    ".gql", ".proto",    ".binpb",    ".pb",
        "manifest.json", "documents.json", "queries.json", ".pem", "jwks.json", "keys.json", "schema.json"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (ends_with(name, endings[i]))
            return true;
    }
    return false;
}

bool pl_bundle_is_path(pl_str path)
{
    size_t begin = 0;
    for (size_t i = 0; i <= path.len; i++) {
        if (i < path.len && path.ptr[i] == '\0')
            return false;
        if (i < path.len && path.ptr[i] != '/')
            continue;
        pl_str part = {path.ptr + begin, i - begin};
        if (part.len == 0 || pl_str_is(part, ".") || pl_str_is(part, ".."))
            return false;
        begin = i + 1;
    }
    return true;
}

static pl_code add_file(reader *r, pl_str path, pl_str bytes)
{
    pl_bundle *b = r->bundle;
    if (b->file_count == MAX_FILES)
        return pl_fail(r->err, PL_RESOURCE_EXHAUSTED, "the bundle has more than %d files", MAX_FILES);
    if (b->file_count == r->capacity) {
        size_t capacity = r->capacity ? r->capacity * 2 : 64;
        pl_file *files = pl_realloc(b->files, capacity * sizeof *files);
        if (!files)
            return pl_fail_memory(r->err);
        b->files = files;
        r->capacity = capacity;
    }
    r->bytes += bytes.len;
    if (r->bytes > MAX_BYTES)
        return pl_fail(r->err, PL_RESOURCE_EXHAUSTED, "the bundle is larger than %zu MiB", MAX_BYTES >> 20);
    pl_file *file = &b->files[b->file_count];
    file->path = pl_arena_str(&b->arena, path);
    file->bytes = pl_arena_str(&b->arena, bytes);
    if (!file->path.ptr || !file->bytes.ptr)
        return pl_fail_memory(r->err);
    b->file_count++;
    return PL_OK;
}

/* What has gone since it was listed is as if it had never been there. Of anything else nothing may be
 * missing. */
static pl_code cannot_read(reader *r, const char *path)
{
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
        return PL_OK;
    return pl_fail_at(r->err, errno == ENOMEM ? PL_RESOURCE_EXHAUSTED : PL_UNAVAILABLE, path, 0, 0,
                      "cannot be read: %s", strerror(errno));
}

static pl_code read_file(reader *r, int dir, const char *name, const char *path)
{
    pl_buf bytes;
    pl_buf_init(&bytes);
    bytes.limit = MAX_BYTES + READ_BYTES; /* so that add_file sees one that is too large */
    pl_code code = PL_OK;
    ssize_t n = READ_BYTES;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        code = cannot_read(r, path);
        goto done;
    }
    while (n == READ_BYTES && pl_buf_reserve(&bytes, READ_BYTES)) { /* of a file, less is its end */
        n = read(fd, bytes.data + bytes.len, READ_BYTES);
        bytes.len += n > 0 ? (size_t)n : 0;
    }
    if (bytes.failed && bytes.len <= MAX_BYTES)
        code = pl_fail_memory(r->err);
    else if (n < 0)
        code = pl_fail_at(r->err, PL_UNAVAILABLE, path, 0, 0, "cannot be read: %s", strerror(errno));
    else
        code = add_file(r, pl_str_of(path), bytes.len ? pl_buf_view(&bytes) : PL_STR(""));
done:
    if (fd >= 0)
        close(fd);
    pl_buf_dispose(&bytes);
    return code;
}

/* Whether the link at path leads to a place in the bundle's own directory. */
static bool stays_inside(const reader *r, const char *path)
{
    char link[PATH_MAX], target[PATH_MAX];
    size_t n = strlen(r->root);
    if ((size_t)snprintf(link, sizeof link, "%s/%s", r->root, path) >= sizeof link || !realpath(link, target))
        return false;
    return strncmp(target, r->root, n) == 0 && (n == 1 || target[n] == '/'); /* the root may be "/" itself */
}

static pl_code read_directory(reader *r, int fd, const char *prefix, unsigned depth);

/* S_IFREG…: as the directory tells it, which costs nothing, or else the file system. */
static bool find_type(int dir, const struct dirent *entry, mode_t *type)
{
    struct stat st;
    *type = DTTOIF(entry->d_type);
    if (entry->d_type != DT_UNKNOWN)
        return true;
    bool found = fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    *type = found ? st.st_mode & S_IFMT : 0;
    return found;
}

static pl_code read_link(reader *r, int dir, const char *name, const char *path)
{
    struct stat st;
    if (!stays_inside(r, path))
        return PL_OK;
    if (fstatat(dir, name, &st, 0) != 0)
        return cannot_read(r, path);
    return S_ISREG(st.st_mode) ? read_file(r, dir, name, path) : PL_OK;
}

static pl_code read_entry(reader *r, int dir, const char *prefix, const struct dirent *entry, unsigned depth)
{
    pl_give_way();
    char path[PATH_MAX];
    const char *name = entry->d_name;
    mode_t type;
    if (name[0] == '.' || strcmp(name, "node_modules") == 0)
        return PL_OK;
    if ((size_t)snprintf(path, sizeof path, "%s%s", prefix, name) >= sizeof path - 1)
        return PL_OK;
    if (!find_type(dir, entry, &type))
        return cannot_read(r, path);
    if (type == S_IFLNK && pl_bundle_wants(pl_str_of(name)))
        return read_link(r, dir, name, path);
    if (type == S_IFREG && pl_bundle_wants(pl_str_of(name)))
        return read_file(r, dir, name, path);
    if (type != S_IFDIR || depth == MAX_DEPTH)
        return PL_OK;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return cannot_read(r, path);
    strcat(path, "/");
    return read_directory(r, fd, path, depth + 1);
}

/* Takes over fd. */
static pl_code read_directory(reader *r, int fd, const char *prefix, unsigned depth)
{
    pl_code code = PL_OK;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return pl_fail_memory(r->err);
    }
    for (struct dirent *entry; code == PL_OK && (entry = readdir(dir));)
        code = read_entry(r, dirfd(dir), prefix, entry, depth);
    closedir(dir);
    return code;
}

static int compare_files(const void *a, const void *b)
{
    return pl_str_cmp(((const pl_file *)a)->path, ((const pl_file *)b)->path);
}

static pl_code hash_files(pl_bundle *b, pl_error *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; ok && i < b->file_count; i++) {
        const pl_file *f = &b->files[i];
        pl_give_way();
        uint64_t lengths[2] = {f->path.len, f->bytes.len};
        ok = EVP_DigestUpdate(md, lengths, sizeof lengths) == 1 &&
             EVP_DigestUpdate(md, f->path.ptr, f->path.len) == 1 &&
             EVP_DigestUpdate(md, f->bytes.ptr, f->bytes.len) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(md, digest, &n) == 1;
    EVP_MD_CTX_free(md);
    if (!ok)
        return pl_fail(err, PL_INTERNAL, "the bundle could not be hashed");
    for (unsigned i = 0; i < n && i < 32; i++)
        snprintf(b->hash + 2 * i, 3, "%02x", digest[i]);
    return PL_OK;
}

static pl_bundle *bundle_new(pl_error *err)
{
    pl_bundle *b = pl_calloc(1, sizeof *b);
    if (!b) {
        pl_fail_memory(err);
        return NULL;
    }
    pl_arena_init(&b->arena, 65536);
    atomic_init(&b->refs, 1);
    return b;
}

static pl_bundle *bundle_finish(pl_bundle *b, pl_code code, pl_error *err)
{
    if (code == PL_OK && b->file_count > 0)
        qsort(b->files, b->file_count, sizeof *b->files, compare_files);
    for (size_t i = 1; code == PL_OK && i < b->file_count; i++) {
        if (pl_str_eq(b->files[i - 1].path, b->files[i].path))
            code = pl_fail_at(err, PL_INVALID_ARGUMENT, b->files[i].path.ptr, 0, 0,
                              "there are two files of this name");
    }
    if (code == PL_OK)
        code = hash_files(b, err);
    if (code == PL_OK)
        return b;
    pl_bundle_unref(b);
    return NULL;
}

pl_bundle *pl_bundle_read(const char *directory, pl_error *err)
{
    char absolute[PATH_MAX];
    if (!realpath(directory, absolute)) {
        pl_fail(err, PL_NOT_FOUND, "%s: %s", directory, strerror(errno));
        return NULL;
    }
    int fd = open(absolute, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        pl_fail(err, PL_NOT_FOUND, "%s: %s", directory, strerror(errno));
        return NULL;
    }
    pl_bundle *b = bundle_new(err);
    if (!b) {
        close(fd);
        return NULL;
    }
    reader r = {.bundle = b, .root = absolute, .err = err};
    pl_code code = read_directory(&r, fd, "", 0);
    b->directory = pl_arena_str(&b->arena, pl_str_of(absolute));
    if (code == PL_OK && !b->directory.ptr)
        code = pl_fail_memory(err);
    if (code == PL_OK && b->file_count == 0)
        code = pl_fail(err, PL_NOT_FOUND,
                       "%s: no bundle here: there is no app.lua, schema/*.graphql or any other bundle file",
                       directory);
    return bundle_finish(b, code, err);
}

pl_bundle *pl_bundle_from_memory(const pl_file *files, size_t count, pl_error *err)
{
    pl_bundle *b = bundle_new(err);
    if (!b)
        return NULL;
    reader r = {.bundle = b, .err = err};
    pl_code code = PL_OK;
    b->directory = PL_STR("");
    for (size_t i = 0; i < count && code == PL_OK; i++)
        code = add_file(&r, files[i].path, files[i].bytes);
    return bundle_finish(b, code, err);
}

pl_bundle *pl_bundle_ref(pl_bundle *b)
{
    atomic_fetch_add(&b->refs, 1);
    return b;
}

void pl_bundle_unref(pl_bundle *b)
{
    if (!b || atomic_fetch_sub(&b->refs, 1) != 1)
        return;
    pl_arena_dispose(&b->arena);
    pl_free(b->files);
    pl_free(b);
}

const pl_file *pl_bundle_find(const pl_bundle *b, pl_str path)
{
    size_t low = 0, high = b->file_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = pl_str_cmp(path, b->files[middle].path);
        if (c == 0)
            return &b->files[middle];
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

bool pl_file_is(const pl_file *file, const char *folder, const char *ending)
{
    return pl_str_starts(file->path, pl_str_of(folder)) && ends_with(file->path, ending);
}
