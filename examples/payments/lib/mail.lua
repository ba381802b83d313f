-- SPDX-License-Identifier: MIT
-- Sends mail, nearly: what it would send stands in the table `mails`, and the log. Servers of .invalid never answer.
local errors = require "perilune.errors"
local log    = require "perilune.log"
local time   = require "perilune.time"

local mail = {}

function mail.send(ctx, user_id, email, text)
  local domain = email:match "@([^@]+)$"
  if domain:find "%.invalid$" then error(errors.unavailable("the mail server of " .. domain .. " does not answer")) end
  ctx.db:exec("INSERT INTO mails (user_id, email, text, sent_at) VALUES (?, ?, ?, ?)", user_id, email, text, time.now())
  log.info("mail", { to = email, text = text })
end

return mail
