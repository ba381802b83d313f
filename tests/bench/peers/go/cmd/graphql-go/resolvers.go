// SPDX-License-Identifier: MIT

package main

import (
	"fmt"

	"github.com/graphql-go/graphql"

	"perilune/tests/bench/peers/go/internal/data"
	"perilune/tests/bench/peers/go/internal/notes"
	"perilune/tests/bench/peers/go/internal/pubsub"
)

type resolvers struct {
	data      *data.Data
	notes     *notes.Notes
	published *pubsub.Topic[*data.Message]
}

type greeting struct {
	Lines []string `json:"lines"`
	Tone  string   `json:"tone"`
	Age   int      `json:"age"`
	Tags  []any    `json:"tags"`
}

func (r *resolvers) hello(graphql.ResolveParams) (any, error) {
	return "world", nil
}

func (r *resolvers) users(graphql.ResolveParams) (any, error) {
	return r.data.Users, nil
}

func (r *resolvers) items(graphql.ResolveParams) (any, error) {
	return r.data.Items, nil
}

func (r *resolvers) feed(graphql.ResolveParams) (any, error) {
	return r.data.Feed, nil
}

func (r *resolvers) greet(p graphql.ResolveParams) (any, error) {
	person, tone := p.Args["person"].(map[string]any), p.Args["tone"].(string)
	form := "Hello, %s!"
	if tone == "FORMAL" {
		form = "Good day, %s."
	}
	lines := make([]string, p.Args["times"].(int))
	for i := range lines {
		lines[i] = fmt.Sprintf(form, person["name"])
	}
	return &greeting{Lines: lines, Tone: tone, Age: person["age"].(int), Tags: person["tags"].([]any)}, nil
}

func (r *resolvers) posts(p graphql.ResolveParams) (any, error) {
	return r.data.PostsOf[p.Source.(*data.User).ID], nil
}

func (r *resolvers) postAuthor(p graphql.ResolveParams) (any, error) {
	return r.data.ByID[p.Source.(*data.Post).AuthorID], nil
}

// entryAuthor returns a function: graphql-go calls it when it has called all the other resolvers that it can.
func (r *resolvers) entryAuthor(p graphql.ResolveParams) (any, error) {
	thunk := data.Loader(p.Context).Load(p.Context, p.Source.(*data.Entry).AuthorID)
	return func() (any, error) { return thunk() }, nil
}

func (r *resolvers) addNote(p graphql.ResolveParams) (any, error) {
	return r.notes.Add(p.Context, p.Args["text"].(string))
}

func (r *resolvers) publish(p graphql.ResolveParams) (any, error) {
	r.published.Publish(&data.Message{Text: p.Args["text"].(string)})
	return true, nil
}

// subscribePublished hands over a channel of the type that graphql-go wants.
func (r *resolvers) subscribePublished(p graphql.ResolveParams) (any, error) {
	messages, events := r.published.Subscribe(p.Context), make(chan any)
	go func() {
		defer close(events)
		for message := range messages {
			select {
			case events <- message:
			case <-p.Context.Done():
				return
			}
		}
	}()
	return events, nil
}

func (r *resolvers) resolvePublished(p graphql.ResolveParams) (any, error) {
	return p.Source, nil
}
