-- SPDX-License-Identifier: MIT
local currencies = require "rules.currencies"

local mails = {
  PaymentCompleted = function(event)
    local payment = event.payment
    return { text = ("%s was paid to %s."):format(currencies.text(payment.amount, payment.currency), payment.merchant) }
  end,
  PaymentFailed = function(event)
    local payment = event.payment
    return { text = ("%s was not paid to %s."):format(currencies.text(payment.amount, payment.currency), payment.merchant) }
  end,
  -- To the old address, as whoever has changed it may be somebody else.
  UserUpdated = function(event)
    if event.user.email ~= event.old.email then
      return { email = event.old.email, text = ("Your address is now %s."):format(event.user.email) }
    end
  end,
}

local rules = {}

-- The mails that an event leads to: { text, email }, without an email to the address that the user has when it is sent.
function rules.mails(event)
  local mail = mails[event.type]
  return { mail and mail(event) }
end

return rules
