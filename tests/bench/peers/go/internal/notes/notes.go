// SPDX-License-Identifier: MIT

// Package notes inserts into SQLite.
package notes

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"strconv"

	_ "github.com/mattn/go-sqlite3"

	"perilune/tests/bench/peers/go/internal/data"
)

type Notes struct {
	insert *sql.Stmt
}

// Open opens the file that BENCH_DB names. One connection writes at a time, as SQLite has it.
func Open() (*Notes, error) {
	path := os.Getenv("BENCH_DB")
	if path == "" {
		path = ":memory:"
	}
	settings := url.Values{"_journal_mode": {"WAL"}, "_synchronous": {"NORMAL"}, "_busy_timeout": {"5000"}}
	db, err := sql.Open("sqlite3", "file:"+path+"?"+settings.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"); err != nil {
		return nil, err
	}
	insert, err := db.Prepare("INSERT INTO notes (text) VALUES (?)")
	if err != nil {
		return nil, err
	}
	return &Notes{insert}, nil
}

func (n *Notes) Add(ctx context.Context, text string) (*data.Note, error) {
	result, err := n.insert.ExecContext(ctx, text)
	if err != nil {
		return nil, err
	}
	id, err := result.LastInsertId()
	if err != nil {
		return nil, err
	}
	return &data.Note{ID: strconv.FormatInt(id, 10), Text: text}, nil
}
