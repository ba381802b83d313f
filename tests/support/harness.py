# SPDX-License-Identifier: MIT
"""Runs the real `perilune` program for tests: starts it on a bundle, waits for its ready line, talks to it, ends it."""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
PERILUNE = os.environ.get("PERILUNE", str(ROOT / "build" / "perilune"))
VARIANT = os.environ.get("PERILUNE_VARIANT", "release")
# Sanitizers make everything slower; bounds on time are for the release build.
SLOWNESS = {"release": 1, "debug": 2, "asan": 4, "tsan": 10}.get(VARIANT, 1)
FULL = os.environ.get("PERILUNE_SOAK") == "1"

SANITIZER_REPORTS = (
    "ERROR: AddressSanitizer",
    "ERROR: LeakSanitizer",
    "WARNING: ThreadSanitizer",
    "SUMMARY: UndefinedBehaviorSanitizer",
    ": runtime error: ",
)


def write_bundle(directory, files):
    """Writes {relative path: text} below directory; a text of None removes the file."""
    for path, text in files.items():
        target = Path(directory) / path
        if text is None:
            target.unlink()
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        # In one step, so that a server that watches the bundle never reads half a file.
        part = target.with_name(target.name + ".part~")
        part.write_bytes(text if isinstance(text, bytes) else text.encode())
        part.replace(target)
    return Path(directory)


def go_tool(name):
    """A program that scripts/go-tools has built."""
    return str(ROOT / "build" / "go" / "bin" / name)


def wait_until(condition, seconds=10.0, what="the condition"):
    """Asks condition() again and again until it gives something true, which is returned; fails after `seconds`."""
    end = time.monotonic() + seconds * SLOWNESS
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds * SLOWNESS:g} s")
        time.sleep(0.01)


ASAN_OPTIONS = os.environ.get("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:allocator_may_return_null=1")
# For servers whose memory is measured: AddressSanitizer keeps up to 256 MB of what was freed, here hardly anything. Its
# red zones remain: multiply bounds by SLOWNESS.
MEASURED = {"ASAN_OPTIONS": ASAN_OPTIONS + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"}


def environment(extra=None):
    env = {key: value for key, value in os.environ.items() if not key.startswith("PERILUNE_")}
    env["ASAN_OPTIONS"] = ASAN_OPTIONS
    env.setdefault("LSAN_OPTIONS", f"suppressions={ROOT / 'tests' / 'lsan.supp'}:print_suppressions=0")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    env.setdefault("TSAN_OPTIONS", f"suppressions={ROOT / 'tests' / 'tsan.supp'}:history_size=4")
    return env | (extra or {})


def run_cli(*args, cwd=None, env=None, timeout=60):
    """Runs `perilune ARGS` to its end."""
    result = subprocess.run(
        [PERILUNE, *map(str, args)],
        cwd=cwd,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout * SLOWNESS,
    )
    fail_on_sanitizer_report(result.stderr)
    return result


def run(*command, cwd=None, env=None, timeout=300):
    """Runs a program that must succeed, and returns what it has printed."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fail_on_sanitizer_report(text):
    for mark in SANITIZER_REPORTS:
        if mark in text:
            raise AssertionError(f"the program's own checks failed:\n{text[-20000:]}")


class Server:
    """One running server. Use it as a context manager, or through the fixture `start`."""

    def __init__(self, bundle, log, *flags, workers=1, env=None, http="127.0.0.1:0"):
        self.bundle = Path(bundle)
        self.log_path = Path(log)
        # setpriv: the server must not outlive tests that are killed.
        self.command = ["setpriv", "--pdeathsig", "KILL", PERILUNE, "run", str(bundle), "--http", http, "--workers", str(workers)]
        if "--watch" not in flags:
            self.command.append("--no-watch")
        self.command += [str(flag) for flag in flags]
        self.env = environment(self._places() | (env or {}))
        self.process = None
        self.told_to_end = False
        self.ready = None
        self._client = None

    def _places(self):
        """What two servers on one bundle, or with the default port, would have in common."""
        places = {"PERILUNE_SQLITE_PATH": str(self.log_path.with_suffix(".db"))}
        if (self.bundle / "services").is_dir() and not any(flag.startswith("--grpc") for flag in self.command):
            places["PERILUNE_GRPC"] = "127.0.0.1:0"
        if self.bundle.resolve().is_relative_to(ROOT):
            places["PERILUNE_ADMIN"] = os.path.join(tempfile.mkdtemp(prefix="perilune-"), "admin.sock")
        return places

    # -- life --
    def start(self, seconds=20.0):
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        line = self._read_line(seconds * SLOWNESS)
        self.ready = json.loads(line)
        assert self.ready["event"] == "ready", line
        assert self.ready["pid"] == self.process.pid, line
        host, _, port = self.ready["http"].rpartition(":")
        self.address = (host, int(port))
        self.base = f"http://{self.ready['http']}"
        self.url = self.base + "/graphql"
        self._client = httpx.Client(timeout=30 * SLOWNESS)
        return self

    def _read_line(self, seconds):
        end = time.monotonic() + seconds
        pipe, line = self.process.stdout.fileno(), b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
            piece = os.read(pipe, 4096) if readable else b""
            if not piece:
                reason = "ended" if readable else f"printed no ready line in {seconds:g} s"
                self.kill()
                raise AssertionError(f"the server {reason} (exit {self.process.returncode}):\n{self.log_text()}")
            line += piece
        return line

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def crash(self):
        """kill -9, as part of the test."""
        assert self.process.poll() is None, f"it has ended by itself, with {self.process.returncode}:\n{self.log_text()}"
        self.kill()
        self._client.close()
        self.process.stdout.close()
        self.process = None

    def stop(self, seconds=15.0):
        """SIGTERM; the server must drain and end with 0, without a sanitizer's report."""
        if self._client:
            self._client.close()
        if self.process is None:
            return
        if self.process.poll() is None:
            if not self.told_to_end:  # a second signal would end it at once, with 1
                self.signal(signal.SIGTERM)
            try:
                self.process.wait(seconds * SLOWNESS)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"the server did not end on SIGTERM:\n{self.log_text()}") from None
        self.process.stdout.close()
        fail_on_sanitizer_report(self.log_text())
        assert self.process.returncode == 0, f"exit {self.process.returncode}:\n{self.log_text()}"

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        try:
            self.stop()
        finally:
            self.kill()

    def signal(self, number):
        self.told_to_end |= number in (signal.SIGTERM, signal.SIGINT)
        self.process.send_signal(number)

    # -- what it says --
    def log_text(self):
        return self.log_path.read_text(errors="replace")

    def log(self):
        """The log's lines as objects."""
        entries = []
        for line in self.log_text().splitlines():
            with contextlib.suppress(ValueError):
                entries.append(json.loads(line))
        return entries

    def wait_log(self, *words, seconds=10.0):
        """Waits for a line that holds all words, and returns it."""

        def line():
            return next((one for one in self.log_text().splitlines() if all(word in one for word in words)), None)

        return wait_until(line, seconds, f"a log line with {words}")

    def memory(self):
        """Resident bytes of the process; start it with env=MEASURED."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def peak(self):
        """The most resident bytes that the process has had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s*(\d+) kB", status).group(1)) * 1024

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    # -- requests --
    def post(self, payload, headers=None, **options):
        """POSTs JSON (or bytes as they are) to /graphql and returns the httpx response."""
        content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        headers = {"content-type": "application/json"} | (headers or {})
        return self._client.post(options.pop("url", self.url), content=content, headers=headers, **options)

    def get(self, path, **options):
        return self._client.get(self.base + path, **options)

    def request(self, method, path, **options):
        return self._client.request(method, self.base + path, **options)

    def graphql(self, query, variables=None, operation=None):
        """The decoded response of an operation; HTTP status 200 is asserted."""
        payload = {"query": query}
        if variables is not None:
            payload["variables"] = variables
        if operation is not None:
            payload["operationName"] = operation
        response = self.post(payload)
        assert response.status_code == 200, (response.status_code, response.text)
        return response.json()

    def data(self, query, variables=None):
        """The data of an operation that must have no errors."""
        response = self.graphql(query, variables)
        assert "errors" not in response, response
        return response["data"]

    def connect(self, timeout=20.0):
        connection = socket.create_connection(self.address, timeout=timeout * SLOWNESS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    # -- control --
    def cli(self, command, *args):
        return run_cli(command, "--admin", self.ready["admin"], *args)

    def reload(self, ok=True):
        """`perilune reload`; asserts that it worked (or failed, with ok=False) and returns what it printed."""
        result = self.cli("reload")
        assert result.returncode == (0 if ok else 1), (result.returncode, result.stdout, result.stderr)
        return result.stdout + result.stderr

    def rollback(self):
        result = self.cli("rollback")
        assert result.returncode == 0, (result.stdout, result.stderr)
        return result.stdout

    def status(self):
        result = self.cli("status")
        assert result.returncode == 0, (result.stdout, result.stderr)
        return json.loads(result.stdout)


def code_of(response, index=0):
    """The canonical code of an error of a GraphQL response."""
    return response["errors"][index]["extensions"]["code"]


def http1(body, path="/graphql", headers=(), method="POST"):
    """A raw HTTP/1.1 request."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def read_http1(connection):
    """Reads one HTTP/1.1 response: (status, headers in lower case, body). (None, {}, b"") when the peer closed first."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            assert not data, data
            return None, {}, b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, value in (line.split(":", 1) for line in rest)}
    while len(body) < int(headers.get("content-length", 0)):
        piece = connection.recv(65536)
        assert piece, "closed within a response"
        body += piece
    return int(first.split()[1]), headers, body


def self_signed(directory, name="localhost"):
    """A certificate for localhost, or of a client: (certificate file, key file)."""
    certificate, key = Path(directory) / "certificate.pem", Path(directory) / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        + ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        + ["-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    return certificate, key


def tls_client(certificate, http2=True, own=None):
    """own: a certificate to show, and its key."""
    context = ssl.create_default_context(cafile=str(certificate))
    if own:
        context.load_cert_chain(*own)
    return httpx.Client(http2=http2, verify=context, timeout=30 * SLOWNESS)


def copy_example(name, directory):
    target = Path(directory) / name
    shutil.copytree(ROOT / "examples" / name, target, ignore=shutil.ignore_patterns("*.db*", ".perilune"))
    return target
