// SPDX-License-Identifier: MIT
package perilune.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/** Streams BROKERS GROUP INPUT OUTPUT [at_least_once|exactly_once]: the same as a topology of Kafka Streams. */
final class Streams {
    private Streams() {}

    private static Properties settings(Job job) throws IOException {
        var settings = new Properties();
        settings.putAll(job.settings());
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, job.group());
        settings.put(StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("kafka-streams").toString());
        Job.ofProducers().forEach((name, value) -> settings.put(StreamsConfig.producerPrefix(name), value));
        switch (job.mode()) {
            case "at_least_once" -> settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, Job.COMMIT_MS);
            case "exactly_once" -> {
                settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
                settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, Job.TRANSACTION_MS);
            }
            default -> throw job.unknown();
        }
        return settings;
    }

    public static void main(String[] args) throws IOException {
        var job = Job.of(args);
        var orders = Serdes.serdeFrom(new Json.Writing(), new Json.Reading());
        var builder = new StreamsBuilder();
        builder.stream(job.input(), Consumed.with(Serdes.String(), orders))
                .mapValues(Order::oneMore)
                .to(job.output(), Produced.with(Serdes.String(), orders));
        var streams = new KafkaStreams(builder.build(), settings(job));
        streams.setUncaughtExceptionHandler(problem -> {
            problem.printStackTrace();
            Runtime.getRuntime().halt(1);
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        Job.ready();
        streams.start();
    }
}
