/* SPDX-License-Identifier: MIT */
#include "app/protoc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/scratch.h"
#include "base/clock.h"

#define DEFAULT_TIMEOUT_MS 30000
#define MAX_PRINTED ((size_t)1 << 20)
#define MAX_SET ((size_t)64 << 20)
#define FOLDER "proto/"

typedef struct job {
    const pl_protoc_input *input;
    const char *program;
    pl_report *report;
    pl_scratch scratch; /* its directory */
    pl_buf arguments;   /* of sets: --descriptor_set_in=a:b */
    pl_buf printed;
} job;

static bool fails(job *j, const char *file, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static bool fails(job *j, const char *file, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    pl_report_error(j->report, file, 0, 0, "%s", text);
    return false;
}

static const char *first_file(const pl_bundle *bundle)
{
    for (size_t i = 0; i < bundle->file_count; i++) {
        if (pl_file_is(&bundle->files[i], FOLDER, ".proto"))
            return bundle->files[i].path.ptr;
    }
    return NULL;
}

/* --- the directory --- */
static bool cannot_write(job *j, int error)
{
    return fails(j, NULL,
                 "the .proto files cannot be compiled: %s: %s (TMPDIR names the directory for temporary "
                 "files; a descriptor set, proto/*.binpb, needs none)",
                 j->scratch.path, strerror(error));
}

/* proto/…, set-0.binpb, …, and `files`, the list of what is to be compiled. */
static bool write_files(job *j)
{
    const pl_bundle *bundle = j->input->bundle;
    pl_buf list;
    bool ok = true;
    pl_buf_init(&list);
    PL_BUF_LIT(&j->arguments, "--descriptor_set_in=");
    for (size_t i = 0; ok && i < bundle->file_count; i++) {
        const pl_file *file = &bundle->files[i];
        if (!pl_file_is(file, FOLDER, ".proto"))
            continue;
        ok = pl_scratch_write(&j->scratch, file->path, file->bytes);
        pl_buf_printf(&list, "%.*s\n", PL_STR_ARG(file->path));
    }
    for (size_t i = 0; ok && i < j->input->set_count; i++) {
        char name[32];
        snprintf(name, sizeof name, "set-%zu.binpb", i);
        ok = pl_scratch_write(&j->scratch, pl_str_of(name), j->input->sets[i]);
        pl_buf_printf(&j->arguments, "%s%s", i ? ":" : "", name);
    }
    pl_buf_char(&j->arguments, '\0');
    ok = ok && pl_scratch_write(&j->scratch, PL_STR("files"), pl_buf_view(&list));
    int error = list.failed || j->arguments.failed ? ENOMEM : errno;
    ok = (ok && !list.failed && !j->arguments.failed) || cannot_write(j, error);
    pl_buf_dispose(&list);
    return ok;
}

/* --- the process --- */
static int configure(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
                     const char *directory, int out)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int error = posix_spawnattr_setsigmask(attributes, &none);
    if (!error)
        error = posix_spawnattr_setsigdefault(attributes, &all);
    if (!error)
        error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!error)
        error = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    if (!error)
        error = posix_spawn_file_actions_adddup2(actions, out, 1);
    if (!error)
        error = posix_spawn_file_actions_adddup2(actions, out, 2);
    if (!error)
        error = posix_spawn_file_actions_addchdir_np(actions, directory);
#if __GLIBC_PREREQ(2, 34)
    if (!error)
        error = posix_spawn_file_actions_addclosefrom_np(actions, 3);
#endif
    return error;
}

static int spawn(job *j, int out, pid_t *pid)
{
    extern char **environ;
    const char *arguments[] = {"protoc",
                               "--proto_path=proto",
                               "--include_imports",
                               "--descriptor_set_out=out.binpb",
                               "@files",
                               j->input->set_count ? j->arguments.data : NULL,
                               NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (!error) {
        error = configure(&actions, &attributes, j->scratch.path, out);
        if (!error)
            error = posix_spawnp(pid, j->program, &actions, &attributes, (char *const *)arguments, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Reads what it prints until it has closed its side. False: time is up. What is too much is not kept. */
static bool read_all(job *j, int in)
{
    unsigned timeout = j->input->timeout_ms ? j->input->timeout_ms : DEFAULT_TIMEOUT_MS;
    long long end = (long long)pl_clock_ms() + timeout;
    for (;;) {
        char piece[4096];
        struct pollfd fd = {.fd = in, .events = POLLIN};
        long long left = end - (long long)pl_clock_ms();
        int ready = left > 0 ? poll(&fd, 1, (int)left) : 0;
        if (ready == 0)
            return false;
        ssize_t n = ready > 0 ? read(in, piece, sizeof piece) : -1;
        if (n == 0 || (n < 0 && errno != EINTR))
            return true;
        if (n > 0 && j->printed.len < MAX_PRINTED)
            pl_buf_append(&j->printed, piece, (size_t)n);
    }
}

static bool cannot_start(job *j, int error)
{
    if (error == ENOENT)
        return fails(
            j, first_file(j->input->bundle),
            "the program %s, which compiles .proto files, is not there: install it (Debian's package "
            "is protobuf-compiler), let PERILUNE_PROTOC name it, or put descriptor sets into the "
            "bundle (protoc --include_imports --descriptor_set_out=proto/all.binpb …).",
            j->program);
    return fails(j, NULL, "%s cannot be started: %s", j->program, strerror(error));
}

/* True when protoc has ended with 0. */
static bool run(job *j)
{
    int fds[2], status = 0;
    pid_t pid;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return cannot_start(j, errno);
    int error = spawn(j, fds[1], &pid);
    close(fds[1]);
    if (error) {
        close(fds[0]);
        return cannot_start(j, error);
    }
    bool in_time = read_all(j, fds[0]);
    close(fds[0]);
    if (!in_time)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!in_time)
        return fails(j, first_file(j->input->bundle),
                     "%s has not compiled the .proto files in time, and was ended.", j->program);
    bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    pl_protoc_messages(pl_buf_view(&j->printed), !ok, j->input->bundle, j->report);
    if (!ok && !pl_report_has_errors(j->report))
        fails(j, first_file(j->input->bundle), "%s has failed, and has not said why.", j->program);
    return ok;
}

bool pl_protoc_run(const pl_protoc_input *input, pl_report *report, pl_buf *out)
{
    job j = {.input = input, .program = input->program ? input->program : "protoc", .report = report};
    bool ok = false;
    pl_buf_init(&j.arguments);
    pl_buf_init(&j.printed);
    if (!pl_scratch_open(&j.scratch)) {
        cannot_write(&j, errno);
        goto done;
    }
    if (!write_files(&j) || !run(&j))
        goto done;
    ok = pl_scratch_read(&j.scratch, "out.binpb", MAX_SET, out) || cannot_write(&j, errno);
done:
    pl_scratch_remove(&j.scratch);
    pl_buf_dispose(&j.arguments);
    pl_buf_dispose(&j.printed);
    return ok;
}

/* --- what it has printed --- */
typedef struct place {
    pl_str file, text;
    uint32_t line, column;
} place;

static bool take_number(pl_str *s, uint32_t *out)
{
    size_t n = 0;
    *out = 0;
    while (n < s->len && n < 8 && s->ptr[n] >= '0' && s->ptr[n] <= '9')
        *out = *out * 10 + (uint32_t)(s->ptr[n++] - '0');
    if (n == 0 || n == s->len || s->ptr[n] != ':')
        return false;
    *s = (pl_str){s->ptr + n + 1, s->len - n - 1};
    return true;
}

/* "user.proto:3:1: text" */
static bool read_place(pl_str line, place *out)
{
    for (size_t i = 1; i < line.len; i++) {
        pl_str rest = {line.ptr + i + 1, line.len - i - 1};
        if (line.ptr[i] != ':' || !take_number(&rest, &out->line) || !take_number(&rest, &out->column))
            continue;
        out->file = (pl_str){line.ptr, i};
        out->text = rest.len > 0 && rest.ptr[0] == ' ' ? (pl_str){rest.ptr + 1, rest.len - 1} : rest;
        return true;
    }
    return false;
}

static bool contains(pl_str s, const char *part)
{
    return memmem(s.ptr, s.len, part, strlen(part)) != NULL;
}

static const char *hint(const place *p, const char *path, const pl_bundle *bundle)
{
    const pl_file *file = pl_bundle_find(bundle, pl_str_of(path));
    if (contains(p->text, "was not found or had errors"))
        return " (imports are relative to proto/, or in a descriptor set there)";
    if (p->line == 1 && contains(p->text, "top-level statement") && file && contains(file->bytes, "edition"))
        return " (this protoc is too old for editions: let PERILUNE_PROTOC name a newer one, or give a "
               "descriptor set)";
    return "";
}

static void add_placed(const place *p, const pl_bundle *bundle, pl_report *report)
{
    char path[PATH_MAX];
    pl_str text = p->text, mark = PL_STR("warning: ");
    snprintf(path, sizeof path, FOLDER "%.*s", PL_STR_ARG(p->file));
    if (pl_str_starts(text, mark))
        pl_report_warning(report, path, p->line, p->column, "%.*s", (int)(text.len - mark.len),
                          text.ptr + mark.len);
    else
        pl_report_error(report, path, p->line, p->column, "%.*s%s", PL_STR_ARG(text), hint(p, path, bundle));
}

/* "[libprotobuf WARNING compiler/parser.cc:646] text" */
static pl_str without_origin(pl_str line)
{
    const char *end = line.ptr[0] == '[' ? memmem(line.ptr, line.len, "] ", 2) : NULL;
    return end ? (pl_str){end + 2, line.len - (size_t)(end + 2 - line.ptr)} : line;
}

static void each_line(pl_str printed, void (*visit)(pl_str line, void *data), void *data)
{
    while (printed.len > 0) {
        const char *newline = memchr(printed.ptr, '\n', printed.len);
        size_t n = newline ? (size_t)(newline - printed.ptr) : printed.len;
        if (n > 0)
            visit((pl_str){printed.ptr, n}, data);
        n += newline != NULL;
        printed = (pl_str){printed.ptr + n, printed.len - n};
    }
}

typedef struct printing {
    const pl_bundle *bundle;
    pl_report *report;
    bool failed;
} printing;

static void visit_placed(pl_str line, void *data)
{
    const printing *p = data;
    place at;
    if (read_place(line, &at))
        add_placed(&at, p->bundle, p->report);
}

static void visit_other(pl_str line, void *data)
{
    const printing *p = data;
    place at;
    pl_str text = without_origin(line);
    if (read_place(line, &at))
        return;
    if (text.ptr == line.ptr && p->failed)
        pl_report_error(p->report, NULL, 0, 0, "%.*s", PL_STR_ARG(text));
    else
        pl_report_warning(p->report, NULL, 0, 0, "%.*s", PL_STR_ARG(text));
}

void pl_protoc_messages(pl_str printed, bool failed, const pl_bundle *bundle, pl_report *report)
{
    printing p = {bundle, report, failed};
    each_line(printed, visit_placed, &p);
    /* Lines without a place ("b.proto: File not found.") explain little that the others do not say better. */
    if (!failed || !pl_report_has_errors(report))
        each_line(printed, visit_other, &p);
}
