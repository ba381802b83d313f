// SPDX-License-Identifier: MIT

package data

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/graph-gophers/dataloader/v7"
)

type loaderKey struct{}

// WithLoader gives each request a loader of users of its own, as a loader keeps what it has loaded. It waits for more keys as long as
// its users mostly have it: a millisecond, not the library's 16.
func (d *Data) WithLoader(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		loader := dataloader.NewBatchedLoader(d.usersByID, dataloader.WithWait[string, *User](time.Millisecond))
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), loaderKey{}, loader)))
	})
}

// Loader is the one of this request.
func Loader(ctx context.Context) *dataloader.Loader[string, *User] {
	return ctx.Value(loaderKey{}).(*dataloader.Loader[string, *User])
}

func (d *Data) usersByID(_ context.Context, ids []string) []*dataloader.Result[*User] {
	results := make([]*dataloader.Result[*User], len(ids))
	for i, id := range ids {
		if user := d.ByID[id]; user != nil {
			results[i] = &dataloader.Result[*User]{Data: user}
		} else {
			results[i] = &dataloader.Result[*User]{Error: fmt.Errorf("there is no user %s", id)}
		}
	}
	return results
}
