/* SPDX-License-Identifier: MIT */
#include <stdalign.h>
#include <string.h>

#include "bindings/lua/pattern.h"

/* string.find, match, gmatch and gsub over pattern.h. */

/* Patterns of up to 50 bytes are compiled on the C stack. */
typedef struct scratch {
    alignas(8) char bytes[2560];
} scratch;

/* Compiles into room, or into a userdata that is pushed. [jumps] */
static void compile(lua_State *L, plua_pattern *pattern, scratch *room, const char *text, size_t len)
{
    size_t size = plua_pattern_size(text, len);
    void *memory = size <= sizeof(room->bytes) ? room->bytes : lua_newuserdatauv(L, size, 0);
    plua_pattern_compile(pattern, memory, text, len);
}

static void begin(plua_match *m, lua_State *L, const char *subject, size_t len)
{
    m->L = L;
    m->src = subject;
    m->end = subject + len;
    m->budget = 0; /* a loop over many short matches comes by the interruption, too */
    m->level = 0;
    m->depth = 0;
}

/* --- captures --- */

/* Pushes capture i of the match [start, end); the whole of it when there are none and i is 0. [jumps] */
static void push_capture(plua_match *m, int i, const char *start, const char *end)
{
    if (i >= m->level) {
        if (i != 0)
            luaL_error(m->L, "invalid capture index %%%d", i + 1);
        lua_pushlstring(m->L, start, (size_t)(end - start));
        return;
    }
    const plua_capture *capture = &m->captures[i];
    if (capture->len == PLUA_CAPTURE_OPEN)
        luaL_error(m->L, "unfinished capture");
    if (capture->len == PLUA_CAPTURE_POSITION)
        lua_pushinteger(m->L, capture->start - m->src + 1);
    else
        lua_pushlstring(m->L, capture->start, (size_t)capture->len);
}

static int push_captures(plua_match *m, const char *start, const char *end)
{
    int count = m->level == 0 && start ? 1 : m->level;
    luaL_checkstack(m->L, count, "too many captures");
    for (int i = 0; i < count; i++)
        push_capture(m, i, start, end);
    return count;
}

/* --- find and match --- */

/* The offset (from 0) that a position argument means; may lie behind the subject. */
static size_t start_offset(lua_Integer position, size_t len)
{
    if (position > 0)
        return (size_t)position - 1;
    if (position == 0 || position < -(lua_Integer)len)
        return 0;
    return len - (size_t)-position;
}

static bool is_plain(const char *text, size_t len)
{
    static const bool special[256] = {['^'] = true, ['$'] = true, ['*'] = true, ['+'] = true, ['?'] = true,
                                      ['.'] = true, ['('] = true, ['['] = true, ['%'] = true, ['-'] = true};
    for (size_t i = 0; i < len; i++) {
        if (special[(unsigned char)text[i]])
            return false;
    }
    return true;
}

static int find_plain(lua_State *L, const char *s, size_t len, size_t from, const char *text, size_t text_len)
{
    const char *found = text_len == 0 ? s + from : memmem(s + from, len - from, text, text_len);
    if (!found) {
        luaL_pushfail(L);
        return 1;
    }
    lua_pushinteger(L, found - s + 1);
    lua_pushinteger(L, found - s + (lua_Integer)text_len);
    return 2;
}

static int find_or_match(lua_State *L, bool find)
{
    size_t len, text_len;
    const char *s = luaL_checklstring(L, 1, &len);
    const char *text = luaL_checklstring(L, 2, &text_len);
    size_t from = start_offset(luaL_optinteger(L, 3, 1), len);
    if (from > len) {
        luaL_pushfail(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || is_plain(text, text_len)))
        return find_plain(L, s, len, from, text, text_len);
    bool anchored = text_len > 0 && *text == '^';
    scratch room;
    plua_match m;
    begin(&m, L, s, len);
    compile(L, &m.pattern, &room, text + anchored, text_len - anchored);
    const char *start, *end = plua_match_from(&m, s + from, anchored, &start);
    if (!end) {
        luaL_pushfail(L);
        return 1;
    }
    if (!find)
        return push_captures(&m, start, end);
    lua_pushinteger(L, start - s + 1);
    lua_pushinteger(L, end - s);
    return push_captures(&m, NULL, NULL) + 2;
}

static int str_find(lua_State *L)
{
    return find_or_match(L, true);
}

static int str_match(lua_State *L)
{
    return find_or_match(L, false);
}

/* --- gmatch --- */

typedef struct gmatch {
    const char *from;     /* where the next search begins */
    const char *last_end; /* of the match before: an empty match there would be found twice */
    plua_match m;
    alignas(8) char pattern[];
} gmatch;

/* upvalues: subject, pattern, gmatch */
static int gmatch_next(lua_State *L)
{
    gmatch *g = lua_touserdata(L, lua_upvalueindex(3));
    g->m.L = L;
    while (g->from <= g->m.end) {
        const char *start, *end = plua_match_from(&g->m, g->from, false, &start);
        if (!end)
            break;
        if (end == g->last_end) {
            g->from = start + 1;
            continue;
        }
        g->from = g->last_end = end;
        return push_captures(&g->m, start, end);
    }
    g->from = g->m.end + 1;
    return 0;
}

static int str_gmatch(lua_State *L)
{
    size_t len, text_len;
    const char *s = luaL_checklstring(L, 1, &len);
    const char *text = luaL_checklstring(L, 2, &text_len);
    size_t from = start_offset(luaL_optinteger(L, 3, 1), len);
    lua_settop(L, 2);
    gmatch *g = lua_newuserdatauv(L, sizeof(gmatch) + plua_pattern_size(text, text_len), 0);
    begin(&g->m, L, s, len);
    plua_pattern_compile(&g->m.pattern, g->pattern, text, text_len);
    g->from = s + (from > len ? len + 1 : from);
    g->last_end = NULL;
    lua_pushcclosure(L, gmatch_next, 3);
    return 1;
}

/* --- gsub --- */

typedef struct gsub {
    plua_match m;
    int type;                /* of the replacement, argument 3 */
    const char *replacement; /* a string */
    size_t replacement_len;
    bool literal;       /* without '%' */
    bool changed;       /* something is in out */
    const char *copied; /* the subject is in out, or replaced, up to here */
    luaL_Buffer out;
} gsub;

static void add_capture(gsub *g, int i, const char *start, const char *end)
{
    if (g->m.level == 0 && i == 0) {
        luaL_addlstring(&g->out, start, (size_t)(end - start));
    } else if (i < g->m.level && g->m.captures[i].len >= 0) {
        luaL_addlstring(&g->out, g->m.captures[i].start, (size_t)g->m.captures[i].len);
    } else {
        push_capture(&g->m, i, start, end);
        lua_tolstring(g->m.L, -1, NULL); /* a position */
        luaL_addvalue(&g->out);
    }
}

static void add_string(gsub *g, const char *start, const char *end)
{
    const char *p = g->replacement, *stop = p + g->replacement_len, *sign;
    while (!g->literal && (sign = memchr(p, '%', (size_t)(stop - p))) != NULL) {
        luaL_addlstring(&g->out, p, (size_t)(sign - p));
        char c = sign + 1 < stop ? sign[1] : '\0';
        if (c == '%')
            luaL_addchar(&g->out, '%');
        else if (c == '0')
            luaL_addlstring(&g->out, start, (size_t)(end - start));
        else if (c >= '1' && c <= '9')
            add_capture(g, c - '1', start, end);
        else
            luaL_error(g->m.L, "invalid use of '%%' in replacement string");
        p = sign + 2;
    }
    luaL_addlstring(&g->out, p, (size_t)(stop - p));
}

/* Calls or indexes the replacement; pushes what it gives. */
static void evaluate(gsub *g, const char *start, const char *end)
{
    lua_State *L = g->m.L;
    if (g->type == LUA_TTABLE) {
        push_capture(&g->m, 0, start, end);
        lua_gettable(L, 3);
    } else {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(&g->m, start, end), 1);
    }
}

static void replace(gsub *g, const char *start, const char *end)
{
    lua_State *L = g->m.L;
    if (g->type != LUA_TTABLE && g->type != LUA_TFUNCTION) {
        luaL_addlstring(&g->out, g->copied, (size_t)(start - g->copied));
        add_string(g, start, end);
        g->copied = end;
        g->changed = true;
        return;
    }
    /* The buffer's box may lie on the stack: what is there before has to be added first. */
    luaL_addlstring(&g->out, g->copied, (size_t)(start - g->copied));
    g->copied = start;
    evaluate(g, start, end);
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(&g->out);
    g->copied = end;
    g->changed = true;
}

static lua_Integer replace_all(gsub *g, const char *s, bool anchored, lua_Integer most)
{
    const char *last_end = NULL;
    lua_Integer count = 0;
    while (count < most) {
        const char *start, *end = plua_match_from(&g->m, s, anchored, &start);
        if (!end)
            break;
        if (end != last_end) {
            count++;
            replace(g, start, end);
            s = last_end = end;
        } else if (start < g->m.end) {
            s = start + 1;
        } else {
            break;
        }
        if (anchored)
            break;
    }
    return count;
}

static int str_gsub(lua_State *L)
{
    gsub g;
    scratch room;
    size_t len, text_len;
    const char *s = luaL_checklstring(L, 1, &len);
    const char *text = luaL_checklstring(L, 2, &text_len);
    g.type = lua_type(L, 3);
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)len + 1);
    bool anchored = text_len > 0 && *text == '^';
    luaL_argexpected(
        L, g.type == LUA_TNUMBER || g.type == LUA_TSTRING || g.type == LUA_TTABLE || g.type == LUA_TFUNCTION,
        3, "string/function/table");
    if (g.type == LUA_TNUMBER || g.type == LUA_TSTRING) {
        g.replacement = lua_tolstring(L, 3, &g.replacement_len);
        g.literal = !memchr(g.replacement, '%', g.replacement_len);
    }
    begin(&g.m, L, s, len);
    compile(L, &g.m.pattern, &room, text + anchored, text_len - anchored);
    g.changed = false;
    g.copied = s;
    luaL_buffinit(L, &g.out);
    lua_Integer count = replace_all(&g, s, anchored, most);
    if (!g.changed) {
        lua_pushvalue(L, 1);
    } else {
        luaL_addlstring(&g.out, g.copied, (size_t)(g.m.end - g.copied));
        luaL_pushresult(&g.out);
    }
    lua_pushinteger(L, count);
    return 2;
}

void plua_install_patterns(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"find", str_find}, {"match", str_match}, {"gmatch", str_gmatch}, {"gsub", str_gsub}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
