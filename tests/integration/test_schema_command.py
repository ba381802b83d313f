# SPDX-License-Identifier: MIT
"""`perilune schema`: a bundle's schema as one document, and what changed in it."""

import json

import pytest

from harness import run_cli

pytestmark = pytest.mark.core

BUNDLE = {
    # Neither settings nor resolvers are run: what they need may be missing.
    "app.lua": "error 'not to be run'",
    "schema/a.graphql": "directive @tag(name: String!) on OBJECT | FIELD_DEFINITION\n"
    'type Query @tag(name: "q") {\n  user: User\n}\n',
    "schema/user.graphql": "type User {\n  name: String!\n}\nextend type User {\n  id: ID!\n}\n",
}
OLD = "type Query { user: User, gone: String }\ntype User { name: String }\ntype Removed { a: String }\n"


def test_print(bundle):
    directory = bundle(BUNDLE)
    result = run_cli("schema", "print", directory)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        "directive @tag(name: String!) on OBJECT | FIELD_DEFINITION\n\n"
        'type Query @tag(name: "q") {\n  user: User\n}\n\n'
        "type User {\n  name: String!\n  id: ID!\n}\n"
    )
    result = run_cli("schema", "print", "--sort", cwd=directory)
    assert "type User {\n  id: ID!\n  name: String!\n}\n" in result.stdout
    # What is printed is a schema, and the same one.
    (directory / "one.graphql").write_text(result.stdout)
    same = run_cli("schema", "diff", directory, "--against", directory / "one.graphql", "--fail-on", "safe")
    assert (same.returncode, same.stdout) == (0, "0 breaking, 0 dangerous, 0 safe\n")


def test_print_names_errors(bundle):
    directory = bundle(BUNDLE | {"schema/user.graphql": "type User {\n  name: Strin!\n}\n"})
    result = run_cli("schema", "print", directory)
    assert result.returncode == 1
    assert result.stderr.startswith('schema/user.graphql:2:9: Unknown type "Strin".')
    assert result.stdout == ""
    # The words are those of `perilune check`.
    check = run_cli("check", bundle(BUNDLE | {"app.lua": "return {}", "schema/user.graphql": "type User {\n  name: Strin!\n}\n"}))
    assert result.stderr in check.stdout


def test_no_schema(bundle, tmp_path):
    result = run_cli("schema", "print", bundle({"app.lua": "return {}"}))
    assert result.returncode == 1
    assert "no schema/*.graphql" in result.stderr
    result = run_cli("schema", "print", tmp_path / "missing")
    assert result.returncode == 1
    assert "missing" in result.stderr


def test_diff(bundle, tmp_path):
    old = tmp_path / "old.graphql"
    old.write_text(OLD)
    result = run_cli("schema", "diff", "--against", old, cwd=bundle(BUNDLE))
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        f"{old}:3:1: breaking: TYPE_REMOVED: Removed was removed.",
        "schema/a.graphql:2:1: breaking: FIELD_REMOVED: Field Query.gone was removed.",
        "safe: TYPE_ADDED: ID was added.",
        "schema/user.graphql:5:3: safe: FIELD_ADDED: Field User.id was added.",
        "schema/user.graphql:2:3: safe: FIELD_CHANGED_KIND_SAFE: Field User.name changed type from String to String!.",
        "schema/a.graphql:1:1: safe: DIRECTIVE_ADDED: Directive @tag was added.",
        "2 breaking, 0 dangerous, 4 safe",
    ]


def test_diff_json(bundle, tmp_path):
    old = tmp_path / "old.graphql"
    old.write_text(OLD)
    result = run_cli("schema", "diff", bundle(BUNDLE), "--against", old, "--json")
    assert result.returncode == 1
    found = json.loads(result.stdout)
    assert (found["breaking"], found["dangerous"], found["safe"]) == (2, 0, 4)
    assert {
        "level": "breaking",
        "type": "FIELD_REMOVED",
        "description": "Field Query.gone was removed.",
        "coordinate": "Query.gone",
        "before": {"file": str(old), "line": 1, "column": 26},
        "after": {"file": "schema/a.graphql", "line": 2, "column": 1},
    } in found["changes"]
    removed = next(change for change in found["changes"] if change["type"] == "TYPE_REMOVED")
    assert removed["after"] is None


@pytest.mark.parametrize(("level", "status"), [("breaking", 0), ("dangerous", 1), ("safe", 1)])
def test_fail_on(tmp_path, level, status):
    (tmp_path / "old.graphql").write_text("type Query { a: E } enum E { A }")
    (tmp_path / "new.graphql").write_text("type Query { a: E } enum E { A B }")
    result = run_cli("schema", "diff", "new.graphql", "--against", "old.graphql", "--fail-on", level, cwd=tmp_path)
    assert result.returncode == status
    assert "0 breaking, 1 dangerous, 0 safe" in result.stdout


def test_diff_between_bundles(bundle):
    old, new = bundle(BUNDLE), bundle(BUNDLE | {"schema/user.graphql": "type User {\n  id: ID!\n}\n"})
    result = run_cli("schema", "diff", new, "--against", old)
    assert result.returncode == 1
    assert result.stdout.startswith(f"{new}/schema/user.graphql:1:1: breaking: FIELD_REMOVED: Field User.name was removed.\n")


def test_what_cannot_be_compared(bundle, tmp_path):
    (tmp_path / "broken.graphql").write_text("type Query {")
    for against in ("broken.graphql", "missing.graphql"):
        result = run_cli("schema", "diff", bundle(BUNDLE), "--against", tmp_path / against)
        assert result.returncode == 2
        assert against in result.stderr
        assert not result.stdout
