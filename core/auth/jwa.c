/* SPDX-License-Identifier: MIT */
#include "auth/jwa.h"

static const pl_jwa_info infos[PL_JWA_COUNT] = {
    [PL_HS256] = {"HS256", PL_JWK_SECRET, "SHA256", 32, false},
    [PL_HS384] = {"HS384", PL_JWK_SECRET, "SHA384", 48, false},
    [PL_HS512] = {"HS512", PL_JWK_SECRET, "SHA512", 64, false},
    [PL_RS256] = {"RS256", PL_JWK_RSA, "SHA256", 0, false},
    [PL_RS384] = {"RS384", PL_JWK_RSA, "SHA384", 0, false},
    [PL_RS512] = {"RS512", PL_JWK_RSA, "SHA512", 0, false},
    [PL_PS256] = {"PS256", PL_JWK_RSA, "SHA256", 0, true},
    [PL_PS384] = {"PS384", PL_JWK_RSA, "SHA384", 0, true},
    [PL_PS512] = {"PS512", PL_JWK_RSA, "SHA512", 0, true},
    [PL_ES256] = {"ES256", PL_JWK_P256, "SHA256", 64, false},
    [PL_ES384] = {"ES384", PL_JWK_P384, "SHA384", 96, false},
    [PL_ES512] = {"ES512", PL_JWK_P521, "SHA512", 132, false},
    [PL_EDDSA] = {"EdDSA", PL_JWK_ED25519, NULL, 64, false},
};

const pl_jwa_info *pl_jwa_about(pl_jwa algorithm)
{
    return &infos[algorithm];
}

bool pl_jwa_named(pl_str name, pl_jwa *out)
{
    for (unsigned i = 0; i < PL_JWA_COUNT; i++) {
        if (pl_str_is(name, infos[i].name)) {
            *out = (pl_jwa)i;
            return true;
        }
    }
    return false;
}
