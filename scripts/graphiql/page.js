// SPDX-License-Identifier: MIT
// The GraphiQL page: core/app/ide.c writes the HTML around it, with the settings in an attribute.
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
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

createRoot(element).render(
  h(
    GraphiQL,
    {
      fetcher: createGraphiQLFetcher({ url: url.href, subscriptionUrl: socket.href }),
      defaultQuery: defaultQuery ?? undefined,
      isHeadersEditorEnabled: headers,
      className: "perilune",
    },
    h(GraphiQL.Logo, null, title),
  ),
);
