/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

/* Of "header,H": the length of the name. */
static size_t name_length(const pl_option *o)
{
    return strcspn(o->name, ",");
}

static char letter_of(const pl_option *o)
{
    return o->name[name_length(o)] ? o->name[name_length(o) + 1] : '\0';
}

static void print_help(const pl_usage *u)
{
    printf("Usage: %s\n\n%s\n", u->synopsis, u->about);
    if (u->options && u->options[0].name)
        printf("\nOptions:\n");
    for (const pl_option *o = u->options; o && o->name; o++) {
        char left[80], letter[5] = "";
        if (letter_of(o))
            snprintf(letter, sizeof letter, "-%c, ", letter_of(o));
        snprintf(left, sizeof left, "%s--%.*s%s%s", letter, (int)name_length(o), o->name,
                 o->argument ? " " : "", o->argument ? o->argument : "");
        printf("  %-28s %s", left, o->help);
        if (o->environment)
            printf(" [%s]", o->environment);
        putchar('\n');
    }
    printf("  %-28s %s\n", "--help", "this text");
}

static int usage_error(const pl_usage *u, const char *fmt, const char *what)
{
    fprintf(stderr, "perilune: ");
    fprintf(stderr, fmt, what);
    fprintf(stderr, "\nUsage: %s\n", u->synopsis);
    return 2;
}

static bool set_value(const pl_option *o, const char *value)
{
    char *end;
    unsigned long n;
    switch (o->kind) {
    case PL_OPTION_FLAG:
        *(bool *)o->target = strcmp(value, "0") != 0 && strcmp(value, "false") != 0 && strcmp(value, "") != 0;
        return true;
    case PL_OPTION_TEXT:
        *(const char **)o->target = value;
        return true;
    case PL_OPTION_COUNT:
        errno = 0;
        n = strtoul(value, &end, 10);
        if (errno || value[0] < '0' || value[0] > '9' || *end || n > 1000000000)
            return false;
        *(unsigned *)o->target = (unsigned)n;
        return true;
    case PL_OPTION_LIST:
        for (int i = 0; i < PL_OPTION_LIST_MAX - 1; i++) {
            if (!((const char **)o->target)[i]) {
                ((const char **)o->target)[i] = value;
                return true;
            }
        }
        return false;
    }
    return false;
}

static const pl_option *find(const pl_usage *u, const char *name, size_t len)
{
    for (const pl_option *o = u->options; o && o->name; o++) {
        if (name_length(o) == len && memcmp(o->name, name, len) == 0)
            return o;
    }
    return NULL;
}

static const pl_option *find_letter(const pl_usage *u, char letter)
{
    for (const pl_option *o = u->options; o && o->name; o++) {
        if (letter && letter_of(o) == letter)
            return o;
    }
    return NULL;
}

/* --name VALUE, --name=VALUE, --flag, --no-flag. Moves *i over a value that was used. */
static int read_option(const pl_usage *u, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2, *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const pl_option *o = find(u, name, len);
    if (!o && strncmp(name, "no-", 3) == 0 && !equals) {
        o = find(u, name + 3, len - 3);
        if (o && o->kind == PL_OPTION_FLAG)
            return set_value(o, "0") ? 0 : 2;
        o = NULL;
    }
    if (!o)
        return usage_error(u, "there is no option %s", argv[*i]);
    if (o->kind == PL_OPTION_FLAG && !equals)
        return set_value(o, "1") ? 0 : 2;
    const char *value = equals ? equals + 1 : *i + 1 < argc ? argv[++*i] : NULL;
    char written[80];
    snprintf(written, sizeof written, "--%.*s", (int)name_length(o), o->name);
    if (!value)
        return usage_error(u, "the option %s needs a value", written);
    return set_value(o, value) ? 0 : usage_error(u, "the value of %s is not right", written);
}

static bool has_letters(const pl_usage *u)
{
    for (const pl_option *o = u->options; o && o->name; o++) {
        if (letter_of(o))
            return true;
    }
    return false;
}

/* -X VALUE, -XVALUE, -X. */
static int read_letter(const pl_usage *u, int argc, char **argv, int *i)
{
    const char *argument = argv[*i];
    const pl_option *o = find_letter(u, argument[1]);
    bool flag = o && o->kind == PL_OPTION_FLAG;
    if (!o || (flag && argument[2]))
        return usage_error(u, "there is no option %s", argument);
    if (flag)
        return set_value(o, "1") ? 0 : 2;
    const char *value = argument[2] ? argument + 2 : *i + 1 < argc ? argv[++*i] : NULL;
    if (!value)
        return usage_error(u, "the option %s needs a value", argument);
    return set_value(o, value) ? 0 : usage_error(u, "the value of %s is not right", argument);
}

int pl_options_read(const pl_usage *u, int argc, char **argv, const char **operands, int max_operands)
{
    int count = 0;
    for (const pl_option *o = u->options; o && o->name; o++) {
        const char *value = o->environment ? getenv(o->environment) : NULL;
        if (value && *value && !set_value(o, value))
            return usage_error(u, "the value of the environment variable %s is not right", o->environment);
    }
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(u);
            return 1;
        }
        if (strncmp(argv[i], "--", 2) == 0) {
            int status = read_option(u, argc, argv, &i);
            if (status)
                return status;
        } else if (argv[i][0] == '-' && argv[i][1] && has_letters(u)) {
            int status = read_letter(u, argc, argv, &i);
            if (status)
                return status;
        } else if (count < max_operands) {
            operands[count++] = argv[i];
        } else {
            return usage_error(u, "there is one argument too many: %s", argv[i]);
        }
    }
    return 0;
}

int pl_cli_fail(const pl_error *err)
{
    if (err->file[0] && err->line)
        fprintf(stderr, "perilune: %s:%u: %s\n", err->file, err->line, err->message);
    else if (err->file[0])
        fprintf(stderr, "perilune: %s: %s\n", err->file, err->message);
    else
        fprintf(stderr, "perilune: %s\n", err->message);
    return 1;
}

pl_code pl_cli_read_file(const char *path, pl_buf *out, pl_error *err)
{
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return pl_fail(err, PL_NOT_FOUND, "%s: %s", path, strerror(errno));
    while (pl_buf_reserve(out, 65536) && (n = read(fd, out->data + out->len, 65536)) > 0)
        out->len += (size_t)n;
    int saved = errno;
    close(fd);
    if (out->failed)
        return pl_fail_memory(err);
    return n < 0 ? pl_fail(err, PL_UNAVAILABLE, "%s: %s", path, strerror(saved)) : PL_OK;
}

void pl_cli_print(const pl_buf *text)
{
    fwrite(text->data, 1, text->len, stdout);
    fflush(stdout);
}
