// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"

	"perilune/tests/bench/peers/go/graph"
	"perilune/tests/bench/peers/go/graph/model"
	"perilune/tests/bench/peers/go/internal/data"
	"perilune/tests/bench/peers/go/internal/notes"
	"perilune/tests/bench/peers/go/internal/pubsub"
)

type resolver struct {
	data      *data.Data
	notes     *notes.Notes
	published *pubsub.Topic[*data.Message]
}

type (
	query        struct{ *resolver }
	mutation     struct{ *resolver }
	subscription struct{ *resolver }
	user         struct{ *resolver }
	post         struct{ *resolver }
	entry        struct{ *resolver }
)

func (r *resolver) Query() graph.QueryResolver               { return query{r} }
func (r *resolver) Mutation() graph.MutationResolver         { return mutation{r} }
func (r *resolver) Subscription() graph.SubscriptionResolver { return subscription{r} }
func (r *resolver) User() graph.UserResolver                 { return user{r} }
func (r *resolver) Post() graph.PostResolver                 { return post{r} }
func (r *resolver) Entry() graph.EntryResolver               { return entry{r} }

func (query) Hello(context.Context) (string, error) {
	return "world", nil
}

func (q query) Users(context.Context) ([]*data.User, error) {
	return q.data.Users, nil
}

func (q query) Items(context.Context) ([]*data.Item, error) {
	return q.data.Items, nil
}

func (q query) Feed(context.Context) ([]*data.Entry, error) {
	return q.data.Feed, nil
}

func (query) Greet(_ context.Context, person model.PersonInput, times int, tone model.Tone) (*model.Greeting, error) {
	form := "Hello, %s!"
	if tone == model.ToneFormal {
		form = "Good day, %s."
	}
	greeting := &model.Greeting{Lines: make([]string, times), Tone: tone, Age: person.Age, Tags: person.Tags}
	for i := range greeting.Lines {
		greeting.Lines[i] = fmt.Sprintf(form, person.Name)
	}
	return greeting, nil
}

func (u user) Posts(_ context.Context, user *data.User) ([]*data.Post, error) {
	return u.data.PostsOf[user.ID], nil
}

func (p post) Author(_ context.Context, post *data.Post) (*data.User, error) {
	return p.data.ByID[post.AuthorID], nil
}

func (entry) Author(ctx context.Context, entry *data.Entry) (*data.User, error) {
	return data.Loader(ctx).Load(ctx, entry.AuthorID)()
}

func (m mutation) AddNote(ctx context.Context, text string) (*data.Note, error) {
	return m.notes.Add(ctx, text)
}

func (m mutation) Publish(_ context.Context, text string) (bool, error) {
	m.published.Publish(&data.Message{Text: text})
	return true, nil
}

func (s subscription) Published(ctx context.Context) (<-chan *data.Message, error) {
	return s.published.Subscribe(ctx), nil
}
