/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "bindings/lua/upload.h"

#define PIECE ((size_t)256 << 10)

typedef pl_code take_piece(void *data, const char *bytes, size_t len, pl_error *err);

static pl_code each_piece(const plua_upload_source *s, take_piece *take, void *data, pl_error *err)
{
    if (s->fd < 0)
        return s->size > 0 ? take(data, s->bytes + s->at, (size_t)s->size, err) : PL_OK;
    char *room = pl_malloc(PIECE);
    pl_code code = room ? PL_OK : pl_fail_memory(err);
    for (uint64_t done = 0; code == PL_OK && done < s->size;) {
        size_t n = s->size - done < PIECE ? (size_t)(s->size - done) : PIECE;
        ssize_t got = pread(s->fd, room, n, (off_t)(s->at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (atomic_load(s->stop))
            code = pl_fail(err, PL_CANCELLED, "cancelled");
        else if (got <= 0)
            code = pl_fail(err, PL_UNAVAILABLE, "the upload cannot be read: %s",
                           got < 0 ? strerror(errno) : "its file is too short");
        else
            code = take(data, room, (size_t)got, err);
        done += got > 0 ? (size_t)got : 0;
    }
    pl_free(room);
    return code;
}

/* --- SHA-256 --- */
static pl_code hash_piece(void *data, const char *bytes, size_t len, pl_error *err)
{
    return EVP_DigestUpdate(data, bytes, len) == 1 ? PL_OK : pl_fail_memory(err);
}

pl_code plua_upload_sha256(const plua_upload_source *source, char out[65], pl_error *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    pl_code code = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 ? PL_OK : pl_fail_memory(err);
    if (code == PL_OK)
        code = each_piece(source, hash_piece, md, err);
    if (code == PL_OK && EVP_DigestFinal_ex(md, digest, &n) != 1)
        code = pl_fail_memory(err);
    EVP_MD_CTX_free(md);
    for (unsigned i = 0; code == PL_OK && i < n && i < 32; i++)
        snprintf(out + (size_t)2 * i, 3, "%02x", digest[i]);
    return code;
}

/* --- saving --- */
bool plua_upload_path_is_sound(pl_str path)
{
    if (path.len == 0 || path.len >= PATH_MAX || memchr(path.ptr, '\0', path.len))
        return false;
    for (size_t begin = 0; begin <= path.len;) {
        const char *slash = memchr(path.ptr + begin, '/', path.len - begin);
        size_t end = slash ? (size_t)(slash - path.ptr) : path.len;
        pl_str part = {path.ptr + begin, end - begin};
        if (part.len == 0 || part.len > NAME_MAX || pl_str_is(part, ".") || pl_str_is(part, ".."))
            return false;
        begin = end + 1;
    }
    return true;
}

typedef struct target {
    const char *path;
    int directory; /* of the file */
    int fd;
    char name[32]; /* until it is whole */
} target;

static pl_code failed(const target *t, pl_error *err, const char *what)
{
    pl_code code = errno == ENOENT                                       ? PL_NOT_FOUND
                   : errno == EACCES || errno == EPERM || errno == EROFS ? PL_PERMISSION_DENIED
                   : errno == ENOSPC || errno == EDQUOT                  ? PL_RESOURCE_EXHAUSTED
                                                                         : PL_UNAVAILABLE;
    return pl_fail(err, code, "%s: %s: %s", t->path, what, strerror(errno));
}

/* Steps into one folder below t->directory, which is made when it is not there. */
static pl_code step_into(target *t, const char *name, pl_error *err)
{
    if (mkdirat(t->directory, name, 0777) != 0 && errno != EEXIST)
        return failed(t, err, "a folder cannot be made");
    int fd = openat(t->directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return failed(t, err, "a folder cannot be opened");
    close(t->directory);
    t->directory = fd;
    return PL_OK;
}

/* Opens the folder of the file; *name is what follows. */
static pl_code open_folder(target *t, const char *directory, const char **name, pl_error *err)
{
    char part[NAME_MAX + 1];
    t->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->directory < 0)
        return pl_fail(err, PL_FAILED_PRECONDITION, "the setting http.uploads.directory: %s: %s", directory,
                       strerror(errno));
    *name = t->path;
    for (const char *slash; (slash = strchr(*name, '/')); *name = slash + 1) {
        size_t n = (size_t)(slash - *name);
        memcpy(part, *name, n);
        part[n] = '\0';
        if (step_into(t, part, err) != PL_OK)
            return err->code;
    }
    return PL_OK;
}

static pl_code create(target *t, pl_error *err)
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return failed(t, err, "there are no random numbers");
    snprintf(t->name, sizeof t->name, ".upload-%016llx", (unsigned long long)number);
    t->fd = openat(t->directory, t->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    return t->fd >= 0 ? PL_OK : failed(t, err, "the file cannot be made");
}

static pl_code write_piece(void *data, const char *bytes, size_t len, pl_error *err)
{
    target *t = data;
    while (len > 0) {
        ssize_t n = write(t->fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(t, err, "the file cannot be written");
        bytes += n;
        len -= (size_t)n;
    }
    return PL_OK;
}

pl_code plua_upload_save(const plua_upload_source *source, const char *directory, const char *path,
                         pl_error *err)
{
    target t = {.path = path, .directory = -1, .fd = -1};
    const char *name = NULL;
    pl_code code = open_folder(&t, directory, &name, err);
    if (code == PL_OK)
        code = create(&t, err);
    if (code == PL_OK)
        code = each_piece(source, write_piece, &t, err);
    if (t.fd >= 0) {
        if (close(t.fd) != 0 && code == PL_OK)
            code = failed(&t, err, "the file cannot be written");
        if (code == PL_OK && renameat(t.directory, t.name, t.directory, name) != 0)
            code = failed(&t, err, "the file cannot get its name");
        if (code)
            unlinkat(t.directory, t.name, 0);
    }
    if (t.directory >= 0)
        close(t.directory);
    return code;
}
