/* SPDX-License-Identifier: MIT */
#include "grpc/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/failing.h"
#include "support/native_fixture.h"

#define PATH(method) "/" PL_GRPC_HEALTH "/" method
#define ASK(name) PL_STR("\x0a" name) /* field 1; name begins with its length */
static const char *const serving = "\x08\x01", *const not_serving = "\x08\x02", *const unknown = "\x08\x03";

typedef struct world {
    nf f;
    pl_grpc_health *health;
    pl_health server, shop; /* SERVICE_UNKNOWN: there is none */
} world;

static pl_health status(void *data, pl_str service)
{
    const world *w = data;
    return service.len == 0                  ? w->server
           : pl_str_is(service, "shop.Shop") ? w->shop
                                             : PL_HEALTH_SERVICE_UNKNOWN;
}

static void each(void *data, bool (*add)(void *arg, pl_str name, pl_health status), void *arg)
{
    const world *w = data;
    bool more = add(arg, PL_STR(""), w->server) && add(arg, PL_STR("shop.Shop"), w->shop);
    char name[] = "many.00";
    for (int i = 0; more && i < 40; i++) {
        name[5] = (char)('0' + i / 10);
        name[6] = (char)('0' + i % 10);
        more = add(arg, pl_str_of(name), PL_HEALTH_SERVING);
    }
}

static void set_up(world *w, unsigned max_watchers)
{
    const pl_grpc_health_source source = {.status = status, .each = each, .data = w};
    *w = (world){.server = PL_HEALTH_SERVING, .shop = PL_HEALTH_NOT_SERVING};
    nf_open(&w->f);
    w->health = pl_grpc_health_new(&source, max_watchers);
    assert_non_null(w->health);
    assert_int_equal(pl_grpc_health_add(w->health, w->f.service), PL_OK);
}

static void tear_down(world *w)
{
    nf_close(&w->f);
    pl_grpc_health_free(w->health);
}

static void says(const nf_call *call, size_t n, const char *bytes)
{
    assert_int_equal(nf_count(call), n + 1);
    assert_true(pl_str_is(nf_message(call, n), bytes));
}

static void test_check(void **state)
{
    world w;
    set_up(&w, 0);
    nf_call *server = nf_unary(&w.f, PATH("Check"), PL_STR(""));
    says(server, 0, serving);
    assert_int_equal(server->code, PL_OK);
    nf_call *shop = nf_unary(&w.f, PATH("Check"), ASK("\x09shop.Shop"));
    says(shop, 0, not_serving);
    nf_call *none = nf_unary(&w.f, PATH("Check"), ASK("\x04none"));
    assert_int_equal(none->code, PL_NOT_FOUND);
    assert_int_equal(nf_count(none), 0);
    nf_call *cut = nf_unary(&w.f, PATH("Check"), ASK("\x09shop"));
    assert_int_equal(cut->code, PL_INTERNAL);
    assert_non_null(strstr(cut->message, "grpc.health.v1.HealthCheckRequest"));
    nf_end(server);
    nf_end(shop);
    nf_end(none);
    nf_end(cut);
    tear_down(&w);
}

/* Only changes are told. */
static void test_watch(void **state)
{
    world w;
    set_up(&w, 0);
    nf_call *shop = nf_unary(&w.f, PATH("Watch"), ASK("\x09shop.Shop"));
    nf_call *server = nf_unary(&w.f, PATH("Watch"), PL_STR(""));
    nf_call *none = nf_unary(&w.f, PATH("Watch"), ASK("\x04none"));
    says(shop, 0, not_serving);
    says(server, 0, serving);
    says(none, 0, unknown);
    pl_grpc_health_changed(w.health);
    w.shop = PL_HEALTH_SERVING;
    pl_grpc_health_changed(w.health);
    pl_grpc_health_changed(w.health);
    says(shop, 1, serving);
    w.shop = PL_HEALTH_SERVICE_UNKNOWN;
    pl_grpc_health_changed(w.health);
    says(shop, 2, unknown);
    says(server, 0, serving);
    says(none, 0, unknown);
    nf_end(server); /* in the middle of the list */
    w.shop = PL_HEALTH_NOT_SERVING;
    pl_grpc_health_changed(w.health);
    says(shop, 3, not_serving);
    assert_int_equal(shop->code, -1);
    nf_end(none);
    nf_end(shop);
    tear_down(&w);
}

static void test_slow_watcher(void **state)
{
    world w;
    set_up(&w, 0);
    nf_call *call = nf_begin(&w.f, PATH("Watch"));
    call->stuck = true;
    nf_send(call, ASK("\x09shop.Shop"), true);
    for (int i = 0; i < 100000; i++) {
        w.shop = i % 2 ? PL_HEALTH_NOT_SERVING : PL_HEALTH_SERVING;
        pl_grpc_health_changed(w.health);
    }
    assert_true(pl_grpc_stream_unsent(&call->stream) <= PL_GRPC_UNSENT + 10);
    w.shop = PL_HEALTH_SERVICE_UNKNOWN;
    pl_grpc_health_changed(w.health);
    call->stuck = false;
    nf_take(call);
    assert_true(pl_str_is(nf_message(call, nf_count(call) - 1), unknown));
    nf_end(call);
    tear_down(&w);
}

static void test_too_many_watchers(void **state)
{
    world w;
    set_up(&w, 2);
    nf_call *one = nf_unary(&w.f, PATH("Watch"), PL_STR(""));
    nf_call *two = nf_unary(&w.f, PATH("Watch"), PL_STR(""));
    nf_call *three = nf_unary(&w.f, PATH("Watch"), PL_STR(""));
    assert_int_equal(three->code, PL_RESOURCE_EXHAUSTED);
    nf_end(three);
    nf_end(one);
    three = nf_unary(&w.f, PATH("Watch"), PL_STR(""));
    says(three, 0, serving);
    nf_end(two);
    nf_end(three);
    tear_down(&w);
}

static void test_list(void **state)
{
    world w;
    set_up(&w, 0);
    nf_call *list = nf_unary(&w.f, PATH("List"), PL_STR(""));
    pl_str bytes = nf_message(list, 0);
    assert_int_equal(list->code, PL_OK);
    assert_true(
        pl_str_starts(bytes, PL_STR("\x0a\x04\x12\x02\x08\x01\x0a\x0f\x0a\x09shop.Shop\x12\x02\x08\x02")));
    assert_non_null(memmem(bytes.ptr, bytes.len, "\x0a\x07many.39\x12\x02\x08\x01", 13));
    nf_end(list);
    tear_down(&w);
}

static void test_no_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        world w;
        set_up(&w, 0);
        failing_begin(&a);
        nf_call *check = nf_unary(&w.f, PATH("Check"), ASK("\x09shop.Shop"));
        nf_call *list = nf_unary(&w.f, PATH("List"), PL_STR(""));
        nf_call *watch = nf_unary(&w.f, PATH("Watch"), ASK("\x09shop.Shop"));
        w.shop = PL_HEALTH_SERVING;
        pl_grpc_health_changed(w.health);
        if (failing_end(&a)) {
            assert_true(check->code != PL_OK || list->code != PL_OK || watch->code != -1);
        } else {
            says(check, 0, not_serving);
            says(watch, 1, serving);
            assert_int_equal(list->code, PL_OK);
        }
        nf_end(check);
        nf_end(list);
        nf_end(watch);
        tear_down(&w);
    }
    assert_true(a.made > 6);
    a = (failing){0};
    while (failing_next(&a)) {
        nf f;
        nf_open(&f);
        failing_begin(&a);
        pl_grpc_health *health = pl_grpc_health_new(&(pl_grpc_health_source){0}, 0);
        pl_code code = health ? pl_grpc_health_add(health, f.service) : PL_RESOURCE_EXHAUSTED;
        assert_int_equal(failing_end(&a), code == PL_RESOURCE_EXHAUSTED);
        nf_close(&f);
        pl_grpc_health_free(health);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_slow_watcher), cmocka_unit_test(test_too_many_watchers),
        cmocka_unit_test(test_list),         cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
