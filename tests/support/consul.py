# SPDX-License-Identifier: MIT
"""A stand-in for a Consul agent: /v1/health/service/NAME of its HTTP API, with blocking queries, as Consul documents them."""

import json
import random
import re
import threading
import time
from urllib.parse import parse_qs, unquote, urlsplit

from stand_in import StandIn


class Consul(StandIn):
    """Instances are registered by functions, any time. `queries` lists what was asked: (path, {name: [values]})."""

    def __init__(self, token=None, port=0):
        self.token = token
        self.lock = threading.Condition()
        self.index, self.instances, self.changed = 10, {}, {}
        self.failure, self.queries, self.generation = None, [], 0
        super().__init__(port)

    def __exit__(self, *_):
        with self.lock:
            self.generation += 1
            self.lock.notify_all()
        super().__exit__()

    # -- what happens to services --
    def _change(self, service):
        self.index += 1
        self.changed[service] = self.index
        self.lock.notify_all()

    def register(self, service, ident, port, address="", node="127.0.0.1", tags=(), weights=(1, 1), status="passing", dc="dc1"):
        with self.lock:
            one = {"service": service, "port": port, "address": address, "node": node, "tags": list(tags)}
            self.instances[ident] = one | {"weights": weights, "status": status, "dc": dc}
            self._change(service)

    def deregister(self, ident):
        with self.lock:
            self._change(self.instances.pop(ident)["service"])

    def set_status(self, ident, status):
        with self.lock:
            self.instances[ident]["status"] = status
            self._change(self.instances[ident]["service"])

    def fail(self, status=500, text="No cluster leader"):
        """Every query fails, those that wait, too; None: no longer."""
        with self.lock:
            self.failure = (status, text) if status else None
            self.lock.notify_all()

    def start_anew(self):
        """As an agent of a cluster that was restored: what is known stays, the index is smaller, nobody waits any more."""
        with self.lock:
            self.index, self.changed = 3, dict.fromkeys(self.changed, 2)
            self.generation += 1
            self.lock.notify_all()

    # -- answers --
    def _entry(self, ident, one):
        checks = [
            {"CheckID": "serfHealth", "Name": "Serf Health Status", "Status": "passing", "ServiceID": "", "ServiceName": ""}
        ]
        checks.append({"CheckID": f"service:{ident}", "Name": "alive", "Status": one["status"], "Output": 'HTTP "GET": ü'})
        lan = {"lan": "10.255.0.1", "wan": "10.255.0.1"}
        passing, warning = one["weights"]
        return {
            "Node": {
                "ID": "9c1f",
                "Node": "n1",
                "Address": one["node"],
                "Datacenter": one["dc"],
                "TaggedAddresses": lan,
                "Meta": {},
            },
            "Service": {
                "ID": ident,
                "Service": one["service"],
                "Tags": one["tags"],
                "Address": one["address"],
                "TaggedAddresses": {"lan": {"Address": "10.255.0.2", "Port": 9}},
                "Meta": None,
                "Port": one["port"],
                "Weights": {"Passing": passing, "Warning": warning},
                "EnableTagOverride": False,
                "Proxy": {"Mode": "", "MeshGateway": {}, "Expose": {}},
                "Connect": {},
                "CreateIndex": 5,
                "ModifyIndex": 6,
            },
            "Checks": checks,
        }

    def _result(self, service, query):
        tags, dc = query.get("tag", []), query.get("dc", ["dc1"])[0]
        passing = "passing" in query and query["passing"][0] in ("", "1", "true")
        return [
            self._entry(ident, one)
            for ident, one in sorted(self.instances.items())
            if one["service"] == service
            and one["dc"] == dc
            and set(tags) <= set(one["tags"])
            and (one["status"] == "passing" or not passing)
        ]

    def _index_of(self, service):
        # A service that nobody has registered has the index of all of them.
        return self.changed.get(service, self.index)

    def handle(self, handler):
        url = urlsplit(handler.path)
        query = parse_qs(url.query, keep_blank_values=True)
        match = re.fullmatch(r"/v1/health/service/([^/]+)", url.path)
        with self.lock:
            self.queries.append((handler.path, query, handler.headers.get("X-Consul-Token")))
            if not match:
                return self._send(handler, 404, "")
            if self.token and handler.headers.get("X-Consul-Token") != self.token:
                found = (
                    "ACL not found"
                    if handler.headers.get("X-Consul-Token")
                    else "Permission denied: anonymous token lacks permission"
                )
                return self._send(handler, 403, found)
            service = unquote(match[1])
            if not self._wait(service, query):
                handler.close_connection = True
                return None
            if self.failure:
                return self._send(handler, *self.failure)
            body = json.dumps(self._result(service, query))
            headers = {"X-Consul-Index": self._index_of(service), "X-Consul-Knownleader": "true", "X-Consul-Lastcontact": "0"}
        return self._send(handler, 200, body, headers)

    def _wait(self, service, query):
        """Holds a blocking query; false when the agent has ended meanwhile."""
        index, generation = int(query.get("index", ["0"])[0]), self.generation
        seconds = min(float(re.fullmatch(r"(\d+)s", query.get("wait", ["300s"])[0])[1]), 600)
        end = time.monotonic() + seconds + random.uniform(0, seconds / 16)
        while index and not self.failure and self._index_of(service) <= index:
            left = end - time.monotonic()
            if left <= 0 or generation != self.generation:
                break
            self.lock.wait(left)
        return generation == self.generation

    @staticmethod
    def _send(handler, status, text, headers=None):
        body = text.encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json" if status == 200 else "text/plain; charset=utf-8")
        handler.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            handler.send_header(name, str(value))
        handler.end_headers()
        handler.wfile.write(body)
