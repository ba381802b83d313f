/* SPDX-License-Identifier: MIT */
#include "app/digest.h"

#include <openssl/evp.h>

bool pl_sha256_hex(pl_str bytes, char out[PL_SHA256_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (EVP_Digest(bytes.ptr ? bytes.ptr : "", bytes.len, digest, &n, EVP_sha256(), NULL) != 1 ||
        n * 2 != PL_SHA256_HEX)
        return false;
    for (unsigned i = 0; i < n; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[PL_SHA256_HEX] = '\0';
    return true;
}
