// SPDX-License-Identifier: MIT
import { EventEmitter } from 'node:events'
import { createServer } from 'node:http'
import { ApolloServer } from '@apollo/server'
import { ApolloServerPluginDrainHttpServer } from '@apollo/server/plugin/drainHttpServer'
import { expressMiddleware } from '@as-integrations/express5'
import { makeExecutableSchema } from '@graphql-tools/schema'
import DataLoader from 'dataloader'
import express from 'express'
import { PubSub } from 'graphql-subscriptions'
import { useServer } from 'graphql-ws/use/ws'
import { WebSocketServer } from 'ws'
import { userById } from './data.mjs'
import { addNote, Post, Query, typeDefs, User } from './resolvers.mjs'
import { listen } from './serve.mjs'

// Without the limit being lifted Node.js warns of more than ten subscribers.
const pubsub = new PubSub({ eventEmitter: new EventEmitter().setMaxListeners(0) })

const schema = makeExecutableSchema({
  typeDefs,
  resolvers: {
    Query,
    User,
    Post,
    Entry: { author: (entry, _, { users }) => users.load(entry.authorId) },
    Mutation: {
      addNote,
      publish: async (_, { text }) => {
        await pubsub.publish('published', { published: { text } })
        return true
      },
    },
    Subscription: {
      published: { subscribe: () => pubsub.asyncIterableIterator('published') },
    },
  },
})

const context = async () => ({ users: new DataLoader(async ids => ids.map(userById)) })

const app = express()
const httpServer = createServer(app)
const sockets = useServer({ schema, context }, new WebSocketServer({ server: httpServer, path: '/graphql' }))
const closeSockets = { serverWillStart: async () => ({ drainServer: () => sockets.dispose() }) }
const server = new ApolloServer({ schema, plugins: [ApolloServerPluginDrainHttpServer({ httpServer }), closeSockets] })
await server.start()
app.use('/graphql', express.json(), expressMiddleware(server, { context }))
listen(httpServer)
