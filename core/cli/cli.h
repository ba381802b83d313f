/* SPDX-License-Identifier: MIT */
#ifndef PL_CLI_H
#define PL_CLI_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"

/* The `perilune` command: one function for each subcommand, given the arguments after its name. They return
 * the exit status: 0, 1 for what the command found wrong, 2 for wrong usage. */
int pl_cli_run(int argc, char **argv);
int pl_cli_check(int argc, char **argv);
int pl_cli_validate(int argc, char **argv);
int pl_cli_schema(int argc, char **argv);
int pl_cli_schemas(int argc, char **argv);
int pl_cli_test(int argc, char **argv);
int pl_cli_new(int argc, char **argv);
int pl_cli_reload(int argc, char **argv);
int pl_cli_rollback(int argc, char **argv);
int pl_cli_status(int argc, char **argv);
int pl_cli_metrics(int argc, char **argv);
int pl_cli_call(int argc, char **argv);
int pl_cli_dlq(int argc, char **argv);

/* --- options --- */
typedef enum pl_option_kind {
    PL_OPTION_FLAG,
    PL_OPTION_TEXT,
    PL_OPTION_COUNT,
    PL_OPTION_LIST
} pl_option_kind;
#define PL_OPTION_LIST_MAX 64
/* An option: --name. FLAG sets *(bool *)target, and --no-name clears it; TEXT sets *(const char **)target;
 * COUNT *(unsigned *)target; LIST appends to a const char *[PL_OPTION_LIST_MAX] that ends with NULL.
 * A name may have a letter, "header,H": then -H does, too. environment (may be NULL) names a variable that is
 * used when the option is not given. */
typedef struct pl_option {
    const char *name;
    pl_option_kind kind;
    void *target;
    const char *environment;
    const char *argument; /* for the help: "ADDRESS" */
    const char *help;
} pl_option;

/* Reads options and up to max_operands operands, in any order. 0; 1: --help was given, and printed (exit with
 * 0); 2: usage error, printed. */
typedef struct pl_usage {
    const char *synopsis; /* "perilune run [DIR] [options]" */
    const char *about;
    const pl_option *options; /* ends with a NULL name */
} pl_usage;
int pl_options_read(const pl_usage *usage, int argc, char **argv, const char **operands, int max_operands);

/* Prints "perilune: message" to stderr; returns 1. */
int pl_cli_fail(const pl_error *err);
/* A whole file. */
pl_code pl_cli_read_file(const char *path, pl_buf *out, pl_error *err);
void pl_cli_print(const pl_buf *text); /* to stdout */

#endif
