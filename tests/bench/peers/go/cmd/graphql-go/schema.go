// SPDX-License-Identifier: MIT

package main

import "github.com/graphql-go/graphql"

func list(of graphql.Type) graphql.Output {
	return graphql.NewNonNull(graphql.NewList(graphql.NewNonNull(of)))
}

var (
	id         = graphql.NewNonNull(graphql.ID)
	text       = graphql.NewNonNull(graphql.String)
	integer    = graphql.NewNonNull(graphql.Int)
	number     = graphql.NewNonNull(graphql.Float)
	boolean    = graphql.NewNonNull(graphql.Boolean)
	texts      = list(graphql.String)
	plainID    = &graphql.Field{Type: id}
	plainText  = &graphql.Field{Type: text}
	plainInt   = &graphql.Field{Type: integer}
	plainFloat = &graphql.Field{Type: number}
)

var tone = graphql.NewEnum(graphql.EnumConfig{Name: "Tone", Values: graphql.EnumValueConfigMap{
	"FRIENDLY": {Value: "FRIENDLY"},
	"FORMAL":   {Value: "FORMAL"},
}})

var personInput = graphql.NewInputObject(graphql.InputObjectConfig{Name: "PersonInput", Fields: graphql.InputObjectConfigFieldMap{
	"name": {Type: text},
	"age":  {Type: integer},
	"tags": {Type: graphql.NewList(text), DefaultValue: []any{}},
}})

var item = graphql.NewObject(graphql.ObjectConfig{Name: "Item", Fields: graphql.Fields{
	"id": plainID, "name": plainText, "description": plainText, "price": plainFloat, "quantity": plainInt,
	"available": {Type: boolean}, "colour": plainText, "weight": plainFloat, "rating": plainInt, "supplier": plainText,
}})

var greetingType = graphql.NewObject(graphql.ObjectConfig{Name: "Greeting", Fields: graphql.Fields{
	"lines": {Type: texts}, "tone": {Type: graphql.NewNonNull(tone)}, "age": plainInt, "tags": {Type: texts},
}})

var note = graphql.NewObject(graphql.ObjectConfig{Name: "Note", Fields: graphql.Fields{"id": plainID, "text": plainText}})

var message = graphql.NewObject(graphql.ObjectConfig{Name: "Message", Fields: graphql.Fields{"text": plainText}})

// newSchema makes the schema of bundles/graphql. A field without a resolver is read from the struct by its JSON tag.
// What has a default may be null, other than there: graphql-go holds a non-null argument to be required, with a default or without.
func newSchema(r *resolvers) (graphql.Schema, error) {
	user := graphql.NewObject(graphql.ObjectConfig{Name: "User", Fields: graphql.Fields{
		"id": plainID, "name": plainText, "email": plainText,
	}})
	post := graphql.NewObject(graphql.ObjectConfig{Name: "Post", Fields: graphql.Fields{
		"id": plainID, "title": plainText, "author": {Type: graphql.NewNonNull(user), Resolve: r.postAuthor},
	}})
	user.AddFieldConfig("posts", &graphql.Field{Type: list(post), Resolve: r.posts})
	entry := graphql.NewObject(graphql.ObjectConfig{Name: "Entry", Fields: graphql.Fields{
		"id": plainID, "title": plainText, "author": {Type: graphql.NewNonNull(user), Resolve: r.entryAuthor},
	}})
	query := graphql.NewObject(graphql.ObjectConfig{Name: "Query", Fields: graphql.Fields{
		"hello": {Type: text, Resolve: r.hello},
		"users": {Type: list(user), Resolve: r.users},
		"items": {Type: list(item), Resolve: r.items},
		"feed":  {Type: list(entry), Resolve: r.feed},
		"greet": {Type: graphql.NewNonNull(greetingType), Resolve: r.greet, Args: graphql.FieldConfigArgument{
			"person": {Type: graphql.NewNonNull(personInput)},
			"times":  {Type: graphql.Int, DefaultValue: 1},
			"tone":   {Type: tone, DefaultValue: "FRIENDLY"},
		}},
	}})
	textArgument := graphql.FieldConfigArgument{"text": {Type: text}}
	mutation := graphql.NewObject(graphql.ObjectConfig{Name: "Mutation", Fields: graphql.Fields{
		"addNote": {Type: graphql.NewNonNull(note), Args: textArgument, Resolve: r.addNote},
		"publish": {Type: boolean, Args: textArgument, Resolve: r.publish},
	}})
	subscription := graphql.NewObject(graphql.ObjectConfig{Name: "Subscription", Fields: graphql.Fields{
		"published": {Type: graphql.NewNonNull(message), Subscribe: r.subscribePublished, Resolve: r.resolvePublished},
	}})
	return graphql.NewSchema(graphql.SchemaConfig{Query: query, Mutation: mutation, Subscription: subscription})
}
