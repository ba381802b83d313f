-- SPDX-License-Identifier: MIT
local feed     = require "lib.feed"
local message  = require "lib.message"
local payments = require "lib.payments"

-- proto3 has no strings that are not there, only empty ones.
local function said(text)
  return text ~= "" and text or nil
end

return {
  ["payments.v1.PaymentService"] = {
    CreatePayment = function(req, call) return message.payment(payments.create(call, req)) end,

    GetPayment = function(req, call) return message.payment(payments.get(call, req.id)) end,

    ListPayments = function(req, call)
      local page, next_page = payments.page(call, {
        user_id = said(req.user_id), status = message.status(req.status), after = said(req.page_token),
        limit = req.page_size == 0 and 20 or req.page_size,
      })
      return { payments = message.payments(page), next_page_token = next_page }
    end,

    -- Waits at each send while the client is slow.
    WatchPayments = function(req, call)
      local updates <close> = feed(call, said(req.user_id))
      call:send_headers {} -- now, so that the client knows that nothing will be missed
      for event in updates do call:send(message.payment(event.payment)) end
    end,
  },
}
