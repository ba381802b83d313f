/* SPDX-License-Identifier: MIT */
#include "bindings/lua/base_n.h"

#include <stdint.h>
#include <string.h>

typedef struct alphabet {
    const char *digits;
    bool padded; /* on output; on input padding of base64url is optional */
} alphabet;

static const alphabet base64 = {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true};
static const alphabet base64url = {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", false};

static int failed(lua_State *L, const char *message)
{
    luaL_pushfail(L);
    lua_pushstring(L, message);
    return 2;
}

/* --- base64 --- */

static int encode64(lua_State *L, const alphabet *a)
{
    size_t len;
    const unsigned char *in = (const unsigned char *)luaL_checklstring(L, 1, &len);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, (len + 2) / 3 * 4), *p = out;
    size_t i = 0;
    for (; i + 2 < len; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *p++ = a->digits[v >> shift & 63];
    }
    size_t rest = len - i;
    if (rest > 0) {
        uint32_t v = (uint32_t)in[i] << 16 | (rest == 2 ? (uint32_t)in[i + 1] << 8 : 0);
        for (size_t k = 0; k <= rest; k++)
            *p++ = a->digits[v >> (18 - 6 * k) & 63];
        for (size_t k = rest; a->padded && k < 3; k++)
            *p++ = '=';
    }
    luaL_pushresultsize(&b, (size_t)(p - out));
    return 1;
}

/* The value of a digit; 64 or more when it is none. */
static unsigned digit64(const alphabet *a, unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26u;
    if (c >= '0' && c <= '9')
        return c - '0' + 52u;
    if (c == (unsigned char)a->digits[62])
        return 62;
    return c == (unsigned char)a->digits[63] ? 63 : 64;
}

/* The text without its padding, whose length is checked. */
static bool cut_padding(const alphabet *a, const char *in, size_t *len)
{
    size_t padding = 0;
    while (padding < 2 && *len > padding && in[*len - padding - 1] == '=')
        padding++;
    if ((padding > 0 || a->padded) && *len % 4 != 0)
        return false;
    *len -= padding;
    return *len % 4 != 1 && (padding == 0 || *len % 4 != 0);
}

static int decode64(lua_State *L, const alphabet *a)
{
    size_t len;
    const char *in = luaL_checklstring(L, 1, &len);
    if (!cut_padding(a, in, &len))
        return failed(L, "base64 of a wrong length");
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, len / 4 * 3 + 3), *p = out;
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned v = digit64(a, (unsigned char)in[i]);
        if (v > 63)
            return failed(L, "a character that is no base64 digit");
        bits = bits << 6 | v;
        count += 6;
        if (count >= 8) {
            count -= 8;
            *p++ = (char)(bits >> count);
        }
    }
    if (bits & ((1u << count) - 1)) /* another text stands for these bytes */
        return failed(L, "base64 with bits left over");
    luaL_pushresultsize(&b, (size_t)(p - out));
    return 1;
}

static int base64_encode(lua_State *L)
{
    return encode64(L, &base64);
}

static int base64_decode(lua_State *L)
{
    return decode64(L, &base64);
}

static int base64url_encode(lua_State *L)
{
    return encode64(L, &base64url);
}

static int base64url_decode(lua_State *L)
{
    return decode64(L, &base64url);
}

/* --- hexadecimal --- */

void plua_hex_write(char *out, const unsigned char *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
}

static int hex_encode(lua_State *L)
{
    size_t len;
    const char *in = luaL_checklstring(L, 1, &len);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, len * 2);
    plua_hex_write(out, (const unsigned char *)in, len);
    luaL_pushresultsize(&b, len * 2);
    return 1;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int hex_decode(lua_State *L)
{
    size_t len;
    const char *in = luaL_checklstring(L, 1, &len);
    if (len % 2 != 0)
        return failed(L, "an odd number of hexadecimal digits");
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, len / 2);
    for (size_t i = 0; i < len / 2; i++) {
        int high = hex_digit(in[2 * i]), low = hex_digit(in[2 * i + 1]);
        if (high < 0 || low < 0)
            return failed(L, "a character that is no hexadecimal digit");
        out[i] = (char)(high << 4 | low);
    }
    luaL_pushresultsize(&b, len / 2);
    return 1;
}

void plua_add_base_n(lua_State *L)
{
    static const luaL_Reg functions[] = {{"base64_encode", base64_encode},
                                         {"base64_decode", base64_decode},
                                         {"base64url_encode", base64url_encode},
                                         {"base64url_decode", base64url_decode},
                                         {"hex_encode", hex_encode},
                                         {"hex_decode", hex_decode},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
