// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/graphql-go/graphql"
)

// subscriptions is graphql-transport-ws on graphql.Subscribe, as users of graphql-go write it for themselves.
type subscriptions struct {
	schema graphql.Schema
}

type frame struct {
	ID      string `json:"id,omitempty"`
	Type    string `json:"type"`
	Payload any    `json:"payload,omitempty"`
}

type incoming struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
}

type operation struct {
	Query         string         `json:"query"`
	Variables     map[string]any `json:"variables"`
	OperationName string         `json:"operationName"`
}

var upgrader = websocket.Upgrader{Subprotocols: []string{"graphql-transport-ws"}}

// connection is read by one goroutine, and written by all.
type connection struct {
	socket  *websocket.Conn
	schema  graphql.Schema
	ctx     context.Context
	writing sync.Mutex
	lock    sync.Mutex
	running map[string]context.CancelFunc
}

func (s *subscriptions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	socket, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the client has been told
	}
	defer socket.Close()
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	c := &connection{socket: socket, schema: s.schema, ctx: ctx, running: map[string]context.CancelFunc{}}
	acknowledged := false
	for {
		var message incoming
		if err := socket.ReadJSON(&message); err != nil {
			return
		}
		switch message.Type {
		case "connection_init":
			acknowledged = true
			c.write(frame{Type: "connection_ack"})
		case "ping":
			c.write(frame{Type: "pong"})
		case "pong":
		case "subscribe":
			if !acknowledged {
				c.end(4401, "Unauthorized")
				return
			}
			c.subscribe(message)
		case "complete":
			c.forget(message.ID)
		default:
			c.end(4400, "Invalid message")
			return
		}
	}
}

func (c *connection) subscribe(message incoming) {
	var request operation
	if err := json.Unmarshal(message.Payload, &request); err != nil {
		c.end(4400, "Invalid message")
		return
	}
	ctx, unused := c.begin(message.ID)
	if !unused {
		c.end(4409, "Subscriber for "+message.ID+" already exists")
		return
	}
	results := graphql.Subscribe(graphql.Params{
		Schema: c.schema, RequestString: request.Query, VariableValues: request.Variables, OperationName: request.OperationName, Context: ctx,
	})
	go func() {
		defer c.forget(message.ID)
		for result := range results {
			if result.Data == nil && result.HasErrors() {
				c.write(frame{ID: message.ID, Type: "error", Payload: result.Errors})
				return
			}
			c.write(frame{ID: message.ID, Type: "next", Payload: result})
		}
		if ctx.Err() == nil {
			c.write(frame{ID: message.ID, Type: "complete"})
		}
	}()
}

// begin makes a context that forget ends; it says no when there is a subscription of this id.
func (c *connection) begin(id string) (context.Context, bool) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.running[id] != nil {
		return nil, false
	}
	ctx, cancel := context.WithCancel(c.ctx)
	c.running[id] = cancel
	return ctx, true
}

func (c *connection) forget(id string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if cancel := c.running[id]; cancel != nil {
		cancel()
		delete(c.running, id)
	}
}

// An error of writing is found by the goroutine that reads, too.
func (c *connection) write(f frame) {
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.socket.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_ = c.socket.WriteJSON(f)
}

func (c *connection) end(code int, reason string) {
	_ = c.socket.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(time.Second))
	c.socket.Close()
}
