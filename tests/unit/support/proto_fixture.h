/* SPDX-License-Identifier: MIT */
#ifndef PL_TESTS_PROTO_FIXTURE_H
#define PL_TESTS_PROTO_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/codec.h"
#include "support/test_engine.h"

/* The messages of tests/unit/support (*.proto) on the test engine. What goes wrong while it is set up fails
 * the test. */
pl_str test_protos(void);

typedef struct pf {
    te *t;
    pb_pool *pool;
    pb_codec *codec;
} pf;

void pf_open(pf *f);
void pf_close(pf *f);
const pb_message *pf_type(const pf *f, const char *name);

typedef enum pf_work { PF_DECODE, PF_ENCODE, PF_READ, PF_WRITE } pf_work;
typedef struct pf_result {
    pl_code code;
    pl_error err;
    char text[8192];
} pf_result;
/* Text goes in, and text comes out: the wire form is written as hexadecimal digits (spaces are passed over),
 * values as JSON (with NaN and bytes that are not UTF-8 replaced), and JSON as it is. */
pf_result pf_run(pf *f, pf_work work, const char *type, const char *in, const pb_json_options *options);

#define pf_decodes(f, type, hex, value) pf_gives(f, PF_DECODE, type, hex, NULL, value, __FILE__, __LINE__)
#define pf_encodes(f, type, value, hex) pf_gives(f, PF_ENCODE, type, value, NULL, hex, __FILE__, __LINE__)
#define pf_reads(f, type, json, value) pf_gives(f, PF_READ, type, json, NULL, value, __FILE__, __LINE__)
#define pf_writes(f, type, value, json) pf_gives(f, PF_WRITE, type, value, NULL, json, __FILE__, __LINE__)
void pf_gives(pf *f, pf_work work, const char *type, const char *in, const pb_json_options *options,
              const char *out, const char *file, int line);
/* Fails with INVALID_ARGUMENT, and this message. */
#define pf_refuses(f, work, type, in, message) \
    pf_refuses_at(f, work, type, in, NULL, message, __FILE__, __LINE__)
void pf_refuses_at(pf *f, pf_work work, const char *type, const char *in, const pb_json_options *options,
                   const char *message, const char *file, int line);

#endif
