-- SPDX-License-Identifier: MIT
local data = require "lib.data"
local notes = require "lib.notes"

local greetings = { FRIENDLY = "Hello, %s!", FORMAL = "Good day, %s." }

return {
  Query = {
    hello = function() return "world" end,
    users = function() return data.users end,
    items = function() return data.items end,
    feed = function() return data.feed end,
    greet = function(_, args)
      local person, lines = args.person, {}
      for i = 1, args.times do lines[i] = greetings[args.tone]:format(person.name) end
      return { lines = lines, tone = args.tone, age = person.age, tags = person.tags }
    end,
  },
  User = {
    posts = function(user) return data.posts_of[user.id] end,
  },
  Post = {
    author = function(post) return data.users[post.authorId] end,
  },
  Entry = {
    author = function(entry, _, ctx) return ctx.loaders.users:load(entry.authorId) end,
  },
  Mutation = {
    addNote = function(_, args)
      local id = notes:exec("INSERT INTO notes (text) VALUES (?)", args.text).last_id
      return { id = id, text = args.text }
    end,
    publish = function(_, args, ctx)
      ctx.pubsub:publish("published", { text = args.text })
      return true
    end,
  },
  Subscription = {
    published = function(_, _, ctx) return ctx.pubsub:subscribe "published" end,
  },
}
