// SPDX-License-Identifier: MIT
// What the client programs share. They are run as: node PROGRAM.mjs URL ADMIN, with the `perilune` program in $PERILUNE.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";

const SECONDS = Number(process.env.CLIENT_TIMEOUT_S ?? 20);

/** Asks again and again until the condition holds. */
export async function until(what, condition) {
  const end = Date.now() + SECONDS * 1000;
  while (!(await condition())) {
    if (Date.now() > end) assert.fail(`${what}: not within ${SECONDS} s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Makes a new generation live. */
export function reload() {
  execFileSync(process.env.PERILUNE, ["reload", "--admin", process.argv[3]], { stdio: "pipe" });
}

export const POST_ADDED = `subscription PostAdded($authorId: ID) {
  postAdded(authorId: $authorId) { id title content author { id name } }
}`;

async function graphql(query, variables) {
  const headers = { "content-type": "application/json" };
  const response = await fetch(process.argv[2], { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined);
  return data;
}

/** The credentials of a user, as a header or as connection parameters. */
export async function signIn(email) {
  const { signIn } = await graphql("mutation ($email: String!) { signIn(email: $email) }", { email });
  return { authorization: `Bearer ${signIn}` };
}

/** A post from draft to publication, by a client that is not the one under test. */
export async function post(title, authorId) {
  const input = { title, content: "Text", authorId };
  const { createPost } = await graphql("mutation ($input: CreatePostInput!) { createPost(input: $input) { id } }", { input });
  await graphql("mutation ($id: ID!) { publishPost(id: $id) { id } }", { id: createPost.id });
}

/**
 * What every transport must do with `subscribe(variables, next, error)`, which returns a function that ends the subscription:
 * events and filters, a reload in between, an end, an error.
 */
export async function exercise(subscribe) {
  const hers = [];
  const all = [];
  const fail = (error) => assert.fail(`the subscription ended: ${error?.message ?? JSON.stringify(error)}`);
  const endHers = subscribe({ authorId: "3" }, (data) => hers.push(data.postAdded), fail);
  const endAll = subscribe({}, (data) => all.push(data.postAdded), fail);
  const has = (list, title) => list.some((one) => one.title === title);
  // Events are for those who have subscribed when they happen.
  await until("two subscriptions that work", async () => {
    await post("Warm-up", "3");
    return has(hers, "Warm-up") && has(all, "Warm-up");
  });
  await post("Not hers", "2");
  await post("Hers", "3");
  await until("both events", () => has(hers, "Hers") && has(all, "Hers"));
  assert.ok(has(all, "Not hers"));
  assert.ok(hers.every((one) => one.author.id === "3" && one.author.name === "Grace Hopper"));

  reload();
  await post("After the reload", "3");
  await until("the event after a reload", () => has(hers, "After the reload") && has(all, "After the reload"));

  endHers();
  const count = hers.length;
  await until("the end of one", async () => {
    const before = hers.length;
    await post("Perhaps heard", "3");
    await post("Unheard", "3");
    await until("the other subscriber", () => all.at(-1)?.title === "Unheard");
    return hers.length === before;
  });
  assert.ok(hers.length <= count + 2);
  endAll();
}
