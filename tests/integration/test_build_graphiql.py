# SPDX-License-Identifier: MIT
"""scripts/build-graphiql where the packages cannot be had; that it makes the page is what test_ide.py shows."""

import http.server
import json
import os
import subprocess
import sys
import threading

import pytest

from harness import ROOT

LOCK = json.loads((ROOT / "scripts" / "graphiql" / "package-lock.json").read_text())


@pytest.fixture
def build(tmp_path):
    """build(**environment) runs the script on a machine without npm: (what it printed, the source it made)."""

    def run(**variables):
        output = tmp_path / "made" / "ide_files.c"
        empty = tmp_path / "no-programs"
        empty.mkdir(exist_ok=True)
        env = {key: value for key, value in os.environ.items() if "proxy" not in key.lower() and "npm_config" not in key.lower()}
        env |= {"PATH": str(empty), "HOME": str(tmp_path)} | variables
        command = [sys.executable, str(ROOT / "scripts" / "build-graphiql"), str(output)]
        result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
        assert sorted(path.name for path in output.parent.iterdir()) == ["ide_files.c"], "nothing else is left"
        return result.stderr, output.read_text()

    return run


@pytest.fixture
def registry():
    """A registry whose packages are not what they should be; `asked` is what was asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append(self.path)
            self.send_response(200)
            self.send_header("content-length", "6")
            self.end_headers()
            self.wfile.write(b"forged")

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def is_empty(source):
    return "pl_ide_built_in = {0};" in source and "file_0" not in source


def test_no_network(build):
    said, source = build(npm_config_registry="http://127.0.0.1:9/")
    assert "the GraphiQL page is left out of this build" in said
    assert "make graphiql build" in said
    assert is_empty(source)


def test_not_wanted(build, registry):
    said, source = build(GRAPHIQL="no", npm_config_registry=registry.url)
    assert (said, registry.asked) == ("", [])
    assert is_empty(source)


def test_packages_with_another_hash_are_refused(build, registry):
    said, source = build(npm_config_registry=registry.url + "/npm")
    assert "does not have the hash" in said
    assert is_empty(source)
    names = {path.removeprefix("/npm/").partition("/-/")[0] for path in registry.asked}
    assert names <= {path.rpartition("node_modules/")[2] for path in LOCK["packages"]}


@pytest.mark.parametrize("line", ["registry={}", "registry = {}/", '; a comment\nfund=false\nregistry="{}"'])
def test_the_user_s_registry_is_asked(build, registry, tmp_path, line):
    (tmp_path / ".npmrc").write_text(line.format(registry.url) + "\n")
    build()
    assert registry.asked


def test_all_packages_are_pinned():
    manifest = json.loads((ROOT / "scripts" / "graphiql" / "package.json").read_text())
    assert LOCK["packages"][""]["dependencies"] == manifest["dependencies"]
    for path, package in LOCK["packages"].items():
        assert not path or package["integrity"].startswith("sha512-"), path
        assert "resolved" not in package, f"{path}: the registry is for each machine to say"
