// SPDX-License-Identifier: MIT
// Apollo Client 4 with split links and graphql-ws, against examples/blog: node apollo4_websocket.mjs URL ADMIN
import assert from "node:assert/strict";
import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from "@apollo/client/core";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { POST_ADDED, exercise, signIn, until } from "./support.mjs";

globalThis.WebSocket ??= WebSocket; // which the link asks for by this name, as in a browser
const url = process.argv[2];
const events = [];
const socket = createClient({
  url: url.replace(/^http/, "ws"),
  webSocketImpl: WebSocket,
  keepAlive: 20, // pings, which the server answers
  lazyCloseTimeout: 60_000,
  on: { connected: () => events.push("connected"), pong: (received) => received && events.push("pong") },
});
const client = new ApolloClient({
  link: ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(socket),
    new HttpLink({ uri: url }),
  ),
  cache: new InMemoryCache(),
});

// A mutation, and the cache after it.
const GET_USERS = gql`query GetUsers($limit: Int) { users(limit: $limit) { id name } }`;
const variables = { limit: 10 };
assert.equal((await client.query({ query: GET_USERS, variables })).data.users.length, 5);
await client.mutate({
  mutation: gql`mutation ($input: CreateUserInput!) { createUser(input: $input) { id name } }`,
  variables: { input: { name: "Margaret Hamilton", email: "margaret@example.com" } },
  update(cache, { data: { createUser } }) {
    cache.updateQuery({ query: GET_USERS, variables }, ({ users }) => ({ users: [...users, createUser] }));
  },
});
const fresh = await client.query({ query: GET_USERS, variables, fetchPolicy: "network-only" });
assert.equal(fresh.data.users.at(-1).name, "Margaret Hamilton");
assert.equal(fresh.data.users.length, 6);
const partial = await client.query({ query: gql`{ user(id: "1") { id } users(limit: 0) { id } }`, errorPolicy: "all" });
assert.ok(CombinedGraphQLErrors.is(partial.error));

await exercise((subscribed, next, error) => {
  const subscription = client.subscribe({ query: gql(POST_ADDED), variables: subscribed }).subscribe({
    next: (result) => (result.error ? error(result.error) : next(result.data)),
    error,
  });
  return () => subscription.unsubscribe();
});
assert.deepEqual(events.filter((one) => one === "connected"), ["connected"], "one connection, also over the reload");
await until("a pong", () => events.includes("pong"));

const failed = await new Promise((resolve) => {
  client.subscribe({ query: gql`subscription { nothing }` }).subscribe({ next: (result) => resolve(result.error), error: resolve });
});
assert.match(failed.message, /Cannot query field "nothing"/);

// Who signs in with connection parameters is online, and is who asks on that connection.
const online = [];
client.subscribe({ query: gql`subscription { userOnline { name } }` }).subscribe((result) => online.push(result.data.userOnline.name));
const connectAs = (connectionParams) =>
  createClient({ url: url.replace(/^http/, "ws"), webSocketImpl: WebSocket, connectionParams, retryAttempts: 0 });
const credentials = await signIn("ada@example.com");
await until("a user who is online", async () => {
  const ada = connectAs(credentials); // again, should the subscription have come later
  const viewer = await ada.iterate({ query: "{ viewer { name } }" }).next();
  assert.deepEqual(viewer.value, { data: { viewer: { name: "Ada Lovelace" } } });
  await ada.dispose();
  return online.includes("Ada Lovelace");
});
const stranger = connectAs({ authorization: "Bearer 1.9999999999.00" });
const refused = await stranger.iterate({ query: "{ viewer { name } }" }).next().catch((error) => error);
assert.equal(refused.code, 4403, "Forbidden");
await socket.dispose();
client.stop();
console.log("ok");
process.exit(0);
