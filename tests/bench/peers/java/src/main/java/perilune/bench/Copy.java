// SPDX-License-Identifier: MIT
package perilune.bench;

import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Copy BROKERS GROUP INPUT OUTPUT [at_least_once|exactly_once|produce|consume]: a service on KafkaConsumer and KafkaProducer, with one
 * thread of its own.
 */
final class Copy implements AutoCloseable {
    private final Job job;
    private final boolean transactions;
    private final KafkaConsumer<String, Order> consumer;
    private final KafkaProducer<String, Order> producer;
    private final Map<TopicPartition, OffsetAndMetadata> done = new HashMap<>();
    private volatile boolean ended;
    private volatile Exception failure;
    private int count;
    private long quantity;

    private Copy(Job job) {
        this.job = job;
        transactions = job.mode().equals("exactly_once");
        consumer = job.mode().equals("produce") ? null : newConsumer();
        producer = job.mode().equals("consume") ? null : newProducer();
    }

    private KafkaConsumer<String, Order> newConsumer() {
        var settings = job.settings();
        settings.put(ConsumerConfig.GROUP_ID_CONFIG, job.group());
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        settings.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
        settings.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
        return new KafkaConsumer<>(settings, new StringDeserializer(), new Json.Reading());
    }

    private KafkaProducer<String, Order> newProducer() {
        var settings = job.settings();
        settings.putAll(Job.ofProducers());
        if (transactions) {
            settings.put(ProducerConfig.TRANSACTIONAL_ID_CONFIG, job.group());
        }
        return new KafkaProducer<>(settings, new StringSerializer(), new Json.Writing());
    }

    public static void main(String[] args) {
        var job = Job.of(args);
        Job.ready();
        try (var copy = new Copy(job)) {
            Job.onTerm(() -> copy.ended = true, Thread.currentThread());
            switch (job.mode()) {
                case "at_least_once", "exactly_once", "consume" -> copy.handle();
                case "produce" -> copy.produce();
                default -> throw job.unknown();
            }
        } catch (Exception problem) {
            problem.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }

    // --- copy and consume ---
    private void handle() throws Exception {
        if (transactions) {
            producer.initTransactions();
        }
        consumer.subscribe(List.of(job.input()), new CommitFirst());
        var interval = Duration.ofMillis(transactions ? Job.TRANSACTION_MS : Job.COMMIT_MS).toNanos();
        var committed = System.nanoTime();
        while (!ended) {
            var records = consumer.poll(Duration.ofMillis(20));
            var offsets = records.nextOffsets();
            if (transactions && done.isEmpty() && !offsets.isEmpty()) {
                producer.beginTransaction();
            }
            for (var one : records) {
                handle(one);
            }
            done.putAll(offsets);
            if (System.nanoTime() - committed >= interval) {
                commit();
                committed = System.nanoTime();
            }
        }
        commit();
        consumer.close();
        if (producer == null) {
            System.out.printf("{\"event\":\"consumed\",\"count\":%d,\"quantity\":%d}%n", count, quantity);
        }
    }

    private void handle(ConsumerRecord<String, Order> one) {
        if (producer == null) {
            count++;
            quantity += one.value().quantity();
        } else {
            send(one.key(), one.value().oneMore());
        }
    }

    private void send(String key, Order order) {
        producer.send(new ProducerRecord<>(job.output(), key, order), (metadata, problem) -> {
            if (problem != null) {
                failure = problem;
            }
        });
    }

    /** Of what was handled, when it is acknowledged. */
    private void commit() throws Exception {
        if (done.isEmpty()) {
            return;
        }
        if (transactions) {
            producer.sendOffsetsToTransaction(done, consumer.groupMetadata());
            producer.commitTransaction();
        } else {
            if (producer != null) {
                producer.flush();
            }
            if (failure != null) {
                throw failure;
            }
            consumer.commitSync(done);
        }
        done.clear();
    }

    private final class CommitFirst implements ConsumerRebalanceListener {
        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            try {
                commit();
            } catch (Exception problem) {
                throw new IllegalStateException("could not commit before partitions went", problem);
            }
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {}
    }

    // --- produce ---
    private void produce() throws Exception {
        var text = System.getenv("BENCH_COUNT");
        var events = text == null ? 1_000_000 : Integer.parseInt(text);
        for (var i = 0; i < events && !ended; i++) {
            send(Integer.toString(i), Order.of(i));
        }
        producer.flush();
        if (failure != null) {
            throw failure;
        }
        while (!ended) {
            Thread.sleep(100);
        }
    }

    @Override
    public void close() {
        if (consumer != null) {
            consumer.close();
        }
        if (producer != null) {
            producer.close();
        }
    }
}
