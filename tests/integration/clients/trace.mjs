// SPDX-License-Identifier: MIT
// Reads a trace (ftv1, in Base64) and prints it as JSON.
import { Trace } from "@apollo/usage-reporting-protobuf";
import { readFileSync } from "node:fs";

const bytes = Buffer.from(readFileSync(0, "utf8"), "base64");
const trace = Trace.decode(bytes);
if (Trace.verify(trace) || !Buffer.from(Trace.encode(trace).finish()).equals(bytes)) throw new Error("the trace is not valid");
console.log(JSON.stringify(trace.toJSON()));
