// SPDX-License-Identifier: MIT

// Package pubsub hands what is published to all who are subscribed.
package pubsub

import (
	"context"
	"sync"
)

type Topic[T any] struct {
	lock        sync.RWMutex
	subscribers map[chan T]struct{}
}

func New[T any]() *Topic[T] {
	return &Topic[T]{subscribers: map[chan T]struct{}{}}
}

// Subscribe is over with its context: then the channel is closed.
func (t *Topic[T]) Subscribe(ctx context.Context) <-chan T {
	channel := make(chan T, 16)
	t.lock.Lock()
	t.subscribers[channel] = struct{}{}
	t.lock.Unlock()
	go func() {
		<-ctx.Done()
		t.lock.Lock()
		delete(t.subscribers, channel)
		t.lock.Unlock()
		close(channel)
	}()
	return channel
}

// Publish waits for no subscriber: who is behind by more than its channel holds misses a message.
func (t *Topic[T]) Publish(message T) {
	t.lock.RLock()
	defer t.lock.RUnlock()
	for channel := range t.subscribers {
		select {
		case channel <- message:
		default:
		}
	}
}
