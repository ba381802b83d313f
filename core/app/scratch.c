/* SPDX-License-Identifier: MIT */
#include "app/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/bundle.h"

bool pl_scratch_open(pl_scratch *s)
{
    const char *directory = getenv("TMPDIR");
    if (!directory || !directory[0])
        directory = "/tmp";
    s->made = false;
    if ((size_t)snprintf(s->path, sizeof s->path, "%s/perilune-XXXXXX", directory) >= sizeof s->path) {
        errno = ENAMETOOLONG;
        return false;
    }
    s->made = mkdtemp(s->path) != NULL;
    return s->made;
}

static bool write_all(int fd, pl_str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            bytes = (pl_str){bytes.ptr + n, bytes.len - (size_t)n};
    }
    return true;
}

bool pl_scratch_write(const pl_scratch *s, pl_str path, pl_str bytes)
{
    char whole[PATH_MAX];
    size_t root = strlen(s->path) + 1;
    if (!pl_bundle_is_path(path)) {
        errno = EINVAL;
        return false;
    }
    if ((size_t)snprintf(whole, sizeof whole, "%s/%.*s", s->path, PL_STR_ARG(path)) >= sizeof whole) {
        errno = ENAMETOOLONG;
        return false;
    }
    for (char *slash = strchr(whole + root, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(whole, 0700) != 0 && errno != EEXIST)
            return false;
        *slash = '/';
    }
    int fd = open(whole, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool ok = write_all(fd, bytes);
    int error = errno;
    if (close(fd) != 0 && ok) {
        ok = false;
        error = errno;
    }
    errno = error;
    return ok;
}

bool pl_scratch_read(const pl_scratch *s, const char *name, size_t max, pl_buf *out)
{
    char whole[PATH_MAX];
    ssize_t n = 0;
    if ((size_t)snprintf(whole, sizeof whole, "%s/%s", s->path, name) >= sizeof whole) {
        errno = ENAMETOOLONG;
        return false;
    }
    int fd = open(whole, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t begin = out->len;
    while (out->len - begin <= max && pl_buf_reserve(out, 65536) &&
           (n = read(fd, out->data + out->len, 65536)) > 0)
        out->len += (size_t)n;
    int error = n < 0 ? errno : out->failed ? ENOMEM : out->len - begin > max ? EFBIG : 0;
    close(fd);
    errno = error;
    return error == 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path) != 0 && errno != ENOENT;
}

void pl_scratch_remove(pl_scratch *s)
{
    if (s->made)
        nftw(s->path, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    s->made = false;
}
