# SPDX-License-Identifier: MIT
"""perilune.grpc over TLS, with a certificate of its own, and over unix sockets."""

import subprocess

import grpc
import pytest

from grpc_backend import DRIVER, Backend, failed, ran
from harness import self_signed


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


def echo(item, context):
    item.names.extend(name.decode() for name in context.auth_context().get("x509_common_name", []))
    return item


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(DRIVER)


@pytest.fixture
def certificate(tmp_path):
    return self_signed(tmp_path)


def credentials(certificate, key, client_ca=None):
    pair = [(key.read_bytes(), certificate.read_bytes())]
    root = client_ca.read_bytes() if client_ca else None
    return grpc.ssl_server_credentials(pair, root, require_client_auth=client_ca is not None)


@pytest.mark.core
def test_tls(server, certificate):
    code = """
local target, ca = ...
local c = grpc.client(target, "test.v1.Test", {
  tls = { ca = ca, server_name = "localhost" },
  credentials = function() return { authorization = "secret" } end })
return c:Echo({ text = "x" }).text
"""
    with Backend(Echo=echo, credentials=credentials(*certificate)) as backend:
        assert ran(server, code, backend.address, str(certificate[0])) == "x"
        assert backend.calls[0][1]["authorization"] == ["secret"]


def test_who_is_not_trusted(server, certificate, tmp_path_factory):
    other, _ = self_signed(tmp_path_factory.mktemp("other"))
    with Backend(Echo=echo, credentials=credentials(*certificate)) as backend:
        code = (
            "return grpc.client((...), 'test.v1.Test', { tls = { ca = select(2, ...), server_name = select(3, ...) } }):Echo {}"
        )
        answer = failed(server, code, backend.address, str(other), "localhost")
        assert answer["code"] == "UNAVAILABLE"
        assert "certificate" in answer["message"]
        answer = failed(server, code, backend.address, str(certificate[0]), "elsewhere.example")
        assert answer["code"] == "UNAVAILABLE"
        assert "elsewhere.example" in answer["message"]
        answer = failed(server, "return grpc.client((...), 'test.v1.Test', { tls = true }):Echo {}", backend.address)
        assert answer["code"] == "UNAVAILABLE"
        answer = failed(server, "return client(...):Echo {}", backend.address)  # without TLS
        assert answer["code"] == "UNAVAILABLE"
        code = "return grpc.client((...), 'test.v1.Test', { tls = { unverified = true } }):Echo({ text = 'x' }).text"
        assert ran(server, code, backend.address) == "x"
        code = "return grpc.client((...), 'test.v1.Test', { tls = { ca = '/nowhere.pem' } }):Echo {}"
        assert "/nowhere.pem" in failed(server, code, backend.address)["message"]


@pytest.mark.core
def test_mutual_tls(server, certificate, tmp_path):
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    ca, ca_key = tmp_path / "ca.pem", tmp_path / "ca-key.pem"
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=Test CA", "-keyout", ca_key, "-out", ca)
    request, client, client_key = tmp_path / "client.csr", tmp_path / "client.pem", tmp_path / "client-key.pem"
    openssl("req", "-new", *key, "-subj", "/CN=orders", "-keyout", client_key, "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-set_serial", "1", "-days", "2", "-out", client)
    code = """
local target, ca, certificate, key = ...
local c = grpc.client(target, "test.v1.Test", {
  tls = { ca = ca, server_name = "localhost", certificate = certificate, key = key } })
return c:Echo({}).names
"""
    with Backend(Echo=echo, credentials=credentials(*certificate, client_ca=ca)) as backend:
        paths = [str(path) for path in (certificate[0], client, client_key)]
        assert ran(server, code, backend.address, *paths) == ["orders"]
        code = "return grpc.client((...), 'test.v1.Test', { tls = { ca = select(2, ...), server_name = 'localhost' } }):Echo {}"
        assert failed(server, code, backend.address, paths[0])["code"] == "UNAVAILABLE"


def test_unix_socket(server, tmp_path):
    path = f"unix:{tmp_path}/backend.sock"
    with Backend(Echo=echo, address=path):
        code = """
local c = grpc.client(..., "test.v1.Test", { credentials = function() return { authorization = "x" } end })
return c:Echo({ text = "x" }).text
"""
        assert ran(server, code, path) == "x"


def test_a_name(server):
    with Backend(Echo=echo) as backend:
        assert ran(server, "return client(...):Echo({ text = 'x' }).text", f"dns:///localhost:{backend.port}") == "x"
    answer = failed(server, "return client('dns:///no-such-host.invalid:1'):Echo {}")
    assert answer["code"] == "UNAVAILABLE"
    assert "no-such-host.invalid" in answer["message"]
    answer = failed(server, "return client('gopher://x'):Echo {}")
    assert 'there are no targets like "gopher://x"' in answer["message"]
    assert failed(server, "return client('ipv4:x'):Echo {}")["code"] == "INVALID_ARGUMENT"
