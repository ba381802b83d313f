# SPDX-License-Identifier: MIT
"""Messages of .proto texts for Python, and a gRPC client of their services."""

import contextlib
import subprocess
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import grpc_client
from harness import write_bundle


def descriptor_set(files):
    """The bytes of the FileDescriptorSet of {path relative to the import root: text}."""
    with tempfile.TemporaryDirectory() as folder:
        return compile_files(write_bundle(folder, files), list(files))


def compile_files(folder, names):
    """The same for files in a folder."""
    with tempfile.NamedTemporaryFile() as out:
        command = ["protoc", "--include_imports", f"--proto_path={folder}", f"--descriptor_set_out={out.name}", *names]
        subprocess.run(command, check=True)
        return Path(out.name).read_bytes()


class Protos:
    """The messages and services of a descriptor set: its bytes, {path: text}, or (folder, [file])."""

    def __init__(self, files):
        if isinstance(files, tuple):
            self.set = compile_files(*files)
        else:
            self.set = files if isinstance(files, bytes) else descriptor_set(files)
        self.pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(self.set).file:
            self.pool.Add(file)

    def __getitem__(self, name):
        """The class of a message."""
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))

    def stub(self, channel, service):
        return Stub(self, channel, service)

    @contextlib.contextmanager
    def connect(self, server, service, **options):
        with grpc_client.connect(server, **options) as raw:
            yield self.stub(raw.channel, service)


class Stub:
    """stub.Method(request or iterator of requests, timeout=…), as generated code has them; stub["Method"] makes a request."""

    def __init__(self, protos, channel, service):
        self._descriptor = protos.pool.FindServiceByName(service)
        for method in self._descriptor.methods:
            kind = ("stream" if method.client_streaming else "unary") + ("_stream" if method.server_streaming else "_unary")
            answer = message_factory.GetMessageClass(method.output_type)
            path = f"/{service}/{method.name}"
            request = message_factory.GetMessageClass(method.input_type)
            call = getattr(channel, kind)(path, request.SerializeToString, answer.FromString)
            setattr(self, method.name, call)

    def __getitem__(self, method):
        return message_factory.GetMessageClass(self._descriptor.methods_by_name[method].input_type)
