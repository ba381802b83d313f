/* SPDX-License-Identifier: MIT */
/* A program with an API inside: GraphQL in Lua (app/), with resolvers in C.
 *
 *   embed-c [--own-loop] [HOST:PORT] [DIRECTORY]
 *
 * Without --own-loop the app has two workers, and the main thread waits for signals. With it the app has no
 * thread of its own: the main thread waits for signals and for the app, and does the app's work.
 *
 * SIGHUP reads the bundle anew; SIGTERM and SIGINT end when the requests in hand are answered. */
#define _GNU_SOURCE
#include <errno.h>
#include <perilune.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_MS 10000

static void on_log(void *data, pl_log_level level, const char *line, size_t length)
{
    (void)data;
    (void)level;
    fprintf(stderr, "%.*s\n", (int)length, line);
}

/* --- resolvers --- */

/* Query.host: a map, whose other fields are resolved like those of any object. */
static pl_native_status host(pl_native_call *call, void *data)
{
    const time_t *started = data;
    pl_native_begin_map(call);
    pl_native_key(call, "pid");
    pl_native_put_int(call, getpid());
    pl_native_key(call, "started");
    pl_native_put_float(call, (double)*started);
    pl_native_end(call);
    return PL_NATIVE_DONE;
}

struct counting {
    pl_native_call *call;
    int below;
};

static void *count_primes(void *data)
{
    struct counting *counting = data;
    int found = 0;
    for (int n = 2; n < counting->below; n++) {
        int divisor = 2;
        while (divisor * divisor <= n && n % divisor)
            divisor++;
        found += divisor * divisor > n;
    }
    pl_native_put_int(counting->call, found);
    pl_native_finish(counting->call); /* any thread may */
    free(counting);
    return NULL;
}

/* Query.primes: nothing may block the app's threads, so a thread of ours does it, and the call pends. */
static pl_native_status primes(pl_native_call *call, void *data)
{
    (void)data;
    pl_native_slot args = pl_native_argument(call, 1);
    int64_t below = pl_native_int(call, pl_native_field(call, args, "below"));
    pthread_t thread;
    if (below < 0 || below > 10000000) {
        pl_native_violation(call, "below", "must be between 0 and 10,000,000");
        return pl_native_fail(call, PL_INVALID_ARGUMENT, "so many numbers cannot be looked at");
    }
    struct counting *counting = malloc(sizeof *counting);
    if (!counting)
        return pl_native_fail(call, PL_RESOURCE_EXHAUSTED, "out of memory");
    *counting = (struct counting){call, (int)below};
    if (pthread_create(&thread, NULL, count_primes, counting) != 0) {
        free(counting);
        return pl_native_fail(call, PL_UNAVAILABLE, "there are no threads left");
    }
    pthread_detach(thread);
    return PL_NATIVE_PENDING;
}

/* --- the program --- */

/* A request of the program's own, without a socket. */
static void greet(pl_app *app)
{
    static const char request[] = "{\"query\":\"{ greeting(name: \\\"embedder\\\") }\"}";
    char *response;
    pl_app_execute(app, request, strlen(request), &response, NULL);
    fprintf(stderr, "%s\n", response ? response : "out of memory");
    pl_free_text(response);
}

/* {"event":"ready","pid":17,"http":"127.0.0.1:8080"}: whoever has started the program knows where it listens.
 */
static void print_ready(pl_app *app)
{
    char *addresses = pl_app_addresses(app);
    printf("{\"event\":\"ready\",\"pid\":%d,%s\n", (int)getpid(),
           addresses ? addresses + 1 : "\"http\":null}");
    fflush(stdout);
    pl_free_text(addresses);
}

static void reload(pl_app *app)
{
    char error[4000];
    bool unchanged;
    if (pl_app_reload(app, &unchanged, error, sizeof error) != PL_OK)
        fprintf(stderr, "embed-c: not reloaded:\n%s", error);
    else
        fprintf(stderr, "embed-c: %s, generation %llu\n", unchanged ? "unchanged" : "reloaded",
                (unsigned long long)pl_app_generation(app));
}

/* Until a signal ends it. */
static void serve(pl_app *app, int signals, bool own_loop)
{
    struct signalfd_siginfo info;
    struct pollfd fds[] = {{.fd = signals, .events = POLLIN},
                           {.fd = own_loop ? pl_app_fd(app) : -1, .events = POLLIN}};
    for (;;) {
        if (poll(fds, 2, own_loop ? pl_app_timeout(app) : -1) < 0 && errno != EINTR)
            return;
        if (own_loop)
            pl_app_turn(app, 0);
        while (read(signals, &info, sizeof info) == sizeof info) {
            if (info.ssi_signo != SIGHUP)
                return;
            reload(app);
        }
    }
}

/* Before the app has threads: they inherit what is blocked. */
static int take_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int main(int argc, char **argv)
{
    time_t started = time(NULL);
    char error[4000] = "";
    int status = 1, signals = take_signals();
    bool own_loop = argc > 1 && strcmp(argv[1], "--own-loop") == 0;
    char **args = argv + 1 + own_loop;
    int count = argc - 1 - own_loop;

    pl_app_options options = PL_APP_OPTIONS_INIT;
    options.directory = count > 1 ? args[1] : "app";
    options.http = count > 0 ? args[0] : "127.0.0.1:8080";
    options.workers = own_loop ? 0 : 2;
    options.log = on_log;
    options.log_level = PL_LOG_WARN;

    pl_app *app = pl_app_new(&options, error, sizeof error);
    if (!app || pl_app_resolver(app, "Query", "host", host, &started) ||
        pl_app_resolver(app, "Query", "primes", primes, NULL) || pl_app_start(app, error, sizeof error)) {
        fprintf(stderr, "embed-c: not started:\n%s", error);
    } else {
        print_ready(app);
        greet(app);
        serve(app, signals, own_loop);
        pl_app_stop(app, DRAIN_MS);
        status = 0;
    }
    pl_app_free(app);
    return status;
}
