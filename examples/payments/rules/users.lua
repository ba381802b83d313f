-- SPDX-License-Identifier: MIT
local rules = {}

-- What is wrong with the changes of a user, as { field = message }, or nil. What is not there is not changed.
function rules.check(input)
  local wrong = {}
  if input.name and not input.name:find "%S" then wrong.name = "must not be empty" end
  if input.email and not input.email:find "^[^%s@]+@[^%s@]+%.[^%s@]+$" then
    wrong.email = "must be of the form name@example.com"
  end
  return next(wrong) and wrong or nil
end

return rules
