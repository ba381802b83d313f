/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

/* `perilune new`: a bundle that runs, with a test that passes. */

static const struct template
{
    const char *path, *text;
}
templates[] = {
    {"app.lua",
     "-- Settings. Every one has a default; `perilune check` names those that do not exist.\n"
     "return {\n"
     "  name = \"%s\",\n"
     "  http = {\n"
     "    graphiql = true, -- a page for browsers at /graphql; take it out where strangers come by\n"
     "    -- cors = { origins = { \"http://localhost:3000\" } },\n"
     "  },\n"
     "}\n"},
    {"schema/schema.graphql", "type Query {\n"
                              "  \"Says hello.\"\n"
                              "  hello(name: String! = \"world\"): String!\n"
                              "  notes: [Note!]!\n"
                              "}\n"
                              "\n"
                              "type Mutation {\n"
                              "  addNote(text: String!): Note!\n"
                              "}\n"
                              "\n"
                              "type Note {\n"
                              "  id: ID!\n"
                              "  text: String!\n"
                              "}\n"},
    {"lib/notes.lua",
     "-- Notes, in SQLite. Top-level code runs at every start and reload: what it does must be safe to "
     "repeat.\n"
     "local errors = require \"perilune.errors\"\n"
     "local sqlite = require \"perilune.sqlite\"\n"
     "\n"
     "local db = sqlite.open(os.getenv \"PERILUNE_SQLITE_PATH\" or \"notes.db\")\n"
     "db:exec \"CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)\"\n"
     "\n"
     "local notes = {}\n"
     "\n"
     "function notes.all()\n"
     "  return db:query \"SELECT id, text FROM notes ORDER BY id\"\n"
     "end\n"
     "\n"
     "function notes.add(text)\n"
     "  if text == \"\" then\n"
     "    error(errors.invalid_argument(\"a note needs a text\", { text = \"must not be empty\" }))\n"
     "  end\n"
     "  local result = db:exec(\"INSERT INTO notes (text) VALUES (?)\", text)\n"
     "  return { id = result.last_id, text = text }\n"
     "end\n"
     "\n"
     "return notes\n"},
    {"resolvers/notes.lua", "local notes = require \"lib.notes\"\n"
                            "\n"
                            "return {\n"
                            "  Query = {\n"
                            "    hello = function(_, args) return \"Hello, \" .. args.name .. \"!\" end,\n"
                            "    notes = function() return notes.all() end,\n"
                            "  },\n"
                            "  Mutation = {\n"
                            "    addNote = function(_, args) return notes.add(args.text) end,\n"
                            "  },\n"
                            "}\n"},
    {"tests/notes_test.lua",
     "local t = require \"perilune.test\"\n"
     "\n"
     "t.test(\"says hello\", function()\n"
     "  t.equal(t.graphql \"{ hello }\", { data = { hello = \"Hello, world!\" } })\n"
     "end)\n"
     "\n"
     "t.test(\"adds a note\", function()\n"
     "  local add = \"mutation ($text: String!) { addNote(text: $text) { text } }\"\n"
     "  t.equal(t.graphql(add, { text = \"buy milk\" }).data.addNote.text, \"buy milk\")\n"
     "  t.equal(#t.graphql(\"{ notes { id } }\").data.notes, 1)\n"
     "end)\n"
     "\n"
     "t.test(\"refuses an empty note\", function()\n"
     "  local response = t.graphql 'mutation { addNote(text: \"\") { id } }'\n"
     "  t.equal(response.errors[1].extensions.code, \"INVALID_ARGUMENT\")\n"
     "end)\n"},
    {".gitignore", "*.db\n*.db-*\n"},
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static int write_file(const char *directory, const struct template *t)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, t->path);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return -1;
    *slash = '/';
    FILE *f = fopen(path, "wx");
    if (!f)
        return -1;
    const char *mark = strstr(t->text, "%s");
    if (mark)
        fprintf(f, "%.*s%s%s", (int)(mark - t->text), t->text, base_name(directory), mark + 2);
    else
        fputs(t->text, f);
    return fclose(f);
}

int pl_cli_new(int argc, char **argv)
{
    const char *name = NULL;
    const pl_usage usage = {"perilune new NAME",
                            "Makes the directory NAME with a small bundle that runs, and whose tests pass.",
                            NULL};
    int status = pl_options_read(&usage, argc, argv, &name, 1);
    if (status)
        return status == 1 ? 0 : status;
    if (!name || strpbrk(base_name(name), "\"\\\n")) {
        fprintf(stderr, "perilune: %s\nUsage: %s\n",
                name ? "a name without quotes and backslashes is needed" : "a name is needed",
                usage.synopsis);
        return 2;
    }
    if (mkdir(name, 0777) != 0) {
        fprintf(stderr, "perilune: %s: %s\n", name, strerror(errno));
        return 1;
    }
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        if (write_file(name, &templates[i]) != 0) {
            fprintf(stderr, "perilune: %s/%s: %s\n", name, templates[i].path, strerror(errno));
            return 1;
        }
    }
    printf("%s is there. Try:\n  perilune test %s\n  perilune run %s\n", name, name, name);
    return 0;
}
