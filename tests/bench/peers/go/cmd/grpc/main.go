// SPDX-License-Identifier: MIT

// grpc PORT: grpc-go's server of the service that benchmarks call.
package main

import (
	"context"
	"errors"
	"io"
	"log"

	"google.golang.org/grpc"

	benchv1 "perilune/tests/bench/peers/go/gen/benchv1"
	"perilune/tests/bench/peers/go/internal/serve"
)

type server struct {
	benchv1.UnimplementedBenchServer
}

func reply(request *benchv1.HelloRequest) *benchv1.HelloReply {
	return &benchv1.HelloReply{Message: "Hello " + request.Name}
}

func (server) Hello(_ context.Context, request *benchv1.HelloRequest) (*benchv1.HelloReply, error) {
	return reply(request), nil
}

func (server) Nested(_ context.Context, order *benchv1.Order) (*benchv1.Order, error) {
	order.Total = 0
	for _, line := range order.Lines {
		order.Total += line.Price * float64(line.Quantity)
	}
	order.Status = benchv1.Status_STATUS_CONFIRMED
	return order, nil
}

func (server) Stream(request *benchv1.HelloRequest, stream grpc.ServerStreamingServer[benchv1.HelloReply]) error {
	for range request.Count {
		if err := stream.Send(reply(request)); err != nil {
			return err
		}
	}
	return nil
}

func (server) Chat(stream grpc.BidiStreamingServer[benchv1.HelloRequest, benchv1.HelloReply]) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(reply(request)); err != nil {
			return err
		}
	}
}

func main() {
	ctx, stop := serve.UntilTerm()
	defer stop()
	s := grpc.NewServer()
	benchv1.RegisterBenchServer(s, server{})
	listener := serve.Listen()
	go func() {
		<-ctx.Done()
		s.Stop()
	}()
	serve.Ready("grpc", listener)
	if err := s.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
