-- SPDX-License-Identifier: MIT
-- Signed tokens "user.expiry.signature". The secret comes from the environment; without one it is made at the first start and
-- kept in the database, so that all workers, and the next generation, know it.
local crypto = require "perilune.crypto"
local db     = require "lib.db"
local time   = require "perilune.time"

local LIFETIME = 3600 -- seconds

local secret = os.getenv "BLOG_SECRET" or db:value "SELECT value FROM secrets WHERE name = 'tokens'"

local tokens = {}

local function sign(text)
  return crypto.hmac_sha256(secret, text)
end

function tokens.make(user_id)
  local text = ("%d.%d"):format(user_id, math.floor(time.now()) + LIFETIME)
  return text .. "." .. sign(text)
end

-- The user's id and when the token ends; nil for one that is not ours, or too old.
function tokens.read(token)
  local text, id, expiry, signature = token:match "^((%d+)%.(%d+))%.(%x+)$"
  if not text or not crypto.equal(sign(text), signature) or tonumber(expiry) <= time.now() then return nil end
  return math.tointeger(tonumber(id)), tonumber(expiry)
end

return tokens
