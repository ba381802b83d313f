// SPDX-License-Identifier: MIT
// urql against examples/blog, with subscriptions over graphql-ws and over HTTP: node urql.mjs URL ADMIN
import assert from "node:assert/strict";
import { Client, cacheExchange, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { POST_ADDED, exercise } from "./support.mjs";

const url = process.argv[2];

function subscriber(client, query) {
  return (variables, next, error) => {
    const { unsubscribe } = client.subscription(query, variables).subscribe((result) => {
      if (result.error) error(result.error);
      else if (result.data) next(result.data);
    });
    return unsubscribe;
  };
}

// -- queries, mutations and the document cache --
const http = new Client({ url, exchanges: [cacheExchange, fetchExchange], fetchSubscriptions: true, preferGetMethod: false });
const USER = "query ($id: ID!) { user(id: $id) { id name posts { id title } } }";
const { data, error } = await http.query(USER, { id: "2" }).toPromise();
assert.equal(error, undefined);
assert.deepEqual(data.user.posts.map((post) => post.title), ["Can machines think?", "On computable numbers"]);
const input = { title: "New", content: "Text", authorId: "2" };
const made = await http.mutation("mutation ($input: CreatePostInput!) { createPost(input: $input) { id title } }", { input });
assert.equal(made.data.createPost.title, "New");
const again = await http.query(USER, { id: "2" }).toPromise();
assert.equal(again.data.user.posts.length, 3, "the mutation outdated the cache");
const refused = await http.query("{ users(limit: 0) { id } }", {}).toPromise();
assert.equal(refused.error.graphQLErrors[0].extensions.code, "INVALID_ARGUMENT");
const got = await new Client({ url, exchanges: [fetchExchange], preferGetMethod: "force" }).query(USER, { id: "1" }).toPromise();
assert.equal(got.data?.user.name, "Ada Lovelace", got.error?.message);

// -- subscriptions: over HTTP, then over WebSocket --
await exercise(subscriber(http, POST_ADDED));

const socket = createClient({ url: url.replace(/^http/, "ws"), webSocketImpl: WebSocket });
const forwardSubscription = (request) => ({
  subscribe: (sink) => ({ unsubscribe: socket.subscribe({ ...request, query: request.query ?? "" }, sink) }),
});
const both = new Client({ url, exchanges: [cacheExchange, fetchExchange, subscriptionExchange({ forwardSubscription })] });
await exercise(subscriber(both, POST_ADDED));
for (const client of [http, both]) {
  const failed = await new Promise((resolve) => subscriber(client, "subscription { nothing }")({}, resolve, resolve));
  assert.match(failed.message, /Cannot query field "nothing"/);
}
await socket.dispose();
console.log("ok");
process.exit(0);
