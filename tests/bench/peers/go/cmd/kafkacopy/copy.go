// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

func changed(value []byte) ([]byte, error) {
	var event order
	if err := json.Unmarshal(value, &event); err != nil {
		return nil, err
	}
	event.Quantity++
	return json.Marshal(&event)
}

// copyPipelined goes on reading while what it has written is not acknowledged.
func copyPipelined(ctx context.Context, j job) error {
	reader := j.reader()
	defer reader.Close()
	free := make(chan struct{}, inFlight)
	writer := j.writer(func(messages []kafka.Message) error {
		done := make([]kafka.Message, len(messages))
		for i, message := range messages {
			done[i] = message.WriterData.(kafka.Message)
			<-free
		}
		return reader.CommitMessages(context.Background(), done...)
	})
	defer writer.Close() // before the reader: what is acknowledged then is committed
	for {
		message, err := reader.FetchMessage(ctx)
		if err != nil {
			return unlessOver(ctx, err)
		}
		value, err := changed(message.Value)
		if err != nil {
			return fmt.Errorf("%s/%d/%d: %w", message.Topic, message.Partition, message.Offset, err)
		}
		free <- struct{}{}
		kept := kafka.Message{Topic: message.Topic, Partition: message.Partition, Offset: message.Offset}
		if err := writer.WriteMessages(ctx, kafka.Message{Key: message.Key, Value: value, WriterData: kept}); err != nil {
			return unlessOver(ctx, err)
		}
	}
}

// copyOneByOne is the service of a first try: settings and calls of kafka-go's introductions. Each write waits until its batch is full
// or 10 ms have passed, and as nothing else is written meanwhile it is always the latter.
func copyOneByOne(ctx context.Context, j job) error {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{j.brokers}, GroupID: j.group, Topic: j.input, StartOffset: kafka.FirstOffset,
		MinBytes: 10e3, MaxBytes: 10e6, MaxWait: time.Second, CommitInterval: time.Second,
	})
	defer reader.Close()
	writer := &kafka.Writer{
		Addr: kafka.TCP(j.brokers), Topic: j.output, Balancer: kafka.Murmur2Balancer{}, RequiredAcks: kafka.RequireAll,
		BatchSize: 100, BatchTimeout: 10 * time.Millisecond,
	}
	defer writer.Close()
	for {
		message, err := reader.FetchMessage(ctx)
		if err != nil {
			return unlessOver(ctx, err)
		}
		value, err := changed(message.Value)
		if err != nil {
			return fmt.Errorf("%s/%d/%d: %w", message.Topic, message.Partition, message.Offset, err)
		}
		// What was read is written and committed, also when the end comes just now.
		if err := writer.WriteMessages(context.WithoutCancel(ctx), kafka.Message{Key: message.Key, Value: value}); err != nil {
			return err
		}
		if err := reader.CommitMessages(context.WithoutCancel(ctx), message); err != nil {
			return err
		}
	}
}

// unlessOver is no error when the end was asked for.
func unlessOver(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
