/* SPDX-License-Identifier: MIT */
/* The limit that benchmarks are held against: a libh2o handler and nothing else, which answers each POST with
 * the bytes of one file. Called as: bare_h2o PORT FILE; PORT 0 is any free one. Prints a ready line with its
 * address when it accepts; ends on SIGTERM by default action. */

#include <signal.h>
#include <stdlib.h>

#include "serve_h2o.h"

static int on_request(h2o_handler_t *self, h2o_req_t *req)
{
    if (!h2o_memis(req->method.base, req->method.len, H2O_STRLIT("POST")))
        return -1;
    return answer(req, *(h2o_iovec_t *)((bare_handler *)self)->data);
}

static int read_file(const char *path, h2o_iovec_t *out)
{
    FILE *file = fopen(path, "rb");
    long size = -1;
    *out = h2o_iovec_init(NULL, 0);
    if (file != NULL && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 &&
        fseek(file, 0, SEEK_SET) == 0) {
        *out = h2o_iovec_init(h2o_mem_alloc((size_t)size + 1), (size_t)size);
        if (fread(out->base, 1, out->len, file) != out->len)
            size = -1;
    }
    if (file != NULL)
        fclose(file);
    if (size < 0)
        perror(path);
    return size < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    h2o_iovec_t body;
    signal(SIGPIPE, SIG_IGN);
    if (argc != 3 || read_file(argv[2], &body) != 0)
        return 1;
    return serve("bare_h2o", atoi(argv[1]), on_request, &body);
}
