// SPDX-License-Identifier: MIT

// kafkacopy BROKERS GROUP INPUT OUTPUT: a service on kafka-go that copies each event with one field changed, at least once: an offset
// is committed when what was made of its event is acknowledged. Prints "ready" before it joins the group.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/segmentio/kafka-go"
)

type address struct {
	Street  string `json:"street"`
	City    string `json:"city"`
	Country string `json:"country"`
}

type order struct {
	ID       int      `json:"id"`
	Customer string   `json:"customer"`
	Product  string   `json:"product"`
	Quantity int      `json:"quantity"`
	Price    float64  `json:"price"`
	Paid     bool     `json:"paid"`
	Tags     []string `json:"tags"`
	Address  address  `json:"address"`
}

const inFlight = 10000

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	brokers, group, input, output := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	fmt.Println("ready")
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{brokers}, GroupID: group, Topic: input, StartOffset: kafka.FirstOffset,
		MinBytes: 1, MaxBytes: 10 << 20, MaxWait: 100 * time.Millisecond, QueueCapacity: 1000, CommitInterval: time.Second,
	})
	free := make(chan struct{}, inFlight)
	writer := &kafka.Writer{
		Addr: kafka.TCP(brokers), Topic: output, Balancer: kafka.Murmur2Balancer{}, RequiredAcks: kafka.RequireAll,
		BatchSize: 10000, BatchBytes: 1000000, BatchTimeout: 5 * time.Millisecond, Async: true,
		Completion: func(messages []kafka.Message, err error) {
			if err != nil {
				log.Fatal(err)
			}
			done := make([]kafka.Message, len(messages))
			for i, message := range messages {
				done[i] = message.WriterData.(kafka.Message)
				<-free
			}
			if err := reader.CommitMessages(context.Background(), done...); err != nil {
				log.Fatal(err)
			}
		},
	}
	for {
		message, err := reader.FetchMessage(ctx)
		if err != nil {
			break
		}
		var event order
		if err := json.Unmarshal(message.Value, &event); err != nil {
			log.Fatal(err)
		}
		event.Quantity++
		value, err := json.Marshal(&event)
		if err != nil {
			log.Fatal(err)
		}
		free <- struct{}{}
		kept := kafka.Message{Topic: message.Topic, Partition: message.Partition, Offset: message.Offset}
		if err := writer.WriteMessages(ctx, kafka.Message{Key: message.Key, Value: value, WriterData: kept}); err != nil {
			log.Fatal(err)
		}
	}
	writer.Close()
	reader.Close()
}
