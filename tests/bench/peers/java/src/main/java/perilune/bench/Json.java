// SPDX-License-Identifier: MIT
package perilune.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serializer;

/** Orders as JSON, by Jackson. */
final class Json {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final ObjectReader READER = MAPPER.readerFor(Order.class);
    private static final ObjectWriter WRITER = MAPPER.writerFor(Order.class);

    private Json() {}

    static final class Reading implements Deserializer<Order> {
        @Override
        public Order deserialize(String topic, byte[] value) {
            try {
                return value == null ? null : READER.readValue(value);
            } catch (IOException problem) {
                throw new UncheckedIOException(topic, problem);
            }
        }
    }

    static final class Writing implements Serializer<Order> {
        @Override
        public byte[] serialize(String topic, Order order) {
            try {
                return order == null ? null : WRITER.writeValueAsBytes(order);
            } catch (IOException problem) {
                throw new UncheckedIOException(topic, problem);
            }
        }
    }
}
