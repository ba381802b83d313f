# SPDX-License-Identifier: MIT
"""kafka_copy.py BROKERS GROUP INPUT OUTPUT [at_least_once|exactly_once]: copies events with one field changed; confluent-kafka.

What was made of a batch is written before the next batch is consumed: in a transaction with the batch's offsets, or flush() waits
for all acknowledgements. Then alone are the offsets stored; librdkafka commits what is stored once a second.
"""

import json
import os
import signal
import sys

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer

BATCH = 10_000
WAIT_S = 0.1  # for a batch to become full


class Copy:
    def __init__(self, brokers, group, source, target, mode):
        self.target, self.transactions, self.running, self.failure = target, mode == "exactly_once", True, None
        consumer = {"group.id": group, "auto.offset.reset": "earliest"}
        producer = {"linger.ms": 5, "batch.num.messages": 10000, "acks": "all", "partitioner": "murmur2_random"}
        if self.transactions:
            consumer |= {"enable.auto.commit": False}
            producer |= {"transactional.id": f"{group}-{os.getpid()}"}
        else:
            consumer |= {"enable.auto.offset.store": False, "auto.commit.interval.ms": 1000}
            producer |= {"delivery.report.only.error": True, "on_delivery": self.not_delivered}
        self.producer = Producer({"bootstrap.servers": brokers, **producer})
        self.consumer = Consumer({"bootstrap.servers": brokers, **consumer})
        self.consumer.subscribe([source])

    def stop(self, *_):
        self.running = False

    def not_delivered(self, error, message):
        self.failure = KafkaException(error)

    def publish(self, messages):
        """What is made of them, in the producer's queue."""
        events = []
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            event = orjson.loads(message.value())
            event["quantity"] += 1
            events.append({"key": message.key(), "value": orjson.dumps(event)})
        if self.producer.produce_batch(self.target, events) < len(events):
            raise next(KafkaException(event["_error"]) for event in events if "_error" in event)

    def copy(self, messages):
        self.publish(messages)
        self.producer.flush()
        if self.failure:
            raise self.failure
        # One more than the last of each partition.
        for message in {(message.topic(), message.partition()): message for message in messages}.values():
            self.consumer.store_offsets(message)

    def copy_in_transaction(self, messages):
        self.producer.begin_transaction()
        try:
            self.publish(messages)
            positions = self.consumer.position(self.consumer.assignment())
            self.producer.send_offsets_to_transaction(positions, self.consumer.consumer_group_metadata())
            self.producer.commit_transaction()
        except KafkaException as error:
            if not error.args[0].txn_requires_abort():
                raise
            self.producer.abort_transaction()
            self.rewind()

    def rewind(self):
        for partition in self.consumer.committed(self.consumer.assignment()):
            partition.offset = partition.offset if partition.offset >= 0 else OFFSET_BEGINNING
            self.consumer.seek(partition)

    def run(self):
        copy = self.copy_in_transaction if self.transactions else self.copy
        if self.transactions:
            self.producer.init_transactions()
        while self.running:
            messages = self.consumer.consume(BATCH, WAIT_S)
            if messages:
                copy(messages)
        self.consumer.close()


def main():
    brokers, group, source, target, mode = [*sys.argv[1:], "at_least_once"][:5]
    if mode not in ("at_least_once", "exactly_once"):
        sys.exit(f"kafka_copy.py: there is no mode {mode!r}")
    print(json.dumps({"event": "ready"}), flush=True)
    copy = Copy(brokers, group, source, target, mode)
    signal.signal(signal.SIGTERM, copy.stop)
    copy.run()


main()
