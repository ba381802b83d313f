// SPDX-License-Identifier: MIT
// Apollo Client 3 with split links and the legacy WebSocketLink, against examples/blog: node apollo3.mjs URL
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { reload, signIn, until } from "./support.mjs";

const require = createRequire(import.meta.url);
const { ApolloClient, InMemoryCache, createHttpLink, gql, split } = require("apollo-client-3/core");
const { WebSocketLink } = require("apollo-client-3/link/ws");
const { getMainDefinition } = require("apollo-client-3/utilities");
const { SubscriptionClient } = require("subscriptions-transport-ws");
const WebSocket = require("ws");

const url = process.argv[2];
const httpLink = createHttpLink({ uri: url, fetch });
const socket = new SubscriptionClient(url.replace(/^http/, "ws"), { reconnect: true }, WebSocket);
const opened = [];
socket.onConnected(() => opened.push("connected"));
socket.onReconnected(() => opened.push("reconnected"));
const splitLink = split(
  ({ query }) => {
    const definition = getMainDefinition(query);
    return definition.kind === "OperationDefinition" && definition.operation === "subscription";
  },
  new WebSocketLink(socket),
  httpLink,
);
const client = new ApolloClient({
  link: splitLink,
  cache: new InMemoryCache(),
  defaultOptions: { watchQuery: { errorPolicy: "all" }, query: { errorPolicy: "all" } },
});

// -- queries --
const GET_USERS = gql`
  query GetUsers($limit: Int, $offset: Int) {
    users(limit: $limit, offset: $offset) { id name email createdAt posts { id title publishedAt } }
  }
`;
const GET_USER = gql`
  query GetUser($id: ID!) { user(id: $id) { id name email posts { id title content publishedAt } } }
`;
const page = { limit: 10, offset: 0 };
const { data, errors } = await client.query({ query: GET_USERS, variables: page });
assert.equal(errors, undefined);
assert.equal(data.users.length, 5);
assert.equal((await client.query({ query: GET_USER, variables: { id: "2" } })).data.user.name, "Alan Turing");

// -- errorPolicy: "all" gives data and errors side by side --
const partial = await client.query({ query: gql`{ user(id: "1") { id name } nobody: user(id: "999") { id } }` });
assert.deepEqual([partial.data.user.name, partial.data.nobody, partial.errors], ["Ada Lovelace", null, undefined]);
const refused = await client.query({ query: GET_USERS, variables: { limit: 0 } });
assert.equal(refused.errors[0].extensions.code, "INVALID_ARGUMENT");
assert.deepEqual(refused.errors[0].path, ["users"]);

// -- a mutation, and the cache after it --
const CREATE_USER = gql`
  mutation CreateUser($input: CreateUserInput!) {
    createUser(input: $input) { id name email createdAt posts { id title publishedAt } }
  }
`;
const seen = [];
const watch = client.watchQuery({ query: GET_USERS, variables: page }).subscribe(({ data }) => seen.push(data.users.length));
const created = await client.mutate({
  mutation: CREATE_USER,
  variables: { input: { name: "Margaret Hamilton", email: "margaret@example.com" } },
  update(cache, { data: { createUser } }) {
    const existing = cache.readQuery({ query: GET_USERS, variables: page });
    const users = [...existing.users, createUser];
    cache.writeQuery({ query: GET_USERS, variables: page, data: { users } });
  },
});
assert.equal(created.data.createUser.name, "Margaret Hamilton");
await until("the watched query", () => seen.at(-1) === 6);
watch.unsubscribe();
const cached = client.readQuery({ query: GET_USERS, variables: page });
const fresh = await client.query({ query: GET_USERS, variables: page, fetchPolicy: "network-only" });
assert.deepEqual(fresh.data, cached, "the cache holds what the server says");

// -- subscriptions --
const POST_ADDED = gql`
  subscription PostAdded($authorId: ID) {
    postAdded(authorId: $authorId) { id title content author { id name } }
  }
`;
const CREATE_POST = gql`mutation ($input: CreatePostInput!) { createPost(input: $input) { id } }`;
const PUBLISH_POST = gql`mutation ($id: ID!) { publishPost(id: $id) { id } }`;
async function post(title, authorId) {
  const made = await client.mutate({ mutation: CREATE_POST, variables: { input: { title, content: "Text", authorId } } });
  await client.mutate({ mutation: PUBLISH_POST, variables: { id: made.data.createPost.id } });
}
const titles = [];
const ofGrace = client.subscribe({ query: POST_ADDED, variables: { authorId: "3" } }).subscribe({
  next({ data }) {
    assert.deepEqual(data.postAdded.author, { __typename: "User", id: "3", name: "Grace Hopper" });
    titles.push(data.postAdded.title);
  },
  error: (error) => titles.push(error.message),
});
const all = [];
const ofAll = client.subscribe({ query: POST_ADDED }).subscribe(({ data }) => all.push(data.postAdded.title));
await until("a subscription that works", async () => {
  await post("Warm-up", "3"); // events are for those who have subscribed when they happen
  return titles.includes("Warm-up") && all.includes("Warm-up");
});
await post("Not hers", "2");
await post("Hers", "3");
await until("both", () => titles.includes("Hers") && all.includes("Hers"));
assert.ok(all.includes("Not hers"));
assert.ok(!titles.includes("Not hers"));

// The stream goes on over a reload, on the same connection.
reload();
await post("After the reload", "3");
await until("the event after a reload", () => titles.includes("After the reload"));
assert.deepEqual(opened, ["connected"]);

// One that has unsubscribed hears nothing; the other goes on.
ofGrace.unsubscribe();
const count = titles.length;
await post("Unheard", "3");
await until("the other subscriber", () => all.includes("Unheard"));
assert.equal(titles.length, count);
ofAll.unsubscribe();

// What is not valid is an error of this subscription alone.
const failed = await new Promise((resolve) => {
  client.subscribe({ query: gql`subscription { nothing }` }).subscribe({ next: resolve, error: resolve });
});
assert.match(JSON.stringify(failed.graphQLErrors ?? failed.errors ?? failed.message), /Cannot query field/);

// Connection parameters say who it is; wrong ones are refused.
const connectAs = (connectionParams) => {
  const options = { reconnect: false, connectionParams, connectionCallback: (errors) => errors && outcomes.push(errors) };
  return new ApolloClient({
    link: new WebSocketLink(new SubscriptionClient(url.replace(/^http/, "ws"), options, WebSocket)),
    cache: new InMemoryCache(),
  });
};
const outcomes = [];
const VIEWER = gql`{ viewer { name } }`;
const ada = connectAs(await signIn("ada@example.com"));
assert.equal((await ada.query({ query: VIEWER })).data.viewer.name, "Ada Lovelace");
connectAs({ authorization: "Bearer 1.9999999999.00" }).query({ query: VIEWER }).catch(() => {});
await until("the refusal", () => outcomes.length > 0);
assert.match(JSON.stringify(outcomes[0].message ?? outcomes[0]), /token is not valid/);

socket.close();
client.stop();
console.log("ok");
process.exit(0);
