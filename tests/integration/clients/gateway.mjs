// SPDX-License-Identifier: MIT
// Reads {supergraph, requests: [{query, variables}], traces} and prints {api, responses}: the schema that
// clients of the supergraph see, and what @apollo/gateway answers.
import { ApolloGateway, RemoteGraphQLDataSource } from "@apollo/gateway";
import { parse, printSchema } from "graphql";
import { readFileSync } from "node:fs";

const { supergraph, requests } = JSON.parse(readFileSync(0, "utf8"));
const quiet = { debug() {}, info() {}, warn: console.error, error: console.error };
const gateway = new ApolloGateway({
  supergraphSdl: supergraph,
  logger: quiet,
  buildService: ({ url }) => new RemoteGraphQLDataSource({ url }),
});
let api;
gateway.onSchemaLoadOrUpdate(({ apiSchema }) => (api = printSchema(apiSchema)));
const { executor } = await gateway.load({ apollo: {} });
const responses = [];
for (const request of requests) {
  const result = await executor({
    document: parse(request.query),
    request,
    queryHash: request.query,
    context: {},
    logger: quiet,
    operationName: null,
    metrics: {},
    overallCachePolicy: {},
  });
  responses.push(result);
}
await gateway.stop();
console.log(JSON.stringify({ api, responses }));
