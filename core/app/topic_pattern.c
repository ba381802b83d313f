/* SPDX-License-Identifier: MIT */
#include "app/topic_pattern.h"

#include <regex.h>
#include <string.h>

struct pl_topic_pattern {
    const char *text;
    bool is_expression;
    regex_t expression;
};

static void dispose(void *data)
{
    regfree(&((pl_topic_pattern *)data)->expression);
}

pl_topic_pattern *pl_topic_pattern_new(pl_arena *arena, const char *text, pl_error *err)
{
    pl_topic_pattern *p = pl_arena_zalloc(arena, sizeof *p);
    char why[200];
    if (!p) {
        pl_fail_memory(err);
        return NULL;
    }
    p->text = text;
    p->is_expression = text[0] == '^';
    if (!p->is_expression)
        return p;
    int failure = regcomp(&p->expression, text, REG_EXTENDED | REG_NOSUB);
    if (failure) {
        regerror(failure, &p->expression, why, sizeof why);
        pl_fail(err, failure == REG_ESPACE ? PL_RESOURCE_EXHAUSTED : PL_INVALID_ARGUMENT,
                "topic \"%s\" is no regular expression: %s", text, why);
        return NULL;
    }
    if (pl_arena_on_dispose(arena, dispose, p) == 0)
        return p;
    dispose(p);
    pl_fail_memory(err);
    return NULL;
}

bool pl_topic_pattern_matches(const pl_topic_pattern *p, const char *topic)
{
    return p->is_expression ? regexec(&p->expression, topic, 0, NULL, 0) == 0 : strcmp(topic, p->text) == 0;
}
