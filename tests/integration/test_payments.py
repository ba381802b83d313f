# SPDX-License-Identifier: MIT
"""examples/payments, as the README's tour goes through it: HTTP, gRPC and a client of the broker."""

import json
import subprocess

import pytest

from harness import ROOT, SLOWNESS, copy_example, wait_until
from protobuf import Protos
from streams import EventStream

SERVICE = "payments.v1.PaymentService"
CREATE = "mutation ($input: CreatePaymentInput!) { createPayment(input: $input) { id status } }"
WATCH = "subscription { paymentUpdated { id status } }"


@pytest.fixture(scope="module")
def protos():
    return Protos((ROOT / "examples" / "payments" / "proto", ["payments/v1/payments.proto"]))


@pytest.fixture(scope="module")
def server(start_shared, tmp_path_factory):
    return start_shared(copy_example("payments", tmp_path_factory.mktemp("payments")), "--grpc", "127.0.0.1:0", workers=2)


@pytest.fixture
def grpc(server, protos):
    with protos.connect(server, SERVICE) as stub:
        yield stub


def create(server, key, **changes):
    payment = {"userId": "ada", "amount": 1250, "currency": "EUR", "merchant": "Cafe", "idempotencyKey": key} | changes
    return server.data(CREATE, {"input": payment})["createPayment"]


def look(server, id_):
    query = "query ($id: ID!) { payment(id: $id) { status reason text user { name } settledAt } }"
    return server.data(query, {"id": id_})["payment"]


def settled(server, id_):
    return wait_until(lambda: (found := look(server, id_))["status"] != "CREATED" and found, 20, "the payment is settled")


def mails(server, user):
    return [
        mail["text"]
        for mail in server.data("query ($id: ID!) { user(id: $id) { mails { text } } }", {"id": user})["user"]["mails"]
    ]


def consume(server, topic, pattern="%s\\n"):
    command = ["kcat", "-b", server.ready["kafka"], "-t", topic, "-C", "-e", "-q", "-f", pattern]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30 * SLOWNESS).stdout.splitlines()


def test_a_payment_by_graphql(server):
    payment = create(server, "coffee")
    assert payment["status"] == "CREATED"
    found = settled(server, payment["id"])
    assert (found["status"], found["reason"], found["text"]) == ("COMPLETED", None, "EUR 12.50")
    assert found["user"] == {"name": "Ada Lovelace"}
    assert create(server, "coffee") == {"id": payment["id"], "status": "COMPLETED"}  # the same request, once more
    wait_until(lambda: "EUR 12.50 was paid to Cafe." in mails(server, "ada"), what="the mail")


def test_a_payment_by_grpc(server, grpc):
    request = grpc["CreatePayment"](user_id="grace", amount=200_000, currency="USD", merchant="Yacht", idempotency_key="1")
    payment = grpc.CreatePayment(request)
    assert settled(server, payment.id)["reason"] == "OVER_PAYMENT_LIMIT"
    found = grpc.GetPayment(grpc["GetPayment"](id=payment.id))
    assert (found.status, found.reason, found.amount) == (3, "OVER_PAYMENT_LIMIT", 200_000)
    assert found.settled_at.ToDatetime() >= found.created_at.ToDatetime()
    page = grpc.ListPayments(grpc["ListPayments"](user_id="grace", status=3))
    assert [listed.id for listed in page.payments] == [payment.id]


def test_watching(server, grpc):
    updates = grpc.WatchPayments(grpc["WatchPayments"](user_id="ada"), timeout=60 * SLOWNESS)
    updates.initial_metadata()
    with EventStream(server, WATCH) as watched:
        id_ = create(server, "watched")["id"]
        assert [watched.next()["data"]["paymentUpdated"] for _ in range(2)] == [
            {"id": id_, "status": "CREATED"},
            {"id": id_, "status": "COMPLETED"},
        ]
    assert [(update.id, update.status) for update in (next(updates), next(updates))] == [(id_, 1), (id_, 2)]
    updates.cancel()


def test_events_on_the_broker(server):
    id_ = create(server, "seen")["id"]
    settled(server, id_)
    lines = wait_until(
        lambda: [line for line in consume(server, "payment-events", "%k %h %s\\n") if id_ in line][1:], what="both events"
    )
    assert len(lines) == 1
    key, headers, value = lines[0].split(" ", 2)
    assert key == "ada"
    assert "event-type=PaymentCompleted" in headers
    assert json.loads(value)["payment"]["id"] == id_


def test_a_dead_letter(server):
    server.data('mutation { updateUser(id: "alan", input: { email: "alan@mail.invalid" }) { id } }')
    wait_until(lambda: mails(server, "alan") == ["Your address is now alan@mail.invalid."], 20, "the new address is known")
    id_ = create(server, "lost", userId="alan")["id"]
    letter = wait_until(lambda: consume(server, "notifications-dlq", "%h %s\\n"), 20, "the dead letter")[0]
    assert "kafka_dlt-exception-message=the mail server of mail.invalid does not answer" in letter
    assert "perilune-attempt=3" in letter
    assert id_ in letter
    assert look(server, id_)["status"] == "COMPLETED"
