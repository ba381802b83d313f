# SPDX-License-Identifier: MIT
"""grpc_server.py PORT: bench.v1.Bench on grpcio's asyncio server."""

import asyncio
import json
import signal
import sys

import bench_pb2 as pb
import bench_pb2_grpc
import grpc


def greeting(request):
    return pb.HelloReply(message=f"Hello {request.name}")


class Bench(bench_pb2_grpc.BenchServicer):
    async def Hello(self, request, context):
        return greeting(request)

    async def Nested(self, order, context):
        order.total = sum(line.price * line.quantity for line in order.lines)
        order.status = pb.STATUS_CONFIRMED
        return order

    async def Stream(self, request, context):
        for _ in range(request.count):
            yield greeting(request)

    async def Chat(self, requests, context):
        async for request in requests:
            yield greeting(request)


async def main():
    server = grpc.aio.server()
    bench_pb2_grpc.add_BenchServicer_to_server(Bench(), server)
    port = server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await server.start()
    print(json.dumps({"event": "ready", "grpc": f"127.0.0.1:{port}"}), flush=True)
    await stop.wait()
    await server.stop(grace=None)


asyncio.run(main())
