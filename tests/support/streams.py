# SPDX-License-Identifier: MIT
"""Clients that stay: server-sent events, multipart/mixed, and GraphQL over WebSocket."""

import json
import re

import httpx
from websockets.sync.client import connect

from harness import SLOWNESS

TIMEOUT = 20 * SLOWNESS


class EventStream:
    """A subscription (or any operation) by server-sent events. Entered, the server has subscribed."""

    accept = "text/event-stream"

    def __init__(self, server, query, variables=None, headers=None, http2=False, **request):
        self.server = server
        self.payload = {"query": query, "variables": variables} | request
        self.headers = {"accept": self.accept} | (headers or {})
        self.client = httpx.Client(http1=not http2, http2=http2, timeout=httpx.Timeout(TIMEOUT))

    def open(self):
        return self.client.stream("POST", self.server.url, json=self.payload, headers=self.headers)

    def __enter__(self):
        self.stream = self.open()
        self.response = self.stream.__enter__()
        self.events = self.read()
        return self

    def __exit__(self, kind, error, trace):
        self.stream.__exit__(kind, error, trace)
        self.client.close()

    def read(self):
        """Gives the payload of each "next"; ends with "complete"."""
        event, data = None, []
        for line in self.response.iter_lines():
            if line.startswith("event:"):
                event = line[6:].strip()
            elif line.startswith("data:"):
                data.append(line[5:].strip())
            elif line == "" and event == "complete":
                self.completed = True
                return
            elif line == "" and event is not None:
                yield json.loads("\n".join(data))
                event, data = None, []

    completed = False

    def next(self):
        return next(self.events)

    def rest(self):
        return list(self.events)


class MultipartStream(EventStream):
    """The same by multipart/mixed; the Accept header says which kind."""

    def __init__(self, server, query, accept, **options):
        self.accept = accept
        super().__init__(server, query, **options)

    def read(self):
        boundary = re.search(r'boundary="?([^";]+)', self.response.headers["content-type"])[1]
        text, delimiter = "", f"\r\n--{boundary}"
        for piece in self.response.iter_text():
            text += piece
            *parts, text = text.split(delimiter)
            for part in parts:
                head, _, body = part.partition("\r\n\r\n")
                if body.strip():
                    assert "application/json" in head
                    payload = json.loads(body)
                    if payload:  # {} keeps the connection busy
                        yield payload
            if text.startswith("--"):
                self.completed = True
                return


class WebSocket:
    """graphql-transport-ws (or graphql-ws), message by message."""

    def __init__(self, server, params=None, protocol="graphql-transport-ws", init=True, headers=None, **options):
        self.legacy = protocol == "graphql-ws"
        self.socket = connect(
            server.url.replace("http", "ws", 1),
            subprotocols=[protocol] if protocol else None,
            additional_headers=headers,
            compression=None,
            open_timeout=TIMEOUT,
            close_timeout=TIMEOUT,
            **options,
        )
        if init:
            self.send(type="connection_init", payload=params)
            assert self.receive() == {"type": "connection_ack"}

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.socket.close()

    def send(self, **message):
        self.socket.send(json.dumps(message))

    def receive(self):
        """The next message, "ka" passed over."""
        while True:
            message = json.loads(self.socket.recv(timeout=TIMEOUT))
            if message != {"type": "ka"}:
                return message

    def subscribe(self, query, variables=None, id="1"):
        payload = {"query": query, "variables": variables}
        self.send(id=id, type="start" if self.legacy else "subscribe", payload=payload)

    def next(self, id="1"):
        """The payload of the next event of the operation."""
        message = self.receive()
        assert (message["type"], message["id"]) == ("data" if self.legacy else "next", id), message
        return message["payload"]

    def closed(self):
        """Waits for the server to close; (code, reason)."""
        from websockets.exceptions import ConnectionClosed

        try:
            while True:
                self.socket.recv(timeout=TIMEOUT)
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
