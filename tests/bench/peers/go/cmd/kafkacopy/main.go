// SPDX-License-Identifier: MIT

// kafkacopy BROKERS GROUP INPUT OUTPUT [MODE]: services on kafka-go.
//
//   - at_least_once (the default) copies each event with one field changed: an offset is committed when what was made of its event is
//     acknowledged. Written as fast as kafka-go allows.
//   - seed does the same as people write it first: each event is written, and waited for, alone.
//   - produce writes the events 0 to BENCH_COUNT-1 to OUTPUT.
//   - consume reads events, and says at the end how many there were.
//
// kafka-go has no transactions: there is no exactly_once.
package main

import (
	"context"
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

// How many events may wait for their acknowledgement.
const inFlight = 10000

type job struct {
	brokers, group, input, output string
}

func (j job) reader() *kafka.Reader {
	return kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{j.brokers}, GroupID: j.group, Topic: j.input, StartOffset: kafka.FirstOffset,
		MinBytes: 1, MaxBytes: 10 << 20, MaxWait: 100 * time.Millisecond, QueueCapacity: 1000, CommitInterval: time.Second,
	})
}

// writer calls done with what was acknowledged.
func (j job) writer(done func([]kafka.Message) error) *kafka.Writer {
	return &kafka.Writer{
		Addr: kafka.TCP(j.brokers), Topic: j.output, Balancer: kafka.Murmur2Balancer{}, RequiredAcks: kafka.RequireAll,
		BatchSize: 10000, BatchBytes: 1000000, BatchTimeout: 5 * time.Millisecond, Async: true,
		Completion: func(messages []kafka.Message, err error) {
			if err == nil {
				err = done(messages)
			}
			if err != nil {
				log.Fatal(err)
			}
		},
	}
}

func main() {
	modes := map[string]func(context.Context, job) error{"at_least_once": copyPipelined, "seed": copyOneByOne, "produce": produce, "consume": consume}
	mode := "at_least_once"
	if len(os.Args) == 6 {
		mode = os.Args[5]
	}
	run := modes[mode]
	if len(os.Args) < 5 || len(os.Args) > 6 || run == nil {
		log.Fatal("usage: kafkacopy BROKERS GROUP INPUT OUTPUT [at_least_once|seed|produce|consume]")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	fmt.Println(`{"event":"ready"}`)
	if err := run(ctx, job{os.Args[1], os.Args[2], os.Args[3], os.Args[4]}); err != nil {
		log.Fatal(err)
	}
}
