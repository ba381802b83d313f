/* SPDX-License-Identifier: MIT */
#include "net/http_fetch.h"

#include <curl/curl.h>
#include <curl/header.h>
#include <errno.h>
#include <h2o.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "net/loop_internal.h"

/* curl says which descriptors it waits for: they are in an epoll of their own, which the loop watches as if
 * it were a socket. h2o would close curl's descriptors. */

#define EVENTS_AT_ONCE 16

struct pl_http_fetcher {
    pl_loop *loop;
    pl_host *host;
    CURLM *multi;
    int epoll_fd; /* the socket's */
    h2o_socket_t *socket;
    pl_timer timer;
    pl_http_fetch *fetches;
};

struct pl_http_fetch {
    pl_http_fetcher *fetcher;
    pl_http_fetch *next, **place;
    CURL *curl;
    struct curl_slist *headers;
    pl_buf body;
    char message[CURL_ERROR_SIZE];
    void (*done)(void *data, const pl_http_answer *answer);
    void *data;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* --- fetches --- */
static void free_fetch(pl_http_fetch *f)
{
    if (f->place) {
        *f->place = f->next;
        if (f->next)
            f->next->place = f->place;
        curl_multi_remove_handle(f->fetcher->multi, f->curl);
    }
    curl_easy_cleanup(f->curl);
    curl_slist_free_all(f->headers);
    pl_buf_dispose(&f->body);
    pl_free(f);
}

const char *pl_http_answer_header(const pl_http_answer *answer, const char *name)
{
    struct curl_header *header;
    size_t last = 0;
    if (curl_easy_header(answer->handle, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    last = header->amount - 1;
    if (last > 0 && curl_easy_header(answer->handle, name, last, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    return header->value;
}

static void finish(pl_http_fetch *f, CURLcode result)
{
    pl_http_answer answer = {.handle = f->curl};
    curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &answer.status);
    answer.body = pl_buf_view(&f->body);
    if (f->body.failed) {
        answer.code = PL_RESOURCE_EXHAUSTED;
        answer.why = "the response is too large, or memory is short";
    } else if (result != CURLE_OK) {
        answer.code = result == CURLE_OUT_OF_MEMORY ? PL_RESOURCE_EXHAUSTED : PL_UNAVAILABLE;
        answer.why = f->message[0] ? f->message : curl_easy_strerror(result);
    }
    /* It may be started anew from there. */
    f->done(f->data, &answer);
    free_fetch(f);
}

static void finish_all(pl_http_fetcher *fetcher)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(fetcher->multi, &left)) != NULL) {
        pl_http_fetch *f = NULL;
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&f);
        finish(f, result);
    }
}

static size_t take(char *bytes, size_t size, size_t count, void *data)
{
    pl_buf *body = data;
    pl_buf_append(body, bytes, size * count);
    return body->failed ? 0 : size * count; /* 0 ends the transfer */
}

static bool set_request(CURL *curl, const pl_http_fetch_options *o)
{
    if (o->user) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        if (curl_easy_setopt(curl, CURLOPT_USERNAME, o->user) != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_PASSWORD, o->password ? o->password : "") != CURLE_OK)
            return false;
    }
    if (o->body.ptr) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body.len);
        if (curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, o->body.ptr) != CURLE_OK)
            return false;
    }
    return !o->method || curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, o->method) == CURLE_OK;
}

static bool set_options(pl_http_fetch *f, const pl_http_fetch_options *o)
{
    CURL *curl = f->curl;
    for (const char *const *header = o->headers; header && *header; header++) {
        struct curl_slist *longer = curl_slist_append(f->headers, *header);
        if (!longer)
            return false;
        f->headers = longer;
    }
    curl_easy_setopt(curl, CURLOPT_PRIVATE, f);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* other threads are about */
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    /* Where a connection that was used before ends, curl sends the request again, and does not say so: to an
     * agent that has begun anew, which would wait for an index of its former life. */
    curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, o->reuse ? 0L : 1L);
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, o->reuse ? 0L : 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "perilune/" PL_VERSION);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_timeout_ms);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)o->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &f->body);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, f->message);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, f->headers);
    if (o->ca && curl_easy_setopt(curl, CURLOPT_CAINFO, o->ca) != CURLE_OK)
        return false;
    return curl_easy_setopt(curl, CURLOPT_URL, o->url) == CURLE_OK && set_request(curl, o);
}

pl_http_fetch *pl_http_fetch_start(pl_http_fetcher *fetcher, const pl_http_fetch_options *options,
                                   pl_error *err)
{
    pl_http_fetch *f = pl_calloc(1, sizeof(*f));
    if (!f) {
        pl_fail_memory(err);
        return NULL;
    }
    pl_buf_init(&f->body);
    f->body.limit = options->most;
    f->fetcher = fetcher;
    f->done = options->done;
    f->data = options->data;
    f->curl = curl_easy_init();
    if (!f->curl || !set_options(f, options) || curl_multi_add_handle(fetcher->multi, f->curl) != CURLM_OK) {
        pl_fail_memory(err);
        free_fetch(f);
        return NULL;
    }
    f->next = fetcher->fetches;
    f->place = &fetcher->fetches;
    if (f->next)
        f->next->place = &f->next;
    fetcher->fetches = f;
    return f;
}

void pl_http_fetch_cancel(pl_http_fetch *f)
{
    free_fetch(f);
}

/* --- the loop --- */
static void on_events(h2o_socket_t *socket, const char *err)
{
    (void)err;
    pl_http_fetcher *fetcher = socket->data;
    struct epoll_event events[EVENTS_AT_ONCE];
    int running, count = epoll_wait(fetcher->epoll_fd, events, EVENTS_AT_ONCE, 0);
    for (int i = 0; i < count; i++) {
        int what = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(fetcher->multi, events[i].data.fd, what, &running);
    }
    finish_all(fetcher);
}

static int on_socket(CURL *curl, curl_socket_t fd, int what, void *data, void *known)
{
    (void)curl;
    pl_http_fetcher *fetcher = data;
    struct epoll_event event = {.data.fd = fd};
    if (what & CURL_POLL_IN && what != CURL_POLL_REMOVE)
        event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT && what != CURL_POLL_REMOVE)
        event.events |= EPOLLOUT;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(fetcher->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    if (epoll_ctl(fetcher->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0 &&
        epoll_ctl(fetcher->epoll_fd, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) != 0)
        return -1;
    curl_multi_assign(fetcher->multi, fd, fetcher);
    return 0;
}

static void on_timer(pl_timer *timer)
{
    pl_http_fetcher *fetcher = timer->data;
    int running;
    curl_multi_socket_action(fetcher->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_all(fetcher);
}

static int set_timer(CURLM *multi, long ms, void *data)
{
    (void)multi;
    pl_http_fetcher *fetcher = data;
    pl_host *host = fetcher->host;
    if (ms < 0) {
        host->ops->timer_stop(host, &fetcher->timer);
        return 0;
    }
    return host->ops->timer_start(host, &fetcher->timer, host->ops->now(host) + (uint64_t)ms);
}

/* --- life --- */
pl_http_fetcher *pl_http_fetcher_new(pl_loop *loop, pl_error *err)
{
    pthread_once(&once, init);
    pl_http_fetcher *fetcher = pl_calloc(1, sizeof(*fetcher));
    CURLM *multi = curl_multi_init();
    int fd = fetcher && multi ? epoll_create1(EPOLL_CLOEXEC) : -1;
    if (fd < 0) {
        pl_fail(err, PL_RESOURCE_EXHAUSTED, "cannot fetch by HTTP: %s",
                fetcher && multi ? strerror(errno) : "out of memory");
        if (multi)
            curl_multi_cleanup(multi);
        pl_free(fetcher);
        return NULL;
    }
    fetcher->loop = loop;
    fetcher->host = pl_loop_host(loop);
    fetcher->multi = multi;
    fetcher->epoll_fd = fd;
    fetcher->timer = (pl_timer){.fire = on_timer, .data = fetcher};
    fetcher->socket = h2o_evloop_socket_create(pl_loop_h2o(loop), fd, H2O_SOCKET_FLAG_DONT_READ);
    fetcher->socket->data = fetcher;
    h2o_socket_read_start(fetcher->socket, on_events);
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, fetcher);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, fetcher);
    pl_loop_note_peer(loop);
    return fetcher;
}

void pl_http_fetcher_free(pl_http_fetcher *fetcher)
{
    if (!fetcher)
        return;
    while (fetcher->fetches)
        free_fetch(fetcher->fetches);
    curl_multi_cleanup(fetcher->multi);
    fetcher->host->ops->timer_stop(fetcher->host, &fetcher->timer);
    pl_loop_run_callbacks(fetcher->loop);
    h2o_socket_close(fetcher->socket);
    pl_free(fetcher);
}
