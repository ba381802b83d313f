// SPDX-License-Identifier: MIT

// Package data has what bundles/graphql/lib/data.lua has: the data that every server of the benchmark makes for itself.
package data

import (
	"fmt"
	"strconv"
)

type User struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

type Post struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	AuthorID string `json:"-"`
}

type Item struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description string  `json:"description"`
	Price       float64 `json:"price"`
	Quantity    int     `json:"quantity"`
	Available   bool    `json:"available"`
	Colour      string  `json:"colour"`
	Weight      float64 `json:"weight"`
	Rating      int     `json:"rating"`
	Supplier    string  `json:"supplier"`
}

type Entry struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	AuthorID string `json:"-"`
}

type Note struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

type Message struct {
	Text string `json:"text"`
}

// Data is never changed once it is made.
type Data struct {
	Users   []*User
	ByID    map[string]*User
	PostsOf map[string][]*Post
	Items   []*Item
	Feed    []*Entry
}

func New() *Data {
	d := &Data{ByID: map[string]*User{}, PostsOf: map[string][]*Post{}}
	for u := 1; u <= 10; u++ {
		user := &User{ID: strconv.Itoa(u), Name: fmt.Sprintf("User number %d", u), Email: fmt.Sprintf("user%d@example.com", u)}
		for p := 1; p <= 10; p++ {
			id := (u-1)*10 + p
			post := &Post{ID: strconv.Itoa(id), Title: fmt.Sprintf("Post number %d today", id), AuthorID: user.ID}
			d.PostsOf[user.ID] = append(d.PostsOf[user.ID], post)
		}
		d.Users, d.ByID[user.ID] = append(d.Users, user), user
	}
	colours := []string{"red", "green", "blue", "white"}
	for i := 1; i <= 1000; i++ {
		d.Items = append(d.Items, &Item{
			ID:          strconv.Itoa(i),
			Name:        fmt.Sprintf("Item number %d", i),
			Description: fmt.Sprintf("What item %d is good for, in a sentence of some words", i),
			Price:       float64(i) + 0.25,
			Quantity:    i % 17,
			Available:   i%3 != 0,
			Colour:      colours[i%4],
			Weight:      float64(i) / 8,
			Rating:      i%5 + 1,
			Supplier:    fmt.Sprintf("Supplier %d", i%10),
		})
	}
	for i := 1; i <= 100; i++ {
		d.Feed = append(d.Feed, &Entry{ID: strconv.Itoa(i), Title: fmt.Sprintf("Entry number %d", i), AuthorID: strconv.Itoa(i%10 + 1)})
	}
	return d
}
