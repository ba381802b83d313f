/* SPDX-License-Identifier: MIT */
#include "net/websocket_handshake.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#define KEY_SIZE 24 /* base64 of 16 bytes */
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static bool is_base64(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

static bool is_sound_key(pl_str key)
{
    if (key.len != KEY_SIZE || key.ptr[KEY_SIZE - 2] != '=' || key.ptr[KEY_SIZE - 1] != '=')
        return false;
    for (size_t i = 0; i < KEY_SIZE - 2; i++) {
        if (!is_base64(key.ptr[i]))
            return false;
    }
    return true;
}

int pl_ws_check_request(const pl_http_request *request, pl_str *key)
{
    pl_str version = pl_http_header(request, PL_STR("sec-websocket-version"));
    if (request->http_version != 0x101 || !pl_str_is(request->method, "GET") || request->body.len != 0)
        return 400;
    if (version.ptr && !pl_str_is(version, "13"))
        return 426;
    *key = pl_http_header(request, PL_STR("sec-websocket-key"));
    return version.ptr && key->ptr && is_sound_key(*key) ? 0 : 400;
}

bool pl_ws_accept_key(pl_str key, char out[PL_WS_ACCEPT_SIZE + 1])
{
    char text[KEY_SIZE + sizeof(GUID)];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size;
    memcpy(text, key.ptr, KEY_SIZE);
    memcpy(text + KEY_SIZE, GUID, sizeof(GUID));
    if (EVP_Digest(text, sizeof(text) - 1, digest, &size, EVP_sha1(), NULL) != 1) {
        ERR_clear_error();
        return false;
    }
    EVP_EncodeBlock((unsigned char *)out, digest, (int)size);
    return true;
}
