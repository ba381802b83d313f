-- SPDX-License-Identifier: MIT
-- Steps from an empty file to the tables of today, in order. To change a table, add a step; never edit an old one.
-- Columns have the names of the GraphQL fields, so a row answers for an object as it is. Times are Unix seconds.
return {
  -- 1: tables
  [[
    CREATE TABLE users (
      id        INTEGER PRIMARY KEY AUTOINCREMENT,
      name      TEXT NOT NULL,
      email     TEXT NOT NULL UNIQUE COLLATE NOCASE,
      createdAt REAL NOT NULL
    );
    CREATE TABLE posts (
      id          INTEGER PRIMARY KEY AUTOINCREMENT,
      title       TEXT NOT NULL,
      content     TEXT NOT NULL,
      authorId    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
      publishedAt REAL
    );
    CREATE TABLE comments (
      id        INTEGER PRIMARY KEY AUTOINCREMENT,
      content   TEXT NOT NULL,
      authorId  INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
      postId    INTEGER NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
      createdAt REAL NOT NULL
    );
    CREATE INDEX posts_by_author ON posts (authorId);
    CREATE INDEX comments_by_post ON comments (postId);
    CREATE INDEX comments_by_author ON comments (authorId);
  ]],

  -- 2: sample data
  [[
    INSERT INTO users (id, name, email, createdAt) VALUES
      (1, 'Ada Lovelace', 'ada@example.com', 1767225600),
      (2, 'Alan Turing', 'alan@example.com', 1767312000),
      (3, 'Grace Hopper', 'grace@example.com', 1767398400),
      (4, 'Edsger Dijkstra', 'edsger@example.com', 1767484800),
      (5, 'Barbara Liskov', 'barbara@example.com', 1767571200);
    INSERT INTO posts (id, title, content, authorId, publishedAt) VALUES
      (1, 'Notes on the engine', 'It weaves algebraic patterns.', 1, 1767657600),
      (2, 'On computable numbers', 'Some cannot be written down.', 2, 1767744000),
      (3, 'Can machines think?', 'Let us play a game instead.', 2, 1767830400),
      (4, 'The first bug', 'It was a moth.', 3, 1767916800),
      (5, 'A compiler, they said, cannot be', 'So I wrote one.', 3, NULL),
      (6, 'Goto considered', 'Harmful.', 4, 1768003200);
    INSERT INTO comments (id, content, authorId, postId, createdAt) VALUES
      (1, 'And what does it cost?', 3, 1, 1767660000),
      (2, 'More than the government likes.', 1, 1, 1767663600),
      (3, 'Which one is the machine?', 5, 3, 1767834000),
      (4, 'Do you still have it?', 4, 4, 1767920400),
      (5, 'Taped into the log book.', 3, 4, 1767924000);
  ]],

  -- 3: what signs tokens
  [[
    CREATE TABLE secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    INSERT INTO secrets VALUES ('tokens', hex(randomblob(32)));
  ]],
}
