/* SPDX-License-Identifier: MIT */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <time.h>

#include "bindings/lua/base_n.h"

/* perilune.crypto, on OpenSSL. */

#define MOST_RANDOM (16 << 20)

static void fill_random(lua_State *L, void *out, size_t len)
{
    if (len > 0 && RAND_bytes(out, (int)len) != 1)
        plua_raise(L, PL_UNAVAILABLE, "crypto: no random bytes can be had");
}

static int crypto_random_bytes(lua_State *L)
{
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_argcheck(L, n >= 0 && n <= MOST_RANDOM, 1, "not within 0 to 16777216 bytes");
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, (size_t)n);
    fill_random(L, out, (size_t)n);
    luaL_pushresultsize(&b, (size_t)n);
    return 1;
}

/* --- UUIDs (RFC 9562) --- */

static int push_uuid(lua_State *L, unsigned char bytes[16], int version)
{
    bytes[6] = (unsigned char)((bytes[6] & 0x0F) | version << 4);
    bytes[8] = (unsigned char)((bytes[8] & 0x3F) | 0x80);
    char text[36], *out = text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        plua_hex_write(out, bytes + i, 1);
        out += 2;
    }
    lua_pushlstring(L, text, sizeof(text));
    return 1;
}

static int crypto_uuid4(lua_State *L)
{
    unsigned char bytes[16];
    fill_random(L, bytes, sizeof(bytes));
    return push_uuid(L, bytes, 4);
}

typedef struct uuid_clock {
    uint64_t ms;
    unsigned counter; /* 12 bits: rand_a as a counter (RFC 9562, section 6.2, method 1) */
} uuid_clock;

static int crypto_uuid7(lua_State *L)
{
    uuid_clock *last = lua_touserdata(L, lua_upvalueindex(1));
    unsigned char bytes[16];
    fill_random(L, bytes, sizeof(bytes));
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    unsigned start = (unsigned)(bytes[6] << 8 | bytes[7]) & 0x7FF; /* room to count up */
    if (ms > last->ms) {
        last->ms = ms;
        last->counter = start;
    } else if (++last->counter > 0xFFF) {
        last->ms++;
        last->counter = start;
    }
    for (int i = 0; i < 6; i++)
        bytes[i] = (unsigned char)(last->ms >> (40 - 8 * i));
    bytes[6] = (unsigned char)(last->counter >> 8);
    bytes[7] = (unsigned char)last->counter;
    return push_uuid(L, bytes, 7);
}

/* --- hashes --- */

static int push_digest(lua_State *L, const unsigned char *digest, size_t len, int form)
{
    static const char *const forms[] = {"hex", "raw", NULL};
    if (luaL_checkoption(L, form, "hex", forms) == 1) {
        lua_pushlstring(L, (const char *)digest, len);
    } else {
        char text[2 * EVP_MAX_MD_SIZE];
        plua_hex_write(text, digest, len);
        lua_pushlstring(L, text, 2 * len);
    }
    return 1;
}

static int hash(lua_State *L, const EVP_MD *md)
{
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len;
    if (EVP_Digest(s, len, digest, &digest_len, md, NULL) != 1)
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "crypto: the hash could not be computed");
    return push_digest(L, digest, digest_len, 2);
}

static int hmac(lua_State *L, const EVP_MD *md)
{
    size_t key_len, len;
    const char *key = luaL_checklstring(L, 1, &key_len), *s = luaL_checklstring(L, 2, &len);
    luaL_argcheck(L, key_len <= INT32_MAX, 1, "too long");
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len;
    if (!HMAC(md, key, (int)key_len, (const unsigned char *)s, len, digest, &digest_len))
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "crypto: the code could not be computed");
    return push_digest(L, digest, digest_len, 3);
}

static int crypto_sha256(lua_State *L)
{
    return hash(L, EVP_sha256());
}

static int crypto_sha512(lua_State *L)
{
    return hash(L, EVP_sha512());
}

static int crypto_hmac_sha256(lua_State *L)
{
    return hmac(L, EVP_sha256());
}

static int crypto_hmac_sha512(lua_State *L)
{
    return hmac(L, EVP_sha512());
}

static int crypto_equal(lua_State *L)
{
    size_t a_len, b_len;
    const char *a = luaL_checklstring(L, 1, &a_len), *b = luaL_checklstring(L, 2, &b_len);
    lua_pushboolean(L, a_len == b_len && CRYPTO_memcmp(a, b, a_len) == 0);
    return 1;
}

int plua_open_crypto(lua_State *L)
{
    static const luaL_Reg functions[] = {{"random_bytes", crypto_random_bytes},
                                         {"uuid4", crypto_uuid4},
                                         {"sha256", crypto_sha256},
                                         {"sha512", crypto_sha512},
                                         {"hmac_sha256", crypto_hmac_sha256},
                                         {"hmac_sha512", crypto_hmac_sha512},
                                         {"equal", crypto_equal},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    plua_add_base_n(L);
    uuid_clock *last = lua_newuserdatauv(L, sizeof(*last), 0);
    *last = (uuid_clock){0};
    lua_pushcclosure(L, crypto_uuid7, 1);
    lua_setfield(L, -2, "uuid7");
    return 1;
}
