/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/local.h"
#include "app/natives.h"
#include "perilune/engines.h"

/* natives [SECONDS]: what a call of a resolver in C costs beside one in Lua, without a server. Prints one
 * line for each kind: its name, and nanoseconds (the best of several runs) for each field, less those of a
 * field without a resolver, in a query for 1,000 objects; and microseconds of the nested query of
 * bundles/graphql, 10 users with 10 posts each and their authors, whose C makes all objects anew. */

static const char schema[] =
    "type Query { items: [Item!]!, luaUsers: [User!]!, cUsers: [User!]! }\n"
    "type User { id: ID!, name: String!, email: String, luaPosts: [Post!]!, cPosts: [Post!]! }\n"
    "type Post { id: ID!, title: String!, luaAuthor: User!, cAuthor: User! }\n"
    "type Item { id: Int!, none: Int, luaInt: Int, cInt: Int, luaParent: Int, cParent: Int, luaArgs(n: "
    "Int!): Int,\n"
    "  cArgs(n: Int!): Int, luaUser: User, cUser: User }";

static const char resolvers[] =
    "local items = {}\n"
    "for i = 1, 1000 do items[i] = { id = i, none = i } end\n"
    "local users, posts_of = {}, {}\n"
    "for u = 1, 10 do\n"
    "  users[u] = { id = u, name = 'User number ' .. u, email = 'user' .. u .. '@example.com' }\n"
    "  local posts = {}\n"
    "  for p = 1, 10 do\n"
    "    posts[p] = { id = (u - 1) * 10 + p, title = 'Post number ' .. (u - 1) * 10 + p .. ' today', "
    "authorId = u }\n"
    "  end\n"
    "  posts_of[u] = posts\n"
    "end\n"
    "return { Query = { items = function() return items end, luaUsers = function() return users end },\n"
    "  User = { luaPosts = function(user) return posts_of[user.id] end },\n"
    "  Post = { luaAuthor = function(post) return users[post.authorId] end }, Item = {\n"
    "  luaInt = function() return 7 end,\n"
    "  luaParent = function(item) return item.id end,\n"
    "  luaArgs = function(item, args) return item.id + args.n end,\n"
    "  luaUser = function(item) return { id = item.id, name = 'User' } end } }";

static pl_native_status c_int(pl_native_call *call, void *data)
{
    pl_native_put_int(call, 7);
    return PL_NATIVE_DONE;
}

static int64_t id_of(pl_native_call *call)
{
    return pl_native_int(call, pl_native_field(call, pl_native_argument(call, 0), "id"));
}

static pl_native_status c_parent(pl_native_call *call, void *data)
{
    pl_native_put_int(call, id_of(call));
    return PL_NATIVE_DONE;
}

static pl_native_status c_args(pl_native_call *call, void *data)
{
    pl_native_put_int(call, id_of(call) +
                                pl_native_int(call, pl_native_field(call, pl_native_argument(call, 1), "n")));
    return PL_NATIVE_DONE;
}

static pl_native_status c_user(pl_native_call *call, void *data)
{
    pl_native_begin_map(call);
    pl_native_key(call, "id");
    pl_native_put_int(call, id_of(call));
    pl_native_key(call, "name");
    pl_native_put_text(call, "User");
    pl_native_end(call);
    return PL_NATIVE_DONE;
}

/* --- the nested query --- */
static void put_user(pl_native_call *call, int64_t n)
{
    char name[32], email[32];
    snprintf(name, sizeof name, "User number %d", (int)n);
    snprintf(email, sizeof email, "user%d@example.com", (int)n);
    pl_native_begin_map(call);
    pl_native_key(call, "id");
    pl_native_put_int(call, n);
    pl_native_key(call, "name");
    pl_native_put_text(call, name);
    pl_native_key(call, "email");
    pl_native_put_text(call, email);
    pl_native_end(call);
}

static pl_native_status c_users(pl_native_call *call, void *data)
{
    pl_native_begin_list(call);
    for (int i = 1; i <= 10; i++)
        put_user(call, i);
    pl_native_end(call);
    return PL_NATIVE_DONE;
}

static pl_native_status c_posts(pl_native_call *call, void *data)
{
    int64_t user = id_of(call);
    pl_native_begin_list(call);
    for (int64_t i = 1; i <= 10; i++) {
        char title[48];
        snprintf(title, sizeof title, "Post number %d today", (int)((user - 1) * 10 + i));
        pl_native_begin_map(call);
        pl_native_key(call, "id");
        pl_native_put_int(call, (user - 1) * 10 + i);
        pl_native_key(call, "title");
        pl_native_put_text(call, title);
        pl_native_key(call, "authorId");
        pl_native_put_int(call, user);
        pl_native_end(call);
    }
    pl_native_end(call);
    return PL_NATIVE_DONE;
}

static pl_native_status c_author(pl_native_call *call, void *data)
{
    put_user(call, pl_native_int(call, pl_native_field(call, pl_native_argument(call, 0), "authorId")));
    return PL_NATIVE_DONE;
}

static void die(const char *what)
{
    fprintf(stderr, "natives: %s\n", what);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double measure(pl_local *local, const char *query, double seconds)
{
    char request[256];
    double best = 1e18, end = now() + seconds * 1e9;
    snprintf(request, sizeof request, "{\"query\":\"{ %s }\"}", query);
    for (double begin = now(); begin < end; begin = now()) {
        pl_buf response;
        pl_error err = {0};
        pl_buf_init(&response);
        if (pl_local_execute(local, pl_str_of(request), &response, &err) != PL_OK ||
            memmem(response.data, response.len, "errors", 6))
            die(response.data ? response.data : err.message);
        pl_buf_dispose(&response);
        double took = now() - begin;
        best = took < best ? took : best;
    }
    return best / 1000; /* microseconds; or nanoseconds for each of 1,000 */
}

int main(int argc, char **argv)
{
    static const struct {
        const char *query, *what;
    } cases[] = {{"items { luaInt }", "Lua, a constant"},
                 {"items { cInt }", "C, a constant"},
                 {"items { luaParent }", "Lua, a field of the parent"},
                 {"items { cParent }", "C, a field of the parent"},
                 {"items { luaArgs(n: 3) }", "Lua, the parent and an argument"},
                 {"items { cArgs(n: 3) }", "C, the parent and an argument"},
                 {"items { luaUser { id name } }", "Lua, an object of two fields"},
                 {"items { cUser { id name } }", "C, an object of two fields"}};
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    const pl_file files[] = {{PL_STR("resolvers/r.lua"), pl_str_of(resolvers)},
                             {PL_STR("schema/s.graphql"), pl_str_of(schema)}};
    pl_error err = {0};
    pl_report report;
    pl_report_init(&report);
    pl_natives *natives = pl_natives_new();
    if (!natives || pl_natives_add_resolver(natives, "Item", "cInt", c_int, NULL) ||
        pl_natives_add_resolver(natives, "Item", "cParent", c_parent, NULL) ||
        pl_natives_add_resolver(natives, "Item", "cArgs", c_args, NULL) ||
        pl_natives_add_resolver(natives, "Item", "cUser", c_user, NULL) ||
        pl_natives_add_resolver(natives, "Query", "cUsers", c_users, NULL) ||
        pl_natives_add_resolver(natives, "User", "cPosts", c_posts, NULL) ||
        pl_natives_add_resolver(natives, "Post", "cAuthor", c_author, NULL))
        die("the functions cannot be registered");
    pl_local_options options = {.engine = pl_lua_engine(), .natives = natives};
    pl_bundle *bundle = pl_bundle_from_memory(files, 2, &err);
    pl_local *local = bundle ? pl_local_open(bundle, &options, &report, &err) : NULL;
    if (!local) {
        pl_buf text;
        pl_buf_init(&text);
        pl_report_text(&report, &text);
        pl_buf_char(&text, '\0');
        die(text.data);
    }
    double without = measure(local, "items { none }", seconds);
    printf("%-34s %8.0f\n", "no resolver", without);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        printf("%-34s %8.0f\n", cases[i].what, measure(local, cases[i].query, seconds) - without);
    printf("%-34s %8.0f\n", "nested query, Lua",
           measure(local, "luaUsers { id name email luaPosts { id title luaAuthor { id name } } }", seconds));
    printf("%-34s %8.0f\n", "nested query, C",
           measure(local, "cUsers { id name email cPosts { id title cAuthor { id name } } }", seconds));
    pl_local_close(local);
    pl_bundle_unref(bundle);
    pl_natives_free(natives);
    pl_report_dispose(&report);
    return 0;
}
