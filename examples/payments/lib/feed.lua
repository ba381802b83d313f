-- SPDX-License-Identifier: MIT
-- What those who watch payments get, by GraphQL or gRPC: the events of the topic, on whatever server they happen.
local topics = require "lib.topics"

-- user_id: nil for all. The user's id is the key of the events, too.
return function(ctx, user_id)
  return ctx.events:subscribe(topics.payments, nil, { key = user_id })
end
