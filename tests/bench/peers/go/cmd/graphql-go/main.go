// SPDX-License-Identifier: MIT

// graphql-go PORT: the benchmark's schema on graphql-go with its handler. That has no transport for subscriptions: websocket.go is one.
package main

import (
	"log"
	"net/http"

	"github.com/gorilla/websocket"
	"github.com/graphql-go/handler"

	"perilune/tests/bench/peers/go/internal/data"
	"perilune/tests/bench/peers/go/internal/notes"
	"perilune/tests/bench/peers/go/internal/pubsub"
	"perilune/tests/bench/peers/go/internal/serve"
)

func main() {
	db, err := notes.Open()
	if err != nil {
		log.Fatal(err)
	}
	resolvers := &resolvers{data: data.New(), notes: db, published: pubsub.New[*data.Message]()}
	schema, err := newSchema(resolvers)
	if err != nil {
		log.Fatal(err)
	}
	overHTTP := resolvers.data.WithLoader(handler.New(&handler.Config{Schema: &schema}))
	overWebSocket := &subscriptions{schema: schema}
	mux := http.NewServeMux()
	mux.HandleFunc("/graphql", func(w http.ResponseWriter, r *http.Request) {
		if websocket.IsWebSocketUpgrade(r) {
			overWebSocket.ServeHTTP(w, r)
		} else {
			overHTTP.ServeHTTP(w, r)
		}
	})
	serve.HTTP(mux)
}
