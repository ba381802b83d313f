// SPDX-License-Identifier: MIT
// graphql-request against examples/blog: node request.mjs URL
import assert from "node:assert/strict";
import { ClientError, GraphQLClient, gql, request } from "graphql-request";

const url = process.argv[2];
const client = new GraphQLClient(url, { headers: { "x-request-id": "from-graphql-request" } });

const one = await request(url, gql`{ user(id: "1") { name posts { title comments { author { name } } } } }`);
assert.equal(one.user.name, "Ada Lovelace");
assert.equal(one.user.posts[0].comments.length, 2);

const page = gql`query Page($limit: Int!, $offset: Int) { users(limit: $limit, offset: $offset) { id } }`;
assert.deepEqual(await client.request(page, { limit: 2, offset: 1 }), { users: [{ id: "2" }, { id: "3" }] });

const create = gql`mutation ($input: CreateUserInput!) { createUser(input: $input) { id name createdAt } }`;
const input = { name: "Margaret Hamilton", email: "margaret@example.com" };
const { createUser } = await client.request(create, { input });
assert.equal(createUser.name, input.name);
assert.ok(Math.abs(Date.parse(createUser.createdAt) - Date.now()) < 60_000);

await assert.rejects(client.request(create, { input }), (error) => {
  assert.ok(error instanceof ClientError);
  assert.equal(error.response.errors[0].extensions.code, "ALREADY_EXISTS");
  return true;
});
await assert.rejects(client.request(gql`{ nothing }`), (error) => /Cannot query field "nothing"/.test(error.message));

const raw = await client.rawRequest(gql`{ post(id: "4") { title } }`);
assert.equal(raw.status, 200);
assert.equal(raw.headers.get("x-request-id"), "from-graphql-request");
console.log("ok");
