/* SPDX-License-Identifier: MIT */
#include "events/registry/outline.h"

/* A scanner and a stack of blocks. A statement's first words say what the block behind it is:
 *
 *   message Name {              a message
 *   [label] group Name = 1 {    a message, too
 *   oneof name {  extend Name { groups in them are messages of the block around
 *   map<…> name = 1;            makes a message for its entries
 *   anything else {             of no interest, nor is what is inside
 */

#define MOST_BLOCKS 128
#define WORDS 4

typedef enum kind { OUTER, MESSAGE, TRANSPARENT, OTHER } kind;

typedef struct block {
    kind kind;
    uint32_t messages; /* how many have begun in it */
    unsigned matched;  /* how much of the path leads here; of a message on it: its depth */
    bool on_path;
    size_t word_count; /* the statement that is being read */
    pl_str words[WORDS];
    unsigned brackets;
} block;

typedef struct scanner {
    const char *p, *end;
    const pl_schema_path *path;
    pl_str names[PL_SCHEMA_MOST_DEPTH];
    pl_str package;
    bool found;
    block blocks[MOST_BLOCKS];
    size_t depth;
    const char *wrong;
} scanner;

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

static void skip_string(scanner *s)
{
    char quote = *s->p++;
    while (s->p < s->end && *s->p != quote && *s->p != '\n')
        s->p += *s->p == '\\' && s->end - s->p > 1 ? 2 : 1;
    if (s->p >= s->end || *s->p != quote)
        s->wrong = "a string does not end";
    else
        s->p++;
}

static void skip_comment(scanner *s)
{
    const char *end;
    if (s->p[1] == '/') {
        end = memchr(s->p, '\n', (size_t)(s->end - s->p));
        s->p = end ? end : s->end;
        return;
    }
    end = memmem(s->p + 2, (size_t)(s->end - s->p - 2), "*/", 2);
    if (!end)
        s->wrong = "a comment does not end";
    else
        s->p = end + 2;
}

/* The block whose messages are counted. */
static block *counting(scanner *s)
{
    block *b = &s->blocks[s->depth];
    while (b->kind == TRANSPARENT)
        b--;
    return b;
}

static const pl_str *word(const block *b, size_t n)
{
    static const pl_str none = {"", 0};
    return n < b->word_count ? &b->words[n] : &none;
}

/* What the statement so far begins, and what the message is called. */
static kind begins(const block *b, pl_str *name)
{
    size_t at = 0;
    if (b->kind == OTHER || b->brackets > 0)
        return OTHER;
    if (pl_str_is(*word(b, 0), "oneof") || pl_str_is(*word(b, 0), "extend"))
        return TRANSPARENT;
    if (pl_str_is(*word(b, 0), "export") || pl_str_is(*word(b, 0), "local"))
        at = 1;
    bool label = pl_str_is(*word(b, 0), "optional") || pl_str_is(*word(b, 0), "required") ||
                 pl_str_is(*word(b, 0), "repeated");
    if (pl_str_is(*word(b, at), "message")) {
        *name = *word(b, at + 1);
        return MESSAGE;
    }
    if (pl_str_is(*word(b, label), "group")) {
        *name = *word(b, (size_t)label + 1);
        return MESSAGE;
    }
    return OTHER;
}

static void begin_message(scanner *s, block *in, block *made, pl_str name)
{
    uint32_t index = in->messages++;
    if (!in->on_path || in->matched == s->path->count || s->path->at[in->matched] != index)
        return;
    made->on_path = true;
    made->matched = in->matched + 1;
    s->names[in->matched] = name;
    s->found |= made->matched == s->path->count;
}

static void open_block(scanner *s)
{
    pl_str name = {NULL, 0};
    kind what = begins(&s->blocks[s->depth], &name);
    block *in = counting(s);
    if (s->depth + 1 == MOST_BLOCKS) {
        s->wrong = "it is too deep";
        return;
    }
    block *made = &s->blocks[++s->depth];
    *made = (block){.kind = what};
    if (what == MESSAGE)
        begin_message(s, in, made, name);
}

static void end_statement(scanner *s)
{
    block *b = &s->blocks[s->depth];
    if (b->kind == OUTER && b->word_count > 1 && pl_str_is(b->words[0], "package"))
        s->package = b->words[1];
    b->word_count = 0;
    b->brackets = 0;
}

static void close_block(scanner *s)
{
    if (s->depth == 0) {
        s->wrong = "there is a } without a {";
        return;
    }
    s->depth--;
    if (s->blocks[s->depth].brackets == 0)
        end_statement(s);
}

static void take_word(scanner *s)
{
    block *b = &s->blocks[s->depth];
    const char *begin = s->p;
    while (s->p < s->end && is_word(*s->p))
        s->p++;
    if (b->word_count < WORDS && b->brackets == 0)
        b->words[b->word_count++] = (pl_str){begin, (size_t)(s->p - begin)};
}

static void take_mark(scanner *s)
{
    block *b = &s->blocks[s->depth];
    switch (*s->p++) {
    case '{':
        open_block(s);
        break;
    case '}':
        close_block(s);
        break;
    case ';':
        end_statement(s);
        break;
    case '[':
        b->brackets++;
        break;
    case ']':
        b->brackets -= b->brackets > 0;
        break;
    case '<':
        if (b->kind != OTHER && b->brackets == 0 && b->word_count == 1 && pl_str_is(b->words[0], "map"))
            counting(s)->messages++;
        break;
    default:
        break;
    }
}

static void scan(scanner *s)
{
    while (s->p < s->end && !s->wrong) {
        if (is_word(*s->p))
            take_word(s);
        else if (*s->p == '"' || *s->p == '\'')
            skip_string(s);
        else if (*s->p == '/' && s->end - s->p > 1 && (s->p[1] == '/' || s->p[1] == '*'))
            skip_comment(s);
        else
            take_mark(s);
    }
    if (!s->wrong && s->depth > 0)
        s->wrong = "a { has no }";
}

pl_code pl_schema_outline_name(pl_str text, const pl_schema_path *path, pl_buf *out, bool *found,
                               pl_error *err)
{
    scanner s = {.p = text.ptr, .end = text.ptr + text.len, .path = path};
    s.blocks[0] = (block){.kind = OUTER, .on_path = true};
    scan(&s);
    if (s.wrong)
        return pl_fail(err, PL_INVALID_ARGUMENT, "the schema is no text of a .proto file: %s", s.wrong);
    *found = s.found;
    if (!s.found)
        return PL_OK;
    pl_buf_str(out, s.package);
    for (size_t i = 0; i < path->count; i++) {
        if (i > 0 || s.package.len > 0)
            pl_buf_char(out, '.');
        pl_buf_str(out, s.names[i]);
    }
    return PL_OK;
}
