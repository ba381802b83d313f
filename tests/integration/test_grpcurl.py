# SPDX-License-Identifier: MIT
"""grpcurl, which asks the server what there is by reflection, against examples/users."""

import json
import subprocess

import pytest

from harness import SLOWNESS, copy_example, go_tool

SERVICE = "user.v1.UserService"


@pytest.fixture(scope="module")
def server(start_shared, tmp_path_factory):
    return start_shared(copy_example("users", tmp_path_factory.mktemp("grpcurl")), "--grpc", "127.0.0.1:0")


def messages(text):
    """The JSON values of a text, one after the other."""
    decoder, found = json.JSONDecoder(), []
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


def run(server, *arguments, flags=()):
    command = [go_tool("grpcurl"), "-plaintext", *flags, server.ready["grpc"], *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30 * SLOWNESS)


def told(server, *arguments):
    done = run(server, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def call(server, method, *requests, flags=()):
    """The responses of a call, as JSON."""
    data = "\n".join(json.dumps(request) for request in requests)
    done = run(server, f"{SERVICE}/{method}", flags=["-d", data, *flags])
    assert done.returncode == 0, done.stderr
    return messages(done.stdout)


def test_what_there_is(server):
    services = told(server, "list").split()
    assert SERVICE in services and "grpc.health.v1.Health" in services
    assert "grpc.reflection.v1.ServerReflection" in services and "grpc.reflection.v1alpha.ServerReflection" in services
    methods = ["GetUser", "CreateUser", "UpdateUser", "DeleteUser", "ListUsers", "CreateMultipleUsers", "ChatWithUser"]
    assert sorted(told(server, "list", SERVICE).split()) == sorted(f"{SERVICE}.{method}" for method in methods)
    described = told(server, "describe", SERVICE)
    assert "rpc ListUsers ( .user.v1.ListUsersRequest ) returns ( stream .user.v1.User );" in described
    described = told(server, "describe", "user.v1.UpdateUserRequest")
    assert "optional string name = 2;" in described and ".google.protobuf.FieldMask update_mask = 6;" in described
    assert "seconds" in told(server, "describe", "google.protobuf.Timestamp")
    done = run(server, "describe", "user.v1.Nothing")
    assert done.returncode != 0 and "not found" in done.stderr


def test_calls_of_all_kinds(server):
    user = call(server, "CreateUser", {"name": "Ada", "email": "ada@example.com", "metadata": {"team": "engine"}})[0]["user"]
    assert call(server, "GetUser", {"id": user["id"]}) == [{"user": user}]
    people = [{"name": name, "email": f"{name}@example.com"} for name in "ABC"]
    assert call(server, "CreateMultipleUsers", *people)[0]["createdCount"] == 3
    assert [one["name"] for one in call(server, "ListUsers", {"orderBy": "name"})] == ["A", "Ada", "B", "C"]
    answers = call(server, "ChatWithUser", {"message": "Hello"}, {"message": "Goodbye"})
    assert [answer["message"] for answer in answers] == ["Echo: Hello", "Echo: Goodbye"]


def test_errors_have_their_details(server):
    done = run(server, f"{SERVICE}/CreateUser", flags=["-d", '{"name": "Ada", "email": "nowhere"}'])
    assert done.returncode != 0 and "InvalidArgument" in done.stderr and "email format is invalid" in done.stderr
    assert "google.rpc.BadRequest" in done.stderr


def test_health(server):
    done = run(server, "grpc.health.v1.Health/Check", flags=["-d", json.dumps({"service": SERVICE})])
    assert done.returncode == 0 and messages(done.stdout) == [{"status": "SERVING"}], done.stderr
