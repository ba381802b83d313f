/* SPDX-License-Identifier: MIT */
/* Type system documents through the parser and the printer. */
#include "roundtrip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_roundtrip(reprint_document, data, size);
    return 0;
}
