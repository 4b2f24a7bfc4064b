import java.time.Instant;
import java.util.Arrays;
import java.util.Properties;
import java.util.UUID;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Sends a visit of each user, by Apache Kafka's own client; its default partitioner is murmur2.
 *
 * <p>java -cp 'kafka-clients.jar:slf4j-api.jar:lz4-java.jar' Produce.java localhost:9092 placestream.interactions.v1 7 ann
 */
public class Produce {
    public static void main(String[] args) {
        String topic = args[1];
        Properties config = new Properties();
        config.put("bootstrap.servers", args[0]);
        config.put("enable.idempotence", "true");
        config.put("compression.type", "lz4");
        config.put("linger.ms", "5");
        // Text, for ids that are numbers too: LongSerializer gives eight bytes, another key.
        config.put("key.serializer", StringSerializer.class.getName());
        config.put("value.serializer", StringSerializer.class.getName());
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(config)) {
            for (String user : Arrays.copyOfRange(args, 2, args.length)) {
                // A JSON library in real life; what is put in here needs no escaping.
                String event = String.format(
                    "{\"user_id\": \"%s\", \"place_id\": \"cafe-1\", \"event_type\": \"visit\","
                        + " \"timestamp\": \"%s\", \"event_id\": \"%s\"}",
                    user, Instant.now(), UUID.randomUUID());
                producer.send(new ProducerRecord<>(topic, user, event), (sent, error) -> {
                    if (error != null) {
                        System.err.println(user + " was not sent: " + error);
                        System.exit(1);
                    }
                });
            }
        }
    }
}
