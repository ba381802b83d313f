// SPDX-License-Identifier: MIT

// Package serve runs a server as the benchmark wants it: on the port that its argument says, with a line of JSON once it accepts.
package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Listen opens the port that the first argument names, 0 for any.
func Listen() net.Listener {
	if len(os.Args) != 2 {
		log.Fatalf("usage: %s PORT", os.Args[0])
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", os.Args[1]))
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

// Ready says that the server accepts; what is "http" or "grpc".
func Ready(what string, listener net.Listener) {
	line, err := json.Marshal(map[string]string{"event": "ready", what: listener.Addr().String()})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}

// UntilTerm is over with SIGTERM, or ctrl-C.
func UntilTerm() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
}

// HTTP serves HTTP/1.1 and, to clients that begin with it, HTTP/2 without TLS, until SIGTERM.
func HTTP(handler http.Handler) {
	ctx, stop := UntilTerm()
	defer stop()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: handler, Protocols: protocols, ReadHeaderTimeout: 10 * time.Second}
	listener := Listen()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if server.Shutdown(grace) != nil {
			server.Close()
		}
	}()
	Ready("http", listener)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	<-ended
}
