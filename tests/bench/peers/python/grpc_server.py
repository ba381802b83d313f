# SPDX-License-Identifier: MIT
"""grpc_server.py [asyncio] PORT: bench.v1.Bench on grpcio's server with threads, or on its asyncio server."""

import asyncio
import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import bench_pb2 as pb
import bench_pb2_grpc
import grpc
import uvloop


def greeting(request):
    return pb.HelloReply(message=f"Hello {request.name}")


def confirmed(order):
    order.total = sum(line.price * line.quantity for line in order.lines)
    order.status = pb.STATUS_CONFIRMED
    return order


class Bench(bench_pb2_grpc.BenchServicer):
    def Hello(self, request, context):
        return greeting(request)

    def Nested(self, request, context):
        return confirmed(request)

    def Stream(self, request, context):
        for _ in range(request.count):
            yield greeting(request)

    def Chat(self, requests, context):
        for request in requests:
            yield greeting(request)


class AsyncBench(bench_pb2_grpc.BenchServicer):
    async def Hello(self, request, context):
        return greeting(request)

    async def Nested(self, request, context):
        return confirmed(request)

    async def Stream(self, request, context):
        for _ in range(request.count):
            yield greeting(request)

    async def Chat(self, requests, context):
        async for request in requests:
            yield greeting(request)


def bind(server, servicer):
    bench_pb2_grpc.add_BenchServicer_to_server(servicer, server)
    return server.add_insecure_port(f"127.0.0.1:{sys.argv[-1]}")


def ready(port):
    print(json.dumps({"event": "ready", "grpc": f"127.0.0.1:{port}"}), flush=True)


def serve():
    server = grpc.server(ThreadPoolExecutor(max_workers=10))
    port = bind(server, Bench())
    signal.signal(signal.SIGTERM, lambda *_: server.stop(grace=None))
    server.start()
    ready(port)
    server.wait_for_termination()


async def serve_async():
    server = grpc.aio.server()
    port = bind(server, AsyncBench())
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: loop.create_task(server.stop(grace=None)))
    await server.start()
    ready(port)
    await server.wait_for_termination()


if sys.argv[1:-1] == ["asyncio"]:
    uvloop.run(serve_async())
else:
    serve()
