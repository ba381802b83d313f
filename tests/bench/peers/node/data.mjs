// SPDX-License-Identifier: MIT
// The data of tests/bench/bundles/graphql/lib/data.lua.
const count = (n, make) => Array.from({ length: n }, (_, i) => make(i + 1))

const user = u => ({ id: String(u), name: `User number ${u}`, email: `user${u}@example.com` })
const post = (id, authorId) => ({ id: String(id), title: `Post number ${id} today`, authorId })

export const users = count(10, user)
export const postsOf = new Map(users.map((user, i) => [user.id, count(10, p => post(i * 10 + p, i + 1))]))

const colours = ['red', 'green', 'blue', 'white']
export const items = count(1000, i => ({
  id: String(i),
  name: `Item number ${i}`,
  description: `What item ${i} is good for, in a sentence of some words`,
  price: i + 0.25,
  quantity: i % 17,
  available: i % 3 !== 0,
  colour: colours[i % 4],
  weight: i / 8,
  rating: i % 5 + 1,
  supplier: `Supplier ${i % 10}`,
}))

export const feed = count(100, i => ({ id: String(i), title: `Entry number ${i}`, authorId: i % 10 + 1 }))

export const userById = id => users[id - 1]
