# SPDX-License-Identifier: MIT
"""examples/payments: the README's tour of it, command by command, and real clients of each of its sides."""

import json
import os
import re
import sqlite3
import subprocess
from pathlib import Path

import pytest

from harness import PERILUNE, ROOT, SLOWNESS, copy_example, go_tool, run_cli, wait_until
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


def contact(server):
    """Alan's address as the mailer knows it."""
    with sqlite3.connect(server.env["PERILUNE_SQLITE_PATH"]) as db:
        return db.execute("SELECT email FROM contacts WHERE user_id = 'alan'").fetchone()[0]


def deposit(server, user, amount):
    query = "mutation ($input: DepositInput!) { deposit(input: $input) { text balance } }"
    given = {"userId": user, "amount": amount, "currency": "EUR", "idempotencyKey": f"{user}-{amount}"}
    return server.data(query, {"input": given})["deposit"]


def consume(server, topic, pattern="%s\\n"):
    command = ["kcat", "-b", server.ready["kafka"], "-t", topic, "-C", "-e", "-q", "-f", pattern]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30 * SLOWNESS).stdout.splitlines()


def test_a_payment_by_graphql(server):
    assert deposit(server, "ada", 100_000) == deposit(server, "ada", 100_000) == {"text": "EUR 1000.00", "balance": 100_000}
    payment = create(server, "coffee")
    assert payment["status"] == "CREATED"
    found = settled(server, payment["id"])
    assert (found["status"], found["reason"], found["text"]) == ("COMPLETED", None, "EUR 12.50")
    assert found["user"] == {"name": "Ada Lovelace"}
    assert create(server, "coffee") == {"id": payment["id"], "status": "COMPLETED"}  # the same request, once more
    wait_until(lambda: "EUR 12.50 was paid to Cafe." in mails(server, "ada"), what="the mail")
    query = '{ user(id: "ada") { accounts { balance events { type amount } } } }'
    assert server.data(query)["user"]["accounts"] == [
        {"balance": 98_750, "events": [{"type": "Deposited", "amount": 100_000}, {"type": "Paid", "amount": 1250}]}
    ]


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


def test_completed_payments_are_enriched(server):
    ids = {create(server, f"enriched-{i}")["id"] for i in range(5)}

    # Which are there once only on a real Kafka: the embedded broker keeps no offsets of transactions.
    def enriched():
        events = [json.loads(line) for line in consume(server, "payments-enriched")]
        return ids <= {event["payment_id"] for event in events} and events

    found = wait_until(enriched, 20, "the enriched payments")
    assert {(event["country"], event["size"]) for event in found} == {("GB", "medium")}


def test_spending(server):
    def spent():
        return server.data('{ user(id: "ada") { spending { text count currency } } }')["user"]["spending"]

    assert wait_until(spent, 20, "a window")[0]["currency"] == "EUR"


def test_a_dead_letter_is_sent_again(server):
    def move(email):
        server.data(f'mutation {{ updateUser(id: "alan", input: {{ email: "{email}" }}) {{ id }} }}')
        wait_until(lambda: contact(server) == email, 20, "the new address is known")

    move("alan@mail.invalid")
    create(server, "lost", userId="alan")
    letter = wait_until(lambda: consume(server, "mails-dlq", "%k %h %s\\n"), 20, "the dead letter")[0]
    assert letter.startswith("alan ")
    assert "kafka_dlt-exception-message=the mail server of mail.invalid does not answer" in letter
    assert "perilune-attempt=3" in letter
    move("alan@example.com")
    replay = run_cli("dlq", "replay", "mails-dlq", "--brokers", server.ready["kafka"])
    assert replay.returncode == 0 and "replayed, to mails" in replay.stdout, replay
    wait_until(lambda: "EUR 12.50 was not paid to Cafe." in mails(server, "alan"), 20, "the mail")


def test_its_own_tests():
    result = run_cli("test", ROOT / "examples" / "payments")
    assert (result.returncode, result.stdout.splitlines()[-1][-9:]) == (0, " 0 failed"), result.stdout


# -- the README --
def tour():
    """The shell's part of the README's tour: blocks of command lines."""
    text = (ROOT / "README.md").read_text()
    text = text[text.index("## Five minutes") : text.index("**Start your own.**")]
    return [block.replace("\\\n", " ").splitlines() for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)]


class Shell:
    """Runs lines in a bash as if they were typed, with this server's addresses for the README's."""

    def __init__(self, server):
        self.places = [
            ("127.0.0.1:8080", server.ready["http"]),
            ("127.0.0.1:50051", server.ready["grpc"]),
            ("build/perilune", PERILUNE),
            ("examples/payments", str(server.bundle)),
        ]
        path = f"{Path(go_tool('grpcurl')).parent}:{os.environ['PATH']}"
        self.bash = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PATH": path},
        )

    def placed(self, line):
        for given, own in self.places:
            line = line.replace(given, own)
        return line

    def run(self, line):
        print(f"{self.placed(line)}\necho --over--", file=self.bash.stdin, flush=True)
        out = ""
        for text in self.bash.stdout:
            if text == "--over--\n":
                return out
            out += text
        raise AssertionError(f"bash has ended: {out}")

    def until(self, line, *words, seconds=20):
        """The command again and again, until its output has all words."""

        def look():
            out = self.run(line)
            return all(word in out for word in words) and out

        return wait_until(look, seconds, f"{words} from: {line}")

    def close(self):
        self.bash.stdin.close()
        self.bash.wait()
        self.bash.stdout.close()


def test_the_tour(start, tmp_path):
    server = start(copy_example("payments", tmp_path), "--grpc", "127.0.0.1:0", "--watch")
    blocks = iter(tour())
    shell = Shell(server)

    *functions, _, deposit_, pay, look_ = next(blocks)
    assert [shell.run(line) for line in functions] == [""] * 3
    assert "EUR 5000.00" in shell.run(deposit_)
    assert '"status":"CREATED"' in shell.run(pay)
    shell.until(look_, "COMPLETED", "EUR 12.50 was paid to Cafe.")
    assert '"status":"COMPLETED"' in shell.run(pay)  # the same request

    call, listing, grpcurl = next(blocks)
    assert "PAYMENT_STATUS_CREATED" in shell.run(call)
    shell.until(listing, "PAYMENT_STATUS_FAILED", "OVER_PAYMENT_LIMIT")
    assert "OVER_PAYMENT_LIMIT" in shell.run(grpcurl)

    address, events, enriched = next(blocks)
    (sums,) = next(blocks)
    shell.run(address)
    shell.until(events, "ada", "event-type=PaymentCompleted", "grace", "event-type=PaymentFailed")
    shell.until(enriched, '"country":"GB"')
    shell.until(sums, "EUR 4987.50", '"type":"Paid","amount":1250', '"text":"EUR 12.50","count":1')

    (watch,), (pay,) = next(blocks), next(blocks)
    before = server.status()["workers"][0]["streams"]
    watcher = subprocess.Popen(["bash", "-c", f"exec {shell.placed(watch)}"], stdout=subprocess.PIPE, text=True)
    wait_until(lambda: server.status()["workers"][0]["streams"] > before, what="the subscription")
    shell.run(pay)
    assert "Bakery" in next(line for line in watcher.stdout if line.startswith("data:"))

    pay, _, look_, edit, _, again, _, look_again = next(blocks)
    shell.run(pay)
    shell.until(look_, "Bicycles", "OVER_PAYMENT_LIMIT")
    shell.run(edit)
    wait_until(lambda: server.status()["generation"] == 2, what="the reload")
    shell.run(again)
    out = shell.until(look_again, "OVER_PAYMENT_LIMIT", '"status":"COMPLETED"')
    assert out.index("COMPLETED") < out.index("OVER_PAYMENT_LIMIT")

    move, _, change, _, pay, _, listing, show = next(blocks)
    change_again, _, replay, _, look_ = next(blocks)
    shell.run(move)
    shell.run(change)
    wait_until(lambda: contact(server) == "alan@mail.invalid", what="the new address is known")
    shell.run(pay)
    shell.until(listing, "mails-dlq", "UNAVAILABLE")
    assert "the mail server of mail.invalid does not answer" in shell.run(show)
    shell.run(change_again)
    wait_until(lambda: contact(server) == "alan@example.com", what="the new address is known")
    assert "replayed, to mails" in shell.run(replay)
    shell.until(look_, "GBP 9.00 was not paid to Books.")

    assert "event" in shell.run(*next(blocks))
    assert not list(blocks)
    assert watcher.poll() is None  # over the reload, too
    watcher.kill()
    watcher.communicate()
    shell.close()
