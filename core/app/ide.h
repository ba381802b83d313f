/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_IDE_H
#define PL_APP_IDE_H

#include "app/config.h"

/* The GraphiQL page: a GET of the GraphQL path by a browser, and the page's files below PATH/assets/. It
 * loads nothing from another host, and its Content-Security-Policy says so. The files are built in
 * (scripts/build-graphiql); their names hold a hash of their contents, so that caches may keep them for ever.
 */

typedef struct pl_ide_file {
    pl_str name; /* "page-6OXSENCA.js" */
    pl_str type;
    pl_str gzip;
    size_t size; /* unpacked */
} pl_ide_file;
typedef struct pl_ide_files {
    const pl_ide_file *list;
    size_t count; /* 0: built without the page */
    pl_str script, style;
} pl_ide_files;
extern const pl_ide_files pl_ide_built_in;

/* Whether the request is for the page or one of its files: then *response is the answer, in the request's
 * arena or of static memory. False for all others, and where http.graphiql is not set. */
bool pl_ide_answer(const pl_ide_files *files, const pl_config *config, const pl_http_request *request,
                   pl_http_response *response);

#endif
