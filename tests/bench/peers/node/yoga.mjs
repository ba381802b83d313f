// SPDX-License-Identifier: MIT
import { createServer } from 'node:http'
import DataLoader from 'dataloader'
import { createPubSub, createSchema, createYoga } from 'graphql-yoga'
import { useServer } from 'graphql-ws/use/ws'
import { WebSocketServer } from 'ws'
import { userById } from './data.mjs'
import { addNote, Post, Query, typeDefs, User } from './resolvers.mjs'
import { listen } from './serve.mjs'

const pubSub = createPubSub()

const schema = createSchema({
  typeDefs,
  resolvers: {
    Query,
    User,
    Post,
    Entry: { author: (entry, _, { users }) => users.load(entry.authorId) },
    Mutation: {
      addNote,
      publish: (_, { text }) => {
        pubSub.publish('published', { text })
        return true
      },
    },
    Subscription: {
      published: { subscribe: () => pubSub.subscribe('published'), resolve: message => message },
    },
  },
})

const yoga = createYoga({
  schema,
  logging: false,
  graphiql: false,
  context: () => ({ users: new DataLoader(async ids => ids.map(userById)) }),
})
const server = createServer(yoga)

// Operations that come over a WebSocket pass through Yoga's plugins, too.
useServer({
  execute: args => args.rootValue.execute(args),
  subscribe: args => args.rootValue.subscribe(args),
  onSubscribe: async (ctx, _id, params) => {
    const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
      ...ctx, req: ctx.extra.request, socket: ctx.extra.socket, params,
    })
    const args = {
      schema,
      operationName: params.operationName,
      document: parse(params.query),
      variableValues: params.variables,
      contextValue: await contextFactory(),
      rootValue: { execute, subscribe },
    }
    const errors = validate(args.schema, args.document)
    return errors.length > 0 ? errors : args
  },
}, new WebSocketServer({ server, path: yoga.graphqlEndpoint }))

listen(server)
