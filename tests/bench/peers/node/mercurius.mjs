// SPDX-License-Identifier: MIT
import Fastify from 'fastify'
import mercurius from 'mercurius'
import { userById } from './data.mjs'
import { addNote, Post, Query, typeDefs, User } from './resolvers.mjs'
import { host, overHttp2, port, ready } from './serve.mjs'

const resolvers = {
  Query,
  User,
  Post,
  Mutation: {
    addNote,
    publish: async (_, { text }, { pubsub }) => {
      await pubsub.publish({ topic: 'published', payload: { published: { text } } })
      return true
    },
  },
  Subscription: {
    published: { subscribe: (_root, _args, { pubsub }) => pubsub.subscribe('published') },
  },
}

const loaders = {
  Entry: {
    author: async queries => queries.map(({ obj }) => userById(obj.authorId)),
  },
}

const app = Fastify({ http2: overHttp2 })
await app.register(mercurius, { schema: typeDefs, resolvers, loaders, jit: 1, subscription: !overHttp2 })
await app.listen({ host, port })
ready(app.server.address().port)
