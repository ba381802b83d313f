/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_JSON_SCHEMA_INTERNAL_H
#define PL_VALUE_JSON_SCHEMA_INTERNAL_H

#include "base/map.h"
#include "value/json_schema.h"

typedef struct js_node js_node;

typedef struct js_list {
    const js_node **nodes;
    size_t count;
} js_list;

typedef struct js_names {
    pl_str *names;
    size_t count;
} js_names;

typedef struct js_dependency {
    pl_str name;
    js_names required;
} js_dependency;

enum {
    JS_NULL = 1,
    JS_BOOLEAN = 2,
    JS_INTEGER = 4,
    JS_NUMBER = 8,
    JS_STRING = 16,
    JS_ARRAY = 32,
    JS_OBJECT = 64
};

/* A schema, or one inside of it. */
struct js_node {
    bool never;              /* `false` */
    unsigned types;          /* 0: any */
    const pl_value *choices; /* enum, const; NULL: any */
    size_t choice_count;
    const pl_value *minimum, *maximum, *above, *below; /* exclusive ones; NULL: none */
    double multiple_of;                                /* 0: none */
    size_t min_length, max_length, min_items, max_items, min_members, max_members, min_contains, max_contains;
    bool unique_items;
    pl_map properties; /* name → js_node */
    js_names required;
    js_dependency *dependencies;
    size_t dependency_count;
    const js_node *additional, *names, *items, *contains; /* NULL: none */
    js_list first;                                        /* prefixItems */
    js_list all, any, one;
    const js_node *not_, *if_, *then_, *else_;
    const js_node *reference;
    pl_str reference_text; /* until it is resolved */
    js_node *next;         /* of all */
    const pl_value *made_of;
};

struct pl_json_schema {
    pl_arena arena;
    pl_value source;
    const js_node *root;
    js_node *nodes;
    pl_map by_value; /* the address of what a node was made of → js_node */
};

/* By what they say: 1 and 1.0 are equal, and members have no order. */
bool js_equal(const pl_value *a, const pl_value *b);
/* Equal values have equal hashes. */
unsigned long long js_hash(const pl_value *v);
int js_compare_numbers(const pl_value *a, const pl_value *b); /* INT or FLOAT: <0, 0, >0 */

#endif
