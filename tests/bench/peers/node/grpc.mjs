// SPDX-License-Identifier: MIT
import { fileURLToPath } from 'node:url'
import * as grpc from '@grpc/grpc-js'
import protoLoader from '@grpc/proto-loader'
import { host, port, ready } from './serve.mjs'

const definition = protoLoader.loadSync(fileURLToPath(new URL('bench.proto', import.meta.url)), {
  keepCase: true, longs: String, enums: String, defaults: true, oneofs: true,
})
const { bench } = grpc.loadPackageDefinition(definition)

const greeting = ({ name }) => ({ message: `Hello ${name}` })

const server = new grpc.Server()
server.addService(bench.v1.Bench.service, {
  Hello: (call, callback) => callback(null, greeting(call.request)),
  Nested: (call, callback) => {
    const order = call.request
    order.total = order.lines.reduce((total, line) => total + line.price * line.quantity, 0)
    order.status = 'STATUS_CONFIRMED'
    callback(null, order)
  },
  Stream: call => {
    for (let i = 0; i < call.request.count; i++) call.write(greeting(call.request))
    call.end()
  },
  Chat: call => {
    call.on('data', request => call.write(greeting(request)))
    call.on('end', () => call.end())
  },
})
server.bindAsync(`${host}:${port}`, grpc.ServerCredentials.createInsecure(), (error, bound) => {
  if (error) throw error
  ready(bound, 'grpc')
})
