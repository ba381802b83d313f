# SPDX-License-Identifier: MIT
"""examples/blog, every query and mutation of it."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import code_of, copy_example, run_cli
from streams import EventStream, WebSocket

pytestmark = pytest.mark.core

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
CREATE_USER = "mutation ($input: CreateUserInput!) { createUser(input: $input) { id name email createdAt posts { id } } }"
CREATE_POST = "mutation ($input: CreatePostInput!) { createPost(input: $input) { id title content publishedAt author { id } } }"
UPDATE_USER = "mutation ($id: ID!, $input: UpdateUserInput!) { updateUser(id: $id, input: $input) { id name email } }"


@pytest.fixture
def server(start, blog):
    return start(blog)


def create_user(server, name="Test", email="test@example.com"):
    return server.data(CREATE_USER, {"input": {"name": name, "email": email}})["createUser"]


def create_post(server, author, title="Title"):
    return server.data(CREATE_POST, {"input": {"title": title, "content": "Content", "authorId": author}})["createPost"]


def test_user(server):
    user = server.data('{ user(id: "1") { id name email createdAt posts { title } } }')["user"]
    assert user["id"] == "1"
    assert (user["name"], user["email"]) == ("Ada Lovelace", "ada@example.com")
    assert user["createdAt"] == "2026-01-01T00:00:00.000Z"
    assert user["posts"] == [{"title": "Notes on the engine"}]


@pytest.mark.parametrize("id_", ["999", "0", "-1", "no-such-user", "", "1; DROP TABLE users", "9" * 40])
def test_user_that_is_not_there(server, id_):
    assert server.data("query ($id: ID!) { user(id: $id) { id } post(id: $id) { id } }", {"id": id_}) == {
        "user": None,
        "post": None,
    }


def test_ids_may_be_numbers(server):
    assert server.data("query ($id: ID!) { user(id: $id) { id } }", {"id": 2}) == {"user": {"id": "2"}}
    assert server.data("{ user(id: 3) { id } }") == {"user": {"id": "3"}}


def test_users_pages(server):
    def ids(arguments):
        return [user["id"] for user in server.data(f"{{ users{arguments} {{ id }} }}")["users"]]

    assert ids("") == ["1", "2", "3", "4", "5"]
    assert ids("(limit: 2)") == ["1", "2"]
    assert ids("(limit: 2, offset: 3)") == ["4", "5"]
    assert ids("(offset: 4)") == ["5"]
    assert ids("(offset: 5)") == []
    assert ids("(limit: 100, offset: 2147483647)") == []
    assert ids("(limit: null, offset: null)") == ["1", "2", "3", "4", "5"]


def test_users_page_of_twenty(server):
    for i in range(20):
        create_user(server, email=f"user{i}@example.com")
    assert len(server.data("{ users { id } }")["users"]) == 20
    assert len(server.data("{ users(limit: 100) { id } }")["users"]) == 25


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ("limit: 0", {"limit"}),
        ("limit: 101", {"limit"}),
        ("limit: -1", {"limit"}),
        ("offset: -1", {"offset"}),
        ("limit: 0, offset: -1", {"limit", "offset"}),
    ],
)
def test_users_bad_page(server, arguments, fields):
    response = server.graphql(f"{{ users({arguments}) {{ id }} }}")
    assert response["data"] is None
    assert code_of(response) == "INVALID_ARGUMENT"
    assert response["errors"][0]["path"] == ["users"]
    assert fields <= set(str(response["errors"][0]["extensions"]["violations"]).replace("'", " ").split()), response


def test_posts(server):
    def titles(arguments):
        return [post["title"] for post in server.data(f"{{ posts{arguments} {{ title }} }}")["posts"]]

    assert len(titles("")) == 6
    assert titles('(authorId: "2")') == ["Can machines think?", "On computable numbers"]
    assert titles("(published: false)") == ["A compiler, they said, cannot be"]
    assert len(titles("(published: true)")) == 5
    assert titles('(authorId: "3", published: true)') == ["The first bug"]
    assert titles('(authorId: "5")') == []
    assert len(titles("(authorId: null, published: null)")) == 6


def test_post_with_all_relations(server):
    query = """{ post(id: "4") { title publishedAt author { name posts { id } }
                 comments { content createdAt author { name } post { id } } } }"""
    post = server.data(query)["post"]
    assert post["author"] == {"name": "Grace Hopper", "posts": [{"id": "5"}, {"id": "4"}]}
    assert [comment["author"]["name"] for comment in post["comments"]] == ["Edsger Dijkstra", "Grace Hopper"]
    assert {comment["post"]["id"] for comment in post["comments"]} == {"4"}
    assert RFC_3339.fullmatch(post["publishedAt"])


def test_create_user(server):
    user = create_user(server, "Niklaus", "niklaus@example.com")
    assert user["name"] == "Niklaus"
    assert user["posts"] == []
    assert RFC_3339.fullmatch(user["createdAt"])
    assert (
        server.data("query ($id: ID!) { user(id: $id) { email } }", {"id": user["id"]})["user"]["email"] == "niklaus@example.com"
    )


@pytest.mark.parametrize("email", ["", "nobody", "a@", "@b.example", "a b@example.com", "a@b@example.com", "a@example"])
def test_create_user_bad_email(server, email):
    response = server.graphql(CREATE_USER, {"input": {"name": "Test", "email": email}})
    assert code_of(response) == "INVALID_ARGUMENT"
    assert "email" in str(response["errors"][0]["extensions"]["violations"])


def test_create_user_empty_name(server):
    response = server.graphql(CREATE_USER, {"input": {"name": "  ", "email": "a@example.com"}})
    assert code_of(response) == "INVALID_ARGUMENT"


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@example.com"])
def test_create_user_taken_email(server, email):
    response = server.graphql(CREATE_USER, {"input": {"name": "Test", "email": email}})
    assert code_of(response) == "ALREADY_EXISTS"
    assert len(server.data("{ users { id } }")["users"]) == 5


def test_create_user_input_types(server):
    response = server.graphql(CREATE_USER, {"input": {"name": "Test"}})
    assert "email" in response["errors"][0]["message"]
    assert "data" not in response
    assert "data" not in server.graphql(CREATE_USER, {"input": {"name": "Test", "email": "a@example.com", "age": 1}})


def test_same_email_from_many_clients_at_once(start, blog):
    server = start(blog, workers=2)

    def create(_):
        return server.graphql(CREATE_USER, {"input": {"name": "Test", "email": "one@example.com"}})

    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(create, range(24)))
    assert sum("errors" not in response for response in responses) == 1
    assert {code_of(response) for response in responses if "errors" in response} == {"ALREADY_EXISTS"}


def test_update_user(server):
    def update(**changes):
        return server.data(UPDATE_USER, {"id": "1", "input": changes})["updateUser"]

    assert update(name="Ada King") == {"id": "1", "name": "Ada King", "email": "ada@example.com"}
    assert update(email="king@example.com") == {"id": "1", "name": "Ada King", "email": "king@example.com"}
    assert update(email="KING@example.com")["email"] == "KING@example.com", "one's own address may be written otherwise"
    assert update() == {"id": "1", "name": "Ada King", "email": "KING@example.com"}
    assert update(name=None, email=None) == {"id": "1", "name": "Ada King", "email": "KING@example.com"}


def test_update_user_errors(server):
    def code(id_, **changes):
        return code_of(server.graphql(UPDATE_USER, {"id": id_, "input": changes}))

    assert code("999", name="Nobody") == "NOT_FOUND"
    assert code("1", email="alan@example.com") == "ALREADY_EXISTS"
    assert code("1", email="wrong") == "INVALID_ARGUMENT"
    assert code("1", name="") == "INVALID_ARGUMENT"
    assert server.data('{ user(id: "1") { name email } }')["user"] == {"name": "Ada Lovelace", "email": "ada@example.com"}


def test_delete_user_takes_posts_and_comments(server):
    assert server.data('mutation { deleteUser(id: "3") }') == {"deleteUser": True}
    assert server.data('{ user(id: "3") { id } post(id: "4") { id } }') == {"user": None, "post": None}
    assert len(server.data("{ posts { id } }")["posts"]) == 4
    comments = server.data('{ post(id: "1") { comments { author { name } } } }')["post"]["comments"]
    assert comments == [{"author": {"name": "Ada Lovelace"}}]
    assert code_of(server.graphql('mutation { deleteUser(id: "3") }')) == "NOT_FOUND"


def test_create_and_publish_post(server):
    post = create_post(server, "5")
    assert (post["title"], post["publishedAt"], post["author"]) == ("Title", None, {"id": "5"})
    publish = "mutation ($id: ID!) { publishPost(id: $id) { id publishedAt } }"
    first = server.data(publish, {"id": post["id"]})["publishPost"]
    assert RFC_3339.fullmatch(first["publishedAt"])
    assert server.data(publish, {"id": post["id"]})["publishPost"] == first
    assert code_of(server.graphql(publish, {"id": "999"})) == "NOT_FOUND"


def test_create_post_errors(server):
    def code(title, author):
        return code_of(server.graphql(CREATE_POST, {"input": {"title": title, "content": "", "authorId": author}}))

    assert code("Title", "999") == "NOT_FOUND"
    assert code(" ", "1") == "INVALID_ARGUMENT"


def test_text_is_data_only(server):
    text = "'); DROP TABLE users; -- \" \\ 😀"
    assert create_user(server, name=text)["name"] == text
    assert len(server.data("{ users { id } }")["users"]) == 6


def test_mutations_run_in_order(server):
    query = """mutation { a: createPost(input: {title: "a", content: "", authorId: "1"}) { id }
               b: deleteUser(id: "1") c: createPost(input: {title: "c", content: "", authorId: "1"}) { id } }"""
    response = server.graphql(query)
    assert response["errors"][0]["path"] == ["c"]
    assert code_of(response) == "NOT_FOUND"


def test_introspection_tells_descriptions(server):
    type_ = server.data('{ __type(name: "Post") { kind description fields { name description } } }')["__type"]
    assert type_["kind"] == "OBJECT"
    assert type_["description"] == "An article. It is a draft until it is published."
    fields = {field["name"]: field["description"] for field in type_["fields"]}
    assert fields["publishedAt"] == "Null as long as the post is a draft."
    assert server.data("{ __schema { subscriptionType { name } } }")["__schema"]["subscriptionType"] == {"name": "Subscription"}


def test_data_outlives_the_server(start, blog):
    server = start(blog)
    database = {"PERILUNE_SQLITE_PATH": str(blog / "kept.db")}
    server.stop()
    server = start(blog, env=database)
    user = create_user(server)
    server.reload()
    assert server.data("query ($id: ID!) { user(id: $id) { name } }", {"id": user["id"]})["user"] == {"name": "Test"}
    server.stop()
    server = start(blog, env=database)
    assert len(server.data("{ users { id } }")["users"]) == 6, "sample data is not added again"


def test_workers_migrate_the_same_file_at_once(start, blog):
    server = start(blog, workers=4)
    assert len(server.data("{ users { id } }")["users"]) == 5


def test_the_bundle_s_own_tests(tmp_path):
    result = run_cli("test", copy_example("blog", tmp_path), env={"PERILUNE_SQLITE_PATH": str(tmp_path / "test.db")})
    assert result.returncode == 0, result.stdout + result.stderr


# --- who asks ---


def token_of(server, email):
    return server.data("mutation ($email: String!) { signIn(email: $email) }", {"email": email})["signIn"]


def bearer(server, email):
    return {"authorization": "Bearer " + token_of(server, email)}


def test_sign_in(server):
    headers = bearer(server, "ADA@example.com")
    assert server.post({"query": "{ viewer { name } }"}, headers=headers).json() == {"data": {"viewer": {"name": "Ada Lovelace"}}}
    assert server.data("{ viewer { name } }") == {"viewer": None}
    assert code_of(server.post({"query": 'mutation { signIn(email: "nobody@example.com") }'}).json()) == "UNAUTHENTICATED"


@pytest.mark.parametrize("token", ["x", "x y", "1.9999999999.00", "1.1.00", "-1.1.0"])
def test_wrong_tokens(server, token):
    response = server.post({"query": "{ viewer { name } }"}, headers={"authorization": "Bearer " + token})
    assert response.status_code == 401
    assert code_of(response.json()) == "UNAUTHENTICATED"
    assert "data" not in response.json()


def test_a_token_of_somebody_else(server):
    user, expiry, signature = token_of(server, "ada@example.com").split(".")
    forged = {"authorization": f"Bearer 2.{expiry}.{signature}"}
    assert server.post({"query": "{ viewer { name } }"}, headers=forged).status_code == 401
    assert user == "1"


def test_comments(server):
    add = "mutation ($content: String!) { addComment(postId: 6, content: $content) { id content author { name } post { id } } }"
    assert code_of(server.post({"query": add, "variables": {"content": "Hm."}}).json()) == "UNAUTHENTICATED"
    grace, ada, edsger = (bearer(server, f"{name}@example.com") for name in ("grace", "ada", "edsger"))
    assert code_of(server.post({"query": add, "variables": {"content": "  "}}, headers=grace).json()) == "INVALID_ARGUMENT"
    made = [
        server.post({"query": add, "variables": {"content": f"Comment {i}"}}, headers=grace).json()["data"]["addComment"]
        for i in range(2)
    ]
    assert [made[0][field] for field in ("content", "author", "post")] == ["Comment 0", {"name": "Grace Hopper"}, {"id": "6"}]

    def delete(comment, headers):
        query = f"mutation {{ deleteComment(id: {comment['id']}) }}"
        return server.post({"query": query}, headers=headers)

    assert code_of(delete(made[0], None).json()) == "UNAUTHENTICATED"
    assert code_of(delete(made[0], ada).json()) == "PERMISSION_DENIED"
    assert delete(made[0], grace).json() == {"data": {"deleteComment": True}}
    assert delete(made[1], edsger).json() == {"data": {"deleteComment": True}}  # it is his post
    assert code_of(delete(made[1], edsger).json()) == "NOT_FOUND"


# --- limits, and what is fetched together ---


def test_limits(server):
    deep = "{ users { posts { author { posts { author { posts { author { posts { id } } } } } } } } }"
    response = server.post({"query": deep})
    assert response.json()["errors"][0]["extensions"]["limit"] == "max_depth"
    costly = "{ users(limit: 100) { posts { comments { author { posts { id } } } } } }"
    assert server.post({"query": costly}).json()["errors"][0]["extensions"]["limit"] == "max_cost"


def test_nested(server):
    users = server.data("{ users { name posts { title author { name } comments { author { name } } } } }")["users"]
    assert [user["name"] for user in users] == [
        "Ada Lovelace",
        "Alan Turing",
        "Grace Hopper",
        "Edsger Dijkstra",
        "Barbara Liskov",
    ]
    assert all(post["author"]["name"] == user["name"] for user in users for post in user["posts"])
    assert [len(user["posts"]) for user in users] == [1, 2, 2, 1, 0]
    bug = users[2]["posts"][1]
    assert [comment["author"]["name"] for comment in bug["comments"]] == ["Edsger Dijkstra", "Grace Hopper"]


# --- subscriptions ---


def test_post_added(server):
    query = "subscription ($author: ID) { postAdded(authorId: $author) { title author { name } } }"
    with EventStream(server, query) as every, EventStream(server, query, {"author": "2"}) as of_alan:
        create_post(server, "1", "By Ada")
        create_post(server, "2", "By Alan")
        assert every.next() == {"data": {"postAdded": {"title": "By Ada", "author": {"name": "Ada Lovelace"}}}}
        alan = {"data": {"postAdded": {"title": "By Alan", "author": {"name": "Alan Turing"}}}}
        assert every.next() == alan
        assert of_alan.next() == alan


def test_comment_added(server):
    with EventStream(server, "subscription { commentAdded(postId: 2) { content post { title } } }") as comments:
        headers = bearer(server, "ada@example.com")
        for post, content in ((1, "elsewhere"), (2, "here")):
            query = f'mutation {{ addComment(postId: {post}, content: "{content}") {{ id }} }}'
            assert "errors" not in server.post({"query": query}, headers=headers).json()
        post = {"title": "On computable numbers"}
        assert comments.next() == {"data": {"commentAdded": {"content": "here", "post": post}}}


def test_user_online(server):
    with EventStream(server, "subscription { userOnline { name } }") as online:
        token = bearer(server, "barbara@example.com")
        with WebSocket(server, params=token) as socket:
            assert online.next() == {"data": {"userOnline": {"name": "Barbara Liskov"}}}
            socket.subscribe("{ viewer { name } }")
            assert socket.next() == {"data": {"viewer": {"name": "Barbara Liskov"}}}
