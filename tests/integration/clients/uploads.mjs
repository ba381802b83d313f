// SPDX-License-Identifier: MIT
// Files sent by apollo-upload-client's link, and by hand with extract-files.
import assert from "node:assert/strict";
import { File } from "node:buffer"; // a global since Node.js 20
import { createHash } from "node:crypto";
import { ApolloClient, InMemoryCache, gql } from "@apollo/client";
import UploadHttpLink from "apollo-upload-client/UploadHttpLink.mjs";
import extractFiles from "extract-files/extractFiles.mjs";
import isExtractableFile from "extract-files/isExtractableFile.mjs";

const [url] = process.argv.slice(2);
const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const file = (text, name, type) => new File([text], name, { type });
const MANY = `
  mutation Many($files: [Upload!]!) {
    many(files: $files) { filename content_type size sha256 }
  }
`;
const texts = ["one", "zw\u00f6lf \u{1f680}\r\n--\r\n", ""];
const files = texts.map((text, i) => file(text, `f\u00fcnf "${i}".txt`, "text/plain"));
const expected = texts.map((text, i) => ({
  filename: `f\u00fcnf "${i}".txt`,
  content_type: "text/plain",
  size: Buffer.byteLength(text),
  sha256: sha256(text),
}));

const link = new UploadHttpLink({ uri: url, headers: { "apollo-require-preflight": "true" } });
const client = new ApolloClient({ link, cache: new InMemoryCache() });
const { data } = await client.mutate({ mutation: gql(MANY), variables: { files } });
assert.deepEqual(
  data.many.map(({ __typename, ...one }) => one),
  expected,
);

// By hand: two operations at once, one file in both.
const operations = [1, 2].map(() => ({ query: MANY, variables: { files: [files[0]] } }));
const { clone, files: found } = extractFiles(operations, isExtractableFile);
const form = new FormData();
form.append("operations", JSON.stringify(clone));
form.append("map", JSON.stringify(Object.fromEntries([...found.values()].map((paths, i) => [i, paths]))));
[...found.keys()].forEach((one, i) => form.append(i, one, one.name));
const response = await fetch(url, { method: "POST", body: form, headers: { "graphql-preflight": "1" } });
assert.deepEqual(await response.json(), [{ data: { many: [expected[0]] } }, { data: { many: [expected[0]] } }]);
console.log("ok");
