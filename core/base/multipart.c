/* SPDX-License-Identifier: MIT */
#include "base/multipart.h"

#include <strings.h>

static pl_code malformed(const pl_multipart *m, pl_error *err, const char *what)
{
    return pl_fail(err, PL_INVALID_ARGUMENT, "%s, at byte %llu of the body", what, (unsigned long long)m->at);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static pl_str trim(pl_str s)
{
    while (s.len > 0 && is_blank(s.ptr[0]))
        s = (pl_str){s.ptr + 1, s.len - 1};
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static bool same_word(pl_str a, const char *b)
{
    return a.len == strlen(b) && strncasecmp(a.ptr, b, a.len) == 0;
}

/* --- parameters of a header's value: `; name=token` or `; name="quoted"` --- */

/* Cuts the next parameter off *rest. False: there is none, or what is there is malformed (*ok). The value of
 * a quoted one is what stands between the quotes. */
static bool next_parameter(pl_str *rest, pl_str *name, pl_str *value, bool *quoted, bool *ok)
{
    *rest = trim(*rest);
    *ok = true;
    if (rest->len == 0)
        return false;
    *ok = rest->ptr[0] == ';';
    if (!*ok)
        return false;
    *rest = trim((pl_str){rest->ptr + 1, rest->len - 1});
    if (rest->len == 0)
        return false; /* a semicolon at the end does no harm */
    const char *equals = memchr(rest->ptr, '=', rest->len);
    *ok = equals != NULL;
    if (!*ok)
        return false;
    *name = trim((pl_str){rest->ptr, (size_t)(equals - rest->ptr)});
    pl_str text = trim((pl_str){equals + 1, rest->len - (size_t)(equals - rest->ptr) - 1});
    size_t n = 0;
    *quoted = text.len > 0 && text.ptr[0] == '"';
    if (*quoted) {
        for (n = 1; n < text.len && text.ptr[n] != '"'; n++)
            n += text.ptr[n] == '\\' && n + 1 < text.len &&
                 (text.ptr[n + 1] == '"' || text.ptr[n + 1] == '\\');
        *ok = n < text.len;
        if (!*ok)
            return false;
        *value = (pl_str){text.ptr + 1, n - 1};
        n++;
    } else {
        while (n < text.len && text.ptr[n] != ';')
            n++;
        *value = trim((pl_str){text.ptr, n});
    }
    *rest = (pl_str){text.ptr + n, text.len - n};
    return true;
}

/* Whether the value of a header is the word before the first semicolon; *rest is what follows. */
static bool first_word(pl_str value, const char *word, pl_str *rest)
{
    const char *end = memchr(value.ptr, ';', value.len);
    size_t n = end ? (size_t)(end - value.ptr) : value.len;
    *rest = (pl_str){value.ptr + n, value.len - n};
    return same_word(trim((pl_str){value.ptr, n}), word);
}

static bool is_sound_boundary(pl_str s)
{
    if (s.len == 0 || s.len > PL_MULTIPART_MAX_BOUNDARY || s.ptr[s.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && (c == 0 || !strchr("'()+_,-./:=? ", c)))
            return false;
    }
    return true;
}

pl_code pl_multipart_boundary(pl_str content_type, pl_str *out, pl_error *err)
{
    pl_str rest, name, value;
    bool quoted, ok = true;
    *out = PL_STR_NONE;
    if (!content_type.ptr || !first_word(content_type, "multipart/form-data", &rest))
        return pl_fail(err, PL_INVALID_ARGUMENT, "The content-type must be multipart/form-data.");
    while (next_parameter(&rest, &name, &value, &quoted, &ok)) {
        if (same_word(name, "boundary") && !out->ptr)
            *out = value;
    }
    if (ok && out->ptr && is_sound_boundary(*out))
        return PL_OK;
    return pl_fail(
        err, PL_INVALID_ARGUMENT,
        "The content-type must have a boundary of 1 to 70 characters: multipart/form-data; boundary=….");
}

/* --- the head of a part --- */

/* Undoes, in place, what clients do to quotes and line ends in names: RFC 2183's \" and the %22, %0D and %0A
 * of browsers. */
static pl_str unescape(pl_str s)
{
    char *bytes = (char *)s.ptr; /* of m->head */
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++, n++) {
        pl_str left = {s.ptr + i, s.len - i};
        if (left.len > 1 && left.ptr[0] == '\\' && (left.ptr[1] == '"' || left.ptr[1] == '\\')) {
            bytes[n] = left.ptr[1];
            i++;
        } else if (left.len > 2 &&
                   (strncasecmp(left.ptr, "%22", 3) == 0 || strncasecmp(left.ptr, "%0d", 3) == 0 ||
                    strncasecmp(left.ptr, "%0a", 3) == 0)) {
            bytes[n] = left.ptr[1] == '2' ? '"' : (left.ptr[2] | 0x20) == 'd' ? '\r' : '\n';
            i += 2;
        } else {
            bytes[n] = left.ptr[0];
        }
    }
    return (pl_str){s.ptr, n};
}

static pl_str without_folders(pl_str s)
{
    for (size_t i = s.len; i > 0; i--) {
        if (s.ptr[i - 1] == '/' || s.ptr[i - 1] == '\\')
            return (pl_str){s.ptr + i, s.len - i};
    }
    return s;
}

static pl_code read_disposition(pl_multipart *m, pl_str value, pl_multipart_part *part, pl_error *err)
{
    pl_str rest, name, text;
    bool quoted, ok = true;
    if (!first_word(value, "form-data", &rest))
        return malformed(m, err, "The Content-Disposition of a part must be form-data");
    while (next_parameter(&rest, &name, &text, &quoted, &ok)) {
        bool is_name = same_word(name, "name"), is_filename = same_word(name, "filename");
        if (!is_name && !is_filename)
            continue; /* filename* must not be used: RFC 7578, 4.2 */
        if ((is_name ? part->name : part->filename).ptr)
            return malformed(m, err, "A part has two names");
        text = quoted ? unescape(text) : text;
        if (!pl_str_is_utf8(text) || memchr(text.ptr, '\0', text.len))
            return malformed(m, err, "The name of a part must be UTF-8");
        if (is_name)
            part->name = text;
        else
            part->filename = without_folders(text);
    }
    return ok ? PL_OK : malformed(m, err, "The Content-Disposition of a part is malformed");
}

static pl_code read_header(pl_multipart *m, pl_str line, pl_multipart_part *part, pl_error *err)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    if (!colon || colon == line.ptr || is_blank(line.ptr[0]))
        return malformed(m, err, "A header of a part is malformed");
    pl_str name = {line.ptr, (size_t)(colon - line.ptr)};
    pl_str value = trim((pl_str){colon + 1, line.len - name.len - 1});
    if (same_word(name, "content-disposition")) {
        if (part->name.ptr)
            return malformed(m, err, "A part has two Content-Dispositions");
        return read_disposition(m, value, part, err);
    }
    if (same_word(name, "content-type")) {
        if (!pl_str_is_utf8(value) || memchr(value.ptr, '\0', value.len))
            return malformed(m, err, "The Content-Type of a part is malformed");
        part->content_type = value;
    }
    if (same_word(name, "content-transfer-encoding") && !same_word(value, "binary") &&
        !same_word(value, "8bit") && !same_word(value, "7bit"))
        return malformed(m, err, "A Content-Transfer-Encoding that changes bytes is not supported");
    return PL_OK;
}

/* m->head has all headers, each with its line end, but the empty line. */
static pl_code begin_part(pl_multipart *m, pl_error *err)
{
    pl_multipart_part part = {0};
    pl_str rest = {m->head, m->head_len};
    while (rest.len > 0) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t n = (size_t)(end - rest.ptr);
        pl_code code = read_header(m, (pl_str){rest.ptr, n - 1}, &part, err);
        if (code)
            return code;
        rest = (pl_str){end + 1, rest.len - n - 1};
    }
    if (!part.name.ptr)
        return malformed(m, err, "A part has no name (Content-Disposition: form-data; name=\"…\")");
    if (++m->parts > m->max_parts)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "The form has more than %u parts.", m->max_parts);
    m->state = PL_MULTIPART_BODY;
    m->matched = 0;
    return m->handler->begin(m->data, &part, m->at, err);
}

/* Takes bytes up to the end of the head. */
static pl_code feed_head(pl_multipart *m, pl_str *piece, pl_error *err)
{
    while (piece->len > 0) {
        if (m->head_len == sizeof m->head)
            return pl_fail(err, PL_RESOURCE_EXHAUSTED, "The headers of a part are larger than %d bytes.",
                           PL_MULTIPART_MAX_HEAD);
        const char *end = memchr(piece->ptr, '\n', piece->len);
        size_t n = end ? (size_t)(end - piece->ptr) + 1 : piece->len;
        if (n > sizeof m->head - m->head_len)
            n = sizeof m->head - m->head_len;
        memcpy(m->head + m->head_len, piece->ptr, n);
        m->head_len += n;
        m->at += n;
        *piece = (pl_str){piece->ptr + n, piece->len - n};
        if (m->head[m->head_len - 1] != '\n')
            continue;
        if (m->head_len < 2 || m->head[m->head_len - 2] != '\r')
            return malformed(m, err, "A line of a part's headers must end with CRLF");
        if (m->head_len == 2 || m->head[m->head_len - 3] == '\n') {
            m->head_len -= 2;
            return begin_part(m, err);
        }
    }
    return PL_OK;
}

/* --- between parts --- */

/* After a delimiter: "--" ends the form, blanks and CRLF begin a part. */
static pl_code feed_after_delimiter(pl_multipart *m, pl_str *piece, pl_error *err)
{
    while (piece->len > 0) {
        char c = piece->ptr[0];
        m->at++;
        *piece = (pl_str){piece->ptr + 1, piece->len - 1};
        if (m->tail_len == 0 && is_blank(c))
            continue;
        m->tail[m->tail_len++] = c;
        if (m->tail_len < 2) {
            if (c != '\r' && c != '-')
                return malformed(m, err, "A boundary must be followed by a line end");
            continue;
        }
        if (m->tail[0] == '\r' && c == '\n') {
            m->state = PL_MULTIPART_HEAD;
            m->head_len = 0;
            return PL_OK;
        }
        if (m->tail[0] != '-' || c != '-')
            return malformed(m, err, "A boundary must be followed by a line end");
        m->state = PL_MULTIPART_EPILOGUE;
        return PL_OK;
    }
    return PL_OK;
}

static pl_code hand_out(pl_multipart *m, pl_str bytes, pl_error *err)
{
    if (m->state == PL_MULTIPART_PREAMBLE || bytes.len == 0)
        return PL_OK;
    return m->handler->bytes(m->data, bytes, err);
}

static pl_code found_delimiter(pl_multipart *m, pl_error *err)
{
    bool body = m->state == PL_MULTIPART_BODY;
    m->state = PL_MULTIPART_AFTER_DELIMITER;
    m->tail_len = 0;
    m->matched = 0;
    return body ? m->handler->end(m->data, err) : PL_OK;
}

/* Goes on with a delimiter that has begun. As its first byte, CR, does not occur in the rest of it, what does
 * not match can only begin anew. */
static pl_code go_on_matching(pl_multipart *m, pl_str *piece, pl_error *err)
{
    size_t n = 0;
    while (n < piece->len && m->matched < m->delimiter_len && piece->ptr[n] == m->delimiter[m->matched]) {
        n++;
        m->matched++;
    }
    m->at += n;
    *piece = (pl_str){piece->ptr + n, piece->len - n};
    if (m->matched == m->delimiter_len)
        return found_delimiter(m, err);
    if (piece->len == 0)
        return PL_OK;
    size_t seen = m->matched;
    m->matched = 0;
    return hand_out(m, (pl_str){m->delimiter, seen}, err);
}

/* Bytes up to the next delimiter, or what may become one. */
static pl_code feed_body(pl_multipart *m, pl_str *piece, pl_error *err)
{
    if (m->matched > 0)
        return go_on_matching(m, piece, err);
    const char *found = memchr(piece->ptr, '\r', piece->len);
    size_t n = found ? (size_t)(found - piece->ptr) : piece->len;
    pl_code code = hand_out(m, (pl_str){piece->ptr, n}, err);
    if (code)
        return code;
    m->at += n + (found != NULL);
    m->matched = found != NULL;
    n += found != NULL;
    *piece = (pl_str){piece->ptr + n, piece->len - n};
    return PL_OK;
}

void pl_multipart_init(pl_multipart *m, pl_str boundary, unsigned max_parts,
                       const pl_multipart_handler *handler, void *data)
{
    size_t n = boundary.len < PL_MULTIPART_MAX_BOUNDARY ? boundary.len : PL_MULTIPART_MAX_BOUNDARY;
    m->handler = handler;
    m->data = data;
    m->state = PL_MULTIPART_PREAMBLE;
    m->max_parts = max_parts;
    m->parts = 0;
    m->at = 0;
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.ptr, n);
    m->delimiter_len = n + 4;
    m->matched = 2; /* the first delimiter may stand at the very beginning, as if after a line end */
    m->tail_len = m->head_len = 0;
}

pl_code pl_multipart_feed(pl_multipart *m, pl_str piece, pl_error *err)
{
    pl_code code = PL_OK;
    while (piece.len > 0 && code == PL_OK) {
        switch (m->state) {
        case PL_MULTIPART_PREAMBLE:
        case PL_MULTIPART_BODY:
            code = feed_body(m, &piece, err);
            break;
        case PL_MULTIPART_AFTER_DELIMITER:
            code = feed_after_delimiter(m, &piece, err);
            break;
        case PL_MULTIPART_HEAD:
            code = feed_head(m, &piece, err);
            break;
        case PL_MULTIPART_EPILOGUE:
            m->at += piece.len;
            return PL_OK;
        }
    }
    return code;
}

pl_code pl_multipart_finish(pl_multipart *m, pl_error *err)
{
    if (m->state == PL_MULTIPART_EPILOGUE)
        return PL_OK;
    return malformed(m, err,
                     m->state == PL_MULTIPART_PREAMBLE ? "The form has no part"
                                                       : "The form ends before its last boundary");
}
