/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "support/failing.h"

/* --- a sink that keeps the last line --- */

static char line[200000];
static pl_level line_level;
static int lines;

static void keep(void *data, pl_level level, pl_str text)
{
    assert_ptr_equal(data, line);
    assert_true(text.len < sizeof(line));
    assert_true(pl_str_is_utf8(text));
    memcpy(line, text.ptr, text.len);
    line[text.len] = '\0';
    line_level = level;
    lines++;
}

static pl_logger *sink(pl_log_format format, pl_level least)
{
    lines = 0;
    pl_logger *logger = pl_logger_new_sink(keep, line, format, least);
    assert_non_null(logger);
    return logger;
}

/* Checks the time and gives what is behind it. */
static const char *behind_time(const char *pattern)
{
    regex_t regex;
    regmatch_t match;
    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED), 0);
    int found = regexec(&regex, line, 1, &match, 0);
    regfree(&regex);
    if (found != 0)
        fail_msg("no time: %s", line);
    return line + match.rm_eo;
}

static const char *text_rest(void)
{
    return behind_time("^[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\\.[0-9]{3} ");
}

static const char *json_rest(void)
{
    return behind_time(
        "^\\{\"time\":\"2[0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\\.[0-9]{3}Z\",");
}

static void text_lines(void **state)
{
    pl_logger *logger = sink(PL_LOG_TEXT, PL_DEBUG);
    pl_log(logger, PL_INFO, "listening", PL_F_CSTR("address", "127.0.0.1:8080"), PL_F_INT("workers", 2));
    assert_string_equal(text_rest(), "INFO  listening  address=127.0.0.1:8080 workers=2");
    assert_int_equal(line_level, PL_INFO);
    pl_log_plain(logger, PL_ERROR, "it broke");
    assert_string_equal(text_rest(), "ERROR it broke");
    pl_log(logger, PL_WARN, "w", PL_F_BOOL("yes", true), PL_F_BOOL("no", false), PL_F_FLOAT("f", 0.5),
           PL_F_FLOAT("n", NAN), PL_F_FLOAT("i", -INFINITY), PL_F_INT("min", INT64_MIN));
    assert_string_equal(text_rest(),
                        "WARN  w  yes=true no=false f=0.5 n=nan i=-inf min=-9223372036854775808");
    pl_log(logger, PL_DEBUG, "d", PL_F_CSTR("empty", ""), PL_F_CSTR("none", NULL), PL_F_CSTR("space", "a b"),
           PL_F_CSTR("quote", "a\"b"), PL_F_CSTR("equals", "a=b"), PL_F_CSTR("back", "a\\b"),
           PL_F_CSTR("utf8", "é€🌙"));
    assert_string_equal(text_rest(),
                        "DEBUG d  empty=\"\" none=\"\" space=\"a b\" quote=\"a\\\"b\" equals=\"a=b\" "
                        "back=\"a\\\\b\" utf8=é€🌙");
    pl_logger_free(logger);
}

static void text_cannot_drive_the_terminal(void **state)
{
    pl_logger *logger = sink(PL_LOG_TEXT, PL_DEBUG);
    pl_log(logger, PL_INFO, "a\x1b[2Jb\nc", PL_F_CSTR("v", "\x1b]0;x\x07"), PL_F_CSTR("c1", "\xc2\x9b"),
           PL_F_CSTR("bad", "x\xff"), PL_F_STR("nul", PL_STR("a\0b")), PL_F_CSTR("del", "\x7f"),
           PL_F_CSTR("m", "one\n\x1b[1mtwo"));
    assert_string_equal(text_rest(),
                        "INFO  a\\x1b[2Jb\\nc  v=\"\\x1b]0;x\\x07\" c1=\"\\x9b\" bad=\"x\xEF\xBF\xBD\" "
                        "nul=\"a\\x00b\" del=\"\\x7f\"\n    m:\n        one\n        \\x1b[1mtwo");
    pl_logger_free(logger);
}

static void values_of_several_lines_follow_indented(void **state)
{
    pl_logger *logger = sink(PL_LOG_TEXT, PL_DEBUG);
    pl_log(logger, PL_ERROR, "failed",
           PL_F_CSTR("traceback", "stack traceback:\n\tuser.lua:3: in f\r\n\n\t[C]\n"), PL_F_INT("code", 13),
           PL_F_CSTR("one", "one line\n"));
    assert_string_equal(text_rest(),
                        "ERROR failed  code=13 one=\"one line\"\n    traceback:\n        stack traceback:\n"
                        "            user.lua:3: in f\n        \n            [C]");
    pl_logger_free(logger);
}

static void json_lines(void **state)
{
    pl_logger *logger = sink(PL_LOG_JSON, PL_DEBUG);
    pl_log(logger, PL_INFO, "listening", PL_F_CSTR("address", "127.0.0.1:8080"), PL_F_INT("workers", -2),
           PL_F_BOOL("on", true), PL_F_FLOAT("f", 2.5), PL_F_FLOAT("nan", NAN), PL_F_CSTR("none", NULL),
           PL_F_CSTR("lines", "a\n\tb"), PL_F_CSTR("bad", "\xff"));
    assert_string_equal(
        json_rest(),
        "\"level\":\"info\",\"message\":\"listening\",\"address\":\"127.0.0.1:8080\",\"workers\":-2,"
        "\"on\":true,\"f\":2.5,\"nan\":null,\"none\":null,\"lines\":\"a\\n\\tb\",\"bad\":\"\xEF\xBF\xBD\"}");
    pl_log_plain(logger, PL_WARN, "\"q\"");
    assert_string_equal(json_rest(), "\"level\":\"warn\",\"message\":\"\\\"q\\\"\"}");
    pl_log_plain(logger, PL_ERROR, "e");
    assert_string_equal(json_rest(), "\"level\":\"error\",\"message\":\"e\"}");
    pl_log_plain(logger, PL_DEBUG, "d");
    assert_string_equal(json_rest(), "\"level\":\"debug\",\"message\":\"d\"}");
    pl_logger_free(logger);
}

static void json_time_is_utc(void **state)
{
    pl_logger *logger = sink(PL_LOG_JSON, PL_DEBUG);
    time_t before = time(NULL);
    pl_log_plain(logger, PL_INFO, "x");
    struct tm tm = {0};
    assert_non_null(strptime(line, "{\"time\":\"%Y-%m-%dT%H:%M:%S", &tm));
    time_t logged = timegm(&tm);
    assert_in_range(logged, before, time(NULL));
    pl_logger_free(logger);
}

static void long_values_are_cut_on_a_character(void **state)
{
    static char text[100000];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'a', shift);
        for (size_t i = shift; i + 4 <= sizeof(text); i += 4)
            memcpy(text + i, "🌙", 4);
        size_t kept = shift + (32768 - shift) / 4 * 4;
        static const pl_log_format formats[] = {PL_LOG_JSON, PL_LOG_TEXT};
        for (int i = 0; i < 2; i++) {
            pl_logger *logger = sink(formats[i], PL_DEBUG);
            pl_log(logger, PL_INFO, "x", PL_F_STR("v", ((pl_str){text, sizeof(text) - 4})));
            assert_int_equal(lines, 1);
            const char *start = strstr(line, i == 0 ? "\"v\":\"" : "v=") + (i == 0 ? 5 : 2);
            assert_memory_equal(start, text, kept);
            assert_string_equal(start + kept, i == 0 ? "…\"}" : "…");
            pl_logger_free(logger);
        }
    }
}

static void levels_filter(void **state)
{
    pl_logger *logger = sink(PL_LOG_TEXT, PL_WARN);
    pl_log_plain(logger, PL_INFO, "x");
    assert_int_equal(lines, 0);
    pl_log_plain(logger, PL_WARN, "x");
    assert_int_equal(lines, 1);
    assert_true(pl_log_enabled(logger, PL_ERROR));
    assert_false(pl_log_enabled(logger, PL_INFO));
    pl_logger_set_level(logger, PL_DEBUG);
    pl_log_plain(logger, PL_DEBUG, "x");
    assert_int_equal(lines, 2);
    pl_logger_free(logger);

    pl_level level = PL_DEBUG;
    assert_true(pl_level_parse(PL_STR("warn"), &level));
    assert_int_equal(level, PL_WARN);
    assert_false(pl_level_parse(PL_STR("loud"), &level));
}

static void a_null_logger_is_silent(void **state)
{
    pl_log_plain(NULL, PL_ERROR, "x");
    assert_false(pl_log_enabled(NULL, PL_ERROR));
    pl_logger_set_level(NULL, PL_DEBUG);
    pl_logger_flush(NULL);
    pl_logger_free(NULL);
}

/* --- descriptors --- */

/* Reads to the end, or to `lines_wanted` lines. */
static char *read_all(int fd, size_t lines_wanted)
{
    pl_buf buf;
    pl_buf_init(&buf);
    for (size_t seen = 0; seen < lines_wanted;) {
        assert_true(pl_buf_reserve(&buf, 65536));
        ssize_t n = read(fd, buf.data + buf.len, 65536);
        assert_true(n >= 0);
        if (n == 0)
            break;
        for (ssize_t i = 0; i < n; i++)
            seen += buf.data[buf.len + (size_t)i] == '\n';
        buf.len += (size_t)n;
    }
    pl_buf_char(&buf, '\0');
    assert_false(buf.failed);
    return buf.data;
}

static void free_writes_out_what_is_queued(void **state)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pl_logger *logger = pl_logger_new(fds[1], PL_LOG_JSON, PL_DEBUG);
    assert_non_null(logger);
    for (int i = 0; i < 300; i++)
        pl_log(logger, PL_INFO, "event", PL_F_INT("n", i));
    pl_logger_free(logger);
    close(fds[1]);
    char *text = read_all(fds[0], SIZE_MAX), *rest = text;
    for (int i = 0; i < 300; i++) {
        char *one = strsep(&rest, "\n"), expected[64];
        snprintf(expected, sizeof(expected), "\"message\":\"event\",\"n\":%d}", i);
        assert_true(strlen(one) > strlen(expected));
        assert_string_equal(one + strlen(one) - strlen(expected), expected);
    }
    assert_string_equal(rest, "");
    pl_free(text);
    close(fds[0]);
}

static void flush_waits_for_the_writer(void **state)
{
    char path[] = "/tmp/test_log_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    pl_logger *logger = pl_logger_new(fd, PL_LOG_JSON, PL_DEBUG);
    off_t before = 0;
    for (int i = 0; i < 100; i++) {
        pl_log_plain(logger, PL_INFO, "x");
        pl_logger_flush(logger);
        off_t now = lseek(fd, 0, SEEK_CUR);
        assert_true(now > before);
        before = now;
    }
    pl_logger_free(logger);
    close(fd);
}

/* Logs more than the queue holds while nobody reads, then reads. */
static void drops_are_counted(int flags)
{
    int fds[2];
    enum { SENT = 4000 };
    assert_int_equal(pipe2(fds, 0), 0);
    assert_int_equal(fcntl(fds[1], F_SETFL, flags), 0);
    pl_logger *logger = pl_logger_new(fds[1], PL_LOG_JSON, PL_DEBUG);
    char filling[1000];
    memset(filling, 'f', sizeof(filling));
    for (int i = 0; i < SENT; i++)
        pl_log(logger, PL_INFO, "event", PL_F_INT("n", i),
               PL_F_STR("filling", ((pl_str){filling, sizeof(filling)})));

    long got = 0, dropped = 0, last = -1;
    pl_buf buf;
    pl_buf_init(&buf);
    while (got + dropped < SENT) {
        char *text = read_all(fds[0], 1);
        pl_buf_append(&buf, text, strlen(text));
        pl_free(text);
        pl_buf_char(&buf, '\0');
        char *start = buf.data, *end;
        for (; (end = strchr(start, '\n')); start = end + 1) {
            char *n = strstr(start, "\"n\":"), *count = strstr(start, "\"count\":");
            if (count && count < end) {
                assert_true(memmem(start, (size_t)(end - start), "log lines dropped", 17) != NULL);
                dropped += atol(count + 8);
            } else {
                assert_true(n && n < end);
                assert_true(atol(n + 4) > last);
                last = atol(n + 4);
                got++;
            }
        }
        size_t left = strlen(start);
        memmove(buf.data, start, left);
        buf.len = left;
    }
    pl_buf_dispose(&buf);
    assert_int_equal(got + dropped, SENT);
    /* The queue holds 1 MiB and the pipe 64 KiB; half a MiB, when the writer had no chance to take its half.
     */
    assert_in_range(dropped, 2500, 3700);
    pl_log_plain(logger, PL_INFO, "after");
    char *text = read_all(fds[0], 1);
    assert_non_null(strstr(text, "\"after\""));
    pl_free(text);
    pl_logger_free(logger);
    close(fds[0]);
    close(fds[1]);
}

static void drops_are_counted_with_a_blocking_pipe(void **state)
{
    drops_are_counted(0);
}

static void drops_are_counted_with_a_nonblocking_pipe(void **state)
{
    drops_are_counted(O_NONBLOCK);
}

static void a_reader_that_is_gone_does_no_harm(void **state)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    pl_logger *logger = pl_logger_new(fds[1], PL_LOG_TEXT, PL_DEBUG);
    for (int i = 0; i < 10; i++) {
        pl_log_plain(logger, PL_INFO, "x");
        pl_logger_flush(logger);
    }
    pl_logger_free(logger);
    close(fds[1]);
}

static void lines_lost_to_an_error_are_counted(void **state)
{
    int fds[2], fd = memfd_create("log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0); /* from now on each write is an error */
    assert_int_equal(pipe(fds), 0);
    pl_logger *logger = pl_logger_new(fd, PL_LOG_JSON, PL_DEBUG);
    for (int i = 0; i < 3; i++)
        pl_log_plain(logger, PL_INFO, "lost");
    for (int i = 0; i < 2; i++)
        pl_logger_flush(logger); /* a report now would be lost as well */
    assert_true(dup2(fds[1], fd) == fd);
    pl_log_plain(logger, PL_INFO, "there");
    pl_logger_free(logger);
    char *text = read_all(fds[0], 2);
    assert_non_null(strstr(text, "\"message\":\"log lines dropped\",\"count\":3}\n"));
    assert_non_null(strstr(text, "\"there\""));
    pl_free(text);
    close(fd);
    close(fds[0]);
    close(fds[1]);
}

static void free_gives_up_on_a_stuck_reader(void **state)
{
    int fds[2];
    struct timespec before, after;
    assert_int_equal(pipe(fds), 0);
    pl_logger *logger = pl_logger_new(fds[1], PL_LOG_TEXT, PL_DEBUG);
    char filling[4000];
    memset(filling, 'f', sizeof(filling));
    for (int i = 0; i < 30; i++)
        pl_log(logger, PL_INFO, "event", PL_F_STR("filling", ((pl_str){filling, sizeof(filling)})));
    clock_gettime(CLOCK_MONOTONIC, &before);
    pl_logger_free(logger);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_in_range(after.tv_sec - before.tv_sec, 1, 5);
    close(fds[0]); /* lets the writer out, which may still use the other end */
}

static void *log_many(void *data)
{
    for (int i = 0; i < 500; i++) {
        pl_log(data, PL_INFO, "event", PL_F_INT("n", i));
        if (i % 100 == 0)
            pl_logger_set_level(data, PL_DEBUG);
    }
    return NULL;
}

static void lines_of_many_threads_stay_whole(void **state)
{
    int fds[2];
    pthread_t threads[4];
    assert_int_equal(pipe(fds), 0);
    pl_logger *logger = pl_logger_new(fds[1], PL_LOG_JSON, PL_INFO);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, logger), 0);
    char *text = read_all(fds[0], 2000);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    pl_logger_free(logger);
    close(fds[1]);
    char *more = read_all(fds[0], SIZE_MAX);
    assert_string_equal(more, "");
    pl_free(more);
    int count = 0;
    char *rest = text, *one;
    while ((one = strsep(&rest, "\n")) && one[0] != '\0') {
        assert_memory_equal(one, "{\"time\":\"", 9);
        assert_int_equal(one[strlen(one) - 1], '}');
        count++;
    }
    assert_int_equal(count, 2000);
    pl_free(text);
    close(fds[0]);
}

static pthread_t handled_on;

static void handler(int signal)
{
    handled_on = pthread_self();
}

static void signals_stay_away_from_the_writer(void **state)
{
    int fds[2];
    struct sigaction action = {.sa_handler = handler}, before;
    sigset_t block, old;
    assert_int_equal(pipe(fds), 0);
    sigaction(SIGUSR1, &action, &before);
    pl_logger *logger = pl_logger_new(fds[1], PL_LOG_JSON, PL_INFO);
    /* Blocked here, it could go to the writer only. */
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &block, &old);
    assert_false(sigismember(&old, SIGUSR1));
    handled_on = 0;
    kill(getpid(), SIGUSR1);
    pl_log_plain(logger, PL_INFO, "x");
    pl_logger_flush(logger);
    assert_true(handled_on == 0);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    assert_true(pthread_equal(handled_on, pthread_self()));
    pl_logger_free(logger);
    sigaction(SIGUSR1, &before, NULL);
    close(fds[0]);
    close(fds[1]);
}

static void failed_allocations(void **state)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pl_logger *logger = NULL;
    failing a = {0};
    while (failing_next(&a)) {
        failing_begin(&a);
        logger = pl_logger_new(fds[1], PL_LOG_JSON, PL_INFO);
        assert_int_equal(logger == NULL, failing_end(&a));
    }
    pl_alloc_fail_at(1, 0);
    assert_null(pl_logger_new_sink(keep, line, PL_LOG_JSON, PL_INFO));
    /* A line that there is no memory for is a dropped one. */
    pl_alloc_fail_at(1, 1);
    pl_log_plain(logger, PL_INFO, "lost");
    pl_log_plain(logger, PL_INFO, "lost");
    pl_alloc_fail_at(0, 0);
    pl_log_plain(logger, PL_INFO, "there");
    char *text = read_all(fds[0], 2);
    assert_null(strstr(text, "lost"));
    assert_non_null(strstr(text, "\"message\":\"log lines dropped\",\"count\":2}\n"));
    assert_non_null(strstr(text, "there"));
    pl_free(text);
    pl_logger_free(logger);
    close(fds[0]);
    close(fds[1]);

    logger = sink(PL_LOG_TEXT, PL_INFO);
    a = (failing){0};
    while (failing_next(&a)) {
        lines = 0;
        failing_begin(&a);
        pl_log(logger, PL_INFO, "x", PL_F_STR("v", ((pl_str){line, 0})), PL_F_CSTR("w", "one\ntwo"));
        assert_int_equal(lines, failing_end(&a) ? 0 : 1);
    }
    pl_logger_free(logger);
}

int main(void)
{
    signal(SIGPIPE, SIG_DFL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines),
        cmocka_unit_test(text_cannot_drive_the_terminal),
        cmocka_unit_test(values_of_several_lines_follow_indented),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(json_time_is_utc),
        cmocka_unit_test(long_values_are_cut_on_a_character),
        cmocka_unit_test(levels_filter),
        cmocka_unit_test(a_null_logger_is_silent),
        cmocka_unit_test(free_writes_out_what_is_queued),
        cmocka_unit_test(flush_waits_for_the_writer),
        cmocka_unit_test(drops_are_counted_with_a_blocking_pipe),
        cmocka_unit_test(drops_are_counted_with_a_nonblocking_pipe),
        cmocka_unit_test(a_reader_that_is_gone_does_no_harm),
        cmocka_unit_test(lines_lost_to_an_error_are_counted),
        cmocka_unit_test(free_gives_up_on_a_stuck_reader),
        cmocka_unit_test(lines_of_many_threads_stay_whole),
        cmocka_unit_test(signals_stay_away_from_the_writer),
        cmocka_unit_test(failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
