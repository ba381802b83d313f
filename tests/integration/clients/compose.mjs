// SPDX-License-Identifier: MIT
// Reads [{name, url, sdl}] and prints {sdl, hints, errors}: the supergraph that they make.
import { composeServices } from "@apollo/composition";
import { parse } from "graphql";
import { readFileSync } from "node:fs";

const services = JSON.parse(readFileSync(0, "utf8"));
const result = composeServices(services.map(({ name, url, sdl }) => ({ name, url, typeDefs: parse(sdl) })));
const errors = (result.errors ?? []).map((error) => error.message);
console.log(JSON.stringify({ sdl: result.supergraphSdl, hints: (result.hints ?? []).map(String), errors }));
