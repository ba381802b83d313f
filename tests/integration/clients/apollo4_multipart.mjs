// SPDX-License-Identifier: MIT
// Apollo Client 4 subscribes over HTTP (multipart), against examples/blog: node apollo4_multipart.mjs URL ADMIN
import assert from "node:assert/strict";
import { ApolloClient, HttpLink, InMemoryCache, gql } from "@apollo/client/core";
import { POST_ADDED, exercise } from "./support.mjs";

const client = new ApolloClient({ link: new HttpLink({ uri: process.argv[2] }), cache: new InMemoryCache() });
const subscribe = (query, variables, next, error) => {
  const subscription = client.subscribe({ query: gql(query), variables }).subscribe({
    next: (result) => (result.error ? error(result.error) : next(result.data)),
    error,
  });
  return () => subscription.unsubscribe();
};
await exercise((variables, next, error) => subscribe(POST_ADDED, variables, next, error));
const failed = await new Promise((resolve) => subscribe("subscription { nothing }", {}, resolve, resolve));
assert.match(failed.message, /Cannot query field "nothing"/);
client.stop();
console.log("ok");
process.exit(0);
