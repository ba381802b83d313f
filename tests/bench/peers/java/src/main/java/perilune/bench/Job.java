// SPDX-License-Identifier: MIT
package perilune.bench;

import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.clients.CommonClientConfigs;
import org.apache.kafka.clients.producer.ProducerConfig;

/** What the arguments say, and how a service begins and ends. */
record Job(String brokers, String group, String input, String output, String mode) {
    static final int COMMIT_MS = 1000;
    static final int TRANSACTION_MS = 100;

    static Job of(String[] args) {
        if (args.length < 4 || args.length > 5) {
            System.err.println("usage: BROKERS GROUP INPUT OUTPUT [MODE]");
            System.exit(2);
        }
        return new Job(args[0], args[1], args[2], args[3], args.length == 5 ? args[4] : "at_least_once");
    }

    IllegalArgumentException unknown() {
        return new IllegalArgumentException("there is no mode " + mode);
    }

    Map<String, Object> settings() {
        var settings = new HashMap<String, Object>();
        settings.put(CommonClientConfigs.BOOTSTRAP_SERVERS_CONFIG, brokers);
        return settings;
    }

    /** Batches are bounded by their bytes: a megabyte, as others' are, not Kafka's 16 kB. */
    static Map<String, Object> ofProducers() {
        return Map.of(ProducerConfig.ACKS_CONFIG, "all", ProducerConfig.LINGER_MS_CONFIG, 5, ProducerConfig.BATCH_SIZE_CONFIG, 1_000_000);
    }

    static void ready() {
        System.out.println("{\"event\":\"ready\"}");
    }

    /** With SIGTERM this is done, and then waited for the thread that works, if there is one. */
    static void onTerm(Runnable end, Thread worker) {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            end.run();
            try {
                worker.join();
            } catch (InterruptedException problem) {
                Thread.currentThread().interrupt();
            }
        }));
    }
}
