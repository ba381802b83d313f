// SPDX-License-Identifier: MIT
export const host = '127.0.0.1'
export const port = Number(process.argv.at(-1))
// Without TLS, and then nothing else: a WebSocket begins as an upgrade of HTTP/1.1.
export const overHttp2 = process.argv[2] === 'http2'

export const ready = (port, protocol = 'http') =>
  console.log(JSON.stringify({ event: 'ready', [protocol]: `${host}:${port}` }))

export const listen = server => server.listen(port, host, () => ready(server.address().port))

process.on('SIGTERM', () => process.exit(0))
