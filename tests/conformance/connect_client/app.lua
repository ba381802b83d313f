-- SPDX-License-Identifier: MIT
return { name = "conformance client", grpc = { max_message = 64 * 1024 * 1024 } }
