/* SPDX-License-Identifier: MIT */
#include "app/ide.h"

#include "app/media.h"
#include "net/compress.h"
#include "value/json.h"

/* The editor sets styles of its own, hence 'unsafe-inline'; scripts run from the page's files alone. */
#define POLICY                                                                                             \
    "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; img-src 'self' data:; " \
    "style-src 'self' 'unsafe-inline'; font-src 'self' data:; base-uri 'none'; form-action 'none'; "       \
    "frame-ancestors 'none'"

static const pl_header page_headers[] = {
    {PL_STR("cache-control"), PL_STR("no-store")},
    {PL_STR("vary"), PL_STR("accept")},
    {PL_STR("content-security-policy"), PL_STR(POLICY)},
    {PL_STR("x-content-type-options"), PL_STR("nosniff")},
    {PL_STR("referrer-policy"), PL_STR("no-referrer")},
};
static const pl_header packed_headers[] = {
    {PL_STR("content-encoding"), PL_STR("gzip")},
    {PL_STR("vary"), PL_STR("accept-encoding")},
    {PL_STR("cache-control"), PL_STR("public, max-age=31536000, immutable")},
    {PL_STR("x-content-type-options"), PL_STR("nosniff")},
};
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* --- the page --- */
static void html_text(pl_buf *out, pl_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        switch (s.ptr[i]) {
        case '&':
            PL_BUF_LIT(out, "&amp;");
            break;
        case '<':
            PL_BUF_LIT(out, "&lt;");
            break;
        case '>':
            PL_BUF_LIT(out, "&gt;");
            break;
        case '"':
            PL_BUF_LIT(out, "&quot;");
            break;
        default:
            pl_buf_char(out, s.ptr[i]);
        }
    }
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c);
}

/* The address of a file, relative to the page's, so that it holds behind a proxy with another prefix. */
static void file_address(pl_buf *out, pl_str path, pl_str name)
{
    size_t last = path.len;
    while (last > 0 && path.ptr[last - 1] != '/')
        last--;
    PL_BUF_LIT(out, "./");
    for (size_t i = last; i < path.len; i++) {
        if (path.ptr[i] != '\0' && is_unreserved(path.ptr[i]))
            pl_buf_char(out, path.ptr[i]);
        else
            pl_buf_printf(out, "%%%02X", (unsigned char)path.ptr[i]);
    }
    if (last < path.len)
        pl_buf_char(out, '/');
    PL_BUF_LIT(out, "assets/");
    pl_buf_str(out, name);
}

static void page_title(pl_buf *out, const pl_config *config)
{
    if (config->ide.title.len != 0) {
        pl_buf_str(out, config->ide.title);
    } else {
        pl_buf_str(out, config->name);
        pl_buf_str(out, config->name.len != 0 ? PL_STR(" · GraphiQL") : PL_STR("GraphiQL"));
    }
}

static void page_begin(pl_buf *out, pl_str title)
{
    PL_BUF_LIT(out,
               "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
               "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
               "<meta name=\"robots\" content=\"noindex\">\n<link rel=\"icon\" href=\"data:,\">\n<title>");
    html_text(out, title);
    PL_BUF_LIT(out, "</title>\n");
}

static void write_page(pl_buf *out, const pl_ide_files *files, pl_str page, pl_str title, pl_str settings)
{
    page_begin(out, title);
    PL_BUF_LIT(out, "<link rel=\"stylesheet\" href=\"");
    file_address(out, page, files->style);
    PL_BUF_LIT(out, "\">\n<script type=\"module\" src=\"");
    file_address(out, page, files->script);
    PL_BUF_LIT(out, "\"></script>\n</head>\n<body>\n<div id=\"graphiql\" data-settings=\"");
    html_text(out, settings);
    PL_BUF_LIT(out, "\">\n<p>Loading GraphiQL, which needs JavaScript and the files below ");
    file_address(out, page, PL_STR_NONE);
    PL_BUF_LIT(out, " of this server.</p>\n</div>\n</body>\n</html>\n");
}

static void write_absent(pl_buf *out, pl_str title)
{
    page_begin(out, title);
    PL_BUF_LIT(
        out,
        "</head>\n<body>\n<h1>GraphiQL is not in this build</h1>\n"
        "<p>This server was built without the files of the page, which come from npm packages. Where the "
        "npm registry can be reached, <code>make graphiql build</code> puts them in; or take "
        "<code>graphiql</code> out of <code>http</code> in <code>app.lua</code>.</p>\n"
        "<p>GraphQL itself is served here.</p>\n</body>\n</html>\n");
}

static void write_settings(pl_buf *out, const pl_config *config, pl_str title)
{
    PL_BUF_LIT(out, "{\"title\":");
    pl_json_string(out, title);
    PL_BUF_LIT(out, ",\"defaultQuery\":");
    if (config->ide.default_query.ptr)
        pl_json_string(out, config->ide.default_query);
    else
        PL_BUF_LIT(out, "null");
    PL_BUF_LIT(out, ",\"headers\":");
    pl_buf_str(out, config->ide.no_headers ? PL_STR("false}") : PL_STR("true}"));
}

static void answer_page(const pl_ide_files *files, const pl_config *config, const pl_http_request *request,
                        pl_http_response *response)
{
    pl_buf body, title, settings;
    pl_buf_init(&body);
    pl_buf_init(&title);
    pl_buf_init(&settings);
    page_title(&title, config);
    write_settings(&settings, config, pl_buf_view(&title));
    if (files->count > 0)
        write_page(&body, files, request->full_path, pl_buf_view(&title), pl_buf_view(&settings));
    else
        write_absent(&body, pl_buf_view(&title));
    body.failed |= title.failed || settings.failed;
    *response = (pl_http_response){.status = files->count > 0 ? 200 : 501,
                                   .content_type = PL_STR("text/html; charset=utf-8"),
                                   .headers = page_headers,
                                   .header_count = COUNT(page_headers)};
    response->body = body.failed ? PL_STR_NONE : pl_arena_str(request->arena, pl_buf_view(&body));
    response->body_in_arena = true;
    if (!response->body.ptr)
        *response = (pl_http_response){.status = 503};
    pl_buf_dispose(&settings);
    pl_buf_dispose(&title);
    pl_buf_dispose(&body);
}

/* --- its files --- */
static const pl_ide_file *find_file(const pl_ide_files *files, pl_str path, pl_str of)
{
    pl_str below = PL_STR("/assets/");
    if (path.len > 0 && path.ptr[path.len - 1] == '/')
        path.len--;
    if (!pl_str_starts(of, path))
        return NULL;
    of = (pl_str){of.ptr + path.len, of.len - path.len};
    if (!pl_str_starts(of, below))
        return NULL;
    of = (pl_str){of.ptr + below.len, of.len - below.len};
    for (size_t i = 0; i < files->count; i++) {
        if (pl_str_eq(files->list[i].name, of))
            return &files->list[i];
    }
    return NULL;
}

/* They are kept compressed; a client that takes no gzip gets them unpacked. */
static void answer_file(const pl_ide_file *file, const pl_http_request *request, pl_http_response *response)
{
    *response = (pl_http_response){.status = 200,
                                   .content_type = file->type,
                                   .headers = packed_headers,
                                   .header_count = COUNT(packed_headers),
                                   .body = file->gzip,
                                   .body_in_arena = true};
    if (pl_coding_accepts_gzip(pl_http_header(request, PL_STR("accept-encoding"))))
        return;
    char *body = pl_arena_alloc(request->arena, file->size);
    if (body && pl_gunzip(file->gzip, body, file->size)) {
        response->headers = packed_headers + 1;
        response->header_count--;
        response->body = (pl_str){body, file->size};
    } else {
        *response = (pl_http_response){.status = 503};
    }
}

/* A GraphQL request by GET, which a browser can make too. */
static bool asks_something(pl_str query)
{
    return pl_query_has(query, PL_STR("query")) || pl_query_has(query, PL_STR("documentId")) ||
           pl_query_has(query, PL_STR("extensions"));
}

bool pl_ide_answer(const pl_ide_files *files, const pl_config *config, const pl_http_request *request,
                   pl_http_response *response)
{
    if (!config->ide.enabled || !(pl_str_is(request->method, "GET") || pl_str_is(request->method, "HEAD")))
        return false;
    if (pl_str_eq(request->path, config->path)) {
        if (!pl_media_prefers_html(pl_http_header(request, PL_STR("accept"))) ||
            asks_something(request->query))
            return false;
        answer_page(files, config, request, response);
        return true;
    }
    const pl_ide_file *file = find_file(files, config->path, request->path);
    if (!file)
        return false;
    answer_file(file, request, response);
    return true;
}
