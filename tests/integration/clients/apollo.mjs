// SPDX-License-Identifier: MIT
// Apollo Client against examples/blog: node apollo.mjs URL
import assert from "node:assert/strict";
import { ApolloClient, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from "@apollo/client/core";

const client = new ApolloClient({ link: new HttpLink({ uri: process.argv[2] }), cache: new InMemoryCache() });

const USER = gql`
  query User($id: ID!) {
    user(id: $id) { id name ...Posts }
  }
  fragment Posts on User { posts { id title author { id name } comments { id content author { id } } } }
`;
const user = (await client.query({ query: USER, variables: { id: "2" } })).data.user;
assert.equal(user.name, "Alan Turing");
assert.deepEqual(user.posts.map((post) => post.title), ["Can machines think?", "On computable numbers"]);
assert.equal(user.__typename, "User", "the client adds __typename everywhere");

const CREATE = gql`
  mutation Create($input: CreatePostInput!) { createPost(input: $input) { id title publishedAt } }
`;
const created = await client.mutate({ mutation: CREATE, variables: { input: { title: "New", content: "Text", authorId: "2" } } });
assert.equal(created.data.createPost.title, "New");
assert.equal(created.data.createPost.publishedAt, null);

const PUBLISH = gql`mutation ($id: ID!) { publishPost(id: $id) { id publishedAt } }`;
const published = await client.mutate({ mutation: PUBLISH, variables: { id: created.data.createPost.id } });
assert.ok(Date.parse(published.data.publishPost.publishedAt) > 0);

const again = await client.query({ query: USER, variables: { id: "2" }, fetchPolicy: "network-only" });
assert.equal(again.data.user.posts.length, 3);

await assert.rejects(client.mutate({ mutation: PUBLISH, variables: { id: "999" } }), (error) => {
  assert.ok(CombinedGraphQLErrors.is(error));
  assert.equal(error.errors[0].extensions.code, "NOT_FOUND");
  return true;
});
const partial = await client.query({
  query: gql`{ user(id: "1") { id name } users(limit: 0) { id } }`,
  errorPolicy: "all",
});
assert.ok(CombinedGraphQLErrors.is(partial.error));
assert.equal(partial.error.errors[0].extensions.code, "INVALID_ARGUMENT");
client.stop();
console.log("ok");
