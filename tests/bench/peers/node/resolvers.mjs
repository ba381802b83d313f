// SPDX-License-Identifier: MIT
// What is the same in all frameworks. Each adds its own loader of Entry.author, and its own subscriptions.
import { readFileSync } from 'node:fs'
import Database from 'better-sqlite3'
import { feed, items, postsOf, userById, users } from './data.mjs'

export const typeDefs = readFileSync(new URL('schema.graphql', import.meta.url), 'utf8')

const db = new Database(process.env.BENCH_DB ?? ':memory:')
db.pragma('journal_mode = WAL')
db.pragma('synchronous = NORMAL')
db.exec('CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)')
const insert = db.prepare('INSERT INTO notes (text) VALUES (?)')

const greetings = {
  FRIENDLY: name => `Hello, ${name}!`,
  FORMAL: name => `Good day, ${name}.`,
}

export const Query = {
  hello: () => 'world',
  users: () => users,
  items: () => items,
  feed: () => feed,
  greet: (_, { person, times, tone }) => ({
    lines: Array.from({ length: times }, () => greetings[tone](person.name)),
    tone,
    age: person.age,
    tags: person.tags,
  }),
}

export const User = {
  posts: user => postsOf.get(user.id),
}

export const Post = {
  author: post => userById(post.authorId),
}

export const addNote = (_, { text }) => ({ id: insert.run(text).lastInsertRowid, text })
