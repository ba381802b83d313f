# SPDX-License-Identifier: MIT
"""Examples on the pages for host programs are compiled as they stand there, against what is installed, and run."""

import re
import shutil
from pathlib import Path

import pytest

from harness import ROOT, copy_example, run

pytestmark = pytest.mark.core
HERE = Path(__file__).parent


def examples(page, language="c"):
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "docs" / page).read_text(), flags=re.DOTALL | re.MULTILINE)


def lines_with(page, part, language="sh"):
    return [line.split("  #")[0].strip() for text in examples(page, language) for line in text.splitlines() if part in line]


def compile_as_said(command, folder, installed):
    """A line of a page, with the flags of this variant."""
    env = installed[1]
    assert command.startswith("cc ")
    run("sh", "-ec", f"{command} $CFLAGS $LDFLAGS -o program", cwd=folder, env=env)
    return folder / "program"


@pytest.mark.parametrize("way", range(2), ids=["shared", "static"])
def test_the_first_program(installed, tmp_path, way):
    first = examples("embedding.md")[0].replace("127.0.0.1:8080", "127.0.0.1:0").replace("    pause();\n", "")
    assert "pl_app_execute" in first
    copy_example("blog", tmp_path / "examples")
    (tmp_path / "main.c").write_text("#include <stdio.h>\n" + first)
    commands = lines_with("embedding.md", "cc main.c")
    assert len(commands) == 2
    program = compile_as_said(commands[way], tmp_path, installed)
    printed = run(program, cwd=tmp_path, env=installed[1])
    assert printed.startswith('{"data":{"users":[{"name":'), printed


def parts_of(text):
    """Its #include lines, its functions, and the statements that follow them."""
    statements = re.search(r"^(pl_app_\w+\(|pl_app_options )", text, flags=re.MULTILINE).start()
    head = text[:statements]
    includes = "".join(re.findall(r"^#include .*\n", head, flags=re.MULTILINE))
    return includes, re.sub(r"^#include .*\n", "", head, flags=re.MULTILINE), text[statements:]


def test_functions(installed, tmp_path):
    native, embedding = examples("native-functions.md"), examples("embedding.md")
    [(_, functions, statements)] = [parts_of(text) for text in native if "pl_app_resolver" in text]
    include = {
        "user": functions,
        "register": statements,
        "slow": next(text for text in native if "PENDING" in text and "queue_push" in text),
        "ticks": next(text for text in native if "pl_native_put_sequence" in text),
        "other_user": next(text for text in embedding if "pl_native_status user" in text),
        "loop": next(text for text in embedding if "poll(" in text).replace("for (;;)", "while (turns++ < 1)"),
    }
    assert len(native) == 4 and len(embedding) == 3, "an example is not tested"
    for name, text in include.items():
        (tmp_path / f"{name}.inc").write_text(text)
    shutil.copy(HERE / "docs_functions.c", tmp_path / "main.c")
    command = lines_with("embedding.md", "cc main.c")[0] + " -lpthread"
    printed = run(compile_as_said(command, tmp_path, installed), env=installed[1]).splitlines()
    assert printed[0] == '{"data":{"user":{"id":"1","name":"Ann"}}}'
    assert '"message":"user not found"' in printed[1] and '"code":"NOT_FOUND"' in printed[1]
    assert printed[2] == '{"data":{"other":{"name":"Ann"}}}'
    assert printed[3] == '{"data":{"slow":42,"ticks":[0,1,2],"at":"12:00"}}'
    assert printed[4] == '{"code":"unimplemented","message":"later"}'
    assert printed[5] == 'ledger {"amount":7}'
    assert printed[6:] == ['OK {"data":{"__typename":"Query"}}', "7"]


PROTO = """
syntax = "proto3";
package user.v1;
message GetUserRequest { int64 id = 1; }
message User { int64 id = 1; string name = 2; }
service UserService { rpc GetUser(GetUserRequest) returns (User); }
"""

ASKS = """
int main(void)
{
    static const char proto[] = "%s";
    const pl_app_file file = {"proto/user.proto", proto, sizeof proto - 1};
    char error[300] = "", *response;
    pl_app_options options = PL_APP_OPTIONS_INIT;
    options.files = &file;
    options.file_count = 1;
    pl_app *app = pl_app_new(&options, error, sizeof error);
    %s
    pl_app_start(app, error, sizeof error);
    printf("%%s", error);
    pl_app_call(app, "user.v1.UserService/GetUser", "{\\"id\\":\\"7\\"}", 10, &response, NULL);
    puts(response);
    pl_free_text(response);
    pl_app_free(app);
}
"""


def test_messages_of_protobuf_c(installed, tmp_path):
    [(includes, function, statements)] = [parts_of(text) for text in examples("native-functions.md") if "__unpack" in text]
    (tmp_path / "user.proto").write_text(PROTO)
    run("protoc", "--c_out=.", "user.proto", cwd=tmp_path)
    program = "#include <perilune.h>\n#include <stdio.h>\n#include <stdlib.h>\n" + includes + function
    (tmp_path / "main.c").write_text(program + ASKS % (PROTO.strip().replace("\n", " ").replace('"', '\\"'), statements))
    command = lines_with("embedding.md", "cc main.c")[0].replace("main.c", "main.c user.pb-c.c") + " -lprotobuf-c"
    printed = run(compile_as_said(command, tmp_path, installed), env=installed[1])
    assert printed == '{"id":"7","name":"Ann"}\n'


def test_mounting(installed, tmp_path):
    [text] = examples("h2o.md")
    includes, _, statements = parts_of(text)
    shutil.copytree(ROOT / "examples" / "embed-h2o" / "app", tmp_path / "shop")
    (tmp_path / "public").mkdir()
    (tmp_path / "main.c").write_text(
        includes + "#include <signal.h>\n#include <stdio.h>\n"
        "int main(void)\n{\n"
        'char error[300] = "";\nstatic h2o_globalconf_t config;\nstatic h2o_context_t context;\nint stopping = 1;\n'
        "signal(SIGPIPE, SIG_IGN);\n" + statements + 'printf("%s%d\\n", error, (int)pl_app_generation(app));\n'
        "pl_app_free(app);\nreturn 0;\n}\n"
    )
    [command] = lines_with("h2o.md", "main.c")
    assert run(compile_as_said(command, tmp_path, installed), cwd=tmp_path, env=installed[1]) == "1\n"


@pytest.mark.parametrize("standard", ["c++11", "c++20"])
def test_a_program_in_cpp(installed, tmp_path, standard):
    shutil.copy(HERE / "headers.cc", tmp_path)
    build = (
        f"g++ -std={standard} -Wall -Wextra -Werror headers.cc $CFLAGS $(pkg-config --cflags --libs perilune) $LDFLAGS -o program"
    )
    run("sh", "-ec", build, cwd=tmp_path, env=installed[1])
    printed = run(tmp_path / "program", env=installed[1]).splitlines()
    assert printed[0] == 'OK {"data":{"greeting":"Hello, you"}}'
    assert printed[1].startswith("OK ") and '"message":"no name"' in printed[1]
    assert printed[2:] == ["CANCELLED", "1", "1"]
