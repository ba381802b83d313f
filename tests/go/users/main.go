// SPDX-License-Identifier: MIT

// users ADDRESS [TOKEN]: makes every kind of call of examples/users with grpc-go, looks at what comes back, and prints "ok".
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	userv1 "perilune/tests/go/gen/userv1"
)

// For all calls but those whose deadline is what is looked at: sanitizers are slow.
const patience = 60 * time.Second

func check(ok bool, format string, args ...any) {
	if !ok {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
		os.Exit(1)
	}
}

func must[T any](value T, err error) T {
	check(err == nil, "%v", err)
	return value
}

func expect(code codes.Code, err error) *status.Status {
	check(status.Code(err) == code, "expected %v, got %v", code, err)
	return status.Convert(err)
}

func newJohn() *userv1.CreateUserRequest {
	return &userv1.CreateUserRequest{
		Name:     "John Doe",
		Email:    "john@example.com",
		Roles:    []string{"user", "admin"},
		Metadata: map[string]string{"department": "engineering", "team": "backend"},
	}
}

func unary(ctx context.Context, client userv1.UserServiceClient) {
	wanted := newJohn()
	user := must(client.CreateUser(ctx, wanted)).User
	check(user.Id != "" && user.Name == wanted.Name && user.Email == wanted.Email, "created: %v", user)
	check(len(user.Roles) == 2 && user.Roles[1] == "admin" && user.Metadata["team"] == "backend", "created: %v", user)
	age := time.Since(user.CreatedAt.AsTime())
	check(age > -time.Minute && age < patience && proto.Equal(user.CreatedAt, user.UpdatedAt), "created: %v", user)

	got := must(client.GetUser(ctx, &userv1.GetUserRequest{Id: user.Id})).User
	check(proto.Equal(user, got), "got %v, not %v", got, user)

	updated := must(client.UpdateUser(ctx, &userv1.UpdateUserRequest{Id: user.Id, Name: proto.String("John Smith")})).User
	check(updated.Name == "John Smith" && updated.Email == user.Email && len(updated.Roles) == 2, "updated: %v", updated)
	check(updated.Metadata["team"] == "backend" && !updated.UpdatedAt.AsTime().Before(user.UpdatedAt.AsTime()), "updated: %v", updated)

	mask := &fieldmaskpb.FieldMask{Paths: []string{"roles"}}
	updated = must(client.UpdateUser(ctx, &userv1.UpdateUserRequest{Id: user.Id, UpdateMask: mask})).User
	check(len(updated.Roles) == 0 && updated.Name == "John Smith", "updated by mask: %v", updated)

	must(client.DeleteUser(ctx, &userv1.DeleteUserRequest{Id: user.Id}))
	_, err := client.GetUser(ctx, &userv1.GetUserRequest{Id: user.Id})
	failure := expect(codes.NotFound, err)
	check(failure.Message() == "user not found" && len(failure.Details()) == 1, "%v", err)
	detail, ok := failure.Details()[0].(*userv1.ErrorDetail)
	check(ok && detail.Code == "USER_NOT_FOUND" && detail.Metadata["id"] == user.Id, "%v", failure.Details())
}

func invalid(ctx context.Context, client userv1.UserServiceClient) {
	_, err := client.GetUser(ctx, &userv1.GetUserRequest{})
	check(expect(codes.InvalidArgument, err).Message() == "user ID is required", "%v", err)
	_, err = client.CreateUser(ctx, &userv1.CreateUserRequest{Name: "John Doe", Email: "nowhere"})
	for _, detail := range expect(codes.InvalidArgument, err).Details() {
		bad, ok := detail.(*errdetails.BadRequest)
		if ok && len(bad.FieldViolations) == 1 && bad.FieldViolations[0].Field == "email" {
			return
		}
	}
	check(false, "no violation of email: %v", err)
}

func clientStreaming(ctx context.Context, client userv1.UserServiceClient) {
	stream := must(client.CreateMultipleUsers(ctx))
	for _, name := range []string{"Alice", "Bob", "Charlie"} {
		check(stream.Send(&userv1.CreateUserRequest{Name: name, Email: name + "@example.com"}) == nil, "send")
	}
	created := must(stream.CloseAndRecv())
	check(created.CreatedCount == 3 && len(created.Users) == 3 && created.Users[2].Name == "Charlie", "created: %v", created)
}

func page(ctx context.Context, client userv1.UserServiceClient, request *userv1.ListUsersRequest) ([]string, string) {
	stream := must(client.ListUsers(ctx, request))
	names := []string{}
	for {
		user, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		names = append(names, must(user, err).Name)
	}
	token := stream.Trailer().Get("next-page-token")
	if len(token) == 0 {
		return names, ""
	}
	return names, token[0]
}

func serverStreaming(ctx context.Context, client userv1.UserServiceClient) {
	names, token := page(ctx, client, &userv1.ListUsersRequest{PageSize: 10})
	check(len(names) == 3 && token == "", "all users: %v %q", names, token)
	request := &userv1.ListUsersRequest{PageSize: 2, OrderBy: "name desc"}
	names, token = page(ctx, client, request)
	check(fmt.Sprint(names) == "[Charlie Bob]" && token != "", "first page: %v %q", names, token)
	request.PageToken = token
	names, token = page(ctx, client, request)
	check(fmt.Sprint(names) == "[Alice]" && token == "", "second page: %v %q", names, token)
	names, _ = page(ctx, client, &userv1.ListUsersRequest{Filter: "name = Bob"})
	check(fmt.Sprint(names) == "[Bob]", "by filter: %v", names)
}

// The next message is sent when the last one has been answered: both directions have to be open at once.
func chat(ctx context.Context, client userv1.UserServiceClient) {
	stream := must(client.ChatWithUser(ctx))
	next := make(chan bool)
	go func() {
		for _, text := range []string{"Hello", "How are you?", "Goodbye"} {
			check(stream.Send(&userv1.ChatMessage{UserId: "user_123", Message: text}) == nil, "send")
			<-next
		}
		check(stream.CloseSend() == nil, "close")
	}()
	for _, text := range []string{"Hello", "How are you?", "Goodbye"} {
		answer := must(stream.Recv())
		check(answer.Message == "Echo: "+text && answer.UserId == "user_123", "answer: %v", answer)
		check(time.Since(answer.Timestamp.AsTime()) < patience, "answer: %v", answer)
		next <- true
	}
	_, err := stream.Recv()
	check(errors.Is(err, io.EOF), "after the last answer: %v", err)
}

func deadlines(ctx context.Context, client userv1.UserServiceClient) {
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	stream := must(client.ChatWithUser(short))
	_, err := stream.Recv()
	expect(codes.DeadlineExceeded, err)

	leaving, leave := context.WithCancel(ctx)
	stream = must(client.ChatWithUser(leaving))
	check(stream.Send(&userv1.ChatMessage{Message: "Hello"}) == nil, "send")
	must(stream.Recv())
	leave()
	_, err = stream.Recv()
	expect(codes.Canceled, err)
}

func main() {
	check(len(os.Args) >= 2, "usage: users ADDRESS [TOKEN]")
	connection := must(grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials())))
	defer connection.Close()
	client := userv1.NewUserServiceClient(connection)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if len(os.Args) > 2 {
		_, err := client.GetUser(ctx, &userv1.GetUserRequest{Id: "1"})
		expect(codes.Unauthenticated, err)
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+os.Args[2])
	}
	unary(ctx, client)
	invalid(ctx, client)
	clientStreaming(ctx, client)
	serverStreaming(ctx, client)
	chat(ctx, client)
	deadlines(ctx, client)
	fmt.Println("ok")
}
