// Sends a visit of each user, by franz-go: its default partitioner hashes keys as Java's does.
//
//	go run . localhost:9092 placestream.interactions.v1 7 ann
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type interaction struct {
	UserID    string `json:"user_id"`
	PlaceID   string `json:"place_id"`
	EventType string `json:"event_type"`
	Timestamp string `json:"timestamp"`
	EventID   string `json:"event_id"`
}

func main() {
	bootstrap, topic, users := os.Args[1], os.Args[2], os.Args[3:]
	producer, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		// Idempotent, acks=all and murmur2 by key are its defaults.
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Close()
	for _, user := range users {
		now := time.Now().UTC()
		value, err := json.Marshal(interaction{
			UserID:    user,
			PlaceID:   "cafe-1",
			EventType: "visit",
			Timestamp: now.Format(time.RFC3339Nano),
			EventID:   user + "@" + now.Format(time.RFC3339Nano),
		})
		if err != nil {
			log.Fatal(err)
		}
		// The key is the user's id as text.
		record := &kgo.Record{Topic: topic, Key: []byte(user), Value: value}
		producer.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
			if err != nil {
				log.Fatal(err)
			}
		})
	}
	if err := producer.Flush(context.Background()); err != nil {
		log.Fatal(err)
	}
}
