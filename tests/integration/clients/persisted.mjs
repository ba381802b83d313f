// SPDX-License-Identifier: MIT
// Apollo's link for persisted queries: hash first, the text when the server asks for it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { ApolloClient, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { print } from "graphql";

const [url, mode] = process.argv.slice(2);
const sent = [];
const HELLO = gql`
  query Hello($name: String) {
    hello(name: $name)
  }
`;
// The server knows the text of its file, on one line.
const texts = { strict: "query Hello($name: String) { hello(name: $name) }" };

function clientOf(useGETForHashedQueries) {
  const http = new HttpLink({
    uri: url,
    fetch: (to, options) => {
      sent.push(options.method === "GET" ? "GET" : JSON.parse(options.body).query ? "text" : "hash");
      return fetch(to, options);
    },
  });
  const persisted = new PersistedQueryLink({
    sha256: (text) => createHash("sha256").update(texts[mode] ?? text).digest("hex"),
    useGETForHashedQueries,
  });
  return new ApolloClient({ link: persisted.concat(http), cache: new InMemoryCache() });
}

async function ask(client, name) {
  const { data } = await client.query({ query: HELLO, variables: { name }, fetchPolicy: "no-cache" });
  assert.equal(data.hello, `hello ${name}`);
}

const client = clientOf(false);
await ask(client, "a");
await ask(client, "b");
const expected = { apq: ["hash", "text", "hash"], strict: ["hash", "hash"], none: ["hash", "text", "text"] };
assert.deepEqual(sent, expected[mode], print(HELLO));
if (mode === "apq") {
  sent.length = 0;
  await ask(clientOf(true), "c");
  assert.deepEqual(sent, ["GET"]);
}
console.log("ok");
