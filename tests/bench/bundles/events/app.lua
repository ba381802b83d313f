-- SPDX-License-Identifier: MIT
return { name = "bench", kafka = { brokers = os.getenv "BENCH_BROKERS" or "embedded", linger = 0.005, batch_messages = 10000 } }
