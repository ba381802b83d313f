/* SPDX-License-Identifier: MIT */
#include "app/files_watch.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/bundle.h"
#include "base/alloc.h"

#define QUIET_MS 50
#define MAX_DEPTH 32
#define MAX_DELAY_MS 1000 /* a change counts after this even when files keep moving */

struct pl_files_watch {
    int fd;
    pl_str directory;
    pl_arena arena;
    uint64_t first_change, last_change; /* 0: none */
};

static bool is_ignored(const char *name)
{
    size_t n = strlen(name);
    return name[0] == '.' || strcmp(name, "node_modules") == 0 || (n > 0 && name[n - 1] == '~');
}

/* False, with errno, when path itself cannot be watched, or there is no watch left for something below. What
 * else cannot be watched below does not matter: it has gone, or cannot be read for the bundle either. */
static bool add_tree(pl_files_watch *w, const char *path, unsigned depth)
{
    if (inotify_add_watch(w->fd, path,
                          IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR) <
        0)
        return false;
    DIR *dir = depth < MAX_DEPTH ? opendir(path) : NULL;
    bool ok = true;
    for (struct dirent *entry; ok && dir && (entry = readdir(dir));) {
        char below[PATH_MAX];
        struct stat st;
        if (is_ignored(entry->d_name) ||
            (size_t)snprintf(below, sizeof below, "%s/%s", path, entry->d_name) >= sizeof below)
            continue;
        if (lstat(below, &st) == 0 && S_ISDIR(st.st_mode))
            ok = add_tree(w, below, depth + 1) || (errno != ENOSPC && errno != ENOMEM);
    }
    int failure = errno;
    if (dir)
        closedir(dir);
    errno = failure;
    return ok;
}

pl_files_watch *pl_files_watch_new(const char *directory, pl_error *err)
{
    pl_files_watch *w = pl_calloc(1, sizeof *w);
    if (!w) {
        pl_fail_memory(err);
        return NULL;
    }
    pl_arena_init(&w->arena, 512);
    w->directory = pl_arena_str(&w->arena, pl_str_of(directory));
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd >= 0 && w->directory.ptr && add_tree(w, w->directory.ptr, 0))
        return w;
    if (!w->directory.ptr)
        pl_fail_memory(err);
    else
        pl_fail(err, errno == ENOENT || errno == ENOTDIR ? PL_NOT_FOUND : PL_RESOURCE_EXHAUSTED,
                "%s cannot be watched: %s%s", directory, strerror(errno),
                errno == ENOSPC ? " (the limit is fs.inotify.max_user_watches)" : "");
    pl_files_watch_free(w);
    return NULL;
}

void pl_files_watch_free(pl_files_watch *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    pl_arena_dispose(&w->arena);
    pl_free(w);
}

int pl_files_watch_fd(const pl_files_watch *w)
{
    return w->fd;
}

static bool counts(const struct inotify_event *event)
{
    if (event->mask & IN_Q_OVERFLOW)
        return true;
    if (event->len == 0 || is_ignored(event->name))
        return false;
    return (event->mask & IN_ISDIR) || pl_bundle_wants(pl_str_of(event->name));
}

void pl_files_watch_work(pl_files_watch *w, uint64_t now)
{
    char bytes[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool new_directory = false;
    for (ssize_t n; (n = read(w->fd, bytes, sizeof bytes)) > 0;) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event = (const struct inotify_event *)(bytes + at);
            if (counts(event)) {
                w->last_change = now;
                if (w->first_change == 0)
                    w->first_change = now;
                new_directory |= (event->mask & (IN_ISDIR | IN_Q_OVERFLOW)) != 0;
            }
            at += (ssize_t)(sizeof *event + event->len);
        }
    }
    if (new_directory)
        add_tree(w, w->directory.ptr, 0); /* a directory that is watched already is only named again */
}

static uint64_t due(const pl_files_watch *w)
{
    uint64_t quiet = w->last_change + QUIET_MS, latest = w->first_change + MAX_DELAY_MS;
    return quiet < latest ? quiet : latest;
}

int pl_files_watch_wait(const pl_files_watch *w, uint64_t now)
{
    if (w->first_change == 0)
        return -1;
    return due(w) <= now ? 0 : (int)(due(w) - now);
}

bool pl_files_watch_changed(pl_files_watch *w, uint64_t now)
{
    if (w->first_change == 0 || due(w) > now)
        return false;
    w->first_change = w->last_change = 0;
    return true;
}
