// SPDX-License-Identifier: MIT
// The GraphiQL page: core/app/ide.c writes the HTML around it, with the settings in an attribute.
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { getOperationAST, parse } from "graphql";
import { createClient } from "graphql-ws";
import { createElement as h } from "react";
import { createRoot } from "react-dom/client";

// The names of the workers are filled in by scripts/build-graphiql.
/* global EDITOR_WORKER, GRAPHQL_WORKER, JSON_WORKER */
const workers = { graphql: GRAPHQL_WORKER, json: JSON_WORKER };
globalThis.MonacoEnvironment = {
  getWorker: (_, label) => new Worker(new URL(workers[label] ?? EDITOR_WORKER, import.meta.url)),
};

const element = document.getElementById("graphiql");
const { title, defaultQuery, headers } = JSON.parse(element.dataset.settings);

// The page has the address of the GraphQL service itself, whatever a proxy made of it.
const url = new URL(location.pathname, location.href);
const socket = new URL(url);
socket.protocol = url.protocol === "https:" ? "wss:" : "ws:";

const overHttp = createGraphiQLFetcher({ url: url.href });

/** An error that says more than {}, which is what the page makes of an event. */
const described = (error) =>
  error instanceof CloseEvent ? new Error(`The connection was closed: ${error.code} ${error.reason}`.trim()) : error;

/** The results of a subscription, over a connection of its own; the headers are its parameters. Who looks on sees when it breaks. */
function overWebSocket(operation, headers) {
  const results = createClient({ url: socket.href, connectionParams: headers, retryAttempts: 0 }).iterate(operation);
  return {
    next: () =>
      results.next().catch((error) => {
        throw described(error);
      }),
    return: () => results.return(), // at once, also while next() waits, as a generator could not
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** Looks at the text that is sent: what GraphiQL knows of it lags behind fast typing. */
function isSubscription({ query, operationName }) {
  try {
    return getOperationAST(parse(query), operationName)?.operation === "subscription";
  } catch {
    return false; // the server says what is wrong with it
  }
}

const fetcher = (operation, { headers } = {}) =>
  isSubscription(operation) ? overWebSocket(operation, headers) : overHttp(operation, { headers });

createRoot(element).render(
  h(
    GraphiQL,
    { fetcher, defaultQuery: defaultQuery ?? undefined, isHeadersEditorEnabled: headers },
    h(GraphiQL.Logo, null, title),
  ),
);
