/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "app/api_internal.h"
#include "base/alloc.h"
#include "perilune/engines.h"

const char *pl_version(void)
{
    return PL_VERSION;
}

pl_code pl_set_allocator(const pl_allocator *allocator)
{
    if (!allocator || !allocator->allocate || !allocator->reallocate || !allocator->release)
        return PL_INVALID_ARGUMENT;
    const pl_alloc_source source = {allocator->allocate, allocator->reallocate, allocator->release,
                                    allocator->data};
    return pl_alloc_set_source(&source) ? PL_OK : PL_FAILED_PRECONDITION;
}

void pl_free_text(char *text)
{
    pl_free(text);
}

void pl_app_give_error(char *error, size_t size, const pl_report *report, const pl_error *err)
{
    pl_buf text;
    if (!error || size == 0)
        return;
    pl_buf_init(&text);
    if (report)
        pl_report_text(report, &text);
    if (err && err->code)
        pl_buf_printf(&text, "%s%s%s\n", err->file, err->file[0] ? ": " : "", err->message);
    if (text.failed)
        snprintf(error, size, "out of memory\n");
    else
        snprintf(error, size, "%.*s", (int)text.len, text.data ? text.data : "");
    pl_buf_dispose(&text);
}

/* --- options --- */
static void on_log(void *data, pl_level level, pl_str line)
{
    static const pl_log_level levels[] = {[PL_DEBUG] = PL_LOG_DEBUG,
                                          [PL_INFO] = PL_LOG_INFO,
                                          [PL_WARN] = PL_LOG_WARN,
                                          [PL_ERROR] = PL_LOG_ERROR};
    pl_app *app = data;
    app->options.log(app->options.log_data, levels[level], line.ptr, line.len);
}

static pl_code open_log(pl_app *app, pl_error *err)
{
    static const pl_level least[] = {[PL_LOG_DEFAULT] = PL_INFO,
                                     [PL_LOG_DEBUG] = PL_DEBUG,
                                     [PL_LOG_INFO] = PL_INFO,
                                     [PL_LOG_WARN] = PL_WARN,
                                     [PL_LOG_ERROR] = PL_ERROR};
    pl_log_level level = app->options.log_level;
    if (!app->options.log || level == PL_LOG_NONE)
        return PL_OK;
    app->log = pl_logger_new_sink(on_log, app, PL_LOG_JSON, least[level]);
    return app->log ? PL_OK : pl_fail_memory(err);
}

/* A caller's struct may be older than ours: what it does not have is zero. One that is newer must not ask for
 * what we do not know. */
static pl_code read_options(pl_app *app, const pl_app_options *options, pl_error *err)
{
    const char *bytes = (const char *)options;
    if (!options || options->size < offsetof(pl_app_options, workers))
        return pl_fail(err, PL_INVALID_ARGUMENT, "options must begin with PL_APP_OPTIONS_INIT");
    for (size_t i = sizeof app->options; i < options->size; i++) {
        if (bytes[i])
            return pl_fail(err, PL_INVALID_ARGUMENT,
                           "options has members that this version, " PL_VERSION ", does not know");
    }
    memcpy(&app->options, options, options->size < sizeof app->options ? options->size : sizeof app->options);
    return PL_OK;
}

static pl_code keep_strings(pl_app *app, pl_error *err)
{
    pl_app_options *o = &app->options;
    const char **const strings[] = {&o->directory,   &o->http, &o->https,     &o->grpc,  &o->grpcs,
                                    &o->certificate, &o->key,  &o->client_ca, &o->kafka, &o->metrics};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        if (!*strings[i])
            continue;
        *strings[i] = pl_arena_str(&app->arena, pl_str_of(*strings[i])).ptr;
        if (!*strings[i])
            return pl_fail_memory(err);
    }
    return PL_OK;
}

static pl_code check_options(const pl_app_options *o, pl_error *err)
{
    if (o->directory && o->files)
        return pl_fail(err, PL_INVALID_ARGUMENT, "directory and files are both given");
    if (!o->files && o->file_count > 0)
        return pl_fail(err, PL_INVALID_ARGUMENT, "file_count is %zu, but files is NULL", o->file_count);
    if (o->workers < PL_WORKERS_ALL || o->workers > 1024)
        return pl_fail(err, PL_INVALID_ARGUMENT, "workers is %d; PL_WORKERS_ALL or 0 to 1024 is expected",
                       o->workers);
    if ((o->https || o->grpcs) && (!o->certificate || !o->key))
        return pl_fail(err, PL_INVALID_ARGUMENT, "%s needs certificate and key",
                       o->https ? "https" : "grpcs");
    if (o->h2o_contexts > 1024)
        return pl_fail(err, PL_INVALID_ARGUMENT, "h2o_contexts is %u; 0 to 1024 is expected",
                       o->h2o_contexts);
    if (o->clock && (o->workers != 0 || o->h2o_contexts != 0))
        return pl_fail(err, PL_INVALID_ARGUMENT, "only an app without workers can have a clock of its own");
    if (o->log_level < PL_LOG_DEFAULT || o->log_level > PL_LOG_NONE)
        return pl_fail(err, PL_INVALID_ARGUMENT, "log_level is none");
    return PL_OK;
}

static pl_bundle *bundle_of(const pl_app_file *files, size_t count, pl_error *err)
{
    pl_file *list = count < SIZE_MAX ? pl_calloc(count + 1, sizeof *list) : NULL;
    pl_bundle *bundle = NULL;
    if (!list) {
        pl_fail_memory(err);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (!files[i].path || (!files[i].bytes && files[i].length > 0)) {
            pl_fail(err, PL_INVALID_ARGUMENT, "files[%zu] has no %s", i, files[i].path ? "bytes" : "path");
            goto done;
        }
        if (!pl_bundle_is_path(pl_str_of(files[i].path))) {
            pl_fail(err, PL_INVALID_ARGUMENT, "files[%zu]: \"%s\" is no path below the bundle's directory", i,
                    files[i].path);
            goto done;
        }
        list[i] =
            (pl_file){pl_str_of(files[i].path), {files[i].bytes ? files[i].bytes : "", files[i].length}};
    }
    bundle = pl_bundle_from_memory(list, count, err);
done:
    pl_free(list);
    return bundle;
}

static pl_code set_up(pl_app *app, const pl_app_options *options, pl_error *err)
{
    if (read_options(app, options, err) != PL_OK || check_options(&app->options, err) != PL_OK ||
        keep_strings(app, err) != PL_OK || open_log(app, err) != PL_OK)
        return err->code;
    if (!app->options.directory)
        app->bundle = bundle_of(app->options.files, app->options.file_count, err);
    app->options.files = NULL;
    app->natives = pl_natives_new();
    if (!app->natives && !err->code)
        return pl_fail_memory(err);
    return err->code;
}

/* --- life --- */
pl_app *pl_app_new(const pl_app_options *options, char *error, size_t error_size)
{
    pl_error err = {0};
    if (error && error_size > 0)
        error[0] = '\0';
    pl_app *app = pl_calloc(1, sizeof *app);
    if (!app) {
        pl_fail_memory(&err);
    } else {
        pl_arena_init(&app->arena, 0);
        pthread_mutex_init(&app->lock, NULL);
        set_up(app, options, &err);
    }
    if (!err.code)
        return app;
    pl_app_give_error(error, error_size, NULL, &err);
    pl_app_free(app);
    return NULL;
}

void pl_app_free(pl_app *app)
{
    if (!app)
        return;
    if (pl_app_stop(app, 0) != PL_OK) {
        pl_log(app->log, PL_ERROR, "the app is not freed: pl_app_free was called from inside of it",
               PL_F_INT("generation", pl_server_generation(app->server)));
        return;
    }
    pl_server_free(app->server);
    if (app->free_guest)
        app->free_guest(app->guest);
    pl_natives_free(app->natives);
    pl_bundle_unref(app->bundle);
    pl_logger_free(app->log);
    pthread_mutex_destroy(&app->lock);
    pl_arena_dispose(&app->arena);
    pl_free(app);
}

static pl_server_config config_of(const pl_app *app)
{
    const pl_app_options *o = &app->options;
    return (pl_server_config){
        .directory = o->directory,
        .bundle = app->bundle,
        .workers = o->workers > 0 ? (unsigned)o->workers : 0,
        .attached = o->h2o_contexts > 0 ? o->h2o_contexts : o->workers == 0,
        .keeper = true,
        .edge = {.address = o->http,
                 .tls_address = o->https,
                 .tls = {o->certificate, o->key},
                 .client_ca = o->client_ca},
        .grpc = {.address = o->grpc,
                 .tls_address = o->grpcs,
                 .tls = {o->certificate, o->key},
                 .client_ca = o->client_ca},
        .no_grpc = !o->grpc && !o->grpcs,
        .kafka = o->kafka,
        .metrics = o->metrics,
        .drain_ms = o->drain_ms,
        .engine = pl_lua_engine(),
        .natives = app->natives,
        .log = app->log,
    };
}

static void block_pipe(void *app);

/* The worker of an app without threads. */
static pl_code attach(pl_app *app, pl_server *server, pl_error *err)
{
    if (app->options.workers != 0 || app->options.h2o_contexts > 0)
        return PL_OK;
    pl_loop *loop = pl_loop_new(pl_server_helpers(server), app->log, err);
    if (!loop)
        return err->code;
    if (app->options.clock)
        pl_loop_set_clock(loop, app->options.clock, app->options.clock_data);
    pl_loop_on_peer(loop, block_pipe, app);
    app->worker = pl_server_attach(server, loop, NULL, err);
    return app->worker ? PL_OK : err->code;
}

/* Below the lock. */
static pl_code start(pl_app *app, pl_report *report, pl_error *err)
{
    pl_server_config config = config_of(app);
    if (app->state != PL_APP_NEW)
        return pl_fail(err, PL_FAILED_PRECONDITION,
                       app->state == PL_APP_RUNNING ? "it has been started" : "it has been stopped");
    pl_server *server = pl_server_start(&config, report, err);
    if (!server)
        return err->code                      ? err->code
               : report->errors.out_of_memory ? PL_RESOURCE_EXHAUSTED
                                              : PL_INVALID_ARGUMENT;
    if (attach(app, server, err) != PL_OK) {
        pl_server_stop(server, 0);
        pl_server_free(server);
        return err->code;
    }
    __atomic_store_n(&app->server, server, __ATOMIC_RELEASE);
    app->state = PL_APP_RUNNING;
    return PL_OK;
}

pl_code pl_app_start(pl_app *app, char *error, size_t error_size)
{
    pl_report report;
    pl_error err = {0};
    if (error && error_size > 0)
        error[0] = '\0';
    pl_report_init(&report);
    pthread_mutex_lock(&app->lock);
    pl_code code = start(app, &report, &err);
    pthread_mutex_unlock(&app->lock);
    pl_report_log(&report, app->log);
    if (code)
        pl_app_give_error(error, error_size, &report, &err);
    pl_report_dispose(&report);
    return code;
}

/* A thread that stops it waits for all others: so it is none of the app's, and alone. */
static bool begin_stop(pl_app *app, bool *runs)
{
    pthread_mutex_lock(&app->lock);
    *runs = app->state == PL_APP_RUNNING;
    bool free_to = app->state != PL_APP_STOPPING && !(*runs && pl_server_is_own_thread(app->server));
    if (*runs && free_to)
        app->state = PL_APP_STOPPING;
    pthread_mutex_unlock(&app->lock);
    return free_to;
}

static void end_stop(pl_app *app)
{
    pthread_mutex_lock(&app->lock);
    app->state = PL_APP_STOPPED;
    pthread_mutex_unlock(&app->lock);
}

pl_code pl_app_stop(pl_app *app, unsigned timeout_ms)
{
    pl_app_entry entry;
    bool runs;
    if (!pl_app_enter(app, &entry))
        return PL_FAILED_PRECONDITION;
    bool free_to = begin_stop(app, &runs);
    if (runs && free_to) {
        pl_server_stop(app->server, timeout_ms);
        if (entry.attached)
            app->worker = NULL;
        end_stop(app);
    }
    pl_app_leave(app, &entry);
    return free_to ? PL_OK : PL_FAILED_PRECONDITION;
}

pl_server *pl_app_server(pl_app *app)
{
    return __atomic_load_n(&app->server, __ATOMIC_ACQUIRE);
}

/* --- the caller's thread as a worker's ---
 *
 * A worker's own thread has SIGPIPE blocked, which a client that leaves would end the process with. So has
 * the caller's, as long as it is one and there is anybody to write to. */
static void block_pipe(void *data)
{
    pl_app_entry *entry = ((pl_app *)data)->inside;
    sigset_t pipe, before;
    if (!entry)
        return;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    entry->guarded = true;
    entry->pipe_blocked = sigismember(&before, SIGPIPE);
}

/* One that comes while it is blocked is of a write in between: before, it would not have been pending. */
static void unblock_pipe(const pl_app_entry *entry)
{
    static const struct timespec none = {0};
    sigset_t pipe;
    if (!entry->guarded || entry->pipe_blocked)
        return;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    while (sigtimedwait(&pipe, NULL, &none) == SIGPIPE)
        ;
    pthread_sigmask(SIG_UNBLOCK, &pipe, NULL);
}

bool pl_app_enter(pl_app *app, pl_app_entry *entry)
{
    *entry = (pl_app_entry){.attached = app->worker != NULL};
    if (!entry->attached)
        return true;
    if (app->inside)
        return false;
    app->inside = entry;
    if (pl_loop_has_peers(pl_worker_loop(app->worker)))
        block_pipe(app);
    pl_worker_move_here(app->worker);
    return true;
}

void pl_app_leave(pl_app *app, const pl_app_entry *entry)
{
    if (!entry->attached)
        return;
    unblock_pipe(entry);
    app->inside = NULL;
}

void pl_app_visit(pl_app *app, pl_app_entry *entry)
{
    if (!pl_app_enter(app, entry))
        entry->attached = false; /* the turn goes on */
}

static pl_loop *loop_of(const pl_app *app)
{
    return app->worker ? pl_worker_loop(app->worker) : NULL;
}

int pl_app_fd(pl_app *app)
{
    pl_loop *loop = loop_of(app);
    return loop ? pl_loop_fd(loop) : -1;
}

int pl_app_timeout(pl_app *app)
{
    pl_loop *loop = loop_of(app);
    return loop ? pl_loop_wait_ms(loop) : -1;
}

pl_code pl_app_turn(pl_app *app, int timeout_ms)
{
    pl_app_entry entry;
    if (app->options.workers != 0)
        return PL_FAILED_PRECONDITION;
    if (!loop_of(app))
        return PL_UNAVAILABLE;
    if (!pl_app_enter(app, &entry))
        return PL_FAILED_PRECONDITION;
    pl_loop_turn(loop_of(app), timeout_ms);
    pl_app_leave(app, &entry);
    return PL_OK;
}

/* --- generations --- */
static pl_code not_running(char *error, size_t error_size)
{
    pl_error err = {0};
    pl_fail(&err, PL_UNAVAILABLE, "the app does not run");
    pl_app_give_error(error, error_size, NULL, &err);
    return err.code;
}

static bool is_running(pl_app *app)
{
    pthread_mutex_lock(&app->lock);
    bool runs = app->state == PL_APP_RUNNING;
    pthread_mutex_unlock(&app->lock);
    return runs;
}

static pl_code give_result(pl_reload_result result, const pl_report *report, pl_code refused, char *error,
                           size_t error_size)
{
    pl_error err = {0};
    if (result == PL_RELOADED || result == PL_RELOAD_UNCHANGED)
        return PL_OK;
    if (result == PL_RELOAD_BUSY)
        pl_fail(&err, PL_FAILED_PRECONDITION, "another reload is under way, or the app is about to stop");
    pl_app_give_error(error, error_size, report, &err);
    return result == PL_RELOAD_BUSY       ? PL_FAILED_PRECONDITION
           : report->errors.out_of_memory ? PL_RESOURCE_EXHAUSTED
                                          : refused;
}

static pl_bundle *take_bundle(pl_app *app)
{
    pthread_mutex_lock(&app->lock);
    pl_bundle *bundle = app->bundle ? pl_bundle_ref(app->bundle) : NULL;
    pthread_mutex_unlock(&app->lock);
    return bundle;
}

pl_code pl_app_reload(pl_app *app, bool *unchanged, char *error, size_t error_size)
{
    pl_report report;
    pl_app_entry entry;
    if (error && error_size > 0)
        error[0] = '\0';
    if (unchanged)
        *unchanged = false;
    if (!is_running(app))
        return not_running(error, error_size);
    pl_app_visit(app, &entry);
    pl_report_init(&report);
    pl_bundle *bundle = take_bundle(app);
    pl_reload_result result =
        bundle ? pl_server_reload_bundle(pl_app_server(app), bundle, "reload", false, &report)
               : pl_server_reload(pl_app_server(app), "reload", false, &report);
    pl_bundle_unref(bundle);
    if (unchanged)
        *unchanged = result == PL_RELOAD_UNCHANGED;
    pl_code code = give_result(result, &report, PL_INVALID_ARGUMENT, error, error_size);
    pl_report_dispose(&report);
    pl_app_leave(app, &entry);
    return code;
}

pl_code pl_app_reload_memory(pl_app *app, const pl_app_file *files, size_t count, char *error,
                             size_t error_size)
{
    pl_report report;
    pl_app_entry entry;
    pl_error err = {0};
    if (error && error_size > 0)
        error[0] = '\0';
    if (!is_running(app))
        return not_running(error, error_size);
    pl_bundle *bundle = bundle_of(files, count, &err);
    if (!bundle) {
        pl_app_give_error(error, error_size, NULL, &err);
        return err.code;
    }
    pl_app_visit(app, &entry);
    pl_report_init(&report);
    pl_reload_result result = pl_server_reload_bundle(pl_app_server(app), bundle, "reload", false, &report);
    pl_code code = give_result(result, &report, PL_INVALID_ARGUMENT, error, error_size);
    pl_report_dispose(&report);
    pl_app_leave(app, &entry);
    pl_bundle *old = bundle;
    pthread_mutex_lock(&app->lock);
    if (!code && app->bundle) {
        old = app->bundle;
        app->bundle = bundle;
    }
    pthread_mutex_unlock(&app->lock);
    pl_bundle_unref(old);
    return code;
}

pl_code pl_app_rollback(pl_app *app, char *error, size_t error_size)
{
    pl_report report;
    pl_app_entry entry;
    if (error && error_size > 0)
        error[0] = '\0';
    if (!is_running(app))
        return not_running(error, error_size);
    pl_app_visit(app, &entry);
    pl_report_init(&report);
    pl_reload_result result = pl_server_rollback(pl_app_server(app), &report);
    pl_code code = give_result(result, &report, PL_FAILED_PRECONDITION, error, error_size);
    pl_report_dispose(&report);
    pl_app_leave(app, &entry);
    return code;
}

uint64_t pl_app_generation(pl_app *app)
{
    return is_running(app) ? pl_server_generation(pl_app_server(app)) : 0;
}

/* --- the short way --- */
static pl_app *open_with(const pl_app_options *options, char *error, size_t error_size)
{
    pl_app *app = pl_app_new(options, error, error_size);
    if (!app || pl_app_start(app, error, error_size) == PL_OK)
        return app;
    pl_app_free(app);
    return NULL;
}

pl_app *pl_app_open(const char *directory, char *error, size_t error_size)
{
    pl_app_options options = PL_APP_OPTIONS_INIT;
    options.directory = directory;
    return open_with(&options, error, error_size);
}

pl_app *pl_app_open_memory(const pl_app_file *files, size_t count, char *error, size_t error_size)
{
    pl_app_options options = PL_APP_OPTIONS_INIT;
    options.files = files;
    options.file_count = count;
    return open_with(&options, error, error_size);
}

void pl_app_close(pl_app *app)
{
    pl_app_free(app);
}
