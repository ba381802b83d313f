// SPDX-License-Identifier: MIT
import { setMaxListeners } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import DataLoader from 'dataloader'
import { createPubSub, createSchema, createYoga } from 'graphql-yoga'
import { useServer } from 'graphql-ws/use/ws'
import { WebSocketServer } from 'ws'
import { userById } from './data.mjs'
import { addNote, Post, Query, typeDefs, User } from './resolvers.mjs'
import { listen, overHttp2 } from './serve.mjs'

// Without the limit being lifted Node.js warns of more than ten subscribers.
const eventTarget = new EventTarget()
setMaxListeners(0, eventTarget)
const pubSub = createPubSub({ eventTarget })

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
const server = (overHttp2 ? http2 : http).createServer(yoga)

// Operations that come over a WebSocket pass through Yoga's plugins, too.
const protocol = {
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
}
if (!overHttp2) useServer(protocol, new WebSocketServer({ server, path: yoga.graphqlEndpoint }))

listen(server)
