/* SPDX-License-Identifier: MIT */
#include "net/target.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "net/address.h"

#define DEFAULT_PORT "443"
#define MOST_TARGET 65536
#define MOST_LISTED 4096
#define MOST_HOST 253

typedef struct parser {
    pl_str text;
    pl_arena *arena;
    pl_target *out;
    pl_error *err;
} parser;

static pl_code wrong(const parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static pl_code wrong(const parser *p, const char *format, ...)
{
    char what[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    size_t shown = p->out->text.len < 300 ? p->out->text.len : 300;
    return pl_fail(p->err, PL_INVALID_ARGUMENT, "target \"%.*s\": %s", (int)shown, p->out->text.ptr, what);
}

static pl_str from(pl_str s, size_t at)
{
    return (pl_str){s.ptr + at, s.len - at};
}

/* Up to c, and what is behind it; without a c, all, and nothing (ptr NULL). */
static pl_str cut_at(pl_str s, char c, pl_str *rest)
{
    const char *found = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;
    if (rest)
        *rest = found ? from(s, (size_t)(found - s.ptr) + 1) : PL_STR_NONE;
    return found ? (pl_str){s.ptr, (size_t)(found - s.ptr)} : s;
}

/* --- percent signs --- */
static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static pl_code unescape(const parser *p, pl_str s, pl_str *out)
{
    char *to = pl_arena_alloc(p->arena, s.len + 1);
    size_t len = 0;
    if (!to)
        return pl_fail_memory(p->err);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '%') {
            int high = i + 2 < s.len ? digit_of(s.ptr[i + 1]) : -1;
            int low = i + 2 < s.len ? digit_of(s.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return wrong(p, "%% must be followed by two hexadecimal digits");
            c = (unsigned char)(high * 16 + low);
            i += 2;
        }
        if (c < 0x20 || c == 0x7f)
            return wrong(p, "it has control characters");
        to[len++] = (char)c;
    }
    to[len] = '\0';
    *out = (pl_str){to, len};
    return PL_OK;
}

static void escape(pl_buf *out, pl_str s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                     c == '.' || c == '_' || c == '~';
        const char escaped[3] = {'%', digits[c >> 4], digits[c & 15]};
        if (plain)
            pl_buf_char(out, (char)c);
        else
            pl_buf_append(out, escaped, 3);
    }
}

/* --- hosts and ports --- */
typedef struct endpoint {
    pl_str host; /* without brackets */
    pl_str port;
    bool bracketed;
} endpoint;

static bool is_port(pl_str port)
{
    unsigned number = 0;
    if (port.len == 0 || port.len > 5)
        return false;
    for (size_t i = 0; i < port.len; i++) {
        if (port.ptr[i] < '0' || port.ptr[i] > '9')
            return false;
        number = number * 10 + (unsigned)(port.ptr[i] - '0');
    }
    return number > 0 && number <= 65535;
}

/* HOST, HOST:PORT, [IPv6], [IPv6]:PORT, IPv6 */
static pl_code split(const parser *p, pl_str s, const char *default_port, endpoint *out)
{
    pl_str rest = PL_STR_NONE;
    *out = (endpoint){.port = pl_str_of(default_port)};
    if (s.len > 0 && s.ptr[0] == '[') {
        out->host = cut_at(from(s, 1), ']', &rest);
        out->bracketed = true;
        if (!rest.ptr || (rest.len > 0 && rest.ptr[0] != ':'))
            return wrong(p, "%.*s is no address: [IPv6]:PORT is expected", PL_STR_ARG(s));
        if (rest.len > 0)
            out->port = from(rest, 1);
    } else {
        out->host = cut_at(s, ':', &rest);
        if (rest.ptr && memchr(rest.ptr, ':', rest.len))
            out->host = s;
        else if (rest.ptr)
            out->port = rest;
    }
    if (out->host.len == 0)
        return wrong(p, "a host is missing");
    if (!is_port(out->port))
        return wrong(p, "\"%.*s\" is no port: 1 to 65535 is expected", PL_STR_ARG(out->port));
    return PL_OK;
}

static bool is_v6(pl_str host)
{
    return memchr(host.ptr, ':', host.len) != NULL;
}

/* "10.0.0.1:50051", where the host is an IP address; else ptr is NULL. */
static pl_code read_address(const parser *p, const endpoint *e, pl_str *out)
{
    struct sockaddr_storage at;
    socklen_t len;
    *out = pl_arena_printf(p->arena, is_v6(e->host) ? "[%.*s]:%.*s" : "%.*s:%.*s", PL_STR_ARG(e->host),
                           PL_STR_ARG(e->port));
    if (!out->ptr)
        return pl_fail_memory(p->err);
    if (pl_address_parse(*out, &at, &len, NULL) != PL_OK)
        *out = PL_STR_NONE;
    return PL_OK;
}

static bool is_host_name(pl_str host)
{
    if (host.len > MOST_HOST)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.ptr[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                     c == '.' || c == '_';
        if (!plain)
            return false;
    }
    return true;
}

static pl_code one_address(const parser *p, pl_str address)
{
    pl_resolved *list = pl_arena_array(p->arena, 1, sizeof(*list));
    if (!list)
        return pl_fail_memory(p->err);
    list[0] = (pl_resolved){address, 1};
    p->out->kind = PL_TARGET_LIST;
    p->out->list.addresses = list;
    p->out->list.count = 1;
    return PL_OK;
}

/* --- schemes --- */
static pl_code parse_dns(const parser *p, pl_str rest)
{
    endpoint e;
    pl_target *out = p->out;
    if (pl_str_starts(rest, PL_STR("//"))) {
        pl_str path, server = cut_at(from(rest, 2), '/', &path);
        if (server.len > 0)
            return wrong(p,
                         "the DNS server cannot be chosen; dns:///HOST:PORT asks those of the system "
                         "(%.*s stands where the server's name would)",
                         PL_STR_ARG(server));
        rest = path;
    }
    if (unescape(p, rest, &rest) != PL_OK || split(p, rest, DEFAULT_PORT, &e) != PL_OK)
        return p->err->code;
    out->authority = pl_arena_printf(p->arena, is_v6(e.host) ? "[%.*s]:%.*s" : "%.*s:%.*s",
                                     PL_STR_ARG(e.host), PL_STR_ARG(e.port));
    out->name = pl_arena_str(p->arena, e.host);
    if (!out->authority.ptr || !out->name.ptr)
        return pl_fail_memory(p->err);
    pl_str address;
    if (read_address(p, &e, &address) != PL_OK)
        return p->err->code;
    if (address.ptr)
        return one_address(p, address);
    if (e.bracketed || is_v6(e.host) || !is_host_name(e.host))
        return wrong(p,
                     "\"%.*s\" is no host; HOST:PORT, dns:///HOST:PORT, ipv4:…, ipv6:…, unix:PATH or "
                     "consul://AGENT/SERVICE is expected",
                     PL_STR_ARG(e.host));
    out->kind = PL_TARGET_DNS;
    out->dns.host = out->name.ptr;
    out->dns.port = pl_arena_str(p->arena, e.port).ptr;
    return out->dns.port ? PL_OK : pl_fail_memory(p->err);
}

static bool is_listed(const pl_resolved *list, size_t count, pl_str address)
{
    for (size_t i = 0; i < count; i++) {
        if (pl_str_eq(list[i].address, address))
            return true;
    }
    return false;
}

static pl_code parse_list(const parser *p, pl_str rest, bool v6)
{
    endpoint first = {0};
    size_t most = 1;
    for (size_t i = 0; i < rest.len; i++)
        most += rest.ptr[i] == ',';
    if (most > MOST_LISTED)
        return wrong(p, "more than %d addresses", MOST_LISTED);
    pl_resolved *list = pl_arena_array(p->arena, most, sizeof(*list));
    if (!list)
        return pl_fail_memory(p->err);
    p->out->kind = PL_TARGET_LIST;
    p->out->list.addresses = list;
    while (rest.ptr) {
        endpoint e;
        pl_str address, one = cut_at(rest, ',', &rest);
        if (unescape(p, one, &one) != PL_OK || split(p, one, DEFAULT_PORT, &e) != PL_OK ||
            read_address(p, &e, &address) != PL_OK)
            return p->err->code;
        if (!address.ptr || is_v6(e.host) != v6)
            return wrong(p, "\"%.*s\" is no IPv%d address", PL_STR_ARG(e.host), v6 ? 6 : 4);
        if (!first.host.ptr)
            first = e;
        if (!is_listed(list, p->out->list.count, address))
            list[p->out->list.count++] = (pl_resolved){address, 1};
    }
    p->out->authority = list[0].address;
    p->out->name = first.host;
    return PL_OK;
}

static pl_code parse_unix(const parser *p, pl_str rest, bool is_abstract)
{
    struct sockaddr_storage at;
    socklen_t len;
    pl_error why;
    if (!is_abstract && pl_str_starts(rest, PL_STR("//"))) {
        rest = from(rest, 2);
        if (rest.len == 0 || rest.ptr[0] != '/')
            return wrong(p, "unix:///PATH takes an absolute path, and unix:PATH any");
    }
    if (unescape(p, rest, &rest) != PL_OK)
        return p->err->code;
    pl_str address =
        pl_arena_printf(p->arena, is_abstract ? "unix-abstract:%.*s" : "unix:%.*s", PL_STR_ARG(rest));
    if (!address.ptr)
        return pl_fail_memory(p->err);
    if (pl_address_parse(address, &at, &len, &why) != PL_OK)
        return wrong(p, "%s", why.message);
    p->out->authority = p->out->name = PL_STR("localhost");
    return one_address(p, address);
}

/* --- Consul --- */
typedef struct consul_parts {
    const char *scheme; /* of HTTP */
    pl_buf query;       /* of the URL */
    pl_buf shown;       /* of the target, without secrets */
} consul_parts;

static pl_code read_flag(const parser *p, pl_str name, pl_str value, bool *out)
{
    *out = pl_str_is(value, "true") || pl_str_is(value, "1");
    if (*out || pl_str_is(value, "false") || pl_str_is(value, "0"))
        return PL_OK;
    return wrong(p, "%.*s must be true or false, not \"%.*s\"", PL_STR_ARG(name), PL_STR_ARG(value));
}

static pl_code read_parameter(const parser *p, pl_str name, pl_str value, consul_parts *parts)
{
    static const char *const passed_on[] = {"tag", "dc", "near", "filter", "ns", "partition"};
    pl_target *out = p->out;
    bool flag = false;
    pl_code code = PL_OK;
    for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++) {
        if (!pl_str_is(name, passed_on[i]))
            continue;
        pl_buf_printf(&parts->query, "&%s=", passed_on[i]);
        escape(&parts->query, value);
        return PL_OK;
    }
    if (pl_str_is(name, "token")) {
        out->consul.token = value.ptr;
    } else if (pl_str_is(name, "ca")) {
        out->consul.ca = value.ptr;
    } else if (pl_str_is(name, "tls")) {
        code = read_flag(p, name, value, &flag);
        parts->scheme = flag ? "https" : "http";
    } else if (pl_str_is(name, "passing")) {
        code = read_flag(p, name, value, &flag);
        out->consul.warnings = !flag;
    } else if (pl_str_is(name, "stale")) {
        code = read_flag(p, name, value, &flag);
        if (flag)
            PL_BUF_LIT(&parts->query, "&stale");
    } else if (pl_str_is(name, "wait")) {
        char *end;
        unsigned long seconds = strtoul(value.ptr, &end, 10);
        if (value.len == 0 || *end != '\0' || seconds < 5 || seconds > 600)
            return wrong(p, "wait must be 5 to 600 (seconds), not \"%.*s\"", PL_STR_ARG(value));
        out->consul.wait_s = (unsigned)seconds;
    } else {
        return wrong(p,
                     "\"%.*s\" is no parameter; there are tag, dc, near, filter, ns, partition, stale, "
                     "passing, token, tls, ca and wait",
                     PL_STR_ARG(name));
    }
    return code;
}

static pl_code read_parameters(const parser *p, pl_str query, consul_parts *parts)
{
    while (query.ptr) {
        pl_str value, one = cut_at(query, '&', &query);
        if (one.len == 0)
            continue;
        pl_str name = cut_at(one, '=', &value);
        if (!value.ptr)
            return wrong(p, "\"%.*s\" has no value", PL_STR_ARG(one));
        bool secret = pl_str_is(name, "token");
        if (!secret)
            pl_buf_printf(&parts->shown, "%c%.*s", parts->shown.len == 0 ? '?' : '&', PL_STR_ARG(one));
        if (unescape(p, name, &name) != PL_OK || unescape(p, value, &value) != PL_OK ||
            read_parameter(p, name, value, parts) != PL_OK)
            return p->err->code;
    }
    return PL_OK;
}

static pl_code finish_consul(const parser *p, const endpoint *agent, pl_str service, consul_parts *parts)
{
    pl_target *out = p->out;
    pl_buf url;
    pl_buf_init(&url);
    pl_buf_printf(&url, is_v6(agent->host) ? "%s://[%.*s]:%.*s" : "%s://%.*s:%.*s", parts->scheme,
                  PL_STR_ARG(agent->host), PL_STR_ARG(agent->port));
    PL_BUF_LIT(&url, "/v1/health/service/");
    escape(&url, service);
    pl_buf_printf(&url, "?wait=%us", out->consul.wait_s);
    if (!out->consul.warnings)
        PL_BUF_LIT(&url, "&passing");
    pl_buf_str(&url, pl_buf_view(&parts->query));
    out->consul.url = url.failed ? NULL : pl_arena_str(p->arena, pl_buf_view(&url)).ptr;
    out->text =
        pl_arena_printf(p->arena, "%.*s%.*s", PL_STR_ARG(out->text), PL_STR_ARG(pl_buf_view(&parts->shown)));
    out->authority = out->name = pl_arena_str(p->arena, service);
    bool ok =
        out->consul.url && out->text.ptr && out->name.ptr && !parts->shown.failed && !parts->query.failed;
    pl_buf_dispose(&url);
    return ok ? PL_OK : pl_fail_memory(p->err);
}

static pl_code parse_consul(const parser *p, pl_str rest)
{
    pl_target *out = p->out;
    pl_str query, path, address;
    endpoint agent;
    consul_parts parts = {.scheme = "http"};
    out->kind = PL_TARGET_CONSUL;
    out->consul.wait_s = 300;
    out->text = cut_at(p->text, '?', NULL); /* until it is known what may be shown */
    rest = cut_at(rest, '?', &query);
    if (!pl_str_starts(rest, PL_STR("//")))
        return wrong(p, "consul://AGENT[:PORT]/SERVICE is expected");
    pl_str host = cut_at(from(rest, 2), '/', &path);
    if (unescape(p, host, &host) != PL_OK || split(p, host, "8500", &agent) != PL_OK ||
        read_address(p, &agent, &address) != PL_OK)
        return p->err->code;
    if (!is_host_name(agent.host) && !address.ptr)
        return wrong(p, "\"%.*s\" is no host (the token, if that is what it has, is given as ?token=)",
                     PL_STR_ARG(agent.host));
    if (path.len == 0 || memchr(path.ptr, '/', path.len))
        return wrong(p, "one name of a service is expected: consul://AGENT[:PORT]/SERVICE");
    pl_buf_init(&parts.query);
    pl_buf_init(&parts.shown);
    pl_code code = unescape(p, path, &path);
    if (code == PL_OK)
        code = read_parameters(p, query, &parts);
    if (code == PL_OK)
        code = finish_consul(p, &agent, path, &parts);
    pl_buf_dispose(&parts.query);
    pl_buf_dispose(&parts.shown);
    return code;
}

pl_code pl_target_parse(pl_str text, pl_arena *arena, pl_target *out, pl_error *err)
{
    pl_str rest;
    *out = (pl_target){.text = text};
    parser p = {.arena = arena, .out = out, .err = err};
    if (text.len > MOST_TARGET)
        return pl_fail(err, PL_INVALID_ARGUMENT, "a target of more than %d bytes", MOST_TARGET);
    p.text = out->text = pl_arena_str(arena, text);
    if (!p.text.ptr)
        return pl_fail_memory(err);
    pl_str scheme = cut_at(p.text, ':', &rest);
    if (!rest.ptr)
        return parse_dns(&p, p.text);
    if (pl_str_is(scheme, "dns"))
        return parse_dns(&p, rest);
    if (pl_str_is(scheme, "ipv4") || pl_str_is(scheme, "ipv6"))
        return parse_list(&p, rest, scheme.ptr[3] == '6');
    if (pl_str_is(scheme, "unix") || pl_str_is(scheme, "unix-abstract"))
        return parse_unix(&p, rest, scheme.len > 4);
    if (pl_str_is(scheme, "consul"))
        return parse_consul(&p, rest);
    if (pl_str_starts(rest, PL_STR("//")))
        return wrong(&p,
                     "\"%.*s\" is no scheme of names that is known; there are dns, ipv4, ipv6, unix, "
                     "unix-abstract and consul",
                     PL_STR_ARG(scheme));
    return parse_dns(&p, p.text);
}
