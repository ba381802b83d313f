/* SPDX-License-Identifier: MIT */
#include "graphql/language/lexer.h"

#include <stdio.h>

#include "graphql/language/lexer_internal.h"

enum { OTHER, SPACE, LF, CR, HASH, PUNCTUATOR, DOT, QUOTE, MINUS, DIGIT, LETTER, HIGH };

/* What a byte can begin. Letters and digits are last so that one comparison tells what continues a name. */
static const unsigned char classes[256] = {
    ['\t'] = SPACE,
    [' '] = SPACE,
    [','] = SPACE,
    ['\n'] = LF,
    ['\r'] = CR,
    ['#'] = HASH,
    ['!'] = PUNCTUATOR,
    ['$'] = PUNCTUATOR,
    ['&'] = PUNCTUATOR,
    ['('] = PUNCTUATOR,
    [')'] = PUNCTUATOR,
    [':'] = PUNCTUATOR,
    ['='] = PUNCTUATOR,
    ['@'] = PUNCTUATOR,
    ['['] = PUNCTUATOR,
    [']'] = PUNCTUATOR,
    ['{'] = PUNCTUATOR,
    ['|'] = PUNCTUATOR,
    ['}'] = PUNCTUATOR,
    ['.'] = DOT,
    ['"'] = QUOTE,
    ['-'] = MINUS,
    ['0' ... '9'] = DIGIT,
    ['A' ... 'Z'] = LETTER,
    ['a' ... 'z'] = LETTER,
    ['_'] = LETTER,
    [0x80 ... 0xFF] = HIGH,
};

static unsigned class_of(const char *p)
{
    return classes[(unsigned char)*p];
}

static bool continues_name(const char *p)
{
    unsigned c = class_of(p);
    return c == LETTER || c == DIGIT;
}

const char *gql_token_kind_name(gql_token_kind kind)
{
    switch (kind) {
    case GQL_TOKEN_EOF:
        return "<EOF>";
    case GQL_TOKEN_NAME:
        return "Name";
    case GQL_TOKEN_INT:
        return "Int";
    case GQL_TOKEN_FLOAT:
        return "Float";
    case GQL_TOKEN_STRING:
        return "String";
    case GQL_TOKEN_BLOCK_STRING:
        return "BlockString";
    case GQL_TOKEN_SPREAD:
        return "\"...\"";
    case GQL_TOKEN_BANG:
        return "\"!\"";
    case GQL_TOKEN_DOLLAR:
        return "\"$\"";
    case GQL_TOKEN_AMP:
        return "\"&\"";
    case GQL_TOKEN_PAREN_L:
        return "\"(\"";
    case GQL_TOKEN_PAREN_R:
        return "\")\"";
    case GQL_TOKEN_COLON:
        return "\":\"";
    case GQL_TOKEN_EQUALS:
        return "\"=\"";
    case GQL_TOKEN_AT:
        return "\"@\"";
    case GQL_TOKEN_BRACKET_L:
        return "\"[\"";
    case GQL_TOKEN_BRACKET_R:
        return "\"]\"";
    case GQL_TOKEN_BRACE_L:
        return "\"{\"";
    case GQL_TOKEN_PIPE:
        return "\"|\"";
    case GQL_TOKEN_BRACE_R:
        return "\"}\"";
    }
    return "";
}

/* Line and column of an offset, counted from the start of the source: for errors only, of which there is one.
 */
static gql_loc locate(const gql_lexer *lexer, uint32_t offset)
{
    const char *text = lexer->start;
    gql_loc loc = {1, 1, offset};
    for (uint32_t i = 0; i < offset; i++) {
        bool ends_line = text[i] == '\n' || (text[i] == '\r' && gql_byte_at(lexer, text + i, 1) != '\n');
        if (ends_line) {
            loc.line++;
            loc.column = 1;
        } else if (!gql_is_continuation(text[i])) {
            loc.column++;
        }
    }
    return loc;
}

pl_code gql_lexer_fail(gql_lexer *lexer, uint32_t offset, const char *fmt, ...)
{
    if (lexer->err == NULL)
        return PL_INVALID_ARGUMENT;
    char message[sizeof(lexer->err->message)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    gql_loc loc = locate(lexer, offset);
    const char *name = lexer->source->name ? lexer->source->name : "";
    return pl_fail_at(lexer->err, PL_INVALID_ARGUMENT, name, loc.line, loc.column, "Syntax Error: %s",
                      message);
}

pl_code gql_lexer_init(gql_lexer *lexer, pl_arena *arena, const gql_source *source, pl_error *err)
{
    const char *text = source->text.ptr ? source->text.ptr : "";
    *lexer = (gql_lexer){.source = source, .arena = arena, .err = err, .line = 1};
    lexer->start = lexer->at = lexer->line_start = text;
    lexer->end = text + source->text.len;
    size_t valid = pl_utf8_check(text, source->text.len);
    if (valid == source->text.len)
        return PL_OK;
    return gql_lexer_fail(lexer, (uint32_t)valid, "Invalid character: byte 0x%02X is not valid UTF-8.",
                          (unsigned char)text[valid]);
}

static unsigned decode(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    if (b[0] < 0x80)
        return b[0];
    if (b[0] < 0xE0)
        return (b[0] & 0x1Fu) << 6 | (b[1] & 0x3Fu);
    if (b[0] < 0xF0)
        return (b[0] & 0x0Fu) << 12 | (b[1] & 0x3Fu) << 6 | (b[2] & 0x3Fu);
    return (b[0] & 0x07u) << 18 | (b[1] & 0x3Fu) << 12 | (b[2] & 0x3Fu) << 6 | (b[3] & 0x3Fu);
}

/* How messages show the character at p: quoted when it is printable ASCII, else by its number. */
static const char *show_character(const gql_lexer *lexer, const char *p, char out[16])
{
    if (p == lexer->end)
        return "<EOF>";
    unsigned c = decode(p);
    if (c == '"')
        return "'\"'";
    snprintf(out, 16, c >= 0x20 && c <= 0x7E ? "\"%c\"" : "U+%04X", c);
    return out;
}

static pl_code fail_number(gql_lexer *lexer, const char *p, const char *what)
{
    char shown[16];
    return gql_lexer_fail(lexer, gql_offset_of(lexer, p), "Invalid number, %s: %s.", what,
                          show_character(lexer, p, shown));
}

/* Moves *p over one digit or more. */
static pl_code read_digits(gql_lexer *lexer, const char **p)
{
    if (*p == lexer->end || class_of(*p) != DIGIT)
        return fail_number(lexer, *p, "expected digit but got");
    while (*p < lexer->end && class_of(*p) == DIGIT)
        ++*p;
    return PL_OK;
}

static pl_code read_number(gql_lexer *lexer, gql_token *out)
{
    const char *p = lexer->at;
    pl_code code = PL_OK;
    out->kind = GQL_TOKEN_INT;
    if (*p == '-')
        p++;
    if (gql_byte_at(lexer, p, 0) == '0') {
        p++;
        if (p < lexer->end && class_of(p) == DIGIT)
            return fail_number(lexer, p, "unexpected digit after 0");
    } else if ((code = read_digits(lexer, &p))) {
        return code;
    }
    if (gql_byte_at(lexer, p, 0) == '.') {
        out->kind = GQL_TOKEN_FLOAT;
        p++;
        if ((code = read_digits(lexer, &p)))
            return code;
    }
    if ((gql_byte_at(lexer, p, 0) | 0x20) == 'e') {
        out->kind = GQL_TOKEN_FLOAT;
        p++;
        if (gql_byte_at(lexer, p, 0) == '+' || gql_byte_at(lexer, p, 0) == '-')
            p++;
        if ((code = read_digits(lexer, &p)))
            return code;
    }
    if (p < lexer->end && (class_of(p) == DOT || class_of(p) == LETTER))
        return fail_number(lexer, p, "expected digit but got");
    out->text = (pl_str){lexer->at, (size_t)(p - lexer->at)};
    lexer->at = p;
    return PL_OK;
}

static void read_name(gql_lexer *lexer, gql_token *out)
{
    const char *p = lexer->at + 1;
    while (p < lexer->end && continues_name(p))
        p++;
    out->kind = GQL_TOKEN_NAME;
    out->text = (pl_str){lexer->at, (size_t)(p - lexer->at)};
    lexer->at = p;
}

static void skip_comment(gql_lexer *lexer)
{
    const char *p = lexer->at;
    while (p < lexer->end && *p != '\n' && *p != '\r') {
        lexer->continuations += gql_is_continuation(*p);
        p++;
    }
    lexer->at = p;
}

static bool skip_byte_order_mark(gql_lexer *lexer)
{
    if (gql_byte_at(lexer, lexer->at, 0) != 0xEF || gql_byte_at(lexer, lexer->at, 1) != 0xBB ||
        gql_byte_at(lexer, lexer->at, 2) != 0xBF)
        return false;
    lexer->at += 3;
    lexer->continuations += 2;
    return true;
}

/* Moves to the first byte that is not ignored, or to the end; gives its class. */
static unsigned skip_ignored(gql_lexer *lexer)
{
    while (lexer->at < lexer->end) {
        unsigned class = class_of(lexer->at);
        switch (class) {
        case SPACE:
            lexer->at++;
            break;
        case LF:
            gql_lexer_newline(lexer, ++lexer->at);
            break;
        case CR:
            lexer->at += gql_byte_at(lexer, lexer->at, 1) == '\n' ? 2 : 1;
            gql_lexer_newline(lexer, lexer->at);
            break;
        case HASH:
            skip_comment(lexer);
            break;
        case HIGH:
            if (!skip_byte_order_mark(lexer))
                return class;
            break;
        default:
            return class;
        }
    }
    return OTHER;
}

static pl_code fail_character(gql_lexer *lexer)
{
    char shown[16];
    uint32_t offset = gql_offset_of(lexer, lexer->at);
    if (*lexer->at == '\'')
        return gql_lexer_fail(
            lexer, offset, "Unexpected single quote character ('), did you mean to use a double quote (\")?");
    return gql_lexer_fail(lexer, offset, "Unexpected character: %s.",
                          show_character(lexer, lexer->at, shown));
}

static pl_code read_spread(gql_lexer *lexer, gql_token *out)
{
    uint32_t offset = gql_offset_of(lexer, lexer->at);
    int second = gql_byte_at(lexer, lexer->at, 1);
    if (second == '.' && gql_byte_at(lexer, lexer->at, 2) == '.') {
        out->kind = GQL_TOKEN_SPREAD;
        lexer->at += 3;
        return PL_OK;
    }
    if (second == '.')
        return gql_lexer_fail(lexer, offset, "Unexpected \"..\", did you mean \"...\"?");
    if (second >= '0' && second <= '9') {
        const char *digits = lexer->at + 1, *p = digits;
        read_digits(lexer, &p);
        int shown = p - digits < 900 ? (int)(p - digits) : 900;
        return gql_lexer_fail(lexer, offset,
                              "Invalid number, expected digit before \".\", did you mean \"0.%.*s\"?", shown,
                              digits);
    }
    return fail_character(lexer);
}

pl_code gql_lexer_next(gql_lexer *lexer, gql_token *out)
{
    unsigned class = skip_ignored(lexer);
    const char *p = lexer->at;
    out->loc.line = lexer->line;
    out->loc.column = (uint32_t)(p - lexer->line_start) - lexer->continuations + 1;
    out->loc.offset = gql_offset_of(lexer, p);
    out->text = PL_STR_NONE;
    if (p == lexer->end) {
        out->kind = GQL_TOKEN_EOF;
        return PL_OK;
    }
    switch (class) {
    case LETTER:
        read_name(lexer, out);
        return PL_OK;
    case PUNCTUATOR:
        out->kind = (gql_token_kind)*p;
        lexer->at++;
        return PL_OK;
    case DIGIT:
    case MINUS:
        return read_number(lexer, out);
    case QUOTE:
        if (gql_byte_at(lexer, p, 1) == '"' && gql_byte_at(lexer, p, 2) == '"')
            return gql_lexer_block_string(lexer, out);
        return gql_lexer_string(lexer, out);
    case DOT:
        return read_spread(lexer, out);
    default:
        return fail_character(lexer);
    }
}
