/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"run", pl_cli_run, "serve a bundle"},
    {"check", pl_cli_check, "check everything that a reload checks, without serving"},
    {"test", pl_cli_test, "run a bundle's tests"},
    {"new", pl_cli_new, "make a working bundle to start from"},
    {"reload", pl_cli_reload, "make a running server read its bundle anew"},
    {"rollback", pl_cli_rollback, "make the bundle before the live one live again"},
    {"status", pl_cli_status, "show generations, workers and requests of a running server"},
    {"metrics", pl_cli_metrics, "print the metrics of a running server, as Prometheus reads them"},
    {"validate", pl_cli_validate, "validate a GraphQL document, or a schema"},
    {"schema", pl_cli_schema, "print a bundle's schema, or what changed in it"},
    {"schemas", pl_cli_schemas, "compare the schemas of events with a schema registry, or register them"},
    {"call", pl_cli_call, "call a method of a gRPC server, or ask what it has"},
    {"dlq", pl_cli_dlq, "list, show, replay or drop dead letters of events"},
};

static void print_help(FILE *to)
{
    fprintf(to, "Usage: perilune COMMAND [arguments]\n\n"
                "An application server: GraphQL from Lua resolvers, changed live.\n\nCommands:\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
    fprintf(to, "\n`perilune COMMAND --help` tells more. `perilune --version` prints the version.\n");
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    for (size_t i = 0; name && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    }
    if (name && strcmp(name, "--version") == 0) {
        printf("perilune %s\n", PL_VERSION);
        return 0;
    }
    if (name && (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)) {
        print_help(stdout);
        return 0;
    }
    if (name)
        fprintf(stderr, "perilune: there is no command \"%s\"\n\n", name);
    print_help(stderr);
    return 2;
}
