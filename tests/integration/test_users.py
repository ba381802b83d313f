# SPDX-License-Identifier: MIT
"""examples/users: every method of it by grpcio, what it refuses, who may call it; and grpc-go's client of it."""

import json
import subprocess
import threading
import time

import grpc
import jwt
import pytest

from grpc_client import fails
from harness import ROOT, SLOWNESS, copy_example, go_tool, run_cli, wait_until
from protobuf import Protos

pytestmark = pytest.mark.core

SERVICE = "user.v1.UserService"
GRPC = ("--grpc", "127.0.0.1:0")
SECRET = "a secret of thirty-two bytes, or more"


@pytest.fixture(scope="module")
def protos():
    return Protos((ROOT / "examples" / "users" / "proto", ["user.proto"]))


@pytest.fixture
def bundle(tmp_path):
    return copy_example("users", tmp_path)


@pytest.fixture
def server(start, bundle):
    return start(bundle, *GRPC)


@pytest.fixture
def users(server, protos):
    with protos.connect(server, SERVICE) as stub:
        yield stub


def create(users, name="Ada Lovelace", email="ada@example.com", **more):
    return users.CreateUser(users["CreateUser"](name=name, email=email, **more)).user


def page(users, **request):
    """The names of a page of ListUsers, and the token of the next one."""
    call = users.ListUsers(users["ListUsers"](**request))
    names = [user.name for user in call]
    return names, dict(call.trailing_metadata()).get("next-page-token")


def names(users, filter):
    return page(users, filter=filter, order_by="name")[0]


def refused(call):
    """The code and the message of an error, and the fields that it says are wrong."""
    error = fails(call)
    details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
    return error.code(), error.details(), details


# -- unary --
def test_create_and_get(users):
    user = create(users, roles=["admin", "user"], metadata={"team": "engine", "ключ": "значение"})
    assert user.id.startswith("user_") and (user.name, user.email) == ("Ada Lovelace", "ada@example.com")
    assert list(user.roles) == ["admin", "user"] and dict(user.metadata) == {"team": "engine", "ключ": "значение"}
    assert abs(user.created_at.ToNanoseconds() / 1e9 - time.time()) < 30 * SLOWNESS
    assert user.updated_at == user.created_at
    assert users.GetUser(users["GetUser"](id=user.id)).user == user
    plain = create(users, "Alan", "alan@example.com")
    assert users.GetUser(users["GetUser"](id=plain.id)).user == plain and not plain.roles and not plain.metadata


def test_update_changes_what_is_given(users):
    user = create(users, roles=["user"], metadata={"team": "engine"})

    def update(**fields):
        return users.UpdateUser(users["UpdateUser"](id=user.id, **fields)).user

    changed = update(name="Countess")
    assert (changed.name, changed.email, list(changed.roles), dict(changed.metadata)) == (
        "Countess",
        "ada@example.com",
        ["user"],
        {"team": "engine"},
    )
    assert changed.created_at == user.created_at
    assert changed.updated_at.ToNanoseconds() > user.updated_at.ToNanoseconds()
    assert update(email="countess@example.com").email == "countess@example.com"
    assert list(update(roles=["admin"]).roles) == ["admin"]
    assert dict(update(metadata={"house": "Byron"}).metadata) == {"house": "Byron"}
    cleared = update(update_mask={"paths": ["roles", "metadata"]}, name="ignored")
    assert (cleared.name, list(cleared.roles), dict(cleared.metadata)) == ("Countess", [], {})
    # Presence: an empty name is a name that is given, and refused.
    code, message, details = refused(lambda: update(name=""))
    assert (code, message) == (grpc.StatusCode.INVALID_ARGUMENT, "name is required") and b"google.rpc.BadRequest" in details
    assert refused(lambda: update(update_mask={"paths": ["name"]}))[:2] == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "name is required",
    )
    assert refused(lambda: update(update_mask={"paths": ["id"]}))[1] == "there is no field to change: id"
    assert users.GetUser(users["GetUser"](id=user.id)).user == cleared


def test_delete(users):
    user = create(users)
    users.DeleteUser(users["DeleteUser"](id=user.id))
    for method in ("GetUser", "UpdateUser", "DeleteUser"):
        call = getattr(users, method)
        request = users[method](id=user.id)
        assert refused(lambda call=call, request=request: call(request))[:2] == (grpc.StatusCode.NOT_FOUND, "user not found")


def test_what_is_refused(users):
    for method in ("GetUser", "UpdateUser", "DeleteUser"):
        call, request = getattr(users, method), users[method]()
        code, message, details = refused(lambda call=call, request=request: call(request))
        assert (code, message) == (grpc.StatusCode.INVALID_ARGUMENT, "user ID is required") and b"id" in details
    for fields, message, field in [
        ({"email": "a@b.c"}, "name is required", b"name"),
        ({"name": " \t", "email": "a@b.c"}, "name is required", b"name"),
        ({"name": "x" * 201, "email": "a@b.c"}, "name is too long", b"name"),
        ({"name": "Ada"}, "email is required", b"email"),
        ({"name": "Ada", "email": "nowhere"}, "email format is invalid", b"email"),
        ({"name": "Ada", "email": "a@b.c", "roles": ["r"] * 51}, "roles are too many", b"roles"),
    ]:
        code, told, details = refused(lambda fields=fields: users.CreateUser(users["CreateUser"](**fields)))
        assert (code, told) == (grpc.StatusCode.INVALID_ARGUMENT, message) and field in details
    assert page(users) == ([], None)


# -- streams --
def test_create_multiple(users):
    request = users["CreateMultipleUsers"]
    answer = users.CreateMultipleUsers(request(name=f"User {i:02}", email=f"u{i}@example.com") for i in range(30))
    assert answer.created_count == 30 and [user.name for user in answer.users] == [f"User {i:02}" for i in range(30)]
    assert users.CreateMultipleUsers(iter([])).created_count == 0
    # All or none.
    bad = [request(name="Good", email="good@example.com"), request(name="Bad", email="bad")]
    code, message, details = refused(lambda: users.CreateMultipleUsers(iter(bad)))
    assert (code, message) == (grpc.StatusCode.INVALID_ARGUMENT, "email format is invalid") and b"users[2].email" in details
    code, message, _ = refused(lambda: users.CreateMultipleUsers(request(name="x", email="x@y.z") for _ in range(1001)))
    assert (code, message) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "at most 1000 users in one call")
    assert len(page(users, page_size=1000)[0]) == 30


def test_pages(users):
    for i in range(25):
        create(users, f"User {i:02}", f"u{i}@example.com")
    everybody = [f"User {i:02}" for i in range(25)]
    first, token = page(users)
    assert first == everybody[:10] and token
    # Those who come and go meanwhile do not shift the pages.
    call = users.ListUsers(users["ListUsers"](page_size=1))
    users.DeleteUser(users["DeleteUser"](id=next(call).id))
    second, token = page(users, page_token=token)
    assert second == everybody[10:20]
    assert page(users, page_token=token) == (everybody[20:], None)
    assert page(users, page_size=24) == (everybody[1:], None)

    found, token = [], ""
    while token is not None:
        some, token = page(users, page_size=7, page_token=token, order_by="email desc, name", filter="email:example")
        found += some
    assert found == sorted(everybody[1:], key=lambda name: f"u{int(name[5:])}@example.com", reverse=True)


def test_pages_that_are_refused(users):
    create(users)
    create(users)
    token = page(users, page_size=1)[1]
    for request, field in [
        ({"page_size": -1}, b"page_size"),
        ({"page_token": "nonsense"}, b"page_token"),
        ({"page_token": token, "filter": "ada"}, b"page_token"),
        ({"page_token": token, "order_by": "name"}, b"page_token"),
        ({"order_by": "password"}, b"order_by"),
        ({"order_by": "name sideways"}, b"order_by"),
        ({"order_by": "name; DROP TABLE users"}, b"order_by"),
        ({"filter": "password = x"}, b"filter"),
        ({"filter": 'name = "ada'}, b"filter"),
        ({"filter": "name ="}, b"filter"),
        ({"filter": "name < b"}, b"filter"),
        ({"filter": "name = a name = b"}, b"filter"),
        ({"filter": "a AND"}, b"filter"),
        ({"filter": "created_at > yesterday"}, b"filter"),
        ({"filter": " AND ".join(["a"] * 21)}, b"filter"),
        ({"filter": "a" * 2001}, b"filter"),
    ]:
        code, message, details = refused(lambda request=request: page(users, **request))
        assert code is grpc.StatusCode.INVALID_ARGUMENT and field in details, (request, message)


def test_filters(users):
    create(users, "Ada Lovelace", "ada@example.com", roles=["admin", "user"], metadata={"team": "engine"})
    create(users, "Alan Turing", "alan@example.org", roles=["user"], metadata={"team": "machines", "house": "8"})
    bob = create(users, 'Bob "Quote" AND', "bob@example.com")
    everybody = ["Ada Lovelace", "Alan Turing", bob.name]
    assert names(users, "") == names(users, "  ") == everybody
    assert names(users, "TURING") == ["Alan Turing"]
    assert names(users, "example.com") == ["Ada Lovelace", bob.name]
    assert names(users, 'name = "Ada Lovelace"') == ["Ada Lovelace"]
    assert names(users, "name != ada") == everybody
    assert names(users, "name:ada") == ["Ada Lovelace"]
    assert names(users, "roles:admin") == names(users, "roles = admin") == ["Ada Lovelace"]
    assert names(users, "roles != admin") == ["Alan Turing", bob.name]
    assert names(users, "metadata.team = engine") == names(users, "metadata.team:ENG") == ["Ada Lovelace"]
    assert names(users, "metadata.team != engine") == ["Alan Turing", bob.name]
    assert names(users, "roles:user AND email:.org AND a") == ["Alan Turing"]
    assert names(users, f"id = {bob.id}") == [bob.name]
    assert names(users, 'name = "Bob \\"Quote\\" AND"') == [bob.name]
    assert names(users, 'created_at >= "2026-01-01T00:00:00Z" AND roles:admin') == ["Ada Lovelace"]
    assert names(users, "created_at < 2026-01-01T00:00:00Z") == []
    assert names(users, "name:%") == []
    assert names(users, '"\' OR 1=1 --"') == []


def test_chat(users):
    message = users["ChatWithUser"]
    heard = []

    def say():
        for i in range(5):
            yield message(user_id="user_1", message=f"message {i}")
            wait_until(lambda i=i: len(heard) > i, what="an answer before the next message")

    for answer in users.ChatWithUser(say()):
        assert abs(answer.timestamp.ToSeconds() - time.time()) < 30 * SLOWNESS
        heard.append((answer.user_id, answer.message))
    assert heard == [("user_1", f"Echo: message {i}") for i in range(5)]


# -- interceptors --
def test_each_call_is_logged(server, users):
    create(users)
    fails(lambda: users.GetUser(users["GetUser"](id="nobody")))
    over = threading.Event()

    def say():
        yield users["ChatWithUser"](message="hello")
        over.wait(60)

    chat = users.ChatWithUser(say())
    assert next(chat).message == "Echo: hello"
    chat.cancel()
    over.set()
    for method, code in [("CreateUser", "OK"), ("GetUser", "NOT_FOUND"), ("ChatWithUser", "CANCELLED")]:
        line = json.loads(server.wait_log('"call"', f"{SERVICE}/{method}"))
        assert line["code"] == code and line["ms"] >= 0 and line["peer"].startswith("127.0.0.1:")


def token(**claims):
    return jwt.encode({"sub": "ada", "aud": "users", "exp": time.time() + 600} | claims, SECRET, algorithm="HS256")


def test_tokens(start, bundle, protos):
    server = start(bundle, *GRPC, env={"USERS_JWT_SECRET": SECRET})
    with protos.connect(server, SERVICE) as users:

        def call(method, credential, **fields):
            metadata = [("authorization", f"Bearer {credential}")] if credential else []
            return getattr(users, method)(users[method](**fields), metadata=metadata)

        for wrong in (None, "nonsense", token(aud="others"), token(exp=time.time() - 600)):
            assert refused(lambda wrong=wrong: call("GetUser", wrong, id="1"))[0] is grpc.StatusCode.UNAUTHENTICATED
        user = call("CreateUser", token(), name="Ada", email="ada@example.com").user
        assert refused(lambda: call("DeleteUser", token(), id=user.id))[0] is grpc.StatusCode.PERMISSION_DENIED
        call("DeleteUser", token(roles=["admin"]), id=user.id)
    assert json.loads(server.wait_log("CreateUser"))["user"] == "ada"


# -- GraphQL in front of it --
CREATE = "mutation ($input: CreateUserInput!) { createUser(input: $input) { id name roles createdAt } }"
LIST = 'query ($token: String! = "") { users(pageSize: 2, orderBy: "name", pageToken: $token) { users { name } nextPageToken } }'


@pytest.fixture(params=["here", "elsewhere"])
def gateway(request, start, tmp_path, server):
    """A server that answers GraphQL: with its own service, or with another server's."""
    if request.param == "here":
        return server
    return start(copy_example("users", tmp_path / "gateway"), "--grpc", "off", env={"USERS_TARGET": server.ready["grpc"]})


def test_graphql(gateway, users):
    found = [gateway.data(CREATE, {"input": {"name": name, "email": f"{name}@example.com"}})["createUser"] for name in "CAB"]
    assert [user["name"] for user in found] == ["C", "A", "B"] and found[0]["createdAt"].endswith("Z")
    assert users.GetUser(users["GetUser"](id=found[0]["id"])).user.name == "C"
    first = gateway.data(LIST)["users"]
    assert [user["name"] for user in first["users"]] == ["A", "B"]
    assert gateway.data(LIST, {"token": first["nextPageToken"]})["users"] == {"users": [{"name": "C"}], "nextPageToken": None}
    assert gateway.data('{ user(id: "nobody") { name } }') == {"user": None}
    response = gateway.graphql(CREATE, {"input": {"name": "D", "email": "nowhere"}})
    assert response["errors"][0]["extensions"] == {"code": "INVALID_ARGUMENT", "violations": {"email": "format is invalid"}}


def test_graphql_with_a_token(start, bundle, tmp_path):
    service = start(bundle, *GRPC, env={"USERS_JWT_SECRET": SECRET})
    env = {"USERS_TARGET": service.ready["grpc"], "USERS_JWT_SECRET": SECRET}
    gateway = start(copy_example("users", tmp_path / "gateway"), "--grpc", "off", env=env)
    query = {"query": '{ user(id: "nobody") { name } }'}
    assert "UNAUTHENTICATED" in gateway.post(query).text
    answer = gateway.post(query, headers={"authorization": f"Bearer {token()}"})
    assert answer.json() == {"data": {"user": None}}


# -- others --
def test_the_go_client(start, bundle):
    server = start(bundle, *GRPC, workers=2)
    done = subprocess.run([go_tool("users"), server.ready["grpc"]], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_the_go_client_with_a_token(start, bundle):
    server = start(bundle, *GRPC, env={"USERS_JWT_SECRET": SECRET})
    command = [go_tool("users"), server.ready["grpc"], token(roles=["admin"])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_the_bundle_s_own_tests(bundle, tmp_path):
    done = run_cli("test", bundle, env={"PERILUNE_SQLITE_PATH": str(tmp_path / "test.db")})
    assert done.returncode == 0, done.stdout + done.stderr
