# SPDX-License-Identifier: MIT
"""What Python costs: a resolver in Python beside one in Lua, and perilune.proto beside the package protobuf.

make python && build/python/venv/bin/python tests/bench/python.py
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

import perilune

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "app.lua": "return { graphql = { max_aliases = 5000, max_cost = 1000000, max_root_fields = 5000, max_tokens = 100000 } }",
    "schema/a.graphql": "type Query { lua(n: Int): Int  plain(n: Int): Int  async(n: Int): Int }",
    "resolvers/a.lua": "return { Query = { lua = function(_, args) return args.n end } }",
}
USER = {
    "user_id": "u123",
    "display_name": "Ada Lovelace",
    "emails": [{"address": f"a{number}@example.com", "verified": number % 2 == 0} for number in range(10)],
}


def make_app():
    app = perilune.App(files=FILES, log_level="none", queue=100_000)
    app.resolver("Query", "plain")(lambda parent, args: args["n"])

    @app.resolver("Query", "async")
    async def later(parent, args):
        return args["n"]

    return app


def median_us(call, rounds):
    samples = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        samples.append(time.perf_counter() - begin)
    return statistics.median(samples) * 1e6


def resolvers(app):
    print("microseconds, medians          one in a request   each of 1,000 in a request")
    for field in ("lua", "plain", "async"):
        query = "{ " + " ".join(f"f{number}: {field}(n: {number})" for number in range(1000)) + " }"
        assert app.graphql(query)["data"]["f999"] == 999
        one = median_us(lambda field=field: app.graphql(f"{{ {field}(n: 1) }}"), 2000)
        many = median_us(lambda query=query: app.graphql(query), 30) / 1000
        print(f"  {field:<28} {one:>10.1f} {many:>22.2f}")


def throughput(app):
    mixed = "{ a: lua(n: 1) b: lua(n: 2) c: lua(n: 3) d: plain(n: 4) }"
    with app.serve("127.0.0.1:0") as server:
        print("requests per second over HTTP/1.1, one worker, wrk -t1 -c32")
        for name, query in (("one Lua resolver", "{ lua(n: 1) }"), ("three in Lua, one in Python", mixed)):
            url = f"http://{server.http}/graphql?query={urllib.parse.quote(query)}"
            command = ["wrk", "-t1", "-c32", "-d5s", "-H", "Accept: application/json", url]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            assert "Non-2xx" not in out, out
            rate = float(re.search(r"Requests/sec:\s*([0-9.]+)", out).group(1))
            print(f"  {name:<28} {rate:>10,.0f}")


def descriptor_set():
    with tempfile.NamedTemporaryFile() as out:
        command = ["protoc", "--include_imports", f"--proto_path={ROOT / 'tests/unit/support'}"]
        subprocess.run([*command, f"--descriptor_set_out={out.name}", "everything.proto"], check=True)
        return Path(out.name).read_bytes()


def protos():
    pool = perilune.proto.Pool(descriptor_set())
    wire, text = pool.encode("test.v1.User", USER), pool.to_json("test.v1.User", USER)
    return {
        "dict to bytes": lambda: pool.encode("test.v1.User", USER),
        "bytes to dict": lambda: pool.decode("test.v1.User", wire),
        "dict to JSON": lambda: pool.to_json("test.v1.User", USER),
        "JSON to dict": lambda: pool.from_json("test.v1.User", text),
    }


def others():
    from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set()).file:
        pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("test.v1.User"))
    wire = kind(**USER).SerializeToString()
    text = json_format.MessageToJson(kind(**USER))
    as_dict = json_format.MessageToDict
    return {
        "dict to bytes": lambda: kind(**USER).SerializeToString(),
        "bytes to dict": lambda: as_dict(kind.FromString(wire), preserving_proto_field_name=True),
        "dict to JSON": lambda: json_format.MessageToJson(kind(**USER)),
        "JSON to dict": lambda: as_dict(json_format.Parse(text, kind()), preserving_proto_field_name=True),
    }


def messages():
    """Protobuf's two implementations are chosen by the environment, before it is imported."""
    print("a message with ten messages in it, microseconds, medians")
    for name in ("perilune", "upb", "python"):
        env = os.environ | {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "upb" if name == "perilune" else name}
        subprocess.run([sys.executable, __file__, name], check=True, env=env)


def main():
    if len(sys.argv) > 1:
        calls = protos() if sys.argv[1] == "perilune" else others()
        figures = "  ".join(f"{what} {median_us(call, 2000):6.2f}" for what, call in calls.items())
        print(f"  {sys.argv[1] if sys.argv[1] == 'perilune' else 'protobuf, ' + sys.argv[1]:<18} {figures}")
        return
    with make_app() as app:
        resolvers(app)
        throughput(app)
    sys.stdout.flush()
    messages()


main()
