/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/admin.h"
#include "app/files_watch.h"
#include "app/server.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "perilune/engines.h"
#include "value/json.h"

/* `perilune run`: the main thread. It owns the server and waits for signals, files, the admin socket and what
 * workers give back. */

#define MAX_DRAIN_S 4000000 /* milliseconds of it must fit in an unsigned */

typedef struct options {
    const char *directory, *http, *https, *certificate, *key, *admin, *log_level, *log_format;
    const char *grpc, *grpcs, *client_ca, *https_client_ca, *kafka, *metrics;
    unsigned workers, drain;
    bool watch, pretty, graphql_errors;
} options;

typedef struct process {
    options options;
    pl_logger *log;
    pl_server *server;
    pl_admin *admin;
    pl_files_watch *files;
    int signals;
    bool stopping;
} process;

static int read_options(options *o, int argc, char **argv)
{
    const pl_option table[] = {
        {"http", PL_OPTION_TEXT, &o->http, "PERILUNE_HTTP", "ADDRESS",
         "where to serve HTTP: HOST:PORT or unix:PATH; port 0 is any free one (127.0.0.1:8080)"},
        {"https", PL_OPTION_TEXT, &o->https, "PERILUNE_HTTPS", "ADDRESS",
         "where to serve HTTPS; needs --tls-cert and --tls-key"},
        {"grpc", PL_OPTION_TEXT, &o->grpc, "PERILUNE_GRPC", "ADDRESS",
         "where to serve gRPC (127.0.0.1:50051, if the bundle has services), or off"},
        {"grpcs", PL_OPTION_TEXT, &o->grpcs, "PERILUNE_GRPCS", "ADDRESS",
         "where to serve gRPC over TLS; needs --tls-cert and --tls-key"},
        {"grpc-client-ca", PL_OPTION_TEXT, &o->client_ca, "PERILUNE_GRPC_CLIENT_CA", "FILE",
         "clients of --grpcs must show a certificate that one of these has signed, PEM"},
        {"https-client-ca", PL_OPTION_TEXT, &o->https_client_ca, "PERILUNE_HTTPS_CLIENT_CA", "FILE",
         "the same for clients of --https"},
        {"kafka", PL_OPTION_TEXT, &o->kafka, "PERILUNE_KAFKA", "BROKERS",
         "brokers of Kafka, HOST:PORT,…, instead of those of app.lua; embedded: one of its own, for "
         "development; "
         "or off"},
        {"metrics", PL_OPTION_TEXT, &o->metrics, "PERILUNE_METRICS", "ADDRESS",
         "where to serve /metrics, /healthz and /readyz: an address of their own instead of --http; or off"},
        {"tls-cert", PL_OPTION_TEXT, &o->certificate, "PERILUNE_TLS_CERT", "FILE", "certificate chain, PEM"},
        {"tls-key", PL_OPTION_TEXT, &o->key, "PERILUNE_TLS_KEY", "FILE", "private key, PEM"},
        {"workers", PL_OPTION_COUNT, &o->workers, "PERILUNE_WORKERS", "N",
         "worker threads (one a processor)"},
        {"watch", PL_OPTION_FLAG, &o->watch, "PERILUNE_WATCH", NULL,
         "reload when a file of the bundle changes (default on a terminal); --no-watch"},
        {"pretty", PL_OPTION_FLAG, &o->pretty, "PERILUNE_PRETTY", NULL, "indent the JSON of responses"},
        {"show-internal-errors", PL_OPTION_FLAG, &o->graphql_errors, "PERILUNE_SHOW_INTERNAL_ERRORS", NULL,
         "send messages of unexpected errors to clients: for development"},
        {"admin", PL_OPTION_TEXT, &o->admin, "PERILUNE_ADMIN", "PATH",
         "the admin socket (by default one for each user and bundle directory)"},
        {"drain", PL_OPTION_COUNT, &o->drain, "PERILUNE_DRAIN", "SECONDS",
         "how long old requests may go on after a reload or at the end (30)"},
        {"log-level", PL_OPTION_TEXT, &o->log_level, "PERILUNE_LOG_LEVEL", "LEVEL",
         "debug, info, warn or error (info)"},
        {"log-format", PL_OPTION_TEXT, &o->log_format, "PERILUNE_LOG_FORMAT", "FORMAT",
         "text or json (text on a terminal)"},
        {NULL, PL_OPTION_FLAG, NULL, NULL, NULL, NULL},
    };
    const pl_usage usage = {"perilune run [DIR] [options]",
                            "Serves the bundle in DIR (the current directory by default). When every "
                            "listener accepts, one line of JSON\n"
                            "with the addresses is printed to stdout; logs go to stderr. SIGHUP reloads, "
                            "SIGTERM and SIGINT end after the\n"
                            "requests in hand, a second one at once.",
                            table};
    int status = pl_options_read(&usage, argc, argv, &o->directory, 1);
    if (o->drain > MAX_DRAIN_S)
        o->drain = MAX_DRAIN_S;
    return status;
}

static pl_logger *make_logger(const options *o)
{
    pl_level level = PL_INFO;
    pl_log_format format = isatty(STDERR_FILENO) ? PL_LOG_TEXT : PL_LOG_JSON;
    if (o->log_level && !pl_level_parse(pl_str_of(o->log_level), &level)) {
        fprintf(stderr, "perilune: --log-level must be debug, info, warn or error\n");
        return NULL;
    }
    if (o->log_format && strcmp(o->log_format, "text") != 0 && strcmp(o->log_format, "json") != 0) {
        fprintf(stderr, "perilune: --log-format must be text or json\n");
        return NULL;
    }
    if (o->log_format)
        format = o->log_format[0] == 't' ? PL_LOG_TEXT : PL_LOG_JSON;
    pl_logger *log = pl_logger_new(STDERR_FILENO, format, level);
    if (!log)
        fprintf(stderr, "perilune: out of memory or threads\n");
    return log;
}

static bool metrics_off(const options *o)
{
    return o->metrics && strcmp(o->metrics, "off") == 0;
}

/* Flags win over app.lua. */
static void override(void *data, pl_config *config)
{
    const options *o = data;
    config->pretty |= o->pretty;
    config->graphql.execute.show_internal |= o->graphql_errors;
    config->grpc.calls.show_internal |= o->graphql_errors;
    config->metrics.enabled &= !metrics_off(o);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static pl_code take_signals(process *p, pl_error *err)
{
    sigset_t set;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    p->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return p->signals < 0 ? pl_fail(err, PL_RESOURCE_EXHAUSTED, "signalfd: %s", strerror(errno)) : PL_OK;
}

static void print_ready(const process *p, const char *admin)
{
    pl_buf line;
    pl_buf_init(&line);
    pl_buf_printf(&line, "{\"event\":\"ready\",\"pid\":%d,", (int)getpid());
    pl_server_write_addresses(p->server, &line);
    PL_BUF_LIT(&line, ",\"admin\":");
    pl_json_string(&line, pl_str_of(admin));
    pl_buf_printf(&line, ",\"generation\":%llu}\n", (unsigned long long)pl_server_generation(p->server));
    pl_cli_print(&line);
    pl_buf_dispose(&line);
}

/* --- the main loop --- */
static void reload(process *p, const char *reason, bool force)
{
    pl_report report;
    pl_report_init(&report);
    pl_server_reload(p->server, reason, force, &report); /* logs what comes of it */
    pl_report_dispose(&report);
}

static void *end_at_once(void *arg)
{
    const process *p = arg;
    struct pollfd fd = {.fd = p->signals, .events = POLLIN};
    struct signalfd_siginfo info;
    for (;;) {
        poll(&fd, 1, -1);
        if (read(p->signals, &info, sizeof info) == sizeof info && info.ssi_signo != SIGHUP)
            _exit(1);
    }
    return NULL;
}

static void on_signal(process *p)
{
    struct signalfd_siginfo info;
    while (!p->stopping && read(p->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP)
            reload(p, "SIGHUP", true);
        else
            p->stopping = true;
    }
}

static void on_files(process *p)
{
    pl_files_watch_work(p->files, pl_clock_ms());
    if (pl_files_watch_changed(p->files, pl_clock_ms()))
        reload(p, "files changed", false);
}

static void main_loop(process *p)
{
    struct pollfd fds[] = {{.fd = p->signals, .events = POLLIN},
                           {.fd = pl_server_fd(p->server), .events = POLLIN},
                           {.fd = pl_admin_fd(p->admin), .events = POLLIN},
                           {.fd = p->files ? pl_files_watch_fd(p->files) : -1, .events = POLLIN}};
    while (!p->stopping) {
        int wait = p->files ? pl_files_watch_wait(p->files, pl_clock_ms()) : -1;
        poll(fds, 4, wait);
        on_signal(p);
        if (!p->stopping) {
            pl_server_work(p->server);
            pl_admin_work(p->admin);
        }
        if (p->files && !p->stopping)
            on_files(p);
    }
}

static void stop(process *p)
{
    pthread_t second;
    unsigned seconds = p->options.drain ? p->options.drain : 30;
    pl_log(p->log, PL_INFO, "stopping", PL_F_INT("drain_s", seconds));
    if (pthread_create(&second, NULL, end_at_once, p) == 0)
        pthread_detach(second);
    pl_admin_free(p->admin);
    p->admin = NULL;
    pl_server_stop(p->server, seconds * 1000);
    pl_log_plain(p->log, PL_INFO, "stopped");
}

static pl_code start(process *p, char *admin, size_t admin_size, pl_report *report, pl_error *err)
{
    const options *o = &p->options;
    pl_server_config config = {.directory = o->directory,
                               .workers = o->workers,
                               .edge = {.address = o->http,
                                        .tls_address = o->https,
                                        .tls = {o->certificate, o->key},
                                        .client_ca = o->https_client_ca},
                               .grpc = {.address = o->grpc,
                                        .tls_address = o->grpcs,
                                        .tls = {o->certificate, o->key},
                                        .client_ca = o->client_ca},
                               .kafka = o->kafka,
                               .metrics = metrics_off(o) ? NULL : o->metrics,
                               .drain_ms = o->drain * 1000,
                               .engine = pl_lua_engine(),
                               .log = p->log,
                               .override = override,
                               .override_data = &p->options};
    if (o->grpc && strcmp(o->grpc, "off") == 0) {
        config.grpc.address = NULL;
        config.no_grpc = !o->grpcs;
    }
    if ((o->https || o->grpcs) && (!o->certificate || !o->key))
        return pl_fail(err, PL_INVALID_ARGUMENT, "%s needs --tls-cert FILE and --tls-key FILE",
                       o->https ? "--https" : "--grpcs");
    if (o->admin)
        snprintf(admin, admin_size, "%s", o->admin);
    else if (pl_admin_default_path(o->directory, admin, admin_size, err) != PL_OK)
        return err->code;
    p->server = pl_server_start(&config, report, err);
    if (!p->server)
        return err->code ? err->code : PL_INVALID_ARGUMENT;
    p->admin = pl_admin_new(admin, p->server, err);
    if (!p->admin)
        return err->code;
    if (o->watch && !(p->files = pl_files_watch_new(o->directory, err)))
        return err->code;
    return PL_OK;
}

static void announce(process *p, const pl_report *report, const char *admin)
{
    pl_report_log(report, p->log);
    const struct {
        const char *name, *address; /* NULL: not listening */
    } listeners[] = {{"http", pl_server_address(p->server)},
                     {"https", pl_server_tls_address(p->server)},
                     {"grpc", pl_server_grpc_address(p->server)},
                     {"grpcs", pl_server_grpc_tls_address(p->server)},
                     {"metrics", pl_server_metrics_address(p->server)}};
    pl_log_field fields[7];
    size_t count = 0;
    for (size_t i = 0; i < sizeof listeners / sizeof *listeners; i++) {
        if (listeners[i].address)
            fields[count++] = PL_F_CSTR(listeners[i].name, listeners[i].address);
    }
    fields[count++] = PL_F_CSTR("bundle", p->options.directory);
    fields[count++] = PL_F_BOOL("watch", p->files != NULL);
    pl_log_write(p->log, PL_INFO, PL_STR("serving"), fields, count);
    print_ready(p, admin);
}

static void log_not_started(pl_logger *log, const pl_error *err)
{
    char text[sizeof err->file + sizeof err->message + 4];
    snprintf(text, sizeof text, "%s%s%s", err->file, err->file[0] ? ": " : "", err->message);
    pl_log(log, PL_ERROR, "not started", PL_F_CSTR("error", text[0] ? text : "the bundle has errors"));
}

int pl_cli_run(int argc, char **argv)
{
    process p = {.options = {.directory = ".", .http = "127.0.0.1:8080", .watch = isatty(STDOUT_FILENO)},
                 .signals = -1};
    char admin[PATH_MAX];
    pl_report report;
    pl_error err = {0};
    int status = read_options(&p.options, argc, argv);
    if (status)
        return status == 1 ? 0 : status;
    p.log = make_logger(&p.options);
    if (!p.log)
        return 2;
    pl_report_init(&report);
    raise_descriptor_limit();
    status = 1;
    if (take_signals(&p, &err) == PL_OK && start(&p, admin, sizeof admin, &report, &err) == PL_OK) {
        announce(&p, &report, admin);
        main_loop(&p);
        stop(&p);
        status = 0;
    } else {
        pl_report_log(&report, p.log);
        log_not_started(p.log, &err);
        pl_admin_free(p.admin);
        if (p.server)
            pl_server_stop(p.server, 0);
    }
    pl_files_watch_free(p.files);
    pl_server_free(p.server);
    pl_report_dispose(&report);
    pl_logger_free(p.log);
    return status;
}
