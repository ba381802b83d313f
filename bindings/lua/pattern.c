/* SPDX-License-Identifier: MIT */
#include "bindings/lua/pattern.h"

#include <string.h>

enum { CHECK_EVERY = 4096 };

/* --- byte sets of the classes, in the C locale --- */

#define BITS(from, to) ((~(uint64_t)0 >> (63 - ((to) - (from)))) << ((from)&63))
/* '0'-'9' are 48-57 in the first word; the second holds 64-127: 'A'-'Z' 65-90, 'a'-'z' 97-122. */
#define DIGIT BITS(48, 57)
#define UPPER BITS(65, 90)
#define LOWER BITS(97, 122)
#define PUNCT_0 (BITS(33, 47) | BITS(58, 63))
#define PUNCT_1 (BITS(64, 64) | BITS(91, 96) | BITS(123, 126))
#define CLASS(low, high)                                \
    {                                                   \
        {(low), (high), 0, 0},                          \
        {                                               \
            ~(low), ~(high), ~(uint64_t)0, ~(uint64_t)0 \
        }                                               \
    }

/* [class][negated] */
enum { ALPHA, CONTROL, DIGITS, GRAPH, LOWERS, PUNCT, SPACE, UPPERS, ALNUM, HEX, ZERO, CLASSES };
static const plua_byte_set class_sets[CLASSES][2] = {
    [ALPHA] = CLASS((uint64_t)0, UPPER | LOWER),
    [CONTROL] = CLASS(BITS(0, 31), BITS(127, 127)),
    [DIGITS] = CLASS(DIGIT, (uint64_t)0),
    [GRAPH] = CLASS(BITS(33, 63), BITS(64, 126)),
    [LOWERS] = CLASS((uint64_t)0, LOWER),
    [PUNCT] = CLASS(PUNCT_0, PUNCT_1),
    [SPACE] = CLASS(BITS(9, 13) | BITS(32, 32), (uint64_t)0),
    [UPPERS] = CLASS((uint64_t)0, UPPER),
    [ALNUM] = CLASS(DIGIT, UPPER | LOWER),
    [HEX] = CLASS(DIGIT, BITS(65, 70) | BITS(97, 102)),
    [ZERO] = CLASS(BITS(0, 0), (uint64_t)0),
};

/* The set of %letter; NULL when the letter names no class and stands for itself. */
static const uint64_t *class_of(unsigned char letter)
{
    static const char letters[] = "acdglpsuwxz";
    unsigned char lower = letter | 0x20;
    if (lower < 'a' || lower > 'z' || (letter & 0x80))
        return NULL;
    const char *found = strchr(letters, lower);
    return found ? class_sets[found - letters][letter != lower] : NULL;
}

static inline bool in_set(const uint64_t *set, unsigned char c)
{
    return set[c >> 6] >> (c & 63) & 1;
}

static void add_byte(uint64_t *set, unsigned char c)
{
    set[c >> 6] |= (uint64_t)1 << (c & 63);
}

static void add_range(uint64_t *set, unsigned from, unsigned to)
{
    for (unsigned c = from; c <= to; c++)
        add_byte(set, (unsigned char)c);
}

/* --- compiling --- */

static const char unclosed_set[] = "malformed pattern (missing ']')";

typedef struct compiler {
    const char *p, *end;
    plua_item *item;     /* the next to be written */
    plua_byte_set *sets; /* the next free one */
} compiler;

static size_t count_sets(const char *text, size_t len)
{
    size_t count = 0;
    for (const char *p = text; (p = memchr(p, '[', len - (size_t)(p - text))) != NULL; p++)
        count++;
    return count;
}

size_t plua_pattern_size(const char *text, size_t len)
{
    return (len + 1) * (sizeof(plua_item) + sizeof(plua_frame)) +
           count_sets(text, len) * sizeof(plua_byte_set);
}

/* p is behind '[': the place of the ']' that ends the set, or NULL. A ']' in first place, and one behind '%',
 * is a member. */
static const char *set_end(const char *p, const char *end)
{
    if (p < end && *p == '^')
        p++;
    for (bool first = true; p < end; first = false) {
        char c = *p++;
        if (c == ']' && !first)
            return p - 1;
        if (c == '%' && p < end)
            p++;
    }
    return NULL;
}

/* Reads the set behind '[' at c->p into the next free one and moves behind its ']'; NULL when it is not
 * closed. */
static const uint64_t *compile_set(compiler *c)
{
    const char *close = set_end(c->p, c->end);
    if (!close)
        return NULL;
    uint64_t *set = *c->sets++;
    memset(set, 0, sizeof(plua_byte_set));
    const char *p = c->p;
    bool negated = *p == '^';
    if (negated)
        p++;
    while (p < close) {
        if (*p == '%') {
            const uint64_t *named = class_of((unsigned char)p[1]);
            for (int i = 0; named && i < 4; i++)
                set[i] |= named[i];
            if (!named)
                add_byte(set, (unsigned char)p[1]);
            p += 2;
        } else if (close - p > 2 && p[1] == '-') {
            add_range(set, (unsigned char)p[0], (unsigned char)p[2]);
            p += 3;
        } else {
            add_byte(set, (unsigned char)*p++);
        }
    }
    for (int i = 0; negated && i < 4; i++)
        set[i] = ~set[i];
    c->p = close + 1;
    return set;
}

static plua_item *emit(compiler *c, plua_item_kind kind)
{
    plua_item *item = c->item++;
    *item = (plua_item){.kind = (uint8_t)kind};
    return item;
}

/* False: nothing behind it can be reached. */
static bool malformed(compiler *c, const char *message)
{
    emit(c, PLUA_MALFORMED)->message = message;
    return false;
}

static void compile_repeat(compiler *c, plua_item *item)
{
    static const char signs[] = "*+-?";
    const char *found = c->p < c->end && *c->p != '\0' ? strchr(signs, *c->p) : NULL;
    if (found) {
        item->repeat = (uint8_t)(PLUA_STAR + (found - signs));
        c->p++;
    }
}

/* An item for one byte, at c->p. */
static bool compile_single(compiler *c)
{
    unsigned char first = (unsigned char)*c->p++;
    plua_item *item;
    if (first == '[') {
        const uint64_t *set = compile_set(c);
        if (!set)
            return malformed(c, unclosed_set);
        item = emit(c, PLUA_SET);
        item->set = set;
    } else if (first == '.') {
        item = emit(c, PLUA_ANY);
    } else if (first == '%') {
        if (c->p == c->end)
            return malformed(c, "malformed pattern (ends with '%')");
        unsigned char letter = (unsigned char)*c->p++;
        const uint64_t *set = class_of(letter);
        item = emit(c, set ? PLUA_SET : PLUA_CHAR);
        if (set)
            item->set = set;
        else
            item->a = letter;
    } else {
        item = emit(c, PLUA_CHAR);
        item->a = first;
    }
    compile_repeat(c, item);
    return true;
}

static bool compile_escape(compiler *c)
{
    char letter = c->p + 1 < c->end ? c->p[1] : '\0';
    if (letter == 'b') {
        if (c->end - c->p < 4)
            return malformed(c, "malformed pattern (missing arguments to '%b')");
        plua_item *item = emit(c, PLUA_BALANCED);
        item->a = (uint8_t)c->p[2];
        item->b = (uint8_t)c->p[3];
        c->p += 4;
        return true;
    }
    if (letter == 'f') {
        c->p += 2;
        if (c->p == c->end || *c->p != '[')
            return malformed(c, "missing '[' after '%f' in pattern");
        c->p++;
        const uint64_t *set = compile_set(c);
        if (!set)
            return malformed(c, unclosed_set);
        emit(c, PLUA_FRONTIER)->set = set;
        return true;
    }
    if (letter >= '0' && letter <= '9') {
        emit(c, PLUA_BACK)->a = (uint8_t)letter;
        c->p += 2;
        return true;
    }
    return compile_single(c);
}

static bool compile_item(compiler *c)
{
    switch (*c->p) {
    case '(':
        c->p++;
        if (c->p < c->end && *c->p == ')') {
            c->p++;
            emit(c, PLUA_OPEN_POSITION);
        } else {
            emit(c, PLUA_OPEN);
        }
        return true;
    case ')':
        c->p++;
        emit(c, PLUA_CLOSE);
        return true;
    case '$':
        if (c->p + 1 != c->end)
            return compile_single(c);
        c->p++;
        emit(c, PLUA_AT_END);
        return true;
    case '%':
        return compile_escape(c);
    default:
        return compile_single(c);
    }
}

void plua_pattern_compile(plua_pattern *pattern, void *memory, const char *text, size_t len)
{
    pattern->frames = memory;
    pattern->items = (plua_item *)(pattern->frames + len + 1);
    compiler c = {text, text + len, pattern->items, (plua_byte_set *)(pattern->items + len + 1)};
    while (c.p < c.end && compile_item(&c))
        ;
    emit(&c, PLUA_END);
}

/* --- matching --- */

enum { FRAME_GREEDY, FRAME_LAZY, FRAME_OPTIONAL, FRAME_OPEN, FRAME_CLOSE };

static inline void spend(plua_match *m, size_t steps)
{
    m->budget -= (int)(steps > CHECK_EVERY ? CHECK_EVERY : steps);
    if (m->budget < 0) {
        m->budget = CHECK_EVERY;
        plua_check_interrupt(m->L);
    }
}

static inline bool single(const plua_item *item, const char *s)
{
    switch (item->kind) {
    case PLUA_CHAR:
        return (uint8_t)*s == item->a;
    case PLUA_SET:
        return in_set(item->set, (unsigned char)*s);
    default:
        return true;
    }
}

static inline plua_frame *push(plua_match *m, int kind, const plua_item *item, const char *at)
{
    plua_frame *frame = &m->pattern.frames[m->depth++];
    frame->kind = kind;
    frame->item = item;
    frame->at = at;
    return frame;
}

static inline const char *expand(const plua_match *m, const plua_item *item, const char *s)
{
    const char *end = m->end;
    if (item->kind == PLUA_ANY)
        return end;
    if (item->kind == PLUA_SET) {
        while (s < end && in_set(item->set, (unsigned char)*s))
            s++;
    } else {
        while (s < end && (uint8_t)*s == item->a)
            s++;
    }
    return s;
}

static const char *greedy(plua_match *m, const plua_item *item, const char *s)
{
    const char *low = s;
    s = expand(m, item, s);
    if (item->repeat == PLUA_PLUS && s == low++)
        return NULL;
    spend(m, (size_t)(s - low) >> 4);
    /* At the end of the pattern the longest try is the last one. */
    if (s > low && item[1].kind != PLUA_END)
        push(m, FRAME_GREEDY, item, s)->low = low;
    return s;
}

static inline const char *step_single(plua_match *m, const plua_item *item, const char *s)
{
    switch (item->repeat) {
    case PLUA_ONCE:
        return s < m->end && single(item, s) ? s + 1 : NULL;
    case PLUA_OPTIONAL:
        if (s == m->end || !single(item, s))
            return s;
        push(m, FRAME_OPTIONAL, item, s);
        return s + 1;
    case PLUA_LAZY:
        push(m, FRAME_LAZY, item, s);
        return s;
    default:
        return greedy(m, item, s);
    }
}

static const char *open_capture(plua_match *m, const char *s, ptrdiff_t len)
{
    if (m->level >= PLUA_MAX_CAPTURES)
        luaL_error(m->L, "too many captures");
    m->captures[m->level++] = (plua_capture){s, len};
    push(m, FRAME_OPEN, NULL, NULL);
    return s;
}

static const char *close_capture(plua_match *m, const char *s)
{
    int i = m->level - 1;
    while (i >= 0 && m->captures[i].len != PLUA_CAPTURE_OPEN)
        i--;
    if (i < 0)
        luaL_error(m->L, "invalid pattern capture");
    m->captures[i].len = s - m->captures[i].start;
    push(m, FRAME_CLOSE, NULL, NULL)->capture = i;
    return s;
}

static const char *match_back(plua_match *m, int digit, const char *s)
{
    int i = digit - '1';
    if (i < 0 || i >= m->level || m->captures[i].len == PLUA_CAPTURE_OPEN)
        luaL_error(m->L, "invalid capture index %%%d", i + 1);
    /* A position capture is taken as longer than any subject. */
    ptrdiff_t len = m->captures[i].len;
    if (len < 0 || len > m->end - s)
        return NULL;
    spend(m, (size_t)len >> 6);
    return memcmp(m->captures[i].start, s, (size_t)len) == 0 ? s + len : NULL;
}

static const char *match_balanced(plua_match *m, const plua_item *item, const char *s)
{
    if (s == m->end || (uint8_t)*s != item->a)
        return NULL;
    const char *begin = s;
    size_t open = 1;
    for (s++; s < m->end && open > 0; s++) {
        if ((uint8_t)*s == item->b)
            open--;
        else if ((uint8_t)*s == item->a)
            open++;
    }
    spend(m, (size_t)(s - begin) >> 4);
    return open == 0 ? s : NULL;
}

static bool at_frontier(const plua_match *m, const uint64_t *set, const char *s)
{
    unsigned char before = s == m->src ? 0 : (unsigned char)s[-1];
    unsigned char here = s == m->end ? 0 : (unsigned char)*s;
    return !in_set(set, before) && in_set(set, here);
}

/* Matches one item at s; NULL when it does not match there. */
static inline const char *step(plua_match *m, const plua_item *item, const char *s)
{
    switch (item->kind) {
    case PLUA_CHAR:
    case PLUA_ANY:
    case PLUA_SET:
        return step_single(m, item, s);
    case PLUA_OPEN:
        return open_capture(m, s, PLUA_CAPTURE_OPEN);
    case PLUA_OPEN_POSITION:
        return open_capture(m, s, PLUA_CAPTURE_POSITION);
    case PLUA_CLOSE:
        return close_capture(m, s);
    case PLUA_BACK:
        return match_back(m, item->a, s);
    case PLUA_BALANCED:
        return match_balanced(m, item, s);
    case PLUA_FRONTIER:
        return at_frontier(m, item->set, s) ? s : NULL;
    case PLUA_AT_END:
        return s == m->end ? s : NULL;
    default:
        luaL_error(m->L, "%s", item->message);
        return NULL;
    }
}

/* The byte that item must begin with, or -1. */
static inline int required(const plua_item *item)
{
    return item->kind == PLUA_CHAR && (item->repeat == PLUA_ONCE || item->repeat == PLUA_PLUS) ? item->a : -1;
}

/* Gives bytes back, one or more, up to where the next item can begin. */
static bool retry_greedy(plua_match *m, plua_frame *frame)
{
    const char *from = frame->at;
    int byte = required(frame->item + 1);
    do {
        frame->at--;
    } while (byte >= 0 && frame->at > frame->low && (uint8_t)*frame->at != byte);
    spend(m, (size_t)(from - frame->at) >> 4);
    if (frame->at == frame->low)
        m->depth--;
    return true;
}

static bool retry_lazy(plua_match *m, plua_frame *frame)
{
    const char *s = frame->at, *from = s;
    int byte = required(frame->item + 1);
    do {
        if (s == m->end || !single(frame->item, s)) {
            m->depth--;
            return false;
        }
        s++;
    } while (byte >= 0 && s < m->end && (uint8_t)*s != byte);
    frame->at = s;
    spend(m, (size_t)(s - from) >> 4);
    return true;
}

/* Undoes steps up to the last one that has another way to go. */
static bool backtrack(plua_match *m, const plua_item **item, const char **s)
{
    while (m->depth > 0) {
        plua_frame *frame = &m->pattern.frames[m->depth - 1];
        bool retry = false;
        switch (frame->kind) {
        case FRAME_GREEDY:
            retry = retry_greedy(m, frame);
            break;
        case FRAME_LAZY:
            retry = retry_lazy(m, frame);
            break;
        case FRAME_OPTIONAL:
            m->depth--;
            retry = true;
            break;
        case FRAME_OPEN:
            m->depth--;
            m->level--;
            break;
        default:
            m->depth--;
            m->captures[frame->capture].len = PLUA_CAPTURE_OPEN;
        }
        if (retry) { /* the frame's memory is intact though it may be popped */
            *item = frame->item + 1;
            *s = frame->at;
            return true;
        }
    }
    return false;
}

const char *plua_match_at(plua_match *m, const char *s)
{
    const plua_item *item = m->pattern.items;
    m->level = 0;
    m->depth = 0;
    while (item->kind != PLUA_END) {
        spend(m, 1);
        const char *next = step(m, item, s);
        if (next) {
            s = next;
            item++;
        } else if (!backtrack(m, &item, &s)) {
            return NULL;
        }
    }
    return s;
}

const char *plua_match_from(plua_match *m, const char *s, bool anchored, const char **start)
{
    const plua_item *first = m->pattern.items;
    while (first->kind == PLUA_OPEN || first->kind == PLUA_OPEN_POSITION)
        first++;
    bool must = first->kind <= PLUA_SET && (first->repeat == PLUA_ONCE || first->repeat == PLUA_PLUS) &&
                first - m->pattern.items <= PLUA_MAX_CAPTURES;
    for (; s <= m->end; s++) {
        if (must && !anchored) { /* to the first place where the first byte fits */
            const char *from = s;
            if (first->kind == PLUA_CHAR)
                s = memchr(s, first->a, (size_t)(m->end - s));
            else
                while (s < m->end && !single(first, s))
                    s++;
            if (!s || s == m->end)
                return NULL;
            spend(m, (size_t)(s - from) >> 4);
        }
        const char *end = plua_match_at(m, s);
        if (end) {
            *start = s;
            return end;
        }
        if (anchored)
            break;
    }
    return NULL;
}
