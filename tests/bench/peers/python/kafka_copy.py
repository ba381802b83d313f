# SPDX-License-Identifier: MIT
"""kafka_copy.py BROKERS GROUP INPUT OUTPUT [MODE]: copies events with one field changed, or only makes or reads them.

On confluent-kafka. What was made of a batch is written before the next batch is consumed: in a transaction with the batch's
offsets, or flush() waits for all acknowledgements. Then alone are the offsets stored; librdkafka commits what is stored once a
second.
"""

import json
import os
import signal
import sys
import time

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer

BATCH = 10_000
WAIT_S = 0.1  # for a batch to become full
QUEUED = 50_000


class Job:
    def __init__(self, brokers, group, source, target, mode="at_least_once"):
        self.brokers, self.group, self.source, self.target, self.mode = brokers, group, source, target, mode
        self.running, self.failure = True, None

    def stop(self, *_):
        self.running = False

    def consumer(self, **settings):
        common = {"bootstrap.servers": self.brokers, "group.id": self.group, "auto.offset.reset": "earliest"}
        consumer = Consumer(common | {name.replace("_", "."): value for name, value in settings.items()})
        consumer.subscribe([self.source])
        return consumer

    def producer(self, **settings):
        common = {"bootstrap.servers": self.brokers, "acks": "all", "partitioner": "murmur2_random"}
        common |= {"linger.ms": 5, "batch.num.messages": 10_000}
        common |= {"delivery.report.only.error": True, "on_delivery": self.not_delivered}
        return Producer(common | {name.replace("_", "."): value for name, value in settings.items()})

    def not_delivered(self, error, _):
        self.failure = KafkaException(error)

    def batches(self, consumer):
        while self.running:
            messages = consumer.consume(BATCH, WAIT_S)
            for message in messages:
                if message.error():
                    raise KafkaException(message.error())
            if messages:
                yield messages

    def publish(self, producer, events):
        if producer.produce_batch(self.target, events) < len(events):
            raise next(KafkaException(event["_error"]) for event in events if "_error" in event)

    def acknowledged(self, producer):
        producer.flush()
        if self.failure:
            raise self.failure


def changed(message):
    event = orjson.loads(message.value())
    event["quantity"] += 1
    return {"key": message.key(), "value": orjson.dumps(event)}


def store(consumer, messages):
    """The offset after the last message of each partition."""
    for message in {(message.topic(), message.partition()): message for message in messages}.values():
        consumer.store_offsets(message)


def copy(job):
    consumer, producer = job.consumer(enable_auto_offset_store=False, auto_commit_interval_ms=1000), job.producer()
    for messages in job.batches(consumer):
        job.publish(producer, [changed(message) for message in messages])
        job.acknowledged(producer)
        store(consumer, messages)
    consumer.close()


def rewind(consumer):
    for partition in consumer.committed(consumer.assignment()):
        partition.offset = partition.offset if partition.offset >= 0 else OFFSET_BEGINNING
        consumer.seek(partition)


def copy_exactly_once(job):
    consumer = job.consumer(enable_auto_commit=False)
    producer = job.producer(transactional_id=f"{job.group}-{os.getpid()}")
    producer.init_transactions()
    for messages in job.batches(consumer):
        producer.begin_transaction()
        try:
            job.publish(producer, [changed(message) for message in messages])
            positions = consumer.position(consumer.assignment())
            producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata())
            producer.commit_transaction()
        except KafkaException as error:
            if not error.args[0].txn_requires_abort():
                raise
            producer.abort_transaction()
            rewind(consumer)
    consumer.close()


def consume(job):
    consumer = job.consumer(enable_auto_offset_store=False, auto_commit_interval_ms=1000)
    count = quantity = 0
    for messages in job.batches(consumer):
        for message in messages:
            quantity += orjson.loads(message.value())["quantity"]
        count += len(messages)
        store(consumer, messages)
    consumer.close()
    print(json.dumps({"event": "consumed", "count": count, "quantity": quantity}), flush=True)


def order(number):
    return {
        "id": number,
        "customer": f"customer-{number % 1000:04}",
        "product": f"Product number {number % 100}",
        "quantity": number % 7,
        "price": 19.5,
        "paid": True,
        "tags": ["new", "online"],
        "address": {"street": "Nowhere Street 17", "city": "Springfield", "country": "US"},
    }


def produce(job):
    producer, count = job.producer(), int(os.environ.get("BENCH_COUNT", "1000000"))
    for first in range(0, count, BATCH):
        numbers = range(first, min(first + BATCH, count))
        while len(producer) > QUEUED:
            producer.poll(0.01)
        job.publish(producer, [{"key": str(number), "value": orjson.dumps(order(number))} for number in numbers])
    job.acknowledged(producer)
    while job.running:
        time.sleep(0.1)


MODES = {"at_least_once": copy, "exactly_once": copy_exactly_once, "consume": consume, "produce": produce}


def main():
    job = Job(*sys.argv[1:])
    run = MODES.get(job.mode) or sys.exit(f"kafka_copy.py: there is no mode {job.mode!r}; there are: {', '.join(MODES)}")
    signal.signal(signal.SIGTERM, job.stop)
    print(json.dumps({"event": "ready"}), flush=True)
    run(job)


main()
