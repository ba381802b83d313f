// SPDX-License-Identifier: MIT
// Apollo Client 4 with @defer and @stream, in both forms that it reads, against examples/blog: node apollo4_defer.mjs URL
import assert from "node:assert/strict";
import { ApolloClient, HttpLink, InMemoryCache, gql } from "@apollo/client/core";
import { Defer20220824Handler, GraphQL17Alpha9Handler } from "@apollo/client/incremental";

const USER = gql`
  query User($id: ID!) {
    user(id: $id) {
      id
      name
      ... on User @defer(label: "posts") {
        posts { id title ... on Post @defer(label: "comments") { comments { id content } } }
      }
    }
  }
`;

for (const Handler of [Defer20220824Handler, GraphQL17Alpha9Handler]) {
  const types = [];
  const client = new ApolloClient({
    link: new HttpLink({
      uri: process.argv[2],
      fetch: async (...request) => {
        const response = await fetch(...request);
        types.push(response.headers.get("content-type"));
        return response;
      },
    }),
    cache: new InMemoryCache(),
    incrementalHandler: new Handler(),
  });
  const states = [];
  await new Promise((resolve, reject) => {
    client.watchQuery({ query: USER, variables: { id: "3" } }).subscribe({
      next(result) {
        if (result.error) reject(result.error);
        states.push(result);
        if (result.dataState === "complete") resolve();
      },
      error: reject,
    });
  });
  assert.match(types[0], /^multipart\/mixed/, Handler.name);
  const partial = states.find((state) => state.dataState === "streaming");
  assert.equal(partial?.data.user.name, "Grace Hopper", `${Handler.name}: the first payload comes alone`);
  assert.equal(partial.data.user.posts, undefined);
  const whole = states.at(-1).data.user;
  assert.equal(whole.posts.length, 2);
  assert.equal(whole.posts.flatMap((post) => post.comments).length, 2);
  // What came in pieces is in the cache whole.
  assert.deepEqual(client.readQuery({ query: USER, variables: { id: "3" } }).user, whole);

  // An error beside a deferred part.
  const failing = gql`{ user(id: "1") { id ... on User @defer { name } } users(limit: 0) { id } }`;
  const refused = await client.query({ query: failing, errorPolicy: "all" });
  assert.equal(refused.error.errors[0].extensions.code, "INVALID_ARGUMENT");

  // A list in pieces is a list.
  const list = await client.query({ query: gql`{ users(limit: 3) @stream(initialCount: 1) { id name } }` });
  assert.deepEqual(list.data.users.map((user) => user.id), ["1", "2", "3"]);
  assert.match(types.at(-1), /^multipart\/mixed/);
  client.stop();
}
console.log("ok");
process.exit(0);
