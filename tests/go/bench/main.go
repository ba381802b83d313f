// SPDX-License-Identifier: MIT

// bench PORT: grpc-go's server of the service that benchmarks call. Prints "ready" when it accepts.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"

	benchv1 "perilune/tests/go/gen/benchv1"
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
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	s := grpc.NewServer()
	benchv1.RegisterBenchServer(s, server{})
	fmt.Println("ready")
	log.Fatal(s.Serve(listener))
}
