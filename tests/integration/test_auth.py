# SPDX-License-Identifier: MIT
"""perilune.auth: tokens of PyJWT in every algorithm, forged ones, keys that are fetched and change, API keys, roles."""

import base64
import hashlib
import hmac
import http.server
import json
import threading
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from harness import SLOWNESS, code_of, run_cli, wait_until, write_bundle
from streams import EventStream, WebSocket

pytestmark = pytest.mark.core

SECRET = "a secret that is long enough for each of the three hashes, all of 64 bytes"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
RSA_NEXT = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
P521 = ec.generate_private_key(ec.SECP521R1())
ED = ed25519.Ed25519PrivateKey.generate()
PRIVATE = {
    "HS": SECRET, "RS": RSA, "PS": RSA, "ES256": P256, "ES384": P384, "ES512": P521, "EdDSA": ED,
}  # fmt: skip
ALGORITHMS = ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


def private_key(algorithm):
    return PRIVATE.get(algorithm) or PRIVATE[algorithm[:2]]


def jwk(algorithm, key, kid):
    """The public half (or the secret) as PyJWT writes it."""
    kind = jwt.algorithms.get_default_algorithms()[algorithm]
    public = key if isinstance(key, str) else key.public_key()
    fields = kind.to_jwk(public.encode() if isinstance(public, str) else public, as_dict=True)
    fields.pop("key_ops", None)
    return fields | {"kid": kid}


def pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


ALL_KEYS = {
    "keys": [
        jwk(a, private_key(a), a[:2] if a[:2] == "HS" else a) for a in ("HS512", "RS256", "ES256", "ES384", "ES512", "EdDSA")
    ]
}
ALL_KEYS["keys"][0]["kid"] = "HS"
ALL_KEYS["keys"][1]["kid"] = "RSA"


def kid_of(algorithm):
    return {"HS": "HS", "RS": "RSA", "PS": "RSA"}.get(algorithm[:2], algorithm)


def claims(**more):
    return {"iss": "https://id.example", "aud": "api", "sub": "7", "exp": int(time.time()) + 600, "roles": ["EDITOR"]} | more


def token(algorithm="RS256", key=None, kid=None, headers=None, **more):
    fields = {name: value for name, value in claims(**more).items() if value is not None}
    names = {"kid": kid or kid_of(algorithm)} | (headers or {})
    return jwt.encode(fields, key or private_key(algorithm), algorithm=algorithm, headers=names)


def bearer(text):
    return {"authorization": f"Bearer {text}"}


SCHEMA = """
directive @auth(requires: [Role!]) on FIELD_DEFINITION
enum Role { READER EDITOR ADMIN }
type Query {
  me: Me
  reports: String @auth(requires: EDITOR)
  secrets: String @auth(requires: ADMIN)
  admin: String
  scoped: String
  verified(token: String!): String
}
type Me { id: ID  roles: [String]  scope: String  name: String  method: String }
type Subscription { count: Int }
"""

RESOLVERS = """
local auth = require "perilune.auth"
local time = require "perilune.time"
local admin = auth.require{ role = "ADMIN" }
local writes = auth.require{ scope = { "read", "write" } }
return {
  Query = {
    me = function(_, _, ctx) return ctx.user end,
    reports = function() return "reports" end,
    secrets = function() return "secrets" end,
    admin = admin(function(_, _, ctx) return "for " .. ctx.user.id end),
    scoped = function(_, _, ctx) writes(ctx) return "scoped" end,
    verified = function(_, args)
      local claims, message = require("lib.tokens"):verify(args.token)
      return claims and claims.sub or message
    end,
  },
  Me = { name = function(user) return user.claims and user.claims.name or user.name end },
  Subscription = { count = function()
    return coroutine.wrap(function() for i = 1, 100000 do coroutine.yield(i) time.sleep(0.01) end end)
  end },
}
"""

TOKENS = f"""
return require("perilune.auth").verifier{{ algorithms = {{ "HS256" }}, secret = "{SECRET}" }}
"""


def bundle(interceptors, **files):
    return {
        "app.lua": 'local auth = require "perilune.auth"\nreturn { graphql = { roles = { ADMIN = { "EDITOR" } } },\n'
        f"interceptors = {{ {interceptors} }} }}\n",
        "schema/schema.graphql": SCHEMA,
        "resolvers/all.lua": RESOLVERS,
        "lib/tokens.lua": TOKENS,
    } | files


EVERY = """
auth.jwt{ algorithms = { "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
  "ES512", "EdDSA" }, jwks = "keys.json", issuer = "https://id.example", audience = { "api", "web" }, leeway = 0 }
"""


@pytest.fixture(scope="module")
def every(start_shared):
    return start_shared(bundle(EVERY, **{"keys.json": json.dumps(ALL_KEYS)}))


def ask(server, query="{ me { id roles } }", headers=None):
    return server.post({"query": query}, headers=headers or {})


def accepted(server, text, query="{ me { id roles } }"):
    response = ask(server, query, bearer(text))
    assert response.status_code == 200, response.text
    body = response.json()
    assert "errors" not in body, body
    return body["data"]


def refused(server, text, message="the token is not valid"):
    response = ask(server, headers=bearer(text))
    assert response.status_code == 401, response.text
    body = response.json()
    assert body["errors"][0]["message"] == message, body
    assert code_of(body) == "UNAUTHENTICATED"
    assert "data" not in body
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'


# -- tokens --
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm(every, algorithm):
    text = token(algorithm)
    for _ in range(3):  # the first time it is checked, then it is known
        assert accepted(every, text) == {"me": {"id": "7", "roles": ["EDITOR"]}}
    head, body, signature = text.split(".")
    other = token(algorithm, sub="8").split(".")
    refused(every, f"{head}.{other[1]}.{signature}")
    refused(every, f"{head}.{body}.{other[2]}")
    refused(every, f"{head}.{body}.")
    for wrong in ALGORITHMS:
        if wrong[:2] != algorithm[:2] and private_key(wrong) is not private_key(algorithm):
            refused(every, token(wrong, kid=kid_of(algorithm)))


def test_claims(every):
    now = int(time.time())
    for good in ({"aud": ["x", "web"]}, {"exp": now + 600.5}, {"nbf": now}, {"extra": {"a": [1, None]}}):
        accepted(every, token(**good))
    wrong = [{"iss": "https://id.example/"}, {"iss": None}, {"aud": "other"}, {"aud": None}, {"aud": []}, {"exp": None}]
    for bad in wrong + [{"nbf": now + 60}]:
        refused(every, token(**bad))
    refused(every, token(exp=now - 1), "the token has expired")
    # What has expired is said only of tokens that were good once.
    refused(every, token(exp=now - 1, key=RSA_NEXT))
    text = token(exp=now + 2)
    accepted(every, text)
    wait_until(lambda: time.time() > now + 2, 4)
    refused(every, text, "the token has expired")  # though it is known


def unsigned(header, body):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part(header)}.{part(body)}."


def hs256_with(secret):
    """Signed by hand: PyJWT refuses to take a public key for a secret, too."""
    head = unsigned({"alg": "HS256", "typ": "JWT"}, claims()).rstrip(".")
    mac = hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest()
    return f"{head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def test_forged(every):
    for name in ("none", "None", "NONE", "nOnE", ""):
        refused(every, unsigned({"alg": name}, claims()))
        refused(every, unsigned({"alg": name}, claims()) + "AAAA")
    for key in (RSA, P256, P384, P521, ED):
        for text in (pem(key), pem(key).strip(), pem(key).replace("\n", "\r\n")):
            refused(every, hs256_with(text))
    for public in ALL_KEYS["keys"][1:]:
        refused(every, hs256_with(json.dumps(public)))
    own = jwk("RS256", RSA_NEXT, "RSA")
    for header in ({"jwk": own}, {"jku": "http://127.0.0.1:1/"}, {"x5u": "http://127.0.0.1:1/"}, {"crit": ["exp"]}):
        refused(every, token(key=RSA_NEXT, headers=header))
    refused(every, token(headers={"crit": ["exp"]}))
    for kid in ("", "ES256", "../keys.json", "' or 1=1 --", "x" * 2000):
        refused(every, token(key=RSA_NEXT, headers={"kid": kid}))
    for text in ("x", "a.b.c", "....", "e30.e30.e30", "x" * 20000, token() + ".x", token()[:-3], token() + ", Bearer " + token()):
        refused(every, text)
    entries = [entry for entry in every.log() if entry.get("msg", entry.get("message")) == "tokens refused"]
    assert entries, every.log_text()[-2000:]
    assert len(entries) < 40
    assert "its algorithm is not one of those that are allowed" in every.log_text()


def test_missing(every):
    for headers in (
        {},
        {"authorization": "Basic dTpw"},
        {"authorization": "Bearer"},
        {"authorization": ""},
    ):
        response = ask(every, headers=headers)
        assert response.status_code == 401, response.text
        assert response.json()["errors"][0]["message"] == "credentials are missing"
        assert response.headers["www-authenticate"] == "Bearer"
    assert ask(every, headers={"authorization": f"bearer  {token()}"}).status_code == 200


def test_roles_and_scopes(every):
    query = "{ reports secrets }"
    body = ask(every, query, bearer(token())).json()
    assert body["data"] == {"reports": "reports", "secrets": None}
    assert code_of(body) == "PERMISSION_DENIED"
    assert accepted(every, token(roles=["ADMIN"]), query) == {"reports": "reports", "secrets": "secrets"}
    assert accepted(every, token(roles="ADMIN"), query) == {"reports": "reports", "secrets": "secrets"}
    assert accepted(every, token(roles=None, role="ADMIN"), query) == {"reports": "reports", "secrets": "secrets"}
    assert accepted(every, token(roles=["ADMIN"]), "{ admin }") == {"admin": "for 7"}
    body = ask(every, "{ admin }", bearer(token())).json()
    assert code_of(body) == "PERMISSION_DENIED"
    assert "ADMIN" not in body["errors"][0]["message"]
    for good in ({"scope": "read write more"}, {"scp": ["write", "read"]}, {"scp": "write read"}):
        assert accepted(every, token(**good), "{ scoped }") == {"scoped": "scoped"}
    for bad in ({"scope": "read"}, {"scope": "readwrite"}, {}, {"scp": ["read write"]}):
        assert code_of(ask(every, "{ scoped }", bearer(token(**bad))).json()) == "PERMISSION_DENIED"


def test_verifier(every):
    query = 'query { verified(token: "%s") }'
    text = jwt.encode({"sub": "9", "exp": time.time() + 60}, SECRET, algorithm="HS256")
    assert accepted(every, token(), query % text) == {"verified": "9"}
    assert accepted(every, token(), query % "x") == {"verified": "the token is not valid"}


# -- users --
def test_own_users(start):
    server = start(
        bundle(
            """
auth.jwt{ algorithms = "RS256", public_key = "keys/public.pem", audience = false, optional = true, header = "X-Token",
  roles = { "realm_access.roles", "https://id.example/roles" } },
auth.roles{ map = { ["idp-admin"] = "ADMIN", staff = { "EDITOR", "STAFF" } }, includes = { ADMIN = "EDITOR" },
  default = "READER" },
""",
            **{"keys/public.pem": pem(RSA)},
        )
    )

    def roles(**more):
        text = token(roles=None, kid="any", **more)
        return server.post({"query": "{ me { roles } }"}, headers={"x-token": f"Bearer {text}"}).json()["data"]["me"]["roles"]

    assert roles() == ["READER"]
    assert roles(realm_access={"roles": ["idp-admin", "unknown"]}) == ["ADMIN", "EDITOR", "READER"]
    assert roles(**{"https://id.example/roles": "staff"}) == ["EDITOR", "STAFF", "READER"]
    assert roles(realm_access="idp-admin") == ["READER"]
    body = ask(server).json()  # optional: nobody
    assert body["data"] == {"me": None}
    response = server.post({"query": "{ me { id } }"}, headers={"x-token": "Bearer x"})
    assert response.status_code == 401  # but never a wrong one
    text = jwt.encode({"sub": "7"}, RSA, algorithm="RS256")
    assert server.post({"query": "{ me { id } }"}, headers={"x-token": f"Bearer {text}"}).status_code == 401  # no exp


def test_user_function(start):
    server = start(
        bundle(f"""
auth.jwt{{ algorithms = "HS256", secret = "{SECRET}", audience = false, required = false, user = function(claims, ctx)
  require("perilune.time").sleep(0.01)
  if claims.sub == "gone" then return nil end
  return {{ id = claims.sub, name = "Ada", method = ctx.operation_kind }}
end }}, auth.require{{ check = function(user) return user.id ~= "blocked" end }}
""")
    )
    query = "{ me { id name method } }"
    text = jwt.encode({"sub": "7"}, SECRET, algorithm="HS256")
    assert accepted(server, text, query) == {"me": {"id": "7", "name": "Ada", "method": "query"}}
    refused(server, jwt.encode({"sub": "gone"}, SECRET, algorithm="HS256"))
    response = ask(server, headers=bearer(jwt.encode({"sub": "blocked"}, SECRET, algorithm="HS256")))
    assert response.status_code == 403


def test_keys_of_the_bundle_change_with_it(start, tmp_path):
    directory = write_bundle(
        tmp_path / "bundle",
        bundle(
            'auth.jwt{ algorithms = "RS256", jwks = "keys.json", audience = "api" }',
            **{"keys.json": json.dumps({"keys": [jwk("RS256", RSA, "a")]})},
        ),
    )
    server = start(directory)
    old, new = token(kid="a"), token(kid="b", key=RSA_NEXT)
    accepted(server, old)
    refused(server, new)
    write_bundle(directory, {"keys.json": json.dumps({"keys": [jwk("RS256", RSA_NEXT, "b")]})})
    server.reload()
    accepted(server, new)
    refused(server, old)
    write_bundle(directory, {"keys.json": json.dumps({"keys": []})})
    assert "app.lua" in server.reload(ok=False)
    accepted(server, new)


# -- keys that are fetched --
class KeyServer:
    """Publishes keys on a port of its own, and can misbehave."""

    def __init__(self):
        self.hits, self.status, self.location = 0, 200, None
        self.gate = threading.Event()  # nothing is answered before it is set
        self.gate.set()
        self.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.hits += 1
                outer.gate.wait(60)
                if outer.location and self.path != "/moved":
                    self.send_response(302)
                    self.send_header("location", outer.location)
                    self.end_headers()
                    return
                self.send_response(outer.status)
                self.send_header("content-length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def set(self, *keys):
        self.body = json.dumps({"keys": list(keys)}).encode()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def key_server():
    server = KeyServer()
    yield server
    server.close()


def remote(key_server, settings=""):
    return bundle(
        f'auth.jwt{{ algorithms = {{ "RS256", "HS256" }}, audience = "api", jwks = {{ url = "{key_server.url}", {settings} }} }}'
    )


A, B = jwk("RS256", RSA, "a"), jwk("RS256", RSA_NEXT, "b")


def test_rotation(start, key_server):
    key_server.set(A)
    server = start(remote(key_server, "cooldown = 0.1"), workers=2)
    assert key_server.hits == 0  # not before it is needed
    old, new = token(kid="a"), token(kid="b", key=RSA_NEXT)
    for _ in range(10):
        accepted(server, old)
    assert key_server.hits == 1  # for both workers
    key_server.set(A, B)
    time.sleep(0.15)  # the cooldown
    accepted(server, new)
    accepted(server, old)
    assert key_server.hits == 2
    key_server.set(B)
    time.sleep(0.15)
    refused(server, token(kid="c"))  # makes it look again
    refused(server, old)  # though it was known to be good
    accepted(server, new)
    hits = key_server.hits
    assert hits >= 3  # more, where the cooldown has passed meanwhile
    server.reload()  # what was fetched outlives a generation
    accepted(server, new)
    assert key_server.hits == hits
    secret = SECRET
    key_server.set(jwk("HS512", secret, "s"), B)  # a secret that all can read is no secret
    time.sleep(0.15)
    refused(server, jwt.encode(claims(), secret, algorithm="HS256", headers={"kid": "s"}))


def test_refresh_in_the_background(start, key_server):
    key_server.set(A)
    server = start(remote(key_server, "refresh = 1, cooldown = 0.1"))
    accepted(server, token(kid="a"))
    key_server.set(B)
    time.sleep(1.1)
    accepted(server, token(kid="a"))  # nobody waits for it
    wait_until(lambda: key_server.hits == 2, 5)
    wait_until(lambda: ask(server, headers=bearer(token(kid="a"))).status_code == 401, 5)


def test_unknown_keys_do_not_flood(start, key_server):
    key_server.set(A)
    server = start(remote(key_server, "cooldown = 3600"), workers=2)
    accepted(server, token(kid="a"))
    for i in range(50):
        refused(server, token(kid=f"x{i}"))
    assert key_server.hits == 1
    assert server.log_text().count("tokens refused") < 5


def test_the_last_good_keys_stay(start, key_server):
    key_server.set(A)
    server = start(remote(key_server, "refresh = 1, cooldown = 0.1, timeout = 2"))
    accepted(server, token(kid="a"))
    bad = ((500, b""), (200, b"no keys"), (200, b'{"keys": []}'), (200, b" " * (2 << 20)), (404, b""))
    for failures, (status, body) in enumerate(bad, 1):
        key_server.status, key_server.body = status, body
        time.sleep(1.1)
        accepted(server, token(kid="a"))
        wait_until(lambda wanted=failures: server.log_text().count("keys could not be fetched") >= wanted, 5)
    server.wait_log("keys could not be fetched", "status 500")
    server.wait_log("keys could not be fetched", "larger than")
    accepted(server, token(kid="a"))
    key_server.status = 200
    key_server.set(B)
    wait_until(lambda: ask(server, headers=bearer(token(kid="b", key=RSA_NEXT))).status_code == 200, 10)


def test_no_keys_yet(start, key_server):
    key_server.status = 503
    server = start(remote(key_server, "cooldown = 0.1"))
    response = ask(server, headers=bearer(token(kid="a")))
    assert response.status_code == 503, response.text
    assert code_of(response.json()) == "UNAVAILABLE"
    assert key_server.url not in response.text
    key_server.status = 200
    key_server.set(A)
    wait_until(lambda: ask(server, headers=bearer(token(kid="a"))).status_code == 200, 10)


def test_many_wait_for_one_fetch(start, key_server):
    key_server.set(A)
    key_server.gate.clear()
    server = start(remote(key_server), workers=2)
    text = token(kid="a")
    results = []
    threads = [threading.Thread(target=lambda: results.append(accepted(server, text))) for _ in range(16)]
    for thread in threads:
        thread.start()
    wait_until(lambda: key_server.hits == 1, what="the fetch to begin")
    assert ask(server).status_code == 401  # others are served meanwhile
    assert results == []
    key_server.gate.set()
    for thread in threads:
        thread.join()
    assert len(results) == 16
    assert key_server.hits == 1


def test_redirection_to_plain_http(start, key_server):
    key_server.set(A)
    key_server.location = f"http://127.0.0.1:{key_server.port}/moved"
    server = start(remote(key_server))
    assert ask(server, headers=bearer(token(kid="a"))).status_code == 503
    server.wait_log("keys could not be fetched")
    server = start(remote(key_server, "allow_http = true"))
    accepted(server, token(kid="a"))


# -- WebSockets --
def who(socket):
    socket.subscribe("{ me { id } }")
    return socket.next()["data"]["me"]["id"]


def test_websocket(every):
    for params in ({"authorization": f"Bearer {token()}"}, {"Authorization": f"bearer {token()}"}, {"authorization": token()}):
        with WebSocket(every, params=params) as socket:
            assert who(socket) == "7"
    with WebSocket(every, headers=bearer(token())) as socket:
        assert who(socket) == "7"
    for params in (None, {}, {"authorization": "Bearer x"}, {"authorization": ""}, {"authorization": 5}):
        with WebSocket(every, init=False) as socket:
            socket.send(type="connection_init", **({} if params is None else {"payload": params}))
            code, reason = socket.closed()
            assert code == 4403
            assert "token is not valid" in reason or "credentials are missing" in reason


def test_expiry_closes_websockets(every):
    ends = int(time.time()) + 2
    with WebSocket(every, params={"authorization": f"Bearer {token(exp=ends)}"}) as socket:
        socket.subscribe("subscription { count }")
        assert socket.next() == {"data": {"count": 1}}
        assert socket.closed()[0] == 4403
        assert ends - 0.1 <= time.time() < ends + 3 * SLOWNESS


def test_expiry_ends_event_streams(every):
    ends = int(time.time()) + 2
    with EventStream(every, "subscription { count }", headers=bearer(token(exp=ends))) as stream:
        *events, last = stream.rest()
        assert events[0] == {"data": {"count": 1}}
        assert code_of(last) == "UNAUTHENTICATED"
        assert ends - 0.1 <= time.time() < ends + 3 * SLOWNESS


# -- API keys --
KEY, OTHER = "key-0123456789abcdef", "other-0123456789abcdef"


def test_api_keys(start):
    server = start(
        bundle(f"""
auth.api_key{{ keys = {{ ["{KEY}"] = {{ id = "robot", roles = {{ "ADMIN" }} }} }},
  hashes = {{ ["{hashlib.sha256(OTHER.encode()).hexdigest().upper()}"] = {{ id = "hashed", role = "READER" }} }} }}
""")
    )

    def ask_with(key, query="{ me { id } reports }"):
        return server.post({"query": query}, headers={} if key is None else {"x-api-key": key})

    assert ask_with(KEY).json()["data"] == {"me": {"id": "robot"}, "reports": "reports"}
    assert ask_with(OTHER).json()["data"] == {"me": {"id": "hashed"}, "reports": None}
    for wrong in (KEY[:-1], KEY + "x", KEY.upper(), "x", "x" * 5000, hashlib.sha256(OTHER.encode()).hexdigest()):
        response = ask_with(wrong)
        assert response.status_code == 401
        assert response.json()["errors"][0]["message"] == "the API key is not valid"
        assert response.headers["www-authenticate"] == "ApiKey"
        assert KEY not in server.log_text()
    for nothing in (None, ""):
        assert ask_with(nothing).json()["errors"][0]["message"] == "credentials are missing"
    with WebSocket(server, params={"apiKey": KEY}) as socket:
        assert who(socket) == "robot"


def test_any_of_them(start):
    server = start(
        bundle(f"""
auth.any{{ auth.jwt{{ algorithms = "HS256", secret = "{SECRET}", audience = "api" }},
  auth.api_key{{ header = "X-Robot", find = function(key, ctx)
    require("perilune.time").sleep(0.01)
    return key == "{KEY}" and {{ id = "robot", method = ctx.protocol }} or nil
  end }} }}
""")
    )
    assert accepted(server, token("HS256"), "{ me { id } }") == {"me": {"id": "7"}}
    response = server.post({"query": "{ me { id method } }"}, headers={"x-robot": KEY})
    assert response.json()["data"] == {"me": {"id": "robot", "method": "graphql"}}
    response = ask(server)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer, ApiKey"
    # A wrong token is not made good by a right key.
    response = server.post({"query": "{ me { id } }"}, headers={"x-robot": KEY} | bearer("x"))
    assert response.status_code == 401
    assert server.post({"query": "{ me { id } }"}, headers={"x-robot": "x"}).status_code == 401


# -- without a server --
def test_perilune_test(tmp_path):
    text = jwt.encode(claims(), SECRET, algorithm="HS256")
    directory = write_bundle(
        tmp_path / "bundle",
        bundle(
            f'auth.jwt{{ algorithms = "HS256", secret = "{SECRET}", audience = "api" }}',
            **{
                "tests/auth_test.lua": f"""
local t = require "perilune.test"
t.test("who", function()
  local answer = t.graphql("{{ me {{ id }} }}", nil, {{ headers = {{ Authorization = "Bearer {text}" }} }})
  t.equal(answer, {{ data = {{ me = {{ id = "7" }} }} }})
  t.equal(t.graphql("{{ me {{ id }} }}").errors[1].extensions.code, "UNAUTHENTICATED")
end)
"""
            },
        ),
    )
    result = run_cli("test", directory)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("interceptor", "message"),
    [
        ("auth.jwt()", "auth.jwt: a table of settings is expected"),
        ("auth.jwt{ isuer = 1 }", "auth.jwt: there is no setting 'isuer'"),
        (f'auth.jwt{{ secret = "{SECRET}" }}', "auth.jwt: algorithms is missing"),
        (f'auth.jwt{{ algorithms = {{}}, secret = "{SECRET}" }}', "algorithms must be a string or a list of strings"),
        (f'auth.jwt{{ algorithms = "none", secret = "{SECRET}" }}', 'there is no algorithm "none"'),
        (f'auth.jwt{{ algorithms = "RS256", secret = "{SECRET}" }}', "no key can be used with RS256 (but with HS256"),
        ('auth.jwt{ algorithms = "HS256" }', "one of secret, public_key and jwks is expected"),
        ('auth.jwt{ algorithms = "HS256", secret = "short" }', "secret: the secret: a secret of 5 bytes"),
        (f'auth.jwt{{ algorithms = "HS256", secret = [[{pem(RSA)}]] }}', "the secret is a key file"),
        ('auth.jwt{ algorithms = "RS256", public_key = "no.pem" }', "public_key: there is no file no.pem in the bundle"),
        ('auth.jwt{ algorithms = "RS256", jwks = "no.json" }', "jwks: there is no file no.json in the bundle"),
        ('auth.jwt{ algorithms = "RS256", jwks = "app.lua" }', "jwks: app.lua: Unexpected"),
        ('auth.jwt{ algorithms = "RS256", jwks = "http://id.example/keys" }', "https is expected"),
        ('auth.jwt{ algorithms = "RS256", jwks = "ftp://id.example/keys" }', "is no https URL"),
        ('auth.jwt{ algorithms = "RS256", jwks = "https://u:p@id.example/keys" }', "must not hold a user or password"),
        ('auth.jwt{ algorithms = "RS256", jwks = { url = "https://id.example/keys", refesh = 1 } }', "no setting 'refesh'"),
        ('auth.jwt{ algorithms = "RS256", jwks = { url = "https://id.example/keys", refresh = 0 } }', "refresh must be a number"),
        (f'auth.jwt{{ algorithms = "HS256", secret = "{SECRET}", leeway = -1 }}', "leeway must be a number from 0 to 3600"),
        (f'auth.jwt{{ algorithms = "HS256", secret = "{SECRET}", issuer = 5 }}', "issuer must be a string or a list"),
        ("auth.api_key{}", "keys, hashes or both are expected, or find"),
        ('auth.api_key{ keys = { short = {} } }', "keys: a key of 5 bytes"),
        ('auth.api_key{ keys = { "0123456789abcdef" } }', "keys: a key is a number"),
        ('auth.api_key{ hashes = { abc = {} } }', "hashes: 'abc' is no SHA-256"),
        ("auth.any{}", "auth.any: a list of"),
        ("auth.any{ function() end }", "auth.any: [1] is no interceptor of perilune.auth"),
        ("auth.roles{ maps = {} }", "auth.roles: there is no setting 'maps'"),
        ("auth.require{ roles = 'ADMIN' }", "auth.require: there is no setting 'roles'"),
        ("auth.scheme{ find = print }", "auth.scheme: check must be a function"),
    ],
)  # fmt: skip
def test_check(tmp_path, interceptor, message):
    directory = write_bundle(tmp_path / "bundle", bundle(f"\n{interceptor}\n"))
    result = run_cli("check", directory)
    assert result.returncode == 1, result.stdout
    assert "app.lua:4: " in result.stdout + result.stderr
    assert message in result.stdout + result.stderr
    assert SECRET not in result.stdout + result.stderr
