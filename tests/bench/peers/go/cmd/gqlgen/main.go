// SPDX-License-Identifier: MIT

// gqlgen PORT: the benchmark's schema on gqlgen, set up as the server that gqlgen generates to begin with.
package main

import (
	"log"
	"net/http"
	"time"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"

	"perilune/tests/bench/peers/go/graph"
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
	resolvers := &resolver{data: data.New(), notes: db, published: pubsub.New[*data.Message]()}
	server := handler.New(graph.NewExecutableSchema(graph.Config{Resolvers: resolvers}))
	server.AddTransport(transport.Websocket{KeepAlivePingInterval: 10 * time.Second})
	server.AddTransport(transport.Options{})
	server.AddTransport(transport.GET{})
	server.AddTransport(transport.POST{})
	server.SetQueryCache(lru.New[*ast.QueryDocument](1000))
	server.Use(extension.Introspection{})
	server.Use(extension.AutomaticPersistedQuery{Cache: lru.New[string](100)})
	mux := http.NewServeMux()
	mux.Handle("/graphql", resolvers.data.WithLoader(server))
	serve.HTTP(mux)
}
