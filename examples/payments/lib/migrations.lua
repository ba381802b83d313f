-- SPDX-License-Identifier: MIT
-- Steps from an empty file to the tables of today, in order. To change a table, add a step; never edit an old one.
-- Amounts are integers of minor units (cents), times are Unix seconds.
return {
  -- 1: users, and payments as they are now
  [[
    CREATE TABLE users (
      id         TEXT PRIMARY KEY,
      name       TEXT NOT NULL,
      email      TEXT NOT NULL,
      country    TEXT NOT NULL,
      created_at REAL NOT NULL
    ) WITHOUT ROWID;
    INSERT INTO users VALUES
      ('ada', 'Ada Lovelace', 'ada@example.com', 'GB', 1767225600),
      ('alan', 'Alan Turing', 'alan@example.com', 'GB', 1767312000),
      ('grace', 'Grace Hopper', 'grace@example.com', 'US', 1767398400);

    CREATE TABLE payments (
      id              TEXT PRIMARY KEY,
      user_id         TEXT NOT NULL REFERENCES users (id),
      idempotency_key TEXT NOT NULL,
      amount          INTEGER NOT NULL,
      currency        TEXT NOT NULL,
      merchant        TEXT NOT NULL,
      status          TEXT NOT NULL DEFAULT 'CREATED',
      reason          TEXT,
      fraud_score     INTEGER,
      created_at      REAL NOT NULL,
      settled_at      REAL,
      UNIQUE (user_id, idempotency_key)
    ) WITHOUT ROWID;
    CREATE INDEX payments_by_time ON payments (created_at, id);
    CREATE INDEX payments_by_user ON payments (user_id, created_at, id);
    CREATE INDEX payments_waiting ON payments (created_at) WHERE status = 'CREATED';
  ]],

  -- 2: what notifications know: a copy of addresses, kept up by events, and the mails that were sent
  [[
    CREATE TABLE contacts (user_id TEXT PRIMARY KEY, email TEXT NOT NULL) WITHOUT ROWID;
    INSERT INTO contacts SELECT id, email FROM users;
    CREATE TABLE mails (
      id      INTEGER PRIMARY KEY,
      user_id TEXT NOT NULL,
      email   TEXT NOT NULL,
      text    TEXT NOT NULL,
      sent_at REAL NOT NULL
    );
    CREATE INDEX mails_by_user ON mails (user_id, id);
  ]],
}
