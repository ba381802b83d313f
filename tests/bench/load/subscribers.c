/* SPDX-License-Identifier: MIT */
/* Many subscribers, one publication:
 *
 *     subscribers HOST:PORT COUNT ROUNDS
 *
 * opens COUNT WebSockets (graphql-transport-ws) at /graphql on one thread, on each of which it subscribes to
 * `published`. Servers differ in when a subscription is live once it was asked for, so it publishes probes
 * until one of them has reached everybody. Then it publishes ROUNDS times by HTTP, on a connection of its
 * own, and prints a line for each: {"connected":N,"first_us":…,"median_us":…,"last_us":…}, the times from
 * when the mutation is sent to when the text is read. Every subscriber must receive every text once, and
 * nothing else; what comes after the last round is read until all connections are closed. */

#include "load.h"

#include <strings.h>
#include <sys/epoll.h>

enum {
    OPENING = 256,                /* handshakes at a time */
    EACH_SOURCE = 20000,          /* connections from one address */
    MESSAGE_MAX = 1 << 20,        /* bytes of a message, or an answer */
    PROBE_PATIENCE = 1 * 1000000, /* until the next probe is sent, in microseconds */
};

/* The pair of RFC 6455's example. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

typedef struct buffer {
    char *bytes;
    size_t used, size;
} buffer;

typedef struct slice {
    const char *at, *end;
} slice;

typedef enum state { UPGRADING, GREETING, SUBSCRIBED, CLOSING, CLOSED } state;

typedef struct client {
    int fd;
    state state;
    bool polls_out, fragmented;
    long heard;     /* the last publication that has come */
    buffer in;      /* what was read and is not a whole frame yet */
    buffer message; /* the frames of a message that is not whole yet */
    buffer out;     /* what the socket has not taken */
} client;

typedef struct load {
    int epoll;
    struct sockaddr_in to;
    const char *host; /* of requests, HOST:PORT */
    client *clients;
    long count, begun, opened, closed;
    int64_t patience;
    /* The connection that publishes, -1 when there is none, and what has come of the answer. */
    int publisher;
    bool answered;
    buffer answer;
    /* The publication in hand. */
    long number;
    char text[64];
    int64_t sent;
    long received;
    int64_t *times; /* of those that have received it */
} load;

/* ---------------------------------------------------------------- bytes */

static void append(buffer *to, const void *bytes, size_t size)
{
    if (to->used + size > MESSAGE_MAX)
        die("the server sends more than %d bytes in one message", MESSAGE_MAX);
    if (to->used + size > to->size) {
        to->size = (to->used + size) * 2;
        to->bytes = realloc(to->bytes, to->size);
        if (to->bytes == NULL)
            die("out of memory");
    }
    memcpy(to->bytes + to->used, bytes, size);
    to->used += size;
}

static void drop(buffer *of, size_t size)
{
    of->used -= size;
    memmove(of->bytes, of->bytes + size, of->used);
    if (of->used == 0) {
        free(of->bytes);
        *of = (buffer){0};
    }
}

static bool equals(slice s, const char *text)
{
    size_t size = strlen(text);
    return (size_t)(s.end - s.at) == size && memcmp(s.at, text, size) == 0;
}

/* ---------------------------------------------------------------- JSON */

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

/* To behind the string that begins here. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\')
            at++;
    }
    return at < end ? at + 1 : end;
}

/* To behind the value that begins here. */
static const char *skip_value(const char *at, const char *end)
{
    int depth = 0;
    while (at < end && (depth > 0 || strchr(",}] \t\r\n", *at) == NULL)) {
        if (*at == '"') {
            at = skip_string(at, end);
        } else {
            depth += *at == '{' || *at == '[' ? 1 : *at == '}' || *at == ']' ? -1 : 0;
            at++;
        }
    }
    return at;
}

/* The value of a member of an object, as it is written; empty when there is none. */
static slice member(slice object, const char *name)
{
    const char *at = skip_space(object.at, object.end), *end = object.end;
    if (at == end || *at != '{')
        return (slice){end, end};
    at = skip_space(at + 1, end);
    while (at < end && *at == '"') {
        slice key = {at + 1, skip_string(at, end) - 1};
        at = skip_space(key.end + 1, end);
        if (at < end && *at == ':')
            at = skip_space(at + 1, end);
        slice value = {at, skip_value(at, end)};
        if (equals(key, name))
            return value;
        at = skip_space(value.end, end);
        if (at < end && *at == ',')
            at = skip_space(at + 1, end);
    }
    return (slice){end, end};
}

/* The text of a string without escapes. */
static slice unquote(slice s)
{
    return s.end - s.at >= 2 && *s.at == '"' ? (slice){s.at + 1, s.end - 1} : (slice){s.end, s.end};
}

/* ---------------------------------------------------------------- sockets */

static void poll_for(load *run, int fd, int operation, bool out, void *data)
{
    struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = data};
    if (epoll_ctl(run->epoll, operation, fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

/* Sends what is in c->out. */
static void flush(load *run, client *c)
{
    ssize_t n = 0;
    while (c->out.used > 0 && (n = send(c->fd, c->out.bytes, c->out.used, MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
        drop(&c->out, (size_t)n);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        die("send: %s", strerror(errno));
    if ((c->out.used > 0) != c->polls_out) {
        c->polls_out = !c->polls_out;
        poll_for(run, c->fd, EPOLL_CTL_MOD, c->polls_out, c);
    }
}

enum { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

/* A frame of less than 126 bytes, or 65,536. */
static void send_frame(load *run, client *c, int opcode, const char *bytes, size_t size)
{
    static uint32_t seed = 2463534242;
    uint8_t head[8], mask[4];
    size_t n = 0;
    seed ^= seed << 13, seed ^= seed >> 17, seed ^= seed << 5;
    memcpy(mask, &seed, sizeof(mask));
    head[n++] = (uint8_t)(0x80 | opcode);
    head[n++] = (uint8_t)(0x80 | (size < 126 ? size : 126));
    if (size >= 126) {
        head[n++] = (uint8_t)(size >> 8);
        head[n++] = (uint8_t)size;
    }
    memcpy(head + n, mask, sizeof(mask));
    append(&c->out, head, n + sizeof(mask));
    append(&c->out, bytes, size);
    for (size_t i = 0; i < size; i++)
        c->out.bytes[c->out.used - size + i] ^= (char)mask[i % 4];
    flush(run, c);
}

static void send_text(load *run, client *c, const char *text)
{
    send_frame(run, c, TEXT, text, strlen(text));
}

/* ---------------------------------------------------------------- subscriptions */

static void on_next(load *run, client *c, slice message)
{
    slice data = member(member(message, "payload"), "data");
    slice text = unquote(member(member(data, "published"), "text"));
    if (!equals(text, run->text)) {
        /* A probe that was given up has come after all. */
        if (text.end - text.at > 6 && memcmp(text.at, "probe ", 6) == 0 && c->heard < run->number)
            return;
        die("\"%s\" was published, and one received: %.*s", run->text, (int)(message.end - message.at),
            message.at);
    }
    if (c->heard == run->number)
        die("a subscriber has received \"%s\" twice", run->text);
    c->heard = run->number;
    run->times[run->received++] = now_us() - run->sent;
}

static void on_message(load *run, client *c, slice message)
{
    slice type = unquote(member(message, "type"));
    if (c->state == SUBSCRIBED && equals(type, "next")) {
        on_next(run, c, message);
    } else if (c->state == GREETING && equals(type, "connection_ack")) {
        send_text(run, c,
                  "{\"id\":\"1\",\"type\":\"subscribe\",\"payload\":"
                  "{\"query\":\"subscription { published { text } }\"}}");
        c->state = SUBSCRIBED;
        run->opened++;
    } else if (equals(type, "ping")) {
        send_text(run, c, "{\"type\":\"pong\"}");
    } else if (!equals(type, "pong") && c->state != CLOSING) {
        die("the server sends: %.*s", (int)(message.end - message.at), message.at);
    } else if (equals(type, "next")) {
        die("a subscriber has received more than was published: %.*s", (int)(message.end - message.at),
            message.at);
    }
}

/* ---------------------------------------------------------------- WebSocket */

static void on_close_frame(load *run, client *c, const char *bytes, size_t size)
{
    if (c->state != CLOSING) {
        int code = size >= 2 ? (uint8_t)bytes[0] << 8 | (uint8_t)bytes[1] : 1005;
        die("the server closes a connection: %d %.*s", code, size >= 2 ? (int)(size - 2) : 0, bytes + 2);
    }
}

static void on_frame(load *run, client *c, uint8_t head, const char *bytes, size_t size)
{
    int opcode = head & 0x0f;
    bool last = head & 0x80;
    if (head & 0x70)
        die("the server uses an extension that it was not asked for");
    if (opcode == CLOSE) {
        on_close_frame(run, c, bytes, size);
    } else if (opcode == PING) {
        if (c->state != CLOSING)
            send_frame(run, c, PONG, bytes, size);
    } else if (opcode == TEXT && last && !c->fragmented) {
        on_message(run, c, (slice){bytes, bytes + size});
    } else if (opcode == (c->fragmented ? 0 : TEXT)) {
        append(&c->message, bytes, size);
        c->fragmented = !last;
        if (last) {
            on_message(run, c, (slice){c->message.bytes, c->message.bytes + c->message.used});
            drop(&c->message, c->message.used);
        }
    } else if (opcode != PONG) {
        die("the server sends a frame of opcode %d%s", opcode, c->fragmented ? " within a message" : "");
    }
}

/* How many bytes of these were whole frames. */
static size_t read_frames(load *run, client *c, const char *bytes, size_t size)
{
    size_t used = 0;
    for (;;) {
        const uint8_t *at = (const uint8_t *)bytes + used;
        size_t left = size - used, head = 2;
        if (left < head)
            return used;
        uint64_t length = at[1] & 0x7f;
        if (at[1] & 0x80)
            die("the server masks its frames");
        size_t extra = length == 126 ? 2 : length == 127 ? 8 : 0;
        if (left < head + extra)
            return used;
        if (extra > 0) {
            length = 0;
            for (size_t i = 0; i < extra; i++)
                length = length << 8 | at[head + i];
        }
        if (length > MESSAGE_MAX)
            die("the server sends a frame of more than %d bytes", MESSAGE_MAX);
        head += extra;
        if (left < head + length)
            return used;
        on_frame(run, c, at[0], (const char *)at + head, (size_t)length);
        used += head + (size_t)length;
    }
}

/* ---------------------------------------------------------------- HTTP */

/* The value of a header in what begins with the first line of an answer; empty when it is not there. */
static slice header(slice head, const char *name)
{
    size_t size = strlen(name);
    for (const char *line = head.at; line != NULL && line < head.end;) {
        const char *end = memmem(line, (size_t)(head.end - line), "\r\n", 2);
        if (end == NULL)
            end = head.end;
        if ((size_t)(end - line) > size && strncasecmp(line, name, size) == 0 && line[size] == ':')
            return (slice){skip_space(line + size + 1, end), end};
        line = end + 2;
    }
    return (slice){head.end, head.end};
}

/* The head of an answer with the empty line at its end, once it is whole. */
static bool whole_head(const buffer *in, slice *head)
{
    const char *end = memmem(in->bytes, in->used, "\r\n\r\n", 4);
    if (end != NULL)
        *head = (slice){in->bytes, end + 4};
    return end != NULL;
}

static void upgraded(load *run, client *c)
{
    slice head;
    if (!whole_head(&c->in, &head))
        return;
    if (strncmp(head.at, "HTTP/1.1 101", 12) != 0)
        die("no WebSocket: %.*s", (int)c->in.used, c->in.bytes);
    if (!equals(header(head, "Sec-WebSocket-Accept"), ACCEPT) ||
        !equals(header(head, "Sec-WebSocket-Protocol"), "graphql-transport-ws"))
        die("no graphql-transport-ws: %.*s", (int)(head.end - head.at), head.at);
    drop(&c->in, (size_t)(head.end - head.at));
    c->state = GREETING;
    send_text(run, c, "{\"type\":\"connection_init\"}");
}

static void receive(load *run, client *c)
{
    static char bytes[64 << 10];
    ssize_t n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        if (c->state != CLOSING)
            die("a connection has ended: %s", n < 0 ? strerror(errno) : "closed by the server");
        close(c->fd);
        c->state = CLOSED;
        run->closed++;
        return;
    }
    /* Most of what comes is whole frames. */
    if (c->in.used == 0 && c->state != UPGRADING) {
        size_t used = read_frames(run, c, bytes, (size_t)n);
        if (used < (size_t)n)
            append(&c->in, bytes + used, (size_t)n - used);
        return;
    }
    append(&c->in, bytes, (size_t)n);
    if (c->state == UPGRADING)
        upgraded(run, c);
    if (c->state != UPGRADING && c->in.used > 0)
        drop(&c->in, read_frames(run, c, c->in.bytes, c->in.used));
}

/* ---------------------------------------------------------------- connections */

static int connect_to(load *run, const char *source)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        die("socket: %s", strerror(errno));
    if (source != NULL) {
        struct sockaddr_in from = {.sin_family = AF_INET};
        inet_pton(AF_INET, source, &from.sin_addr);
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
        if (bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0)
            die("bind to %s: %s", source, strerror(errno));
    }
    if (connect(fd, (struct sockaddr *)&run->to, sizeof(run->to)) != 0)
        die("connection %ld: %s", run->begun + 1,
            errno == EADDRNOTAVAIL ? "no local port is free (net.ipv4.ip_local_port_range)"
                                   : strerror(errno));
    nodelay(fd);
    return fd;
}

static void begin(load *run)
{
    client *c = &run->clients[run->begun];
    char source[32], request[512];
    snprintf(source, sizeof(source), "127.0.0.%ld", 1 + run->begun / EACH_SOURCE);
    c->fd = connect_to(run, run->count > EACH_SOURCE ? source : NULL);
    poll_for(run, c->fd, EPOLL_CTL_ADD, false, c);
    int n = snprintf(request, sizeof(request),
                     "GET /graphql HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n",
                     run->host);
    append(&c->out, request, (size_t)n);
    flush(run, c);
    run->begun++;
}

/* ---------------------------------------------------------------- publication */

static void send_publication(load *run)
{
    char body[160], request[512];
    int size =
        snprintf(body, sizeof(body), "{\"query\":\"mutation { publish(text: \\\"%s\\\") }\"}", run->text);
    int n = snprintf(request, sizeof(request),
                     "POST /graphql HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                     "Content-Length: %d\r\n\r\n%s",
                     run->host, size, body);
    if (run->publisher == -1) {
        run->publisher = connect_to(run, NULL);
        poll_for(run, run->publisher, EPOLL_CTL_ADD, false, NULL);
    }
    run->answered = false;
    run->received = 0;
    run->sent = now_us();
    if (send(run->publisher, request, (size_t)n, MSG_NOSIGNAL) != n)
        die("the mutation could not be sent: %s", strerror(errno));
}

/* Whether the answer is whole. */
static bool whole_answer(const buffer *in, slice *head)
{
    if (!whole_head(in, head))
        return false;
    slice length = header(*head, "Content-Length"), coding = header(*head, "Transfer-Encoding");
    const char *end = in->bytes + in->used;
    if (length.at < length.end)
        return end - head->end >= strtol(length.at, NULL, 10);
    if (!equals(coding, "chunked"))
        die("an answer without a length: %.*s", (int)in->used, in->bytes);
    return end - head->end >= 5 && memcmp(end - 5, "0\r\n\r\n", 5) == 0;
}

static void receive_answer(load *run)
{
    char bytes[16 << 10];
    slice head;
    ssize_t n = recv(run->publisher, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        if (!run->answered)
            die("a mutation has no answer");
        close(run->publisher);
        run->publisher = -1;
        return;
    }
    append(&run->answer, bytes, (size_t)n);
    if (!whole_answer(&run->answer, &head))
        return;
    /* Within chunks, where there are some. */
    slice body = {memchr(head.end, '{', (size_t)(run->answer.bytes + run->answer.used - head.end)),
                  run->answer.bytes + run->answer.used};
    if (strncmp(head.at, "HTTP/1.1 200", 12) != 0 || body.at == NULL ||
        !equals(member(member(body, "data"), "publish"), "true"))
        die("the mutation has failed: %.*s", (int)run->answer.used, run->answer.bytes);
    run->answered = true;
    if (equals(header(head, "Connection"), "close")) {
        close(run->publisher);
        run->publisher = -1;
    }
    drop(&run->answer, run->answer.used);
}

/* ---------------------------------------------------------------- the run */

/* What has come within the time; false if nothing has. */
static bool turn(load *run, int64_t within)
{
    static struct epoll_event events[512];
    int n = epoll_wait(run->epoll, events, 512, (int)(within / 1000));
    if (n < 0 && errno != EINTR)
        die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        client *c = events[i].data.ptr;
        if (c == NULL) {
            receive_answer(run);
            continue;
        }
        if (events[i].events & EPOLLOUT)
            flush(run, c);
        if (events[i].events & ~(uint32_t)EPOLLOUT)
            receive(run, c);
    }
    return n != 0;
}

static void open_all(load *run)
{
    while (run->opened < run->count) {
        while (run->begun < run->count && run->begun - run->opened < OPENING)
            begin(run);
        if (!turn(run, run->patience))
            die("%ld of %ld subscribed, then nothing came", run->opened, run->count);
    }
}

/* Publishes the text; false if not all had it when nothing more came. */
static bool publish(load *run, const char *kind, long round, int64_t within)
{
    run->number++;
    snprintf(run->text, sizeof(run->text), "%s %ld of the benchmark", kind, round);
    send_publication(run);
    while (run->received < run->count || !run->answered) {
        if (!turn(run, run->answered ? within : run->patience)) {
            if (!run->answered)
                die("\"%s\" has no answer", run->text);
            return false;
        }
    }
    return true;
}

static void probe(load *run)
{
    long probes = 1, most = run->patience / PROBE_PATIENCE;
    while (!publish(run, "probe", probes, PROBE_PATIENCE)) {
        if (probes++ >= most)
            die("%ld of %ld subscribers have received none of %ld probes", run->count - run->received,
                run->count, most);
    }
}

static int by_time(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one > other) - (one < other);
}

static void measure(load *run, long round)
{
    if (!publish(run, "round", round, run->patience))
        die("round %ld: %ld of %ld subscribers have received nothing", round, run->count - run->received,
            run->count);
    qsort(run->times, (size_t)run->count, sizeof(*run->times), by_time);
    printf("{\"connected\":%ld,\"first_us\":%lld,\"median_us\":%lld,\"last_us\":%lld}\n", run->count,
           (long long)run->times[0], (long long)run->times[run->count / 2],
           (long long)run->times[run->count - 1]);
    fflush(stdout);
}

/* The server closes first, so that no local port is left waiting. One that does not is left to the system. */
static void close_all(load *run)
{
    for (long i = 0; i < run->count; i++) {
        run->clients[i].state = CLOSING;
        send_frame(run, &run->clients[i], CLOSE, "\x03\xe8", 2);
    }
    while (run->closed < run->count && turn(run, PROBE_PATIENCE))
        ;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: subscribers HOST:PORT COUNT ROUNDS\n");
        return 2;
    }
    load run = {.to = address(argv[1]), .host = argv[1], .publisher = -1, .patience = patience()};
    run.count = number("COUNT", argv[2], 1000000);
    long rounds = number("ROUNDS", argv[3], 1000000);
    need_files(run.count + 16);
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    run.clients = calloc((size_t)run.count, sizeof(*run.clients));
    run.times = calloc((size_t)run.count, sizeof(*run.times));
    if (run.clients == NULL || run.times == NULL || run.epoll == -1)
        die("%s", strerror(errno));
    open_all(&run);
    probe(&run);
    for (long round = 1; round <= rounds; round++)
        measure(&run, round);
    close_all(&run);
    free(run.times);
    free(run.clients);
    return 0;
}
