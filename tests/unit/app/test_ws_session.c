/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/ws_session.h"
#include "base/alloc.h"
#include "value/json.h"

/* GraphQL over WebSocket, message by message: both protocols, all states; and operations that end, or end
 * everything, at whatever moment. */

typedef struct peer peer;
struct peer {
    pl_ws_session *session;
    char seen[65536]; /* what the session has asked for, a line each, with ' for " */
    size_t len;
    const pl_value *params; /* of connection_init */
    bool accepts;           /* connection_init, at once */
    const char *on_start;   /* c: close, n: next, e: end, r: end with errors; one after the other */
    bool close_on_send, close_on_stop;
    pl_ws_operation *running[512];
    size_t count;
    bool deaf; /* nothing is written down */
};

static void note(peer *p, const char *what, pl_str text)
{
    if (p->deaf)
        return;
    p->len += (size_t)snprintf(p->seen + p->len, sizeof p->seen - p->len, "%s%s%.*s\n", what,
                               text.len ? " " : "", PL_STR_ARG(text));
    assert_true(p->len < sizeof p->seen);
    for (size_t i = 0; i < p->len; i++)
        p->seen[i] = p->seen[i] == '"' ? '\'' : p->seen[i];
}

static void note_json(peer *p, const char *what, const pl_value *value)
{
    pl_buf json;
    pl_buf_init(&json);
    if (value)
        pl_json_value(&json, value);
    note(p, what, pl_buf_view(&json));
    pl_buf_dispose(&json);
}

static void forget(peer *p, pl_ws_operation *op)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->running[i] == op)
            p->running[i--] = p->running[--p->count];
    }
}

static void on_send(void *data, pl_str message)
{
    peer *p = data;
    note(p, "send", message);
    if (p->close_on_send) {
        p->close_on_send = false;
        pl_ws_session_close(p->session, 4999, "from within send");
    }
}

static void on_close(void *data, unsigned code, const char *reason)
{
    char text[200];
    assert_true(strlen(reason) <= 123); /* what a close frame can hold */
    snprintf(text, sizeof text, "%u %s", code, reason);
    note(data, "close", pl_str_of(text));
}

static void on_init(void *data, const pl_value *payload)
{
    peer *p = data;
    p->params = payload;
    note_json(p, "init", payload);
    if (p->accepts)
        pl_ws_session_acknowledge(p->session);
}

static void end_op(peer *p, pl_ws_operation *op, const char *errors)
{
    forget(p, op);
    pl_ws_session_end(op, errors ? pl_str_of(errors) : PL_STR_NONE);
}

static void on_start(void *data, pl_ws_operation *op, const pl_value *payload)
{
    peer *p = data;
    char what[300];
    snprintf(what, sizeof what, "start %.*s", PL_STR_ARG(op->id));
    note_json(p, what, payload);
    p->running[p->count++] = op;
    op->data = p;
    for (const char *c = p->on_start; c && *c; c++) {
        if (*c == 'n' && !pl_ws_session_next(op, PL_STR("{\"data\":{\"a\":1}}")))
            return; /* it is gone */
        if (*c == 'c') {
            pl_ws_session_close(p->session, 4998, "from within start");
            return;
        }
        if (*c == 'e' || *c == 'r') {
            end_op(p, op, *c == 'r' ? "[{\"message\":\"no\"}]" : NULL);
            return;
        }
    }
}

static void on_stop(void *data, pl_ws_operation *op)
{
    peer *p = data;
    note(p, "stop", op->id);
    forget(p, op);
    if (p->close_on_stop) {
        p->close_on_stop = false;
        pl_ws_session_close(p->session, 4997, "from within stop");
    }
}

static const pl_ws_ops ops = {
    .send = on_send, .close = on_close, .init = on_init, .start = on_start, .stop = on_stop};

static peer the_peer;

static peer *open_with(pl_ws_protocol protocol, uint32_t max_operations)
{
    peer *p = &the_peer;
    memset(p, 0, sizeof *p);
    p->session = pl_ws_session_new(protocol, &(pl_ws_limits){.max_operations = max_operations}, &ops, p);
    assert_non_null(p->session);
    return p;
}

/* ' stands for ". */
static void say(peer *p, const char *text)
{
    char *json = strdup(text);
    for (char *c = json; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    pl_ws_session_message(p->session, pl_str_of(json));
    free(json); /* the session has what it needs */
}

static void saw_at(peer *p, const char *lines, const char *file, int line)
{
    if (strcmp(p->seen, lines) != 0) {
        print_error("%s:%d: expected\n%sbut there was\n%s", file, line, lines, p->seen);
        _fail(file, line);
    }
    p->len = 0;
    p->seen[0] = '\0';
}
#define saw(p, lines) saw_at(p, lines, __FILE__, __LINE__)

static peer *acknowledged(pl_ws_protocol protocol)
{
    peer *p = open_with(protocol, 0);
    p->accepts = true;
    say(p, "{'type':'connection_init'}");
    p->len = 0;
    p->seen[0] = '\0';
    assert_true(pl_ws_session_is_open(p->session));
    return p;
}

static void end(peer *p)
{
    pl_ws_session_free(p->session);
    assert_int_equal(p->count, 0); /* each has ended, or was stopped */
}

/* --- what every message does in every state --- */
enum { OPENED, INITIALISING, ACKNOWLEDGED, CLOSED, STATES };

static peer *in_state(pl_ws_protocol protocol, int state)
{
    peer *p = open_with(protocol, 0);
    if (state == CLOSED)
        pl_ws_session_close(p->session, 1000, "");
    if (state == INITIALISING || state == ACKNOWLEDGED)
        say(p, "{'type':'connection_init'}");
    if (state == ACKNOWLEDGED)
        pl_ws_session_acknowledge(p->session);
    p->len = 0;
    p->seen[0] = '\0';
    return p;
}

typedef struct row {
    const char *message;
    const char *does[CLOSED]; /* in each state; once closed, nothing */
} row;

#define UNAUTHORIZED "close 4401 Unauthorized\n"
#define TWICE "close 4429 Too many initialisation requests\n"
#define UNKNOWN_TYPE "close 4400 the message has an unknown 'type'\n"
#define NO_TYPE "close 4400 the message has no 'type'\n"
#define BAD(what) "close 4400 " what "\n"

static const row transport[] = {
    {"{'type':'connection_init'}", {"init\n", TWICE, TWICE}},
    {"{'type':'connection_init','payload':null}", {"init\n", TWICE, TWICE}},
    {"{'type':'connection_init','payload':{'a':[1]}}", {"init {'a':[1]}\n", TWICE, TWICE}},
    {"{'type':'connection_init','payload':7}",
     {BAD("the payload of connection_init must be an object"), TWICE, TWICE}},
    {"{'type':'subscribe','id':'1','payload':{'query':'{a}'}}",
     {UNAUTHORIZED, UNAUTHORIZED, "start 1 {'query':'{a}'}\n"}},
    {"{'type':'subscribe','payload':{'query':'{a}'}}",
     {UNAUTHORIZED, UNAUTHORIZED, BAD("an operation must have an 'id': a string of 1 to 256 bytes")}},
    {"{'type':'subscribe','id':'','payload':{'query':'{a}'}}",
     {UNAUTHORIZED, UNAUTHORIZED, BAD("an operation must have an 'id': a string of 1 to 256 bytes")}},
    {"{'type':'subscribe','id':1,'payload':{'query':'{a}'}}",
     {UNAUTHORIZED, UNAUTHORIZED, BAD("an operation must have an 'id': a string of 1 to 256 bytes")}},
    {"{'type':'subscribe','id':'1'}",
     {UNAUTHORIZED, UNAUTHORIZED, BAD("the payload of the operation must be an object")}},
    {"{'type':'subscribe','id':'1','payload':[]}",
     {UNAUTHORIZED, UNAUTHORIZED, BAD("the payload of the operation must be an object")}},
    {"{'type':'subscribe','id':'1','payload':{}}",
     {UNAUTHORIZED, UNAUTHORIZED, BAD("the payload of the operation must have a 'query'")}},
    {"{'type':'subscribe','id':'1','payload':{'query':null}}",
     {UNAUTHORIZED, UNAUTHORIZED, BAD("the payload of the operation must have a 'query'")}},
    {"{'type':'subscribe','id':'1','payload':{'query':7}}",
     {UNAUTHORIZED, UNAUTHORIZED, BAD("the 'query' of the operation must be a string")}},
    {"{'type':'subscribe','id':'1','payload':{'documentId':'x'}}",
     {UNAUTHORIZED, UNAUTHORIZED, "start 1 {'documentId':'x'}\n"}},
    {"{'type':'complete','id':'1'}", {UNAUTHORIZED, UNAUTHORIZED, ""}},
    {"{'type':'complete'}", {UNAUTHORIZED, UNAUTHORIZED, BAD("the message must have an 'id', a string")}},
    {"{'type':'complete','id':7}",
     {UNAUTHORIZED, UNAUTHORIZED, BAD("the message must have an 'id', a string")}},
    {"{'type':'ping'}", {"send {'type':'pong'}\n", "send {'type':'pong'}\n", "send {'type':'pong'}\n"}},
    {"{'type':'ping','payload':{'n':1}}",
     {"send {'type':'pong','payload':{'n':1}}\n", "send {'type':'pong','payload':{'n':1}}\n",
      "send {'type':'pong','payload':{'n':1}}\n"}},
    {"{'type':'ping','payload':7}",
     {"send {'type':'pong'}\n", "send {'type':'pong'}\n", "send {'type':'pong'}\n"}},
    {"{'type':'pong'}", {"", "", ""}},
    {"{'type':'start','id':'1','payload':{'query':'{a}'}}", {UNKNOWN_TYPE, UNKNOWN_TYPE, UNKNOWN_TYPE}},
    {"{'type':'connection_terminate'}", {UNKNOWN_TYPE, UNKNOWN_TYPE, UNKNOWN_TYPE}},
    {"{'type':'connection_ack'}", {UNKNOWN_TYPE, UNKNOWN_TYPE, UNKNOWN_TYPE}},
    {"{'type':7}", {UNKNOWN_TYPE, UNKNOWN_TYPE, UNKNOWN_TYPE}},
    {"{}", {NO_TYPE, NO_TYPE, NO_TYPE}},
    {"[]",
     {BAD("the message is not a JSON object"), BAD("the message is not a JSON object"),
      BAD("the message is not a JSON object")}},
};

#define ERROR(id, what) "send {" id "'type':'error','payload':{'message':'" what "'}}\n"
#define CONNECTION_ERROR(what) "send {'type':'connection_error','payload':{'message':'" what "'}}\n"
#define EARLY "close 1002 Unauthorized\n"
#define AGAIN "close 1002 Too many initialisation requests\n"

static const row legacy[] = {
    {"{'type':'connection_init'}", {"init\n", AGAIN, AGAIN}},
    {"{'type':'connection_init','payload':{'a':1}}", {"init {'a':1}\n", AGAIN, AGAIN}},
    {"{'type':'connection_init','payload':'x'}",
     {CONNECTION_ERROR("the payload of connection_init must be an object"), AGAIN, AGAIN}},
    {"{'type':'start','id':'1','payload':{'query':'{a}'}}", {EARLY, "", "start 1 {'query':'{a}'}\n"}},
    {"{'type':'start','id':'1','payload':{}}",
     {EARLY, "", ERROR("'id':'1',", "the payload of the operation must have a \\'query\\'")}},
    {"{'type':'start','payload':{'query':'{a}'}}",
     {EARLY, "", ERROR("", "an operation must have an \\'id\\': a string of 1 to 256 bytes")}},
    {"{'type':'stop','id':'1'}", {EARLY, "", ""}},
    {"{'type':'stop'}", {EARLY, "", ERROR("", "the message must have an \\'id\\', a string")}},
    {"{'type':'connection_terminate'}", {"close 1000 \n", "close 1000 \n", "close 1000 \n"}},
    {"{'type':'ping'}",
     {CONNECTION_ERROR("the message has an unknown \\'type\\'"),
      CONNECTION_ERROR("the message has an unknown \\'type\\'"),
      ERROR("", "the message has an unknown \\'type\\'")}},
    {"{'type':'subscribe','id':'1','payload':{'query':'{a}'}}",
     {CONNECTION_ERROR("the message has an unknown \\'type\\'"),
      CONNECTION_ERROR("the message has an unknown \\'type\\'"),
      ERROR("", "the message has an unknown \\'type\\'")}},
    {"{}",
     {CONNECTION_ERROR("the message has no \\'type\\'"), CONNECTION_ERROR("the message has no \\'type\\'"),
      ERROR("", "the message has no \\'type\\'")}},
    {"7",
     {CONNECTION_ERROR("the message is not a JSON object"),
      CONNECTION_ERROR("the message is not a JSON object"), ERROR("", "the message is not a JSON object")}},
};

static void check_rows(pl_ws_protocol protocol, const row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int state = OPENED; state < STATES; state++) {
            peer *p = in_state(protocol, state);
            const char *expected = state == CLOSED ? "" : rows[i].does[state];
            say(p, rows[i].message);
            if (strcmp(p->seen, expected) != 0)
                fail_msg("%s in state %d: expected\n%sbut there was\n%s", rows[i].message, state, expected,
                         p->seen);
            if (strncmp(expected, "close", 5) == 0) { /* nothing happens any more */
                p->len = 0;
                p->seen[0] = '\0';
                say(p, rows[i].message);
                pl_ws_session_acknowledge(p->session);
                pl_ws_session_keep_alive(p->session);
                pl_ws_session_init_timeout(p->session);
                pl_ws_session_close(p->session, 1000, "");
                saw(p, "");
            }
            end(p);
        }
    }
}

static void the_newer_protocol(void **state)
{
    check_rows(PL_WS_TRANSPORT, transport, sizeof transport / sizeof *transport);
}

static void the_older_protocol(void **state)
{
    check_rows(PL_WS_LEGACY, legacy, sizeof legacy / sizeof *legacy);
}

static void text_that_is_no_json(void **state)
{
    static const char *const texts[] = {
        "", "{", "{'type':'ping'", "{'type':'ping'} x", "\x01", "{'a':1,'a':2}x", "nul"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        peer *p = acknowledged(PL_WS_TRANSPORT);
        say(p, texts[i]);
        assert_ptr_equal(strstr(p->seen, "close 4400 the message is not a JSON object: "), p->seen);
        end(p);
        p = acknowledged(PL_WS_LEGACY);
        say(p, texts[i]);
        assert_non_null(strstr(p->seen, "'type':'error'"));
        assert_true(pl_ws_session_is_open(p->session)); /* it goes on */
        end(p);
    }
    peer *p = acknowledged(PL_WS_TRANSPORT); /* deeper than is read */
    char deep[20001];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    say(p, deep);
    assert_non_null(strstr(p->seen, "close 4400"));
    end(p);
}

/* --- connection_init --- */
static void accepted(void **state)
{
    peer *p = open_with(PL_WS_TRANSPORT, 0);
    say(p, "{'type':'connection_init','payload':{'token':'a b c'}}");
    assert_false(pl_ws_session_is_open(p->session));
    pl_ws_session_acknowledge(p->session);
    pl_ws_session_acknowledge(p->session); /* once is enough */
    saw(p, "init {'token':'a b c'}\nsend {'type':'connection_ack'}\n");
    /* the parameters stay as long as the session */
    for (int i = 0; i < 10; i++)
        say(p, "{'type':'ping','payload':{'some':'more'}}");
    assert_true(pl_str_is(pl_value_member(p->params, PL_STR("token"))->string, "a b c"));
    end(p);
    p = open_with(PL_WS_LEGACY, 0);
    p->accepts = true;
    say(p, "{'type':'connection_init'}");
    saw(p, "init\nsend {'type':'connection_ack'}\nsend {'type':'ka'}\n");
    end(p);
}

static void rejected(void **state)
{
    peer *p = in_state(PL_WS_TRANSPORT, INITIALISING);
    pl_ws_session_reject(p->session, true, PL_STR("no mallory here"));
    pl_ws_session_reject(p->session, true, PL_STR("no mallory here"));
    saw(p, "close 4403 no mallory here\n");
    end(p);
    p = in_state(PL_WS_TRANSPORT, INITIALISING);
    pl_ws_session_reject(p->session, false, PL_STR("Internal server error"));
    saw(p, "close 4500 Internal server error\n");
    end(p);
    p = in_state(PL_WS_LEGACY, INITIALISING);
    pl_ws_session_reject(p->session, true, PL_STR("no \"mallory\""));
    saw(p, "send {'type':'connection_error','payload':{'message':'no \\'mallory\\''}}\nclose 1011 no "
           "'mallory'\n");
    end(p);
    p = in_state(PL_WS_TRANSPORT, INITIALISING); /* a reason is cut at what a frame can hold */
    char text[501];
    memset(text, 'x', 500);
    pl_ws_session_reject(p->session, true, (pl_str){text, 500});
    assert_int_equal(strlen(p->seen), strlen("close 4403 ") + 120 + 1);
    end(p);
    for (int s = 0; s < STATES; s++) { /* only when it was asked for */
        p = in_state(PL_WS_TRANSPORT, s);
        if (s != INITIALISING)
            pl_ws_session_reject(p->session, true, PL_STR("x"));
        saw(p, "");
        end(p);
    }
}

static void timeouts(void **state)
{
    static const char *const expected[] = {"close 4408 Connection initialisation timeout\n",
                                           "close 1002 Connection initialisation timeout\n"};
    for (int protocol = PL_WS_TRANSPORT; protocol <= PL_WS_LEGACY; protocol++) {
        for (int s = 0; s < STATES; s++) {
            peer *p = in_state((pl_ws_protocol)protocol, s);
            pl_ws_session_init_timeout(p->session);
            saw(p, s < ACKNOWLEDGED ? expected[protocol] : "");
            end(p);
        }
    }
}

static void a_second_init_while_the_first_is_at_work(void **state)
{
    peer *p = open_with(PL_WS_TRANSPORT, 0);
    say(p, "{'type':'connection_init','payload':{'token':'first'}}");
    say(p, "{'type':'connection_init','payload':{'token':'second'}}");
    saw(p, "init {'token':'first'}\n" TWICE);
    /* whoever looks at the first one's parameters may still do so */
    assert_true(pl_str_is(pl_value_member(p->params, PL_STR("token"))->string, "first"));
    end(p);
}

static void keep_alive(void **state)
{
    for (int s = 0; s < STATES; s++) {
        peer *p = in_state(PL_WS_LEGACY, s);
        pl_ws_session_keep_alive(p->session);
        saw(p, s == ACKNOWLEDGED ? "send {'type':'ka'}\n" : "");
        end(p);
        p = in_state(PL_WS_TRANSPORT, s);
        pl_ws_session_keep_alive(p->session);
        saw(p, "");
        end(p);
    }
}

/* --- operations --- */
static void payloads_and_ends(void **state)
{
    peer *p = acknowledged(PL_WS_TRANSPORT);
    say(p, "{'type':'subscribe','id':'x\\'y','payload':{'query':'{a}'}}");
    say(p, "{'type':'subscribe','id':'2','payload':{'query':'{b}'}}");
    assert_int_equal(pl_ws_session_operations(p->session), 2);
    p->len = 0;
    p->seen[0] = '\0';
    assert_true(pl_ws_session_next(p->running[0], PL_STR("{\"data\":null}")));
    end_op(p, p->running[0], NULL);
    saw(p,
        "send {'id':'x\\'y','type':'next','payload':{'data':null}}\nsend {'id':'x\\'y','type':'complete'}\n");
    end_op(p, p->running[0], "[{\"message\":\"no\"}]");
    saw(p, "send {'id':'2','type':'error','payload':[{'message':'no'}]}\n");
    assert_int_equal(pl_ws_session_operations(p->session), 0);
    assert_null(pl_ws_session_first(p->session));
    end(p);
    p = acknowledged(PL_WS_LEGACY);
    say(p, "{'type':'start','id':'1','payload':{'query':'{a}'}}");
    say(p, "{'type':'start','id':'2','payload':{'query':'{b}'}}");
    p->len = 0;
    p->seen[0] = '\0';
    pl_ws_session_next(p->running[0], PL_STR("{\"data\":null}"));
    end_op(p, p->running[0], NULL);
    end_op(p, p->running[0], "[{\"message\":\"no\"},{\"message\":\"no\"}]");
    saw(p, "send {'id':'1','type':'data','payload':{'data':null}}\nsend {'id':'1','type':'complete'}\n"
           "send {'id':'2','type':'data','payload':{'errors':[{'message':'no'},{'message':'no'}]}}\n"
           "send {'id':'2','type':'complete'}\n");
    end(p);
}

static void stopped(void **state)
{
    for (int protocol = PL_WS_TRANSPORT; protocol <= PL_WS_LEGACY; protocol++) {
        bool old = protocol == PL_WS_LEGACY;
        peer *p = acknowledged((pl_ws_protocol)protocol);
        for (int i = 0; i < 3; i++)
            say(p, old ? "{'type':'start','id':'1','payload':{'query':'{a}'}}"
                       : "{'type':'subscribe','id':'1','payload':{'query':'{a}'}}");
        if (old) /* the same id again takes the place of the other */
            saw(p, "start 1 {'query':'{a}'}\nstop 1\nstart 1 {'query':'{a}'}\nstop 1\nstart 1 "
                   "{'query':'{a}'}\n");
        else
            saw(p, "start 1 {'query':'{a}'}\nstop 1\nclose 4409 Subscriber for 1 already exists\n");
        if (old) {
            say(p, "{'type':'stop','id':'2'}");
            say(p, "{'type':'stop','id':'1'}");
            say(p, "{'type':'stop','id':'1'}");
            saw(p, "stop 1\n");
        }
        end(p);
    }
    peer *p = acknowledged(PL_WS_TRANSPORT);
    say(p, "{'type':'subscribe','id':'1','payload':{'query':'{a}'}}");
    say(p, "{'type':'complete','id':'1'}");
    say(p, "{'type':'subscribe','id':'1','payload':{'query':'{b}'}}"); /* the id is free again */
    saw(p, "start 1 {'query':'{a}'}\nstop 1\nstart 1 {'query':'{b}'}\n");
    end(p);
    saw(p, "stop 1\n");
}

static void ids_are_bounded(void **state)
{
    char message[600], id[300];
    peer *p = acknowledged(PL_WS_TRANSPORT);
    memset(id, 'x', sizeof id);
    snprintf(message, sizeof message, "{'type':'subscribe','id':'%.256s','payload':{'query':'{a}'}}", id);
    say(p, message);
    assert_int_equal(pl_ws_session_operations(p->session), 1);
    say(p, message); /* its reason is cut */
    assert_non_null(strstr(p->seen, "close 4409 Subscriber for xxxxx"));
    end(p);
    p = acknowledged(PL_WS_TRANSPORT);
    snprintf(message, sizeof message, "{'type':'subscribe','id':'%.257s','payload':{'query':'{a}'}}", id);
    say(p, message);
    assert_non_null(strstr(p->seen, "close 4400 an operation must have an 'id'"));
    end(p);
    p = acknowledged(PL_WS_LEGACY); /* a long one comes back, but goes on */
    snprintf(message, sizeof message, "{'type':'start','id':'%.257s','payload':{'query':'{a}'}}", id);
    say(p, message);
    assert_non_null(strstr(p->seen, "'type':'error'"));
    end(p);
}

static void as_many_operations_as_allowed(void **state)
{
    for (int protocol = PL_WS_TRANSPORT; protocol <= PL_WS_LEGACY; protocol++) {
        peer *p = open_with((pl_ws_protocol)protocol, 3);
        p->accepts = true;
        say(p, "{'type':'connection_init'}");
        p->len = 0;
        for (int i = 1; i <= 5; i++) {
            char message[100];
            snprintf(message, sizeof message, "{'type':'%s','id':'%d','payload':{'query':'{a}'}}",
                     protocol == PL_WS_LEGACY ? "start" : "subscribe", i);
            say(p, message);
        }
        assert_int_equal(pl_ws_session_operations(p->session), 3);
        assert_non_null(strstr(p->seen, "start 3"));
        assert_null(strstr(p->seen, "start 4"));
        assert_non_null(strstr(p->seen, "'id':'5'"));
        assert_non_null(strstr(p->seen, "This connection has 3 operations already"));
        assert_non_null(strstr(p->seen, "RESOURCE_EXHAUSTED"));
        end(p);
    }
    peer *p = acknowledged(PL_WS_TRANSPORT); /* 256 unless told */
    for (int i = 1; i <= 257; i++) {
        char message[100];
        snprintf(message, sizeof message, "{'type':'subscribe','id':'%d','payload':{'query':'{a}'}}", i);
        say(p, message);
    }
    assert_int_equal(pl_ws_session_operations(p->session), 256);
    end(p);
}

/* --- the older protocol's clients do not wait for the acknowledgement --- */
static void early_messages(void **state)
{
    peer *p = in_state(PL_WS_LEGACY, INITIALISING);
    say(p, "{'type':'start','id':'1','payload':{'query':'{a}'}}");
    say(p, "{'type':'start','id':'2','payload':{'query':'{b}'}}");
    say(p, "{'type':'stop','id':'1'}");
    saw(p, "");
    pl_ws_session_acknowledge(p->session);
    saw(p, "send {'type':'connection_ack'}\nsend {'type':'ka'}\nstart 1 {'query':'{a}'}\nstart 2 "
           "{'query':'{b}'}\n"
           "stop 1\n");
    end(p);
    p = in_state(PL_WS_LEGACY, INITIALISING); /* the first of them ends everything */
    p->on_start = "c";
    for (int i = 0; i < 5; i++)
        say(p, "{'type':'start','id':'1','payload':{'query':'{a}'}}");
    pl_ws_session_acknowledge(p->session);
    saw(p, "send {'type':'connection_ack'}\nsend {'type':'ka'}\nstart 1 {'query':'{a}'}\nstop 1\n"
           "close 4998 from within start\n");
    end(p);
    p = in_state(PL_WS_LEGACY, INITIALISING); /* it is never acknowledged */
    say(p, "{'type':'start','id':'1','payload':{'query':'{a}'}}");
    end(p);
    p = in_state(PL_WS_LEGACY, INITIALISING);
    say(p, "{'type':'start','id':'1','payload':{'query':'{a}'}}");
    pl_ws_session_reject(p->session, true, PL_STR("no"));
    saw(p, "send {'type':'connection_error','payload':{'message':'no'}}\nclose 1011 no\n");
    end(p);
}

static void early_messages_are_bounded(void **state)
{
    peer *p = in_state(PL_WS_LEGACY, INITIALISING);
    for (int i = 0; i < 32; i++)
        say(p, "{'type':'stop','id':'1'}");
    saw(p, "");
    say(p, "{'type':'stop','id':'1'}");
    saw(p, "close 1011 too many messages before the connection was acknowledged\n");
    end(p);
    static char large[40000];
    snprintf(large, sizeof large, "{'type':'start','id':'1','payload':{'query':'%030000d'}}", 0);
    p = in_state(PL_WS_LEGACY, INITIALISING);
    say(p, large);
    say(p, large);
    saw(p, "");
    say(p, large);
    saw(p, "close 1011 too many messages before the connection was acknowledged\n");
    end(p);
}

/* --- from within --- */
static void operations_that_end_from_within_start(void **state)
{
    static const struct {
        const char *does, *newer, *older;
    } cases[] = {
        {"e", "send {'id':'1','type':'complete'}\n", "send {'id':'1','type':'complete'}\n"},
        {"ne",
         "send {'id':'1','type':'next','payload':{'data':{'a':1}}}\nsend {'id':'1','type':'complete'}\n",
         "send {'id':'1','type':'data','payload':{'data':{'a':1}}}\nsend {'id':'1','type':'complete'}\n"},
        {"r", "send {'id':'1','type':'error','payload':[{'message':'no'}]}\n",
         "send {'id':'1','type':'data','payload':{'errors':[{'message':'no'}]}}\nsend "
         "{'id':'1','type':'complete'}\n"},
        {"nc",
         "send {'id':'1','type':'next','payload':{'data':{'a':1}}}\nstop 1\nclose 4998 from within start\n",
         "send {'id':'1','type':'data','payload':{'data':{'a':1}}}\nstop 1\nclose 4998 from within start\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int protocol = PL_WS_TRANSPORT; protocol <= PL_WS_LEGACY; protocol++) {
            char expected[400];
            peer *p = acknowledged((pl_ws_protocol)protocol);
            p->on_start = cases[i].does;
            say(p, protocol == PL_WS_LEGACY ? "{'type':'start','id':'1','payload':{'query':'{a}'}}"
                                            : "{'type':'subscribe','id':'1','payload':{'query':'{a}'}}");
            snprintf(expected, sizeof expected, "start 1 {'query':'{a}'}\n%s",
                     protocol == PL_WS_LEGACY ? cases[i].older : cases[i].newer);
            saw(p, expected);
            end(p);
        }
    }
}

/* The connection breaks as something is sent: all operations are stopped, the one that sends, too. */
static void closed_from_within_send(void **state)
{
    for (int protocol = PL_WS_TRANSPORT; protocol <= PL_WS_LEGACY; protocol++) {
        bool old = protocol == PL_WS_LEGACY;
        const char *start = old ? "{'type':'start','id':'1','payload':{'query':'{a}'}}"
                                : "{'type':'subscribe','id':'1','payload':{'query':'{a}'}}";
        const char *other = old ? "{'type':'start','id':'2','payload':{'query':'{a}'}}"
                                : "{'type':'subscribe','id':'2','payload':{'query':'{a}'}}";
        for (int how = 0; how < 4; how++) {
            peer *p = acknowledged((pl_ws_protocol)protocol);
            say(p, other);
            if (how < 3)
                say(p, start);
            p->close_on_send = true;
            if (how == 0)
                assert_false(pl_ws_session_next(p->running[1], PL_STR("{}")));
            else if (how == 1)
                end_op(p, p->running[1], NULL);
            else if (how == 2)
                end_op(p, p->running[1], "[]");
            else
                p->on_start = "nne";
            if (how == 3)
                say(p, start);
            assert_non_null(strstr(p->seen, "close 4999 from within send"));
            assert_int_equal(p->count, 0);
            end(p);
        }
    }
    peer *p = open_with(PL_WS_LEGACY, 0); /* the acknowledgement itself */
    p->close_on_send = true;
    say(p, "{'type':'connection_init'}");
    say(p, "{'type':'stop','id':'1'}");
    pl_ws_session_acknowledge(p->session);
    saw(p, "init\nsend {'type':'connection_ack'}\nclose 4999 from within send\n");
    end(p);
}

static void closed_from_within_stop(void **state)
{
    peer *p = acknowledged(PL_WS_TRANSPORT);
    for (int i = 1; i <= 3; i++) {
        char message[100];
        snprintf(message, sizeof message, "{'type':'subscribe','id':'%d','payload':{'query':'{a}'}}", i);
        say(p, message);
    }
    p->len = 0;
    p->close_on_stop = true;
    say(p, "{'type':'complete','id':'2'}");
    saw(p, "stop 2\nstop 3\nstop 1\nclose 4997 from within stop\n");
    end(p);
    p = acknowledged(PL_WS_LEGACY); /* by another one with the same id, which does not begin then */
    say(p, "{'type':'start','id':'1','payload':{'query':'{a}'}}");
    p->len = 0;
    p->close_on_stop = true;
    say(p, "{'type':'start','id':'1','payload':{'query':'{b}'}}");
    saw(p, "stop 1\nclose 4997 from within stop\n");
    end(p);
}

/* --- without memory --- */
static void talk(peer *p, bool old)
{
    say(p, "{'type':'connection_init','payload':{'a':{'b':'c'}}}");
    if (old)
        say(p, "{'type':'start','id':'0','payload':{'query':'{a}'}}");
    pl_ws_session_acknowledge(p->session);
    say(p, old ? "{'type':'start','id':'1','payload':{'query':'{a}','variables':{'x':[1,2,3]}}}"
               : "{'type':'subscribe','id':'1','payload':{'query':'{a}','variables':{'x':[1,2,3]}}}");
    if (!old)
        say(p, "{'type':'ping','payload':{'x':1}}");
    if (p->count > 0)
        pl_ws_session_next(p->running[0], PL_STR("{\"data\":{}}"));
    say(p, "{'type':'wrong'}");
    if (p->count > 0)
        end_op(p, p->running[0], "[{\"message\":\"no\"}]");
}

static void without_memory(void **state)
{
    for (int protocol = PL_WS_TRANSPORT; protocol <= PL_WS_LEGACY; protocol++) {
        for (int sticky = 0; sticky <= 1; sticky++) {
            size_t failed = 0;
            for (size_t n = 1;; n++) {
                peer *p = &the_peer;
                memset(p, 0, sizeof *p);
                pl_alloc_fail_at(n, sticky);
                p->session = pl_ws_session_new((pl_ws_protocol)protocol, &(pl_ws_limits){0}, &ops, p);
                p->deaf = true; /* which takes memory itself */
                if (p->session)
                    talk(p, protocol == PL_WS_LEGACY);
                bool over = pl_alloc_fail_at(0, 0) < n;
                end(p);
                if (over)
                    break;
                failed++;
            }
            assert_true(failed > 10);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newer_protocol),
        cmocka_unit_test(the_older_protocol),
        cmocka_unit_test(text_that_is_no_json),
        cmocka_unit_test(accepted),
        cmocka_unit_test(rejected),
        cmocka_unit_test(timeouts),
        cmocka_unit_test(a_second_init_while_the_first_is_at_work),
        cmocka_unit_test(keep_alive),
        cmocka_unit_test(payloads_and_ends),
        cmocka_unit_test(stopped),
        cmocka_unit_test(ids_are_bounded),
        cmocka_unit_test(as_many_operations_as_allowed),
        cmocka_unit_test(early_messages),
        cmocka_unit_test(early_messages_are_bounded),
        cmocka_unit_test(operations_that_end_from_within_start),
        cmocka_unit_test(closed_from_within_send),
        cmocka_unit_test(closed_from_within_stop),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
