/* SPDX-License-Identifier: MIT */
#include "app/sse_hub.h"

#include <pthread.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/map.h"

#define MAX_TOKENS 100000
#define MAX_RESERVED 10000

typedef struct token {
    struct token *next; /* of those reserved, oldest first */
    pl_sse_part *home;  /* NULL: reserved */
    uint64_t until;
    char text[PL_SSE_TOKEN_LENGTH + 1];
} token;

struct pl_sse_hub {
    pthread_mutex_t lock;
    pl_map tokens;
    token *reserved, **reserved_end;
    size_t reserved_count;
    pl_sse_part *parts;
};

struct pl_sse_part {
    pl_sse_hub *hub;
    pl_loop *loop;
    pl_sse_part *next;
    void (*carry_out)(void *data, pl_sse_errand *errand);
    void *data;
    bool left;
};

pl_sse_hub *pl_sse_hub_new(void)
{
    pl_sse_hub *hub = pl_calloc(1, sizeof *hub);
    if (!hub)
        return NULL;
    pthread_mutex_init(&hub->lock, NULL);
    pl_map_init(&hub->tokens);
    hub->reserved_end = &hub->reserved;
    return hub;
}

void pl_sse_hub_free(pl_sse_hub *hub)
{
    if (!hub)
        return;
    for (size_t i = 0; i < hub->tokens.count; i++)
        pl_free(hub->tokens.entries[i].value);
    pl_map_dispose(&hub->tokens);
    pthread_mutex_destroy(&hub->lock);
    pl_free(hub);
}

pl_sse_part *pl_sse_join(pl_sse_hub *hub, pl_loop *loop, void (*carry_out)(void *data, pl_sse_errand *errand),
                         void *data)
{
    pl_sse_part *part = pl_calloc(1, sizeof *part);
    if (!part)
        return NULL;
    *part = (pl_sse_part){.hub = hub, .loop = loop, .carry_out = carry_out, .data = data};
    pthread_mutex_lock(&hub->lock);
    part->next = hub->parts;
    hub->parts = part;
    pthread_mutex_unlock(&hub->lock);
    return part;
}

void pl_sse_leave(pl_sse_part *part)
{
    pl_sse_hub *hub = part->hub;
    pthread_mutex_lock(&hub->lock);
    for (pl_sse_part **at = &hub->parts; *at; at = &(*at)->next) {
        if (*at == part) {
            *at = part->next;
            break;
        }
    }
    for (size_t i = hub->tokens.count; i-- > 0;) {
        token *t = hub->tokens.entries[i].value;
        if (t->home == part) {
            pl_map_remove(&hub->tokens, pl_str_of(t->text));
            pl_free(t);
        }
    }
    part->left = true;
    pthread_mutex_unlock(&hub->lock);
}

void pl_sse_part_free(pl_sse_part *part)
{
    pl_free(part);
}

/* --- tokens; with the lock held --- */
static void unreserve(pl_sse_hub *hub, token *t)
{
    token **at = &hub->reserved;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    if (!*at)
        hub->reserved_end = at;
    hub->reserved_count--;
}

static void drop_expired(pl_sse_hub *hub, uint64_t now)
{
    while (hub->reserved && hub->reserved->until <= now) {
        token *t = hub->reserved;
        unreserve(hub, t);
        pl_map_remove(&hub->tokens, pl_str_of(t->text));
        pl_free(t);
    }
}

static bool make_text(char *text)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[PL_SSE_TOKEN_LENGTH / 2];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[PL_SSE_TOKEN_LENGTH] = '\0';
    return true;
}

bool pl_sse_reserve(pl_sse_hub *hub, uint64_t now, char *text)
{
    bool ok = false;
    token *t = pl_calloc(1, sizeof *t);
    if (!t || !make_text(t->text))
        goto done;
    t->until = now + PL_SSE_RESERVED_MS;
    pthread_mutex_lock(&hub->lock);
    drop_expired(hub, now);
    ok = hub->reserved_count < MAX_RESERVED && hub->tokens.count < MAX_TOKENS &&
         pl_map_set(&hub->tokens, pl_str_of(t->text), t);
    if (ok) {
        *hub->reserved_end = t;
        hub->reserved_end = &t->next;
        hub->reserved_count++;
        memcpy(text, t->text, sizeof t->text);
        t = NULL;
    }
    pthread_mutex_unlock(&hub->lock);
done:
    pl_free(t);
    return ok;
}

pl_sse_opening pl_sse_open(pl_sse_part *part, const char *text, uint64_t now)
{
    pl_sse_hub *hub = part->hub;
    pl_sse_opening opening = PL_SSE_UNKNOWN;
    pthread_mutex_lock(&hub->lock);
    drop_expired(hub, now);
    token *t = pl_map_get(&hub->tokens, pl_str_of(text));
    if (t && t->home) {
        opening = PL_SSE_IN_USE;
    } else if (t) {
        unreserve(hub, t);
        t->home = part;
        opening = PL_SSE_OPENED;
    }
    pthread_mutex_unlock(&hub->lock);
    return opening;
}

void pl_sse_close(pl_sse_part *part, const char *text)
{
    pl_sse_hub *hub = part->hub;
    pthread_mutex_lock(&hub->lock);
    token *t = pl_map_remove(&hub->tokens, pl_str_of(text));
    pthread_mutex_unlock(&hub->lock);
    pl_free(t);
}

/* --- errands --- */
static void arrive(pl_message *message)
{
    pl_sse_errand *errand = message->data;
    if (errand->to->left) /* the token went meanwhile; whoever asked hears of that in its own way */
        pl_sse_answer(errand);
    else
        errand->to->carry_out(errand->to->data, errand);
}

static void come_back(pl_message *message)
{
    pl_sse_errand *errand = message->data;
    errand->lost = errand->from->left;
    errand->answered(errand);
}

bool pl_sse_send(pl_sse_part *part, pl_sse_errand *errand)
{
    pl_sse_hub *hub = part->hub;
    pthread_mutex_lock(&hub->lock);
    token *t = pl_map_get(&hub->tokens, pl_str_of(errand->token));
    bool found = t && t->home;
    if (found) {
        errand->hub = hub;
        errand->from = part;
        errand->to = t->home;
        errand->message = (pl_message){.run = arrive, .data = errand};
        pl_loop_post(errand->to->loop, &errand->message);
    }
    pthread_mutex_unlock(&hub->lock);
    return found;
}

void pl_sse_answer(pl_sse_errand *errand)
{
    pl_sse_hub *hub = errand->hub;
    pthread_mutex_lock(&hub->lock);
    pl_sse_part *from = hub->parts;
    while (from && from != errand->from)
        from = from->next;
    if (from) {
        errand->message = (pl_message){.run = come_back, .data = errand};
        pl_loop_post(from->loop, &errand->message);
    }
    pthread_mutex_unlock(&hub->lock);
    if (from)
        return;
    errand->lost = true;
    errand->answered(errand);
}
