// SPDX-License-Identifier: MIT
// A subgraph that is not ours: prints its URL, and serves until it is killed.
import http from "node:http";
import { buildSubgraphSchema } from "@apollo/subgraph";
import { graphql, parse } from "graphql";

export const name = "inventory";
export const sdl = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.0", import: ["@key", "@external", "@requires", "@shareable"])
  type Query { inStock: [Product!]! }
  type Product @key(fields: "id") {
    id: ID!
    name: String! @shareable
    weight: Int @external
    price: Int
    stock: Int!
    shipping: Int @requires(fields: "weight")
  }
`;

const stock = { 1: 5, 2: 0 };
const resolvers = {
  Query: { inStock: () => [{ id: "1" }] },
  Product: {
    __resolveReference: (reference) => reference,
    name: () => "a name of the inventory",
    price: () => -1,
    stock: (product) => stock[product.id],
    shipping: (product) => product.weight / 100,
  },
};

if (process.argv[2] === "serve") {
  const schema = buildSubgraphSchema({ typeDefs: parse(sdl), resolvers });
  const server = http.createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    const { query, variables, operationName } = JSON.parse(body);
    const result = await graphql({ schema, source: query, variableValues: variables, operationName });
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(result));
  });
  server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
} else {
  console.log(sdl);
}
