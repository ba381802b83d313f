// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/segmentio/kafka-go"
)

func newOrder(number int) order {
	return order{
		ID:       number,
		Customer: fmt.Sprintf("customer-%04d", number%1000),
		Product:  fmt.Sprintf("Product number %d", number%100),
		Quantity: number % 7,
		Price:    19.5,
		Paid:     true,
		Tags:     []string{"new", "online"},
		Address:  address{Street: "Nowhere Street 17", City: "Springfield", Country: "US"},
	}
}

// produce is over when it is told to: whoever measures it reads its CPU time after the last event.
func produce(ctx context.Context, j job) error {
	count := 1000000
	if text := os.Getenv("BENCH_COUNT"); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			return fmt.Errorf("BENCH_COUNT: %w", err)
		}
	}
	free := make(chan struct{}, inFlight)
	writer := j.writer(func(messages []kafka.Message) error {
		for range messages {
			<-free
		}
		return nil
	})
	defer writer.Close()
	for begin := 0; begin < count && ctx.Err() == nil; {
		messages := make([]kafka.Message, min(100, count-begin))
		for i := range messages {
			event := newOrder(begin + i)
			value, err := json.Marshal(&event)
			if err != nil {
				return err
			}
			messages[i] = kafka.Message{Key: []byte(strconv.Itoa(event.ID)), Value: value}
			free <- struct{}{}
		}
		if err := writer.WriteMessages(ctx, messages...); err != nil {
			return unlessOver(ctx, err)
		}
		begin += len(messages)
	}
	<-ctx.Done()
	return nil
}

func consume(ctx context.Context, j job) error {
	reader := j.reader()
	count, quantity := 0, 0
	for {
		message, err := reader.ReadMessage(ctx) // its offset is committed with the next second's
		if err != nil {
			if err := unlessOver(ctx, err); err != nil {
				return err
			}
			break
		}
		var event order
		if err := json.Unmarshal(message.Value, &event); err != nil {
			return fmt.Errorf("%s/%d/%d: %w", message.Topic, message.Partition, message.Offset, err)
		}
		count++
		quantity += event.Quantity
	}
	if err := reader.Close(); err != nil {
		return err
	}
	fmt.Printf("{\"event\":\"consumed\",\"count\":%d,\"quantity\":%d}\n", count, quantity)
	return nil
}
