# SPDX-License-Identifier: MIT
"""Files that come with a request: the GraphQL multipart request specification."""

import hashlib
import json
import os
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from harness import FULL, SLOWNESS, VARIANT, code_of, run_cli, self_signed, tls_client, wait_until, write_bundle

CLIENTS = Path(__file__).parent / "clients"
PREFLIGHT = {"graphql-preflight": "1"}

SCHEMA = """
scalar Upload
type Query { hello(name: String): String rest: String }
type File { filename: String content_type: String size: Int sha256: String text: String }
input Document { title: String, file: Upload }
type Mutation {
  one(file: Upload): File
  many(files: [Upload!]!): [File!]
  document(document: Document!): File
  save(file: Upload!, as: String!): String
  pieces(file: Upload!, n: Int!): [String]
  keep(file: Upload!): String
  back(file: Upload): Upload
}
"""
RESOLVERS = """
local function describe(f)
  return f and {
    filename = f.filename, content_type = f.content_type, size = f.size, sha256 = f:sha256(),
    text = f.size < 100 and (f:read() or "") or nil,
  }
end
local kept
return {
  Query = { hello = function() return "world" end, rest = function() return kept:read() end },
  Mutation = {
    one = function(_, args) return describe(args.file) end,
    many = function(_, args)
      local all = {}
      for i, file in ipairs(args.files) do all[i] = describe(file) end
      return all
    end,
    document = function(_, args) return describe(args.document.file) end,
    save = function(_, args) return args.file:save(args.as) end,
    pieces = function(_, args)
      local all, piece = {}, args.file:read(args.n)
      while piece do
        all[#all + 1] = piece
        piece = args.file:read(args.n)
      end
      all[#all + 1] = "at " .. args.file:seek()
      args.file:seek(1)
      all[#all + 1] = args.file:read()
      all[#all + 1] = tostring(args.file)
      return all
    end,
    keep = function(_, args) kept = args.file return kept:read(1) end,
    back = function(_, args) return args.file end,
  },
}
"""
ONE = "mutation($file: Upload) { one(file: $file) { filename content_type size sha256 text } }"


def app(settings="uploads = true", schema=SCHEMA):
    return {
        "schema/schema.graphql": schema,
        "resolvers/all.lua": RESOLVERS,
        "app.lua": f"return {{ http = {{ batching = true, {settings} }} }}",
    }


@pytest.fixture(scope="module")
def server(start_shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    running = start_shared(app(f'uploads = {{ max_file_size = "64kB", max_files = 3, directory = "{folder}" }}'))
    running.folder = folder
    return running


def send(server, operations, mapping, files, headers=PREFLIGHT, client=None, url=None):
    """Sends a form; files is [(name, (filename, bytes, content type))]."""
    texts = [(name, value) for name, value in (("operations", operations), ("map", mapping)) if value is not None]
    parts = [(name, (None, value if isinstance(value, bytes) else json.dumps(value))) for name, value in texts]
    client = client or httpx.Client(timeout=60 * SLOWNESS)
    return client.post(url or server.url, files=parts + files, headers=headers)


def send_one(server, data, name="a.txt", content_type="text/plain", query=ONE, **more):
    operations = {"query": query, "variables": {"file": None} | more.pop("variables", {})}
    return send(server, operations, {"0": ["variables.file"]}, [("0", (name, data, content_type))], **more)


def described(data, filename="a.txt", content_type="text/plain", text=True):
    return {
        "filename": filename,
        "content_type": content_type,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "text": data.decode() if text else None,
    }


@pytest.mark.core
def test_files(server):
    assert send_one(server, b"hello").json() == {"data": {"one": described(b"hello")}}
    assert send_one(server, b"").json() == {"data": {"one": described(b"")}}
    large = os.urandom(60_000)
    assert send_one(server, large).json() == {"data": {"one": described(large, text=False)}}
    operations = {"query": "mutation($files: [Upload!]!) { many(files: $files) { text } }", "variables": {"files": [None, None]}}
    files = [("a", ("a", b"first", "text/plain")), ("b", ("b", b"second", "text/plain"))]
    response = send(server, operations, {"a": ["variables.files.0"], "b": ["variables.files.1"]}, files)
    assert response.json() == {"data": {"many": [{"text": "first"}, {"text": "second"}]}}
    # One file in two places, and inside an input object.
    response = send(server, operations, {"a": ["variables.files.0", "variables.files.1"]}, files[:1])
    assert response.json() == {"data": {"many": [{"text": "first"}, {"text": "first"}]}}
    query = "mutation($d: Document!) { document(document: $d) { text } }"
    operations = {"query": query, "variables": {"d": {"title": "t", "file": None}}}
    assert send(server, operations, {"a": ["variables.d.file"]}, files[:1]).json() == {"data": {"document": {"text": "first"}}}
    # Null stays null where the map names nothing.
    assert send(server, {"query": ONE, "variables": {"file": None}}, {}, []).json() == {"data": {"one": None}}


def test_batches(server):
    operations = [{"query": ONE, "variables": {"file": None}}, {"query": "{hello}"}]
    response = send(server, operations, {"x": ["0.variables.file"]}, [("x", ("a.txt", b"hi", "text/plain"))])
    assert response.json() == [{"data": {"one": described(b"hi")}}, {"data": {"hello": "world"}}]


@pytest.mark.core
def test_reading(server):
    query = "mutation($file: Upload!, $n: Int!) { pieces(file: $file, n: $n) }"
    response = send_one(server, b"abcdefg", query=query, variables={"n": 3})
    assert response.json()["data"]["pieces"] == ["abc", "def", "g", "at 7", "bcdefg", "upload: a.txt (7 bytes)"]


@pytest.mark.core
def test_an_upload_ends_with_its_request(server):
    query = "mutation($file: Upload!) { keep(file: $file) }"
    assert send_one(server, b"abc", query=query).json() == {"data": {"keep": "a"}}
    response = server.graphql("{rest}")
    assert code_of(response) == "FAILED_PRECONDITION"
    assert "the request that it came with has ended" in response["errors"][0]["message"]


SAVE = "mutation($file: Upload!, $as: String!) { save(file: $file, as: $as) }"


@pytest.mark.core
def test_saving(server):
    response = send_one(server, b"to keep", query=SAVE, variables={"as": "deep/er/file.txt"})
    path = Path(response.json()["data"]["save"])
    assert path == server.folder / "deep/er/file.txt"
    assert path.read_bytes() == b"to keep"
    send_one(server, b"other", query=SAVE, variables={"as": "deep/er/file.txt"})
    assert path.read_bytes() == b"other"
    assert sorted(os.listdir(path.parent)) == ["file.txt"]


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "", ".", "a//b", "a/", "./a", "x" * 300])
def test_paths_that_leave_the_folder(server, path):
    response = send_one(server, b"evil", query=SAVE, variables={"as": path}).json()
    assert code_of(response) == "INVALID_ARGUMENT"
    assert response["data"] == {"save": None}


def test_links_are_not_followed(server, tmp_path):
    (server.folder / "out").symlink_to(tmp_path)
    response = send_one(server, b"evil", query=SAVE, variables={"as": "out/x"}).json()
    assert "out/x: a folder cannot be opened" in response["errors"][0]["message"]
    (server.folder / "file").symlink_to(tmp_path / "target")
    assert "errors" not in send_one(server, b"mine", query=SAVE, variables={"as": "file"}).json()
    assert not (server.folder / "file").is_symlink()
    assert os.listdir(tmp_path) == []


def test_the_folder_is_no_part_of_the_bundle(bundle, tmp_path):
    for folder, right in (("saved", False), ("resolvers", False), (".saved", True), ("lib/.saved", True), ("/srv/saved", True)):
        result = run_cli("check", bundle(app(f'uploads = {{ directory = "{folder}" }}')))
        assert (result.returncode == 0) == right, folder
        assert ("must be no folder of the bundle" in result.stdout) != right
    directory = bundle(app())
    write_bundle(directory, app(f'uploads = {{ directory = "{directory}" }}'))
    assert run_cli("check", directory).returncode == 1


def test_saving_without_a_folder(start):
    server = start(app())
    response = send_one(server, b"x", query=SAVE, variables={"as": "a"}).json()
    assert code_of(response) == "FAILED_PRECONDITION"
    assert "http.uploads.directory" in response["errors"][0]["message"]


def test_what_is_no_file(server):
    query = 'mutation { one(file: "text") { size } }'
    assert "a file can only be given as a variable" in server.graphql(query)["errors"][0]["message"]
    for value in ("text", 1, {"a": 1}):
        message = server.graphql(ONE, {"file": value})["errors"][0]["message"]
        assert "Upload must be a file" in message
    assert server.graphql(ONE, {"file": None}) == {"data": {"one": None}}
    query = "mutation($file: Upload) { back(file: $file) }"
    assert code_of(send_one(server, b"x", query=query).json()) == "INTERNAL"
    server.wait_log("Upload cannot be a result")
    # A file where another type is expected.
    query = "query($file: String) { hello(name: $file) }"
    assert "String cannot represent a non string value" in send_one(server, b"x", query=query).text


A = ("a", ("a.txt", b"hi", "text/plain"))
B = ("b", ("b.txt", b"hi", "text/plain"))
OPERATIONS = {"query": ONE, "variables": {"file": None, "more": [None], "text": "x"}}


@pytest.mark.parametrize(
    ("operations", "mapping", "files", "status", "words"),
    [
        (None, {"a": ["variables.file"]}, [A], 400, '"operations" must come before the part "map"'),
        (OPERATIONS, None, [], 400, 'no part "map"'),
        (OPERATIONS, None, [A], 400, 'must come before the file "a"'),
        (b"{", {}, [], 400, 'The part "operations": '),
        (OPERATIONS, b"{", [], 400, 'The part "map": '),
        (OPERATIONS, [], [], 400, '"map" must be a JSON object'),
        (OPERATIONS, {"a": "variables.file"}, [A], 400, 'a list of paths for "a"'),
        (OPERATIONS, {"a": []}, [A], 400, 'a list of paths for "a"'),
        (OPERATIONS, {"a": [1]}, [A], 400, 'a list of paths for "a"'),
        (OPERATIONS, {"a": ["variables.file"]}, [], 400, 'The file "a" of the map is missing'),
        (OPERATIONS, {"a": ["variables.file"]}, [A, B], 400, 'The part "b" is not in the map'),
        (OPERATIONS, {"a": ["variables.file"]}, [A, A], 400, 'The form has the part "a" twice'),
        (OPERATIONS, {"a": ["variables.file"]}, [("a", (None, b"x"))], 400, "it has no filename"),
        (OPERATIONS, {"a": ["variables.nothing"]}, [A], 400, 'path "variables.nothing" is not there'),
        (OPERATIONS, {"a": ["variables.more.1"]}, [A], 400, "is not there"),
        (OPERATIONS, {"a": ["variables.more.x"]}, [A], 400, "is not there"),
        (OPERATIONS, {"a": ["variables.file.x"]}, [A], 400, "is not there"),
        (OPERATIONS, {"a": ["query"]}, [A], 400, "does not lead into the variables"),
        (OPERATIONS, {"a": [""]}, [A], 400, "does not lead into the variables"),
        (OPERATIONS, {"a": ["variables.text"]}, [A], 400, "must have null"),
        (OPERATIONS, {"a": ["variables.file"], "b": ["variables.file"]}, [A, B], 400, 'has the path "variables.file" twice'),
        ([OPERATIONS], {"a": ["variables.file"]}, [A], 400, "is not there"),
        ([OPERATIONS], {"a": ["0.query"]}, [A], 400, "does not lead into the variables"),
        ([OPERATIONS], {"a": ["1.variables.file"]}, [A], 400, "is not there"),
        (OPERATIONS, {str(i): ["variables.file"] for i in range(4)}, [A], 413, "more than 3 files"),
        (OPERATIONS, {"a": ["variables.x"] * 13}, [A], 413, "more than 12 paths"),
        (OPERATIONS, {"a": ["variables.file"]}, [("a", ("a", b"x" * 65537))], 413, 'The file "a" is larger than 65536 bytes'),
        (b'"' + b"x" * (1 << 20) + b'"', None, [], 413, 'The part "operations" is larger'),
    ],
)
@pytest.mark.core
def test_forms_that_are_wrong(server, operations, mapping, files, status, words):
    response = send(server, operations, mapping, files)
    assert words in response.json()["errors"][0]["message"]
    assert response.status_code == status
    assert hello_works(server)


def hello_works(server):
    return server.data("{hello}") == {"hello": "world"}


def test_bodies_that_are_no_form(server):
    kind = "multipart/form-data; boundary=b"
    for body, content_type, words in (
        (b"", kind, "The form has no part"),
        (b"nothing", kind, "The form has no part"),
        (b"--b\r\n", kind, "ends before its last boundary"),
        (b"--b\r\n", "multipart/form-data", "must have a boundary"),
        (b"--b--", kind, 'no part "operations"'),
        (b"--b\r\nX: " + b"x" * 9000, kind, "headers of a part are larger"),
    ):
        response = server.post(body, headers={"content-type": content_type} | PREFLIGHT)
        assert words in response.json()["errors"][0]["message"]
        assert response.status_code in (400, 413)


def test_forms_need_a_header_that_browsers_ask_about(server):
    response = send_one(server, b"x", headers={})
    assert response.status_code == 403
    assert "graphql-preflight" in response.json()["errors"][0]["message"]
    for name in ("apollo-require-preflight", "x-requested-with"):
        assert send_one(server, b"x", headers={name: "1"}).status_code == 200


def test_uploads_are_off(start, bundle):
    for files in (app("uploads = false"), app(schema=SCHEMA.replace("scalar Upload", "scalar Other").replace("Upload", "Other"))):
        off = start(files)
        assert send_one(off, b"x").status_code == 415
        # The bound of other bodies is the one of all then.
        assert send_one(off, b"x" * (3 << 20)).status_code == 413
    directory = bundle(app(schema=SCHEMA.replace("scalar Upload", "scalar Other").replace("Upload", "Other")))
    assert 'the schema has no "scalar Upload"' in run_cli("check", directory).stdout


def test_settings_change_with_a_reload(start, bundle):
    directory = bundle(app("uploads = false"))
    server = start(directory)
    write_bundle(directory, app('uploads = { max_file_size = "8MB" }'))
    server.reload()
    large = os.urandom(6 << 20)
    assert send_one(server, large).json() == {"data": {"one": described(large, text=False)}}
    write_bundle(directory, app("uploads = false"))
    server.reload()
    assert send_one(server, large).status_code == 413


def test_clients(server):
    command = ["node", str(CLIENTS / "uploads.mjs"), server.url]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60 * SLOWNESS, cwd=CLIENTS)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "ok"


def test_curl(server, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"from curl")
    operations = json.dumps({"query": ONE, "variables": {"file": None}})
    command = ["curl", "-sS", server.url, "-H", "graphql-preflight: 1", "-F", f"operations={operations}"]
    command += ["-F", 'map={"0": ["variables.file"]}', "-F", f"0=@{tmp_path / 'a.txt'}"]
    result = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(result.stdout) == {"data": {"one": described(b"from curl")}}


# -- large files --
SIZE = 100 << 20
LARGE = f"uploads = {{ max_file_size = {SIZE}, max_files = 1 }}"


def large_form():
    """The head and the end of a form around SIZE bytes, its type, and what the file's hash will be."""
    operations = json.dumps(
        {"query": "mutation($file: Upload) { one(file: $file) { size sha256 } }", "variables": {"file": None}}
    )
    head = (
        f'--xyz\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{operations}\r\n'
        '--xyz\r\nContent-Disposition: form-data; name="map"\r\n\r\n{"0": ["variables.file"]}\r\n'
        '--xyz\r\nContent-Disposition: form-data; name="0"; filename="large.bin"\r\n\r\n'
    )
    return head.encode(), b"\r\n--xyz--\r\n"


def large_body(size=SIZE):
    """As a generator: with the file's bytes, which look like boundaries now and then."""
    block = os.urandom((1 << 20) - 8) + b"\r\n--xyZ\r"
    digest = hashlib.sha256()
    head, end = large_form()

    def pieces():
        yield head
        for _ in range(size >> 20):
            digest.update(block)
            yield block
        yield end

    return pieces(), len(head) + size + len(end), digest


def check_large(server, client, headers):
    body, _, digest = large_body()
    headers = PREFLIGHT | {"content-type": "multipart/form-data; boundary=xyz"} | headers
    response = client.post(server.url, content=body, headers=headers)
    assert response.json() == {"data": {"one": {"size": SIZE, "sha256": digest.hexdigest()}}}


def peak(server):
    """The most resident memory the process has had since it was last asked, in bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    value = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    return int(value.split()[1]) * 1024


@pytest.mark.parametrize("way", ["chunked", "length"])
def test_a_large_file_takes_no_memory(start, way):
    server = start(app(LARGE))
    assert send_one(server, b"x").status_code == 200
    peak(server)
    before = server.memory()
    _, length, _ = large_body()
    with httpx.Client(timeout=60 * SLOWNESS) as client:
        for _ in range(5 if FULL else 2):
            check_large(server, client, {"content-length": str(length)} if way == "length" else {})
    # What has arrived between two looks is counted for a moment.
    most = 80 << 20 if VARIANT in ("release", "debug") else 400 << 20
    assert peak(server) - before < most
    assert server.memory() - before < 32 << 20 or VARIANT not in ("release", "debug")
    # And nothing is left of it on disk.
    wait_until(lambda: not spilled(server), 10, "the temporary file is gone")


def spilled(server):
    descriptors = Path(f"/proc/{server.process.pid}/fd")
    return [link for link in (os.readlink(fd) for fd in descriptors.iterdir()) if "perilune." in link]


def test_a_large_file_over_http2(start, tmp_path):
    certificate, key = self_signed(tmp_path)
    server = start(app(LARGE), "--https", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key)
    with tls_client(certificate) as client:
        body, _, digest = large_body(32 << 20)
        headers = PREFLIGHT | {"content-type": "multipart/form-data; boundary=xyz"}
        response = client.post(f"https://{server.ready['https']}/graphql", content=body, headers=headers)
        assert response.http_version == "HTTP/2"
        assert response.json() == {"data": {"one": {"size": 32 << 20, "sha256": digest.hexdigest()}}}
    assert "another h2o" not in server.log_text()


def flood(server, headers, path="/graphql", most=64 << 20):
    """Sends a body that does not end; how many bytes were taken before the connection was ended."""
    sent = 0
    with server.connect() as connection:
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked", *headers, "", ""]
        connection.sendall("\r\n".join(lines).encode())
        piece = b"40000\r\n" + b"x" * 0x40000 + b"\r\n"
        try:
            while sent < most:
                connection.sendall(piece)
                sent += 0x40000
        except (TimeoutError, ConnectionError):
            pass
    return sent


def test_what_is_no_upload_keeps_its_bound(start):
    server = start(app('uploads = { max_file_size = "1GB", max_files = 1 }'))
    form = "Content-Type: multipart/form-data; boundary=xyz"
    # A length that is too large is refused at once.
    with server.connect() as connection:
        connection.sendall(b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
    # On a loopback a lot arrives between two looks.
    assert flood(server, ["Content-Type: application/json"], most=2 << 30) < 2 << 30
    assert flood(server, [form], path="/other", most=2 << 30) < 2 << 30
    server.wait_log("request body cut off", "larger than max_body")
    assert server.post(b" " * (3 << 19)).status_code == 413
    assert server.post({"query": "{hello}"}).status_code == 200


def test_all_uploads_together_are_bounded(start):
    server = start(app('uploads = { max_file_size = "1GB", max_files = 1, max_total = "64MB" }'))
    sent = flood(server, ["Content-Type: multipart/form-data; boundary=xyz"], most=1 << 30)
    assert sent < 1 << 30
    server.wait_log("request body cut off", "max_total")
    assert hello_works(server)
    wait_until(lambda: not spilled(server), 10, "the temporary file is gone")


def test_a_client_that_leaves_leaves_nothing(start):
    server = start(app(LARGE))
    head, _ = large_form()
    form = "Content-Type: multipart/form-data; boundary=xyz"
    for _ in range(3):
        with server.connect() as connection:
            lines = ["POST /graphql HTTP/1.1", "Host: a", form, f"Content-Length: {SIZE}", "graphql-preflight: 1", "", ""]
            connection.sendall("\r\n".join(lines).encode() + head + b"x" * (20 << 20))
            wait_until(lambda: spilled(server), 10, "the body is on disk")
    wait_until(lambda: not spilled(server), 10, "the temporary files are gone")
    assert hello_works(server)


@pytest.mark.core
def test_uploads_while_reloading(start, bundle):
    """Uploads at once, some of whose clients leave, over generations that come and go: nothing stays behind."""
    directory = bundle(app('uploads = { max_file_size = "16MB" }'))
    server = start(directory, workers=2)
    sizes = [100, 200_000, 3 << 20, 9 << 20]
    head, end = large_form()
    stop = time.monotonic() + (60 if FULL else 3)
    form = "Content-Type: multipart/form-data; boundary=xyz"

    def upload(seed):
        chance = random.Random(seed)
        done = 0
        while time.monotonic() < stop:
            data = chance.randbytes(chance.choice(sizes))
            if chance.random() < 0.3:
                with server.connect() as connection:
                    length = f"Content-Length: {len(head) + len(data) + len(end)}"
                    lines = ["POST /graphql HTTP/1.1", "Host: a", form, length, "graphql-preflight: 1", "", ""]
                    connection.sendall("\r\n".join(lines).encode() + head + data[: chance.randrange(len(data) + 1)])
                continue
            one = send_one(server, data).json()["data"]["one"]
            assert one["sha256"] == hashlib.sha256(data).hexdigest()
            done += 1
        return done

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(upload, seed) for seed in range(4)]
        n = 0
        while time.monotonic() < stop:
            write_bundle(directory, {"lib/version.lua": f"return {n}"})
            server.reload()
            n += 1
        assert all(one.result() > 0 for one in running)
    assert n > 1
    wait_until(lambda: not spilled(server), 10, "the temporary files are gone")
    wait_until(lambda: len(server.status()["generations"]) == 1, 10, "old generations are gone")
