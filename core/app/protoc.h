/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_PROTOC_H
#define PL_APP_PROTOC_H

#include "app/bundle.h"
#include "app/report.h"

/* Runs the compiler of .proto files as a child process, on copies of the bundle's files in a directory of its
 * own, which is removed again. Blocks: only for threads that may. */
typedef struct pl_protoc_input {
    const pl_bundle *bundle;
    const pl_str *sets; /* descriptor sets, where imports are found that are no files */
    size_t set_count;
    const char *program; /* NULL: "protoc" */
    unsigned timeout_ms; /* 0: 30 s */
} pl_protoc_input;

/* Compiles the bundle's .proto files below proto/, whose imports are relative to proto/, and appends the
 * descriptor set with all that they import. False: report says what is wrong, at which file, line and column.
 */
bool pl_protoc_run(const pl_protoc_input *input, pl_report *report, pl_buf *out);

/* What protoc has printed, for the report: "user.proto:3:1: text". For tests. */
void pl_protoc_messages(pl_str printed, bool failed, const pl_bundle *bundle, pl_report *report);

#endif
