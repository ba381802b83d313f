-- SPDX-License-Identifier: MIT
return {
  name = "conformance",
  grpc = { max_message = tonumber(os.getenv "MAX_MESSAGE"), compress_from = 1 },
}
