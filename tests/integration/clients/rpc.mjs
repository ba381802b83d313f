// SPDX-License-Identifier: MIT
// The clients of Connect, gRPC-Web and gRPC that people use: rpc.mjs URL ADMIN GRPC_URL DESCRIPTOR_SET
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { create, createFileRegistry, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import * as node from "@connectrpc/connect-node";
import * as web from "@connectrpc/connect-web";
import grpcWeb from "grpc-web";
import xhr2 from "xhr2";

const [url, , grpcUrl, set] = process.argv.slice(2);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(set)));
const Shop = registry.getService("shop.v1.Shop");
const Item = registry.getMessage("shop.v1.Item");
const BadRequest = registry.getMessage("google.rpc.BadRequest");

async function* items(...names) {
  for (const name of names) yield { name };
}

async function collect(stream) {
  const names = [];
  for await (const item of stream) names.push(item.name);
  return names;
}

// Unary calls and streams of answers: what all transports can.
async function basics(client) {
  let header, trailer;
  const answer = await client.get(
    { name: "a", price: 9007199254740993n },
    {
      headers: { "x-name": "b", "x-data-bin": "AP8" },
      onHeader: (h) => (header = h),
      onTrailer: (t) => (trailer = t),
    },
  );
  assert.equal(answer.name, "a");
  assert.equal(answer.price, 9007199254740993n);
  assert.equal(header.get("x-name"), "b");
  assert.equal(header.get("x-data-bin"), "AP8");
  assert.equal(trailer.get("x-end"), "c");

  const large = await client.get({ name: "x".repeat(100000) });
  assert.equal(large.name.length, 100000);

  const error = ConnectError.from(await client.get({ name: "" }).catch((e) => e));
  assert.equal(error.code, Code.InvalidArgument);
  assert.equal(error.rawMessage, "a name is needed: ä");
  assert.equal(error.findDetails(BadRequest)[0].fieldViolations[0].field, "name");
  assert.equal(error.metadata.get("x-end"), "e");

  assert.deepEqual(await collect(client.list({ price: 3n })), ["1", "2", "3"]);
  assert.deepEqual(await collect(client.list({ price: 0n })), []);
  const names = [];
  const late = await (async () => {
    for await (const item of client.list({ name: "late", price: 2n })) names.push(item.name);
  })().catch((e) => ConnectError.from(e));
  assert.deepEqual(names, ["1", "2"]);
  assert.equal(late.code, Code.Aborted);

  const slow = ConnectError.from(await client.slow({}, { timeoutMs: 200 }).catch((e) => e));
  assert.equal(slow.code, Code.DeadlineExceeded);
  const nothing = ConnectError.from(await client.missing({}).catch((e) => e));
  assert.equal(nothing.code, Code.Unimplemented);
}

async function uploads(client) {
  assert.equal((await client.add(items("a", "b", "c"))).name, "a,b,c");
  assert.equal((await client.add(items())).name, "");
  assert.deepEqual(await collect(client.chat(items("a", "b"))), ["re a", "re b"]);
}

// Each answer is waited for before the next question.
async function duplex(client) {
  let next;
  async function* questions() {
    for (const name of ["a", "b", "c"]) {
      const answered = new Promise((resolve) => (next = resolve));
      yield { name };
      await answered;
    }
  }
  const names = [];
  for await (const item of client.chat(questions())) {
    names.push(item.name);
    next();
  }
  assert.deepEqual(names, ["re a", "re b", "re c"]);
}

for (const useBinaryFormat of [true, false]) {
  for (const [baseUrl, httpVersion] of [
    [url, "1.1"],
    [url, "2"],
    [grpcUrl, "2"],
  ]) {
    for (const more of [{}, { sendCompression: node.compressionGzip, compressMinBytes: 1 }]) {
      const options = { baseUrl, httpVersion, useBinaryFormat, ...more };
      const clients = [node.createConnectTransport(options), node.createGrpcWebTransport(options)];
      if (baseUrl === grpcUrl) clients.push(node.createGrpcTransport(options));
      for (const client of clients.map((transport) => createClient(Shop, transport))) {
        await basics(client);
        await uploads(client);
        if (baseUrl === grpcUrl) await duplex(client);
      }
    }
  }
  // As in browsers.
  await basics(createClient(Shop, web.createConnectTransport({ baseUrl: url, useBinaryFormat })));
  await basics(createClient(Shop, web.createGrpcWebTransport({ baseUrl: url, useBinaryFormat })));
}

// A method without side effects is a GET.
const seen = [];
const fetchSeen = (input, init) => (seen.push(init.method), fetch(input, init));
const getter = createClient(Shop, web.createConnectTransport({ baseUrl: url, useHttpGet: true, fetch: fetchSeen }));
assert.equal((await getter.get({ name: "ü?&" })).name, "ü?&");
assert.deepEqual(seen, ["GET"]);

// grpc-web, Google's own, in both of its formats.
globalThis.XMLHttpRequest = xhr2.XMLHttpRequest;
for (const format of ["binary", "text"]) {
  const client = new grpcWeb.GrpcWebClientBase({ format });
  const describe = (name, type) =>
    new grpcWeb.MethodDescriptor(
      `/shop.v1.Shop/${name}`,
      type,
      Object,
      Object,
      (value) => toBinary(Item, create(Item, value)),
      (bytes) => fromBinary(Item, bytes),
    );
  const get = describe("Get", "unary");
  const call = (value) =>
    new Promise((resolve, reject) =>
      client.rpcCall(`${url}/shop.v1.Shop/Get`, value, {}, get, (error, item) => (error ? reject(error) : resolve(item))),
    );
  assert.equal((await call({ name: "a" })).name, "a");
  const error = await call({ name: "" }).catch((e) => e);
  assert.equal(error.code, 3);
  assert.equal(error.message, "a name is needed: ä");
  if (format === "binary") continue; // which has no streams, they say
  const names = await new Promise((resolve, reject) => {
    const found = [];
    const stream = client.serverStreaming(`${url}/shop.v1.Shop/List`, { price: 3n }, {}, describe("List", "server_streaming"));
    stream.on("data", (item) => found.push(item.name));
    stream.on("error", reject);
    stream.on("end", () => resolve(found));
  });
  assert.deepEqual(names, ["1", "2", "3"]);
}

console.log("ok");
process.exit(0);
