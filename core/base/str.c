/* SPDX-License-Identifier: MIT */
#include "base/str.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/random.h>
#include <time.h>

int pl_str_cmp(pl_str a, pl_str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n != 0 ? memcmp(a.ptr, b.ptr, n) : 0;
    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

/* --- UTF-8 --- */

static inline bool is_tail(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

size_t pl_utf8_sequence(const char *bytes, size_t len)
{
    const unsigned char *p = (const unsigned char *)bytes;
    if (len == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC2)
        return 0;
    if (p[0] < 0xE0)
        return len >= 2 && is_tail(p[1]) ? 2 : 0;
    if (p[0] < 0xF0) {
        unsigned char low = p[0] == 0xE0 ? 0xA0 : 0x80;
        unsigned char high = p[0] == 0xED ? 0x9F : 0xBF;
        return len >= 3 && p[1] >= low && p[1] <= high && is_tail(p[2]) ? 3 : 0;
    }
    if (p[0] > 0xF4)
        return 0;
    unsigned char low = p[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xF4 ? 0x8F : 0xBF;
    return len >= 4 && p[1] >= low && p[1] <= high && is_tail(p[2]) && is_tail(p[3]) ? 4 : 0;
}

size_t pl_utf8_check(const char *bytes, size_t len)
{
    size_t i = 0;
    while (i < len) {
        uint64_t word;
        while (len - i >= sizeof(word)) {
            memcpy(&word, bytes + i, sizeof(word));
            if (word & UINT64_C(0x8080808080808080))
                break;
            i += sizeof(word);
        }
        while (i < len && (unsigned char)bytes[i] < 0x80)
            i++;
        /* Text in another script than Latin: stay here for as long as it lasts. */
        while (i < len && (unsigned char)bytes[i] >= 0x80) {
            size_t n = pl_utf8_sequence(bytes + i, len - i);
            if (n == 0)
                return i;
            i += n;
        }
    }
    return len;
}

size_t pl_utf8_encode(char *out, unsigned codepoint)
{
    if (codepoint < 0x80) {
        out[0] = (char)codepoint;
        return 1;
    }
    if (codepoint < 0x800) {
        out[0] = (char)(0xC0 | (codepoint >> 6));
        out[1] = (char)(0x80 | (codepoint & 0x3F));
        return 2;
    }
    if (codepoint < 0x10000) {
        out[0] = (char)(0xE0 | (codepoint >> 12));
        out[1] = (char)(0x80 | ((codepoint >> 6) & 0x3F));
        out[2] = (char)(0x80 | (codepoint & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | (codepoint >> 18));
    out[1] = (char)(0x80 | ((codepoint >> 12) & 0x3F));
    out[2] = (char)(0x80 | ((codepoint >> 6) & 0x3F));
    out[3] = (char)(0x80 | (codepoint & 0x3F));
    return 4;
}

/* --- hashing --- */

static uint64_t hash_key[2];
static atomic_bool hash_ready;
static pthread_once_t hash_once = PTHREAD_ONCE_INIT;

static void make_hash_key(void)
{
    if (getrandom(hash_key, sizeof(hash_key), 0) != (ssize_t)sizeof(hash_key)) {
        /* No source of randomness: still different from process to process. */
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        hash_key[0] = (uint64_t)now.tv_nsec * UINT64_C(0x9E3779B97F4A7C15) ^ (uint64_t)now.tv_sec;
        hash_key[1] = (uint64_t)(uintptr_t)&now * UINT64_C(0xBF58476D1CE4E5B9);
    }
    atomic_store_explicit(&hash_ready, true, memory_order_release);
}

static inline uint64_t rotate(uint64_t v, unsigned n)
{
    return (v << n) | (v >> (64 - n));
}

#define SIP_ROUND(v0, v1, v2, v3) \
    do {                          \
        v0 += v1;                 \
        v2 += v3;                 \
        v1 = rotate(v1, 13) ^ v0; \
        v3 = rotate(v3, 16) ^ v2; \
        v0 = rotate(v0, 32);      \
        v2 += v1;                 \
        v0 += v3;                 \
        v1 = rotate(v1, 17) ^ v2; \
        v3 = rotate(v3, 21) ^ v0; \
        v2 = rotate(v2, 32);      \
    } while (0)

/* Up to 7 bytes, little-endian. */
static inline uint64_t load_tail(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    if (n & 4) {
        uint32_t w;
        memcpy(&w, p, 4);
        v = w;
        p += 4;
    }
    unsigned shift = (n & 4) ? 32 : 0;
    if (n & 2) {
        uint16_t w;
        memcpy(&w, p, 2);
        v |= (uint64_t)w << shift;
        shift += 16;
        p += 2;
    }
    if (n & 1)
        v |= (uint64_t)*p << shift;
    return v;
}

/* Native byte order: hashes never leave the process. */
static uint64_t siphash13(const unsigned char *p, size_t len, uint64_t k0, uint64_t k1)
{
    uint64_t v0 = k0 ^ UINT64_C(0x736f6d6570736575), v1 = k1 ^ UINT64_C(0x646f72616e646f6d);
    uint64_t v2 = k0 ^ UINT64_C(0x6c7967656e657261), v3 = k1 ^ UINT64_C(0x7465646279746573);
    const unsigned char *end = p + (len & ~(size_t)7);
    uint64_t m;
    for (; p != end; p += 8) {
        memcpy(&m, p, 8);
        v3 ^= m;
        SIP_ROUND(v0, v1, v2, v3);
        v0 ^= m;
    }
    m = (uint64_t)len << 56 | load_tail(p, len & 7);
    v3 ^= m;
    SIP_ROUND(v0, v1, v2, v3);
    v0 ^= m;
    v2 ^= 0xFF;
    SIP_ROUND(v0, v1, v2, v3);
    SIP_ROUND(v0, v1, v2, v3);
    SIP_ROUND(v0, v1, v2, v3);
    return v0 ^ v1 ^ v2 ^ v3;
}

unsigned long long pl_hash(const void *bytes, size_t len)
{
    if (__builtin_expect(!atomic_load_explicit(&hash_ready, memory_order_acquire), 0))
        pthread_once(&hash_once, make_hash_key);
    return siphash13(len != 0 ? bytes : (const void *)"", len, hash_key[0], hash_key[1]);
}
