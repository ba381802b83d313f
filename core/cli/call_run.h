/* SPDX-License-Identifier: MIT */
#ifndef PL_CLI_CALL_RUN_H
#define PL_CLI_CALL_RUN_H

#include "cli/json_stream.h"
#include "cli/rpc.h"
#include "cli/rpc_codec.h"

/* One call of the command's: what is to be sent, as JSON, goes as it comes; what comes is printed, a line of
 * JSON each. */
typedef struct call_run {
    rpc *rpc;
    rpc_codec *codec;
    const pb_pool *pool;
    const pb_method *method;
    const char *path;
    pb_json_options json;
    bool verbose;
    const pl_header *metadata;
    size_t metadata_count;
    uint64_t timeout_ms;
    json_stream input;
    bool from_stdin; /* input is read from there, too */
} call_run;

/* The exit status: 0; 64 + the code of the call's status; 1 for what went wrong here. All is said on stderr.
 */
int call_run_it(call_run *run);

#endif
