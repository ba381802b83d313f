# SPDX-License-Identifier: MIT
"""A stand-in for a schema registry: its REST interface as Confluent documents it, with all that may go wrong with one."""

import base64
import json
import re
import threading
import time
from urllib.parse import unquote, urlsplit

from stand_in import StandIn

MISSING = {40401: "Subject not found.", 40402: "Version not found.", 40403: "Schema not found"}


class SchemaRegistry(StandIn):
    """Keeps schemas in memory. `requests` lists what was asked: (method, path, body). What the next requests get instead of an
    answer: `failures`, a list of functions(handler). `incompatible` maps subjects to messages."""

    def __init__(self, authorization=None, port=0):
        self.lock = threading.Lock()
        self.subjects, self.schemas, self.incompatible = {}, [], {}
        self.requests, self.failures, self.always = [], [], None
        self.authorization = authorization
        super().__init__(port)
        self.server.registry = self

    # -- what tests do --
    def register(self, subject, schema, kind="PROTOBUF", references=()):
        """As a client would; gives the id."""
        body = {"schemaType": kind, "schema": schema, "references": list(references)}
        return self._register(subject, body)

    def asked(self, part):
        with self.lock:
            return [path for _, path, _ in self.requests if part in path]

    # -- the service --
    def handle(self, handler):
        length = int(handler.headers.get("Content-Length") or 0)
        body = json.loads(handler.rfile.read(length)) if length else None
        with self.lock:
            self.requests.append((handler.command, handler.path, body))
            failure = self.always or (self.failures.pop(0) if self.failures else None)
        handler.asked = body
        (failure or self.answer)(handler)

    def answer(self, handler):
        """As usual."""
        if self.authorization and handler.headers.get("Authorization") != self.authorization:
            reply(handler, 401, {"error_code": 401, "message": "Unauthorized"})
            return
        with self.lock:
            status, answer = self._answer(handler.command, urlsplit(handler.path).path, handler.asked)
        reply(handler, status, answer)

    def _answer(self, method, path, body):
        if found := re.fullmatch(r"/schemas/ids/(-?\d+)", path):
            index = int(found[1]) - 1
            return (200, self.schemas[index]) if 0 <= index < len(self.schemas) else missing(40403)
        compatibility = re.fullmatch(r"/compatibility/subjects/([^/]+)/versions", path)
        if compatibility:
            subject = unquote(compatibility[1])
            if subject not in self.subjects:
                return missing(40401)
            messages = self.incompatible.get(subject, [])
            return 200, {"is_compatible": not messages, "messages": messages}
        found = re.fullmatch(r"/subjects/([^/]+)(/versions(/latest)?)?", path)
        if not found:
            return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}
        subject = unquote(found[1])
        if method == "POST" and found[2]:
            if subject in self.incompatible:
                return 409, {"error_code": 409, "message": "; ".join(self.incompatible[subject])}
            if self._unresolved(body):
                return 422, {"error_code": 42201, "message": f"unresolved references: {self._unresolved(body)}"}
            return 200, {"id": self._register(subject, body)}
        versions = self.subjects.get(subject)
        if not versions:
            return missing(40401)
        if found[3]:
            return 200, self._version(subject, len(versions))
        schema = as_kept(body)
        for version, id in enumerate(versions, 1):
            if self.schemas[id - 1] == schema:
                return 200, self._version(subject, version)
        return missing(40403)

    def _unresolved(self, body):
        return [r for r in body.get("references", []) if len(self.subjects.get(r["subject"], [])) < r["version"]]

    def _version(self, subject, version):
        id = self.subjects[subject][version - 1]
        return {"subject": subject, "version": version, "id": id} | self.schemas[id - 1]

    def _register(self, subject, body):
        schema = as_kept(body)
        if schema not in self.schemas:
            self.schemas.append(schema)
        id = self.schemas.index(schema) + 1
        versions = self.subjects.setdefault(subject, [])
        if id not in versions:
            versions.append(id)
        return id


def as_kept(body):
    kept = {"schema": body["schema"]}
    if body.get("schemaType", "AVRO") != "AVRO":
        kept["schemaType"] = body["schemaType"]
    if body.get("references"):
        kept["references"] = body["references"]
    return kept


def missing(code):
    return 404, {"error_code": code, "message": MISSING[code]}


def reply(handler, status, answer, headers=()):
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
    for name, value in headers:
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


# -- what may go wrong --
def status(code, answer=None, headers=()):
    return lambda handler: reply(handler, code, answer if answer is not None else {"error_code": code, "message": "no"}, headers)


def slow(seconds):
    """Too late, and then as usual."""

    def act(handler):
        time.sleep(seconds)
        handler.server.registry.answer(handler)

    return act


def hang_up(handler):
    handler.close_connection = True
    handler.connection.close()
