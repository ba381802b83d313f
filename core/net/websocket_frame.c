/* SPDX-License-Identifier: MIT */
#include "net/websocket_frame.h"

#define FIN 0x80
#define RESERVED 0x70
#define OPCODE 0x0f
#define MASKED 0x80
#define LENGTH 0x7f
#define IS_CONTROL(opcode) ((opcode) >= PL_WS_OP_CLOSE)

void pl_ws_reader_init(pl_ws_reader *reader, size_t max_message)
{
    *reader = (pl_ws_reader){.max_message = max_message};
    pl_buf_init(&reader->message);
}

void pl_ws_reader_dispose(pl_ws_reader *reader)
{
    pl_buf_dispose(&reader->message);
}

bool pl_ws_code_is_sound(unsigned code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != PL_WS_NO_CODE &&
            code != PL_WS_ABNORMAL) ||
           (code >= 3000 && code <= 4999);
}

static pl_ws_event broken(pl_ws_reader *reader, unsigned code, const char *why)
{
    pl_buf_dispose(&reader->message);
    reader->ended = PL_WS_BROKEN;
    reader->code = code;
    reader->payload = pl_str_of(why);
    return PL_WS_BROKEN;
}

/* --- Heads of frames --- */

static uint64_t number(const unsigned char *bytes, size_t len)
{
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++)
        n = n << 8 | bytes[i];
    return n;
}

/* How long the head is, as far as its first two bytes tell. */
static size_t head_size(const pl_ws_reader *reader)
{
    if (reader->head_len < 2)
        return 2;
    unsigned length = reader->head[1] & LENGTH;
    return 2u + (length == 127 ? 8u : length == 126 ? 2u : 0u) + 4u;
}

/* NULL, or what is wrong with the first two bytes. */
static const char *check_head(const pl_ws_reader *reader)
{
    unsigned opcode = reader->head[0] & OPCODE, length = reader->head[1] & LENGTH;
    if (reader->head[0] & RESERVED)
        return "reserved bit is set";
    if ((opcode > PL_WS_OP_BINARY && opcode < PL_WS_OP_CLOSE) || opcode > PL_WS_OP_PONG)
        return "unknown opcode";
    if (!(reader->head[1] & MASKED))
        return "frame is not masked";
    if (IS_CONTROL(opcode))
        return !(reader->head[0] & FIN)      ? "control frame is fragmented"
               : length > PL_WS_MOST_CONTROL ? "control frame is too long"
                                             : NULL;
    if (opcode == PL_WS_OP_CONTINUATION && !reader->in_message)
        return "continuation without a message";
    if (opcode != PL_WS_OP_CONTINUATION && reader->in_message)
        return "message within a message";
    return NULL;
}

/* The head is whole: what it says becomes the reader's state. */
static pl_ws_event begin_frame(pl_ws_reader *reader)
{
    unsigned length = reader->head[1] & LENGTH;
    size_t size = reader->head_len;
    reader->opcode = reader->head[0] & OPCODE;
    reader->fin = reader->head[0] & FIN;
    reader->left = length == 127   ? number(reader->head + 2, 8)
                   : length == 126 ? number(reader->head + 2, 2)
                                   : length;
    memcpy(reader->mask, reader->head + size - 4, 4);
    reader->masked_at = 0;
    reader->head_len = 0;
    if ((length == 126 && reader->left < 126) ||
        (length == 127 && (reader->left < 65536 || reader->left >> 63)))
        return broken(reader, PL_WS_PROTOCOL_ERROR, "length is not encoded as it must be");
    reader->in_payload = true;
    reader->control_len = 0;
    if (IS_CONTROL(reader->opcode))
        return PL_WS_MORE;
    if (!reader->in_message) {
        reader->in_message = true;
        reader->message_binary = reader->opcode == PL_WS_OP_BINARY;
        reader->checked = 0;
    }
    if (reader->left > reader->max_message - reader->message.len)
        return broken(reader, PL_WS_TOO_BIG, "message is too big");
    return PL_WS_MORE;
}

static pl_ws_event read_head(pl_ws_reader *reader, char **bytes, size_t *len)
{
    while (*len != 0) {
        reader->head[reader->head_len++] = (unsigned char)**bytes;
        (*bytes)++;
        (*len)--;
        if (reader->head_len == 2) {
            const char *wrong = check_head(reader);
            if (wrong)
                return broken(reader, PL_WS_PROTOCOL_ERROR, wrong);
        }
        if (reader->head_len >= 2 && reader->head_len == head_size(reader))
            return begin_frame(reader);
    }
    return PL_WS_MORE;
}

/* --- Payloads --- */

static void unmask(pl_ws_reader *reader, char *bytes, size_t len)
{
    char mask[8];
    for (size_t i = 0; i < sizeof(mask); i++)
        mask[i] = reader->mask[(reader->masked_at + i) & 3];
    uint64_t key;
    memcpy(&key, mask, sizeof(key));
    size_t i = 0;
    for (; len - i >= sizeof(key); i += sizeof(key)) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof(word));
        word ^= key;
        memcpy(bytes + i, &word, sizeof(word));
    }
    for (; i < len; i++)
        bytes[i] = (char)(bytes[i] ^ mask[i & 7]);
    reader->masked_at = (unsigned char)((reader->masked_at + len) & 3);
}

/* Whether a character may begin with these bytes, of which more are to come. */
static bool is_cut_character(const char *bytes, size_t len)
{
    const unsigned char *b = (const unsigned char *)bytes;
    size_t whole = b[0] >= 0xc2 && b[0] <= 0xdf   ? 2
                   : (b[0] & 0xf0) == 0xe0        ? 3
                   : b[0] >= 0xf0 && b[0] <= 0xf4 ? 4
                                                  : 0;
    if (len >= whole)
        return false;
    unsigned least = b[0] == 0xe0 ? 0xa0 : b[0] == 0xf0 ? 0x90 : 0x80;
    unsigned most = b[0] == 0xed ? 0x9f : b[0] == 0xf4 ? 0x8f : 0xbf;
    return len < 2 || (b[1] >= least && b[1] <= most && (len < 3 || (b[2] & 0xc0) == 0x80));
}

/* Checks what has come of a text, so that one that is wrong is found at once. */
static bool check_text(pl_ws_reader *reader, bool ended)
{
    const pl_buf *m = &reader->message;
    if (m->len != 0)
        reader->checked += pl_utf8_check(m->data + reader->checked, m->len - reader->checked);
    size_t rest = m->len - reader->checked;
    return rest == 0 || (!ended && rest < 4 && is_cut_character(m->data + reader->checked, rest));
}

static pl_ws_event end_message(pl_ws_reader *reader, pl_str payload)
{
    reader->in_message = false;
    reader->delivered = true;
    reader->binary = reader->message_binary;
    reader->payload = payload;
    return PL_WS_MESSAGE;
}

/* A message in one frame that has come whole needs no copy. */
static pl_ws_event read_whole(pl_ws_reader *reader, char **bytes, size_t *len)
{
    pl_str payload = {*bytes, (size_t)reader->left};
    unmask(reader, *bytes, payload.len);
    *bytes += payload.len;
    *len -= payload.len;
    reader->left = 0;
    reader->in_payload = false;
    if (!reader->message_binary && !pl_str_is_utf8(payload))
        return broken(reader, PL_WS_BAD_PAYLOAD, "text is not UTF-8");
    return end_message(reader, payload);
}

static pl_ws_event read_data(pl_ws_reader *reader, char **bytes, size_t *len)
{
    if (reader->fin && reader->left <= *len && reader->message.len == 0)
        return read_whole(reader, bytes, len);
    size_t n = reader->left < *len ? (size_t)reader->left : *len;
    pl_buf *m = &reader->message;
    pl_buf_append(m, *bytes, n);
    if (m->failed)
        return broken(reader, PL_WS_INTERNAL, "out of memory");
    if (n != 0)
        unmask(reader, m->data + m->len - n, n);
    *bytes += n;
    *len -= n;
    reader->left -= n;
    bool ended = reader->left == 0 && reader->fin;
    if (!reader->message_binary && !check_text(reader, ended))
        return broken(reader, PL_WS_BAD_PAYLOAD, "text is not UTF-8");
    if (reader->left == 0)
        reader->in_payload = false;
    return ended ? end_message(reader, pl_buf_view(m)) : PL_WS_MORE;
}

static pl_ws_event read_close(pl_ws_reader *reader)
{
    pl_str payload = {reader->control, reader->control_len};
    if (payload.len == 1)
        return broken(reader, PL_WS_PROTOCOL_ERROR, "close code is cut off");
    unsigned code = PL_WS_NO_CODE;
    if (payload.len != 0) {
        code = (unsigned)number((const unsigned char *)payload.ptr, 2);
        payload = (pl_str){payload.ptr + 2, payload.len - 2};
        if (!pl_ws_code_is_sound(code))
            return broken(reader, PL_WS_PROTOCOL_ERROR, "close code is none that may be sent");
        if (!pl_str_is_utf8(payload))
            return broken(reader, PL_WS_BAD_PAYLOAD, "close reason is not UTF-8");
    }
    pl_buf_dispose(&reader->message);
    reader->ended = PL_WS_CLOSE;
    reader->code = code;
    reader->payload = payload;
    return PL_WS_CLOSE;
}

static pl_ws_event read_control(pl_ws_reader *reader, char **bytes, size_t *len)
{
    size_t n = reader->left < *len ? (size_t)reader->left : *len;
    char *to = reader->control + reader->control_len;
    if (n != 0)
        memcpy(to, *bytes, n);
    unmask(reader, to, n);
    reader->control_len = (unsigned char)(reader->control_len + n);
    *bytes += n;
    *len -= n;
    reader->left -= n;
    if (reader->left != 0)
        return PL_WS_MORE;
    reader->in_payload = false;
    if (reader->opcode == PL_WS_OP_CLOSE)
        return read_close(reader);
    reader->payload = (pl_str){reader->control, reader->control_len};
    return reader->opcode == PL_WS_OP_PING ? PL_WS_PING : PL_WS_PONG;
}

pl_ws_event pl_ws_read(pl_ws_reader *reader, char **bytes, size_t *len)
{
    if (reader->ended != PL_WS_MORE)
        return reader->ended;
    if (reader->delivered) {
        reader->delivered = false;
        pl_buf_dispose(&reader->message);
    }
    pl_ws_event event = PL_WS_MORE;
    while (event == PL_WS_MORE) {
        /* A frame without payload ends with its head. */
        if (reader->in_payload && (*len != 0 || reader->left == 0))
            event =
                IS_CONTROL(reader->opcode) ? read_control(reader, bytes, len) : read_data(reader, bytes, len);
        else if (*len != 0)
            event = read_head(reader, bytes, len);
        else
            break;
    }
    return event;
}

/* --- Writing --- */

bool pl_ws_write(pl_buf *out, pl_ws_opcode opcode, pl_str payload)
{
    unsigned char head[10] = {(unsigned char)(FIN | opcode)};
    size_t size = payload.len < 126 ? 2 : payload.len < 65536 ? 4 : 10;
    head[1] = (unsigned char)(size == 2 ? payload.len : size == 4 ? 126 : 127);
    uint64_t n = payload.len;
    for (size_t i = size; i-- > 2; n >>= 8)
        head[i] = (unsigned char)n;
    if (payload.len > SIZE_MAX / 4 || !pl_buf_reserve(out, size + payload.len))
        return false;
    pl_buf_append(out, head, size);
    pl_buf_str(out, payload);
    return true;
}

bool pl_ws_write_close(pl_buf *out, unsigned code, pl_str reason)
{
    char payload[PL_WS_MOST_CONTROL] = {(char)(code >> 8), (char)code};
    if (code == PL_WS_NO_CODE)
        return pl_ws_write(out, PL_WS_OP_CLOSE, PL_STR_NONE);
    if (reason.len > sizeof(payload) - 2)
        reason.len = sizeof(payload) - 2;
    if (reason.len != 0) {
        reason.len = pl_utf8_check(reason.ptr, reason.len);
        memcpy(payload + 2, reason.ptr, reason.len);
    }
    return pl_ws_write(out, PL_WS_OP_CLOSE, (pl_str){payload, 2 + reason.len});
}
