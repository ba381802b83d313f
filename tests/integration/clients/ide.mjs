// SPDX-License-Identifier: MIT
// The GraphiQL page in a browser: node ide.mjs URL SCENARIO CHROMIUM [FILE...]
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { chromium } from "playwright-core";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { post as publish, signIn } from "./support.mjs";

const [url, scenario, executablePath, ...files] = process.argv.slice(2);
const TIMEOUT = Number(process.env.IDE_TIMEOUT_MS ?? 20_000);

const post = (title) => publish(title, "3");

// -- what a user does --
async function open(page, address = url) {
  await page.goto(address);
  await page.locator(".graphiql-query-editor .monaco-editor").first().waitFor();
}

async function type(page, editor, text) {
  await page.locator(`.graphiql-${editor} .monaco-editor`).first().click();
  await page.keyboard.press("Control+A");
  await page.keyboard.press("Delete");
  await page.keyboard.type(text);
}

async function setHeaders(page, headers) {
  await page.getByRole("button", { name: "Headers", exact: true }).click();
  await page.locator(".graphiql-editor-tool .monaco-editor").nth(1).click();
  await page.keyboard.type(JSON.stringify(headers));
}

const ask = (page, query) => type(page, "query-editor", query);
const run = (page) => page.getByRole("button", { name: /Execute query|Run/ }).first().click();

async function text(page, selector) {
  return (await page.locator(selector).allInnerTexts()).join(" ").replace(/\s+/g, " "); // lines are wrapped
}

async function until(what, read, expected) {
  const end = Date.now() + TIMEOUT;
  for (;;) {
    const value = await read();
    if (expected.test(value)) return value;
    if (Date.now() > end) assert.fail(`${what}: expected ${expected} in:\n${value}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Stands before the server as a TLS proxy that puts it below /shop; gives the page's address there. */
async function proxy([cert, key]) {
  const target = new URL(url);
  const options = (request) => ({
    host: target.hostname,
    port: target.port,
    method: request.method,
    path: request.url.replace(/^\/shop/, ""),
    headers: request.headers,
  });
  const server = https.createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
    const onward = http.request(options(request), (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    request.pipe(onward);
  });
  server.on("upgrade", (request, socket) => {
    http
      .request(options(request))
      .on("upgrade", (answer, onward) => {
        const headers = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}\r\n`);
        socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headers.join("")}\r\n`);
        onward.on("error", () => socket.destroy()).pipe(socket).on("error", () => onward.destroy()).pipe(onward);
      })
      .end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  return `https://127.0.0.1:${server.address().port}/shop/graphql`;
}

const sees = (page, expected) => until("response", () => text(page, ".graphiql-response .view-line"), expected);

/** Starts a subscription and sees an event; it goes on. */
async function subscribed(page) {
  await ask(page, "subscription { postAdded { title author { name } } }");
  await run(page);
  await page.getByRole("button", { name: /Stop/ }).waitFor();
  const event = async () => {
    await post("From elsewhere"); // events are for those who have subscribed when they happen
    return text(page, ".graphiql-response .view-line");
  };
  await until("event", event, /"title": "From elsewhere", "author": { "name": "Grace Hopper" }/);
}

// -- scenarios --
const scenarios = {
  async query(page) {
    await open(page);
    await ask(page, '{ user(id: "1") { name posts { title comments { author { name } } } } }');
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: /Prettify/ }).click();
    const lines = async () => String(await page.locator(".graphiql-query-editor .view-line").count());
    await until("lines of the formatted query", lines, /^1\d$/);
    await run(page);
    await sees(page, /"name": "Ada Lovelace".*"title": "Notes on the engine"/);
    if (files[0]) {
      await page.getByRole("button", { name: /Documentation Explorer/ }).first().click();
      await page.locator(".graphiql-doc-explorer").getByText("Query", { exact: true }).click();
      await until("fields", () => text(page, ".graphiql-doc-explorer"), /users/);
      await page.mouse.move(0, 0);
      await page.screenshot({ path: files[0] });
    }
  },

  async variables(page) {
    await open(page);
    await ask(page, "query User($id: ID!) { user(id: $id) { name } }");
    await page.getByRole("button", { name: "Variables", exact: true }).click();
    await type(page, "editor-tool", '{"id": "3"}');
    await run(page);
    await sees(page, /"name": "Grace Hopper"/);
  },

  async errors(page) {
    await open(page);
    await ask(page, "{ nothing }");
    await run(page);
    await sees(page, /Cannot query field \\"nothing\\" on type \\"Query\\"/);
    await ask(page, "{ users(limit: 0) { id } }");
    await run(page);
    await sees(page, /"code": "INVALID_ARGUMENT"/);
  },

  async documentation(page) {
    await open(page);
    await page.getByRole("button", { name: /Documentation Explorer/ }).first().click();
    const docs = () => text(page, ".graphiql-doc-explorer");
    await until("root types", docs, /query: Query.*mutation: Mutation/);
    await page.locator(".graphiql-doc-explorer").getByText("Query", { exact: true }).click();
    await until("fields", docs, /users\(.*\[User!\]!/);
    await page.locator(".graphiql-doc-explorer").getByText("Post", { exact: true }).first().click();
    await until("description", docs, /An article\. It is a draft until it is published\./);
  },

  async defer(page) {
    await open(page);
    await ask(page, '{ user(id: "3") { name ... @defer(label: "slow") { posts { title } } } }');
    const [response] = await Promise.all([
      page.waitForResponse((one) => one.request().postData()?.includes("@defer") ?? false),
      run(page),
    ]);
    assert.match(response.headers()["content-type"], /^multipart\/mixed/);
    await sees(page, /"data": { "user": { "name": "Grace Hopper", "posts": \[ { "title": "[^"]+" }/);
  },

  async subscription(page) {
    await open(page);
    await subscribed(page);
    await page.getByRole("button", { name: /Stop/ }).click();
    await page.getByRole("button", { name: /Execute query/ }).first().waitFor();
    await post("After the end");
    assert.doesNotMatch(await text(page, ".graphiql-response .view-line"), /After the end/);
  },

  // The language worker answers with the schema's fields.
  async completion(page) {
    await open(page);
    await ask(page, "{ us");
    await page.keyboard.press("Control+Space");
    await until("suggestions", () => text(page, ".suggest-widget .monaco-list-row"), /\busers\b/);
  },

  async headers(page) {
    await open(page);
    await ask(page, '{ user(id: "2") { name } }');
    await setHeaders(page, { "x-request-id": "from-the-page" });
    const [response] = await Promise.all([
      page.waitForResponse((one) => one.request().postData()?.includes("user(") ?? false),
      run(page),
    ]);
    assert.equal(response.headers()["x-request-id"], "from-the-page");
    await sees(page, /Alan Turing/);
  },

  // Headers are sent with requests, and as the parameters of a subscription's connection.
  async signedIn(page) {
    const socket = createClient({ url: url.replace(/^http/, "ws"), webSocketImpl: WebSocket });
    const online = socket.iterate({ query: "subscription { userOnline { name } }" });
    const first = online.next();
    await open(page);
    await setHeaders(page, await signIn("grace@example.com"));
    await ask(page, "{ viewer { name } }");
    await run(page);
    await sees(page, /"viewer": { "name": "Grace Hopper" }/);
    await subscribed(page);
    assert.deepEqual((await first).value, { data: { userOnline: { name: "Grace Hopper" } } });
    await socket.dispose();
  },

  async closedConnection(page) {
    await open(page);
    await setHeaders(page, { authorization: "Bearer 1.9999999999.00" });
    await ask(page, "subscription { postAdded { title } }");
    await run(page);
    await sees(page, /The connection was closed: 4403/);
  },

  // The page's policy keeps even its own scripts from talking to others.
  async policy(page, seen) {
    const hits = [];
    const other = http.createServer((request, response) => {
      hits.push(request.url);
      response.writeHead(200, { "access-control-allow-origin": "*" }).end("{}");
    });
    await new Promise((resolve) => other.listen(0, "127.0.0.1", resolve));
    const address = `http://127.0.0.1:${other.address().port}/`;
    await open(page);
    const outcomes = await page.evaluate(async (to) => {
      const load = (name, attribute) =>
        new Promise((resolve) => {
          const element = document.createElement(name);
          element.onload = () => resolve("loaded");
          element.onerror = () => resolve("refused");
          element[attribute] = to + name;
          document.head.append(element);
        });
      const fetched = await fetch(to + "fetch").then(() => "loaded", () => "refused");
      return [fetched, await load("script", "src"), await load("img", "src")];
    }, address);
    assert.deepEqual(outcomes, ["refused", "refused", "refused"]);
    assert.deepEqual(hits, []);
    other.close();
    seen.errors.length = 0; // they tell of these refusals
    seen.hosts.delete(new URL(address).host);
  },

  // With a title, a default query, and without headers: test_ide.py has the settings.
  async settings(page) {
    await open(page);
    assert.equal(await page.title(), "<Shop> & more");
    await until("logo", () => text(page, ".graphiql-logo"), /<Shop> & more/);
    assert.equal(await page.getByRole("button", { name: "Headers", exact: true }).count(), 0);
    await until("default query", () => text(page, ".graphiql-query-editor .view-line"), /hello\(name: "moon"\)/);
    await run(page);
    await sees(page, /Hello, moon!/);
  },

  async behindProxy(page, seen) {
    const address = await proxy(files);
    seen.own = new URL(address).host;
    await open(page, address);
    await ask(page, '{ user(id: "1") { name } }');
    await run(page);
    await sees(page, /"name": "Ada Lovelace"/);
    await subscribed(page);
  },
};

// -- all of them: nothing goes wrong unseen, and nothing leaves the host --
const browser = await chromium.launch({ executablePath, args: ["--disable-dev-shm-usage"] });
try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 720 }, ignoreHTTPSErrors: true });
  context.setDefaultTimeout(TIMEOUT);
  const page = await context.newPage();
  const seen = { errors: [], hosts: new Set(), own: new URL(url).host };
  page.on("console", (message) => /error|warning/.test(message.type()) && seen.errors.push(message.text()));
  page.on("pageerror", (error) => seen.errors.push(error.message));
  page.on("request", (request) => !/^(data|blob):/.test(request.url()) && seen.hosts.add(new URL(request.url()).host));
  page.on("websocket", (socket) => seen.hosts.add(new URL(socket.url()).host));
  await scenarios[scenario](page, seen);
  seen.hosts.delete(seen.own);
  assert.deepEqual([...seen.hosts], [], "requests to other hosts");
  assert.deepEqual(seen.errors, [], "errors and warnings in the browser's console");
} finally {
  await browser.close();
}
console.log("ok");
process.exit(0); // whatever a proxy holds open
