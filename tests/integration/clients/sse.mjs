// SPDX-License-Identifier: MIT
// graphql-sse against examples/blog: node sse.mjs URL ADMIN [single], in the mode of distinct connections or of a single one
import assert from "node:assert/strict";
import { createClient } from "graphql-sse";
import { POST_ADDED, exercise } from "./support.mjs";

const client = createClient({ url: process.argv[2], singleConnection: process.argv[4] === "single", retryAttempts: 0 });
const once = (query, variables) =>
  new Promise((resolve, reject) => {
    let result;
    client.subscribe({ query, variables }, { next: (value) => (result = value), error: reject, complete: () => resolve(result) });
  });

// Queries and mutations are streams of one result.
const one = await once("query ($id: ID!) { user(id: $id) { name } }", { id: "1" });
assert.deepEqual(one, { data: { user: { name: "Ada Lovelace" } } });
const refused = await once("{ users(limit: 0) { id } }");
assert.equal(refused.errors[0].extensions.code, "INVALID_ARGUMENT");

await exercise((variables, next, error) =>
  client.subscribe(
    { query: POST_ADDED, variables },
    { next: (result) => (result.errors ? error(result.errors[0]) : next(result.data)), error, complete: () => {} },
  ),
);

// An operation that is not valid is refused, as a result or by the status of the answer.
const failed = await once("subscription { nothing }").catch((error) => error);
assert.match(failed.errors?.[0].message ?? failed.message, /Cannot query field "nothing"|responded with 400/);
client.dispose();
console.log("ok");
process.exit(0);
