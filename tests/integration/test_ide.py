# SPDX-License-Identifier: MIT
"""The GraphiQL page, in headless Chromium and on the wire."""

import http.client
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import SLOWNESS, self_signed

CLIENTS = Path(__file__).parent / "clients"
BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"}

pytestmark = pytest.mark.skipif(os.environ.get("GRAPHIQL") == "no", reason="built without the page: GRAPHIQL=no")


def chromium():
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert path, "there is no chromium: scripts/deps test installs it; CHROMIUM names another"
    return path


def browse(scenario, url, *files, trusted=None):
    """Runs a scenario of clients/ide.mjs; trusted is a certificate that its own requests accept."""
    command = ["node", str(CLIENTS / "ide.mjs"), url, scenario, chromium(), *map(str, files)]
    env = os.environ | {"IDE_TIMEOUT_MS": str(20_000 * SLOWNESS)}
    env |= {"NODE_EXTRA_CA_CERTS": str(trusted)} if trusted else {}
    result = subprocess.run(command, capture_output=True, text=True, timeout=60 * SLOWNESS, cwd=CLIENTS, env=env)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "ok"


@pytest.mark.parametrize("scenario", ["variables", "errors", "defer", "documentation", "completion", "headers", "policy"])
def test_browser(start, blog, scenario):
    browse(scenario, start(blog).url)


def test_query(start, blog, tmp_path):
    """SCREENSHOT=docs/graphiql.png keeps the picture that the documentation shows."""
    picture = Path(os.environ.get("SCREENSHOT") or tmp_path / "graphiql.png").resolve()
    browse("query", start(blog).url, picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("scenario", ["subscription", "signedIn", "closedConnection"])
def test_subscription(start, blog, scenario):
    browse(scenario, start(blog, workers=2).url)


def test_over_tls(start, blog, tmp_path):
    """Pages and requests over HTTP/2, WebSocket over a connection of its own."""
    certificate, key = self_signed(tmp_path)
    server = start(blog, "--https", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key)
    browse("subscription", f"https://{server.ready['https']}/graphql", trusted=certificate)


def test_behind_a_tls_proxy_with_a_prefix(start, blog, tmp_path):
    browse("behindProxy", start(blog).url, *self_signed(tmp_path))


SHOP = {
    "schema/schema.graphql": "type Query { hello(name: String!): String }",
    "resolvers/query.lua": 'return { Query = { hello = function(_, args) return "Hello, " .. args.name .. "!" end } }',
}


def shop(http):
    return SHOP | {"app.lua": f"return {{ name = 'shop', http = {{ {http} }} }}"}


@pytest.mark.parametrize("path", ["/", "/api/v1/", "/a b/graph:ql"])
def test_settings_and_paths(start, path):
    page = """graphiql = { title = "<Shop> & more", default_query = '{ hello(name: "moon") }', headers = false }"""
    server = start(shop(f"path = '{path}', {page}"))
    browse("settings", server.base + path.replace(" ", "%20"))


@pytest.mark.core
def test_page_on_the_wire(start, blog):
    server = start(blog)
    response = server.get("/graphql", headers=BROWSER)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    script = response.text.split('src="')[1].split('"')[0]
    assert script.startswith("./graphql/assets/page-")
    asset = server.get(script[1:])
    assert (asset.status_code, asset.headers["content-encoding"]) == (200, "gzip")
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert asset.headers["content-type"] == "text/javascript; charset=utf-8"
    plain = server.get(script[1:], headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == asset.content
    head = server.request("HEAD", script[1:])
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", asset.headers["content-length"])


@pytest.mark.core
def test_other_requests_are_graphql(start, blog):
    server = start(blog)
    assert server.get("/graphql", params={"query": "{ users { id } }"}, headers=BROWSER).status_code in (200, 406)
    for headers in ({}, {"accept": "application/json"}, {"accept": "application/json, text/html"}):
        response = server.get("/graphql", headers=headers)
        assert response.status_code == 400
        assert "json" in response.headers["content-type"]


@pytest.mark.core
@pytest.mark.parametrize(
    "path",
    [
        "/graphql/assets/",
        "/graphql/assets/page.js",
        "/graphql/assets/../../../etc/passwd",
        "/graphql/assets/..%2f..%2f..%2fetc%2fpasswd",
        "/graphql/assets/%00",
        "/graphql/assets",
    ],
)
def test_paths_that_are_no_file(start, blog, path):
    server = start(blog)
    connection = http.client.HTTPConnection(*server.address, timeout=20)
    connection.request("GET", path)
    assert connection.getresponse().status == 404
    connection.close()


@pytest.mark.core
def test_off_by_default_and_switched_by_a_reload(start, bundle):
    directory = bundle(shop(""))
    server = start(directory)
    assert server.get("/graphql", headers=BROWSER).status_code != 200
    (directory / "app.lua").write_text("return { http = { graphiql = true } }")
    server.reload()
    assert "GraphiQL" in server.get("/graphql", headers=BROWSER).text
    (directory / "app.lua").write_text("return { http = { graphiql = false } }")
    server.reload()
    assert server.get("/graphql", headers=BROWSER).status_code != 200
