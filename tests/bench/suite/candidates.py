# SPDX-License-Identifier: MIT
"""Who is compared: Perilune, the limits and the peers."""

import os
import subprocess
from dataclasses import dataclass, field

from .paths import BUNDLES, PEERS, PERILUNE, PROGRAMS, ROOT, Failed, work_dir
from .processes import SERVER_CORE, Server

OURS, LIMIT, PEER = "ours", "limit", "peer"


@dataclass(frozen=True)
class Candidate:
    name: str
    role: str
    serves: str  # graphql, grpc, events or protobuf
    command: tuple  # what stands before the arguments of the contract
    build: str = ""  # of scripts/bench-peers; "" for what make builds
    protocols: tuple = ("http1", "http2")
    args: tuple = ()  # before the port
    http2: tuple = ()  # arguments of a process of its own for HTTP/2
    lacks: tuple = ()  # cases that it cannot do
    modes: dict = field(default_factory=dict, hash=False)  # of events: {case: MODE}
    part: float = 1.0  # of the events: for what is slow
    env: dict = field(default_factory=dict, hash=False)
    what: str = ""  # for the report

    @property
    def compiles(self):
        """Whether it compiles code while it runs: then it is warmed up before each case."""
        return self.build == "node"


def bare(name):
    return (PROGRAMS / "limits" / f"bare_{name}",)


def node(name):
    return (PEERS / "node" / "node", PEERS / "node" / f"{name}.mjs")


def python(name):
    return (PEERS / "python" / "venv" / "bin" / "python", PEERS / "python" / f"{name}.py")


def go(name):
    return (PEERS / "go" / "bin" / name,)


def java(name):
    return ("java", "-cp", PEERS / "java" / "kafka-peers.jar", f"perilune.bench.{name}")


def rust(name):
    return (PEERS / "rust" / "release" / name,)


PRODUCTION = {"NODE_ENV": "production"}
# Of events: what each candidate is told to do in each case.
FULL_MODES = {"copy": "at_least_once", "exactly_once": "exactly_once"}
PYTHON_MODES = FULL_MODES | {"produce": "produce", "consume": "consume"}
C_MODES = {"copy": "json", "exactly_once": "exactly_once", "produce": "produce", "consume": "consume"}
GO_MODES = {"copy": "at_least_once", "produce": "produce", "consume": "consume"}
SEED = {"copy": "seed"}
EACH, BATCH = {"copy": "each", "consume": "consume"}, {"copy": "batch", "consume": "consume_batch"}
H1, H2 = ("http1",), ("http2",)
# bare_lua knows one query, of our bundle.
GRAPHQL = (BUNDLES / "graphql",)
NOT_NESTED = ("hello", "list", "mutation", "loaders", "variables", "subscribers")
# grpcio has two servers: each does what it is better at.
UNARY, STREAMS = ("hello", "nested"), ("stream", "chat")

CANDIDATES = (
    Candidate("perilune", OURS, "graphql", (), what="one worker"),
    Candidate("bare_h2o", LIMIT, "graphql", bare("h2o"), lacks=("subscribers",), what="libh2o, a fixed answer"),
    Candidate("bare_lua", LIMIT, "graphql", bare("lua"), args=GRAPHQL, lacks=NOT_NESTED, what="resolvers called by C alone"),
    Candidate("mercurius", PEER, "graphql", node("mercurius"), "node", http2=H2, env=PRODUCTION, what="Fastify, graphql-jit"),
    Candidate("yoga", PEER, "graphql", node("yoga"), "node", http2=H2, env=PRODUCTION, what="GraphQL Yoga on node:http"),
    Candidate("apollo", PEER, "graphql", node("apollo"), "node", H1, env=PRODUCTION, what="Apollo Server"),
    Candidate("gqlgen", PEER, "graphql", go("gqlgen"), "go", what="Go, generated code"),
    Candidate("graphql-go", PEER, "graphql", go("graphql-go"), "go", what="Go"),
    Candidate("async-graphql", PEER, "graphql", rust("async-graphql"), "rust", what="Rust, axum"),
    Candidate("perilune", OURS, "grpc", (), what="one worker"),
    Candidate("bare_nghttp2", LIMIT, "grpc", bare("nghttp2"), what="nghttp2, a fixed answer"),
    Candidate("grpc-go", PEER, "grpc", go("grpc"), "go", what="Go"),
    Candidate("tonic", PEER, "grpc", rust("tonic"), "rust", what="Rust"),
    Candidate("grpcio", PEER, "grpc", python("grpc_server"), "python", lacks=STREAMS, what="Python, C core, threads"),
    Candidate("grpcio-asyncio", PEER, "grpc", python("grpc_server"), "python", args=("asyncio",), lacks=UNARY, what="Python"),
    Candidate("grpc-js", PEER, "grpc", node("grpc"), "node", env=PRODUCTION, what="Node.js"),
    Candidate("perilune-each", OURS, "events", (), modes=EACH, what="one by one"),
    Candidate("perilune-batch", OURS, "events", (), modes=BATCH, what="a list at a time"),
    Candidate("perilune-exactly_once", OURS, "events", (), modes={"exactly_once": "exactly_once"}, what="in transactions"),
    Candidate("perilune", OURS, "events", (), modes={"produce": "produce"}, what="lists of 1,000"),
    Candidate("bare_kafka", LIMIT, "events", bare("kafka"), modes=C_MODES, what="librdkafka and cJSON in C"),
    Candidate("bare_kafka-bytes", LIMIT, "events", bare("kafka"), modes={"copy": "copy"}, what="the same, bytes as they are"),
    Candidate("kafka-go", PEER, "events", go("kafkacopy"), "go", modes=GO_MODES, what="Go, pipelined"),
    Candidate("kafka-go-seed", PEER, "events", go("kafkacopy"), "go", modes=SEED, part=0.002, what="Go, each write awaited"),
    Candidate("confluent-kafka", PEER, "events", python("kafka_copy"), "python", modes=PYTHON_MODES, what="Python, librdkafka"),
    Candidate("kafka-clients", PEER, "events", java("Copy"), "java", modes=FULL_MODES, what="Java, consumer and producer"),
    Candidate("kafka-streams", PEER, "events", java("Streams"), "java", modes=FULL_MODES, what="Java, a topology"),
    Candidate("lua-protobuf", PEER, "protobuf", ("lua5.4", ROOT / "tests" / "bench" / "protobuf.lua"), what="C for Lua, pb"),
    Candidate("python-upb", PEER, "protobuf", python("protobuf_messages"), "python", what="Protobuf for Python"),
)  # fmt: skip


def known(serves=None):
    return [one for one in CANDIDATES if serves in (None, one.serves)]


class Chosen:
    """Those that take part: ours and the limits always, and the peers that --peers names."""

    def __init__(self, peers="all"):
        names = {one.name for one in CANDIDATES if one.role == PEER}
        wanted = names if peers == "all" else set() if peers == "none" else set(peers.split(","))
        if wanted - names:
            raise Failed(f"no peer {', '.join(sorted(wanted - names))}; there are: {', '.join(sorted(names))}")
        self.candidates = [one for one in CANDIDATES if one.role != PEER or one.name in wanted]

    def of(self, serves):
        return [one for one in self.candidates if one.serves == serves]

    def build(self, kinds):
        """Builds the peers of these kinds of cases. What cannot be built ends the run."""
        groups = sorted({one.build for one in self.candidates if one.build and one.serves in kinds})
        if not groups:
            return
        builder = ROOT / "scripts" / "bench-peers"
        if not builder.exists() or subprocess.run([builder, *groups], check=False).returncode:
            names = [one.name for one in self.candidates if one.build in groups and one.serves in kinds]
            raise Failed(
                f"could not build all of {', '.join(names)} (scripts/bench-peers {' '.join(groups)}; see above). "
                "--peers leaves some out, --peers none all of them"
            )


def perilune(bundle, name="perilune", *, workers=1, env=None, core=SERVER_CORE, http="127.0.0.1:0"):
    """Ours, as in production: no settings but the number of workers and where it listens."""
    folder = work_dir("perilune")
    command = [PERILUNE, "run", bundle, "--workers", workers, "--http", http, "--admin", folder / f"{name}.sock"]
    return Server(name, [*command, "--grpc", "127.0.0.1:0"], folder / f"{name}.log", env, core)


def database(name):
    """The path of a database that is not there yet."""
    path = work_dir("db") / f"{name}.db"
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return path


def exists(candidate):
    by = f"scripts/bench-peers {candidate.build}" if candidate.build else "make bench"
    for part in candidate.command:
        if os.path.isabs(part) and not os.path.exists(part):
            raise Failed(f"{candidate.name}: there is no {part}; {by} should have built it")


def server(candidate, protocol="http1"):
    """A server of GraphQL or gRPC, not started. Limits need an answer: see limit()."""
    more = candidate.http2 if protocol == "http2" else candidate.args
    env = dict(candidate.env, BENCH_DB=str(database("-".join((candidate.serves, candidate.name, *more)))))
    if candidate.role == OURS:
        return perilune(BUNDLES / candidate.serves, f"perilune-{candidate.serves}", env=env)
    exists(candidate)
    log = work_dir(candidate.serves) / f"{candidate.name}{'-'.join(('', *more))}.log"
    return Server(candidate.name, [*candidate.command, *more, 0], log, env)


def service(candidate, mode, brokers, topics, count):
    """A service of events; `topics` are its group, input and output. What only produces makes so many."""
    env = candidate.env | {"BENCH_COUNT": str(count)}
    if candidate.role == OURS:
        names = zip(("BROKERS", "GROUP", "INPUT", "OUTPUT", "MODE"), (brokers, *topics, mode), strict=True)
        bundle = BUNDLES / ("produce" if mode == "produce" else "events")
        return perilune(bundle, candidate.name, env=env | {f"BENCH_{name}": value for name, value in names})
    exists(candidate)
    return Server(candidate.name, [*candidate.command, brokers, *topics, mode], work_dir("events") / f"{candidate.name}.log", env)


def limit(candidate, answer, case):
    """A limit that always answers with these bytes."""
    path = work_dir(candidate.serves) / f"{case}.answer"
    path.write_bytes(answer)
    mode = ("chat",) if case == "chat" else ()
    return Server(
        candidate.name, [*candidate.command, *candidate.args, 0, path, *mode], path.with_suffix(f".{candidate.name}.log")
    )
