# SPDX-License-Identifier: MIT
"""gRPC over TLS, and clients that show certificates."""

import subprocess

import grpc
import pytest

from grpc_client import connect, fails
from harness import run_cli, self_signed

SERVICE = {
    "services/who.lua": """
return { ["test.Who"] = {
  Are = function(req, call)
    local c = call.certificate
    if not c then return "nobody" end
    return table.concat({ c.subject, c.common_name, c.dns_names[1], c.uris[1], c.emails[1], #c.fingerprint, c.serial }, " ")
  end,
} }
"""
}


def openssl(*args, stdin=None):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, input=stdin)


@pytest.fixture
def authority(tmp_path):
    """A CA, and a client's certificate that it has signed: (CA file, client certificate, client key)."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    ca, ca_key = tmp_path / "ca.pem", tmp_path / "ca-key.pem"
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=Test CA", "-keyout", ca_key, "-out", ca)
    request, certificate, client_key = tmp_path / "client.csr", tmp_path / "client.pem", tmp_path / "client-key.pem"
    openssl("req", "-new", *key, "-subj", "/O=Example/CN=orders", "-keyout", client_key, "-out", request)
    extensions = tmp_path / "client.ext"
    extensions.write_text("subjectAltName=DNS:orders.example,URI:spiffe://example/orders,email:orders@example.com\n")
    openssl(
        *("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-set_serial", "0x1234", "-days", "2"),
        *("-extfile", extensions, "-out", certificate),
    )
    return ca, certificate, client_key


def flags(tmp_path, *more):
    certificate, key = self_signed(tmp_path)
    return ["--grpcs", "localhost:0", "--tls-cert", certificate, "--tls-key", key, *more], certificate


def over_tls(server, certificate, client=None):
    pair = {"private_key": client[1].read_bytes(), "certificate_chain": client[0].read_bytes()} if client else {}
    credentials = grpc.ssl_channel_credentials(root_certificates=certificate.read_bytes(), **pair)
    address = "localhost:" + server.ready["grpcs"].rpartition(":")[2]
    return connect(server, "test.Who", address=address, credentials=credentials)


@pytest.mark.core
def test_tls(start, tmp_path):
    more, certificate = flags(tmp_path)
    server = start(SERVICE, *more)
    assert "grpc" not in server.ready
    with over_tls(server, certificate) as who:
        assert who.unary("Are")(b"") == b"nobody"
        assert [call.result() for call in [who.unary("Are").future(b"") for _ in range(100)]] == [b"nobody"] * 100


@pytest.mark.core
def test_mutual_tls(start, tmp_path, authority):
    ca, client, key = authority
    more, certificate = flags(tmp_path, "--grpc-client-ca", ca, "--grpc", "127.0.0.1:0")
    server = start(SERVICE, *more)
    expected = b"CN=orders,O=Example orders orders.example spiffe://example/orders orders@example.com 64 1234"
    with over_tls(server, certificate, (client, key)) as who:
        assert who.unary("Are")(b"") == expected
    with over_tls(server, certificate) as who:
        assert fails(lambda: who.unary("Are")(b"", timeout=5)).code() is grpc.StatusCode.UNAVAILABLE
    other = self_signed(tmp_path)
    with over_tls(server, certificate, other) as who:
        assert fails(lambda: who.unary("Are")(b"", timeout=5)).code() is grpc.StatusCode.UNAVAILABLE
    with connect(server, "test.Who") as who:
        assert who.unary("Are")(b"") == b"nobody"


def test_wrong_flags(tmp_path, bundle):
    directory = bundle(SERVICE)
    result = run_cli("run", directory, "--http", "127.0.0.1:0", "--grpcs", "127.0.0.1:0")
    assert result.returncode == 1 and "--grpcs needs --tls-cert" in result.stderr
    more, _ = flags(tmp_path, "--grpc-client-ca", tmp_path / "none.pem")
    result = run_cli("run", directory, "--http", "127.0.0.1:0", *more)
    assert result.returncode == 1 and "none.pem" in result.stderr
