"""The Python interface, used by a program of its own. docs/api.md has more examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hub import CHECKOUT, PYTHON, Hub, Result

FAILURE = (
    "except HubError as error: print(type(error).__name__, error.code, error.exit_code, error)"
)
NO_REPOSITORY = "not a git repository (or any of the parent directories): .git"


def run_python(hub: Hub, program: str, *, cwd: Path | None = None) -> Result:
    """Run a program with the names of the interface."""
    names = "from git_hub_session import CommandFailed, Hub, HubError, State, UnreadableSession\n"
    return hub.call(PYTHON, "-c", names + program, cwd=cwd)


def output(hub: Hub, program: str, *, cwd: Path | None = None) -> str:
    """Return what a program prints on stdout. It prints nothing else and succeeds."""
    result = run_python(hub, program, cwd=cwd)
    assert (result.code, result.err) == (0, "")
    return result.out


def failure(hub: Hub, expression: str) -> str:
    """Return the class, the code, the exit status and the message of the error that is raised."""
    return output(hub, f"try: {expression}\n{FAILURE}")


def test_another_directory_than_the_current_one(hub: Hub, tmp_path: Path) -> None:
    """The worktree of an agent belongs to the repository too."""
    hub.session(agents=1)
    program = f"""
for directory in {str(hub.top)!r}, {str(hub.worktree(1))!r}:
    hub = Hub(directory)
    print(hub.path, [session.id for session in hub.sessions()])
    print(hub.run("path", "1").document["path"])
"""
    line = f"{hub.top}/.agenthub ['s1']\n{hub.worktree(1)}\n"
    assert output(hub, program, cwd=tmp_path) == line * 2


def test_a_damaged_session_does_not_hide_the_others(hub: Hub) -> None:
    hub.session("a").session("b")
    (hub.directory("a") / "state.json").write_text("{")
    program = """
broken, session = Hub().sessions()
print(isinstance(broken, UnreadableSession), broken.id, broken.reason)
print(session.id, session.state is State.INIT, session.state == "init")
"""
    assert output(hub, program) == (
        "True a state.json: not valid JSON (Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1))\nb True True\n"
    )


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("Hub('missing')", "NoSuchPath no-such-path 128 no such directory: 'missing'"),
        (
            "Hub('/')",
            f"NotARepository not-a-repository 128 {NO_REPOSITORY}",
        ),
        ("Hub().session('a b')", "InvalidId invalid-id 128 not a session id: 'a b'"),
        ("Hub().status('s2')", "NoSuchSession no-such-session 128 no such session: 's2'"),
        ("Hub().update('s1', 'x')", "UsageError usage 129 not a state: 'x'"),
        (
            "Hub().update('s1', State.MERGED)",
            "IllegalTransition illegal-transition 1 cannot go from 'init' to 'merged'",
        ),
        (
            "Hub().run('merge', 's1', '--agent=1')",
            "CommandFailed wrong-state 1 session 's1' is 'init': there is nothing to merge",
        ),
        (
            "Hub().run('nonsense')",
            "CommandFailed usage 129 'nonsense' is not a git hub-session command",
        ),
    ],
)
def test_an_error_has_the_code_of_the_command(hub: Hub, expression: str, error: str) -> None:
    hub.session()
    state = hub.state()
    assert failure(hub, expression) == f"{error}\n"
    assert hub.state() == state


def test_a_command_reads_its_input_and_its_files(hub: Hub, tmp_path: Path) -> None:
    directory = hub.top / "below"
    directory.mkdir()
    (directory / "task").write_text("From a file\n")
    program = """
hub = Hub("below")
first = hub.run("init", "--id=a", "-F", "-", stdin="From stdin\\n")
second = hub.run("init", "--id=b", "-F", "task")
print([session.config.task for session in hub.sessions()], first.exit_code, second.messages == "")
"""
    assert output(hub, program) == "['From stdin', 'From a file'] 0 True\n"


def test_the_answer_no_is_no_error(hub: Hub) -> None:
    """`doctor` ends with status 1 if it has findings."""
    hub.session(agents=1)
    (hub.worktree(1) / ".git").unlink()
    answer = (
        "answer = Hub().run('doctor')\nprint(answer.exit_code, len(answer.document['findings']))"
    )
    assert output(hub, answer) == "1 1\n"


def test_messages_are_returned(hub: Hub) -> None:
    hub.session()
    assert hub.run("spawn", "-q", "s1").code == 0
    hub.git("config", "core.hooksPath", "elsewhere")
    program = "answer = Hub().run('status', 's1')\nprint(answer.messages.splitlines()[0])"
    warning = output(hub, program)
    assert warning == (
        "warning: git settings changed since the first agent was created: 'core.hookspath'\n"
    )


def test_no_module_of_the_repository_runs(hub: Hub) -> None:
    for name in ("json", "git_hub_session", "sitecustomize", "re"):
        (hub.top / f"{name}.py").write_text("print('hostile')\n")
    program = hub.top.parent / "program.py"
    program.write_text(
        f"from git_hub_session import Hub\nprint(Hub({str(hub.top)!r}).run('list').document)\n"
    )
    result = hub.call(PYTHON, program, cwd=hub.top)
    assert (result.code, result.err) == (0, "")
    assert "hostile" not in result.out
    assert "'sessions': []" in result.out


def test_an_unknown_name_is_an_error(hub: Hub) -> None:
    result = run_python(hub, "from git_hub_session import Nothing")
    assert result.code == 1
    assert "cannot import name 'Nothing' from 'git_hub_session'" in result.err


def test_a_type_checker_knows_the_names(hub: Hub, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from git_hub_session import Hub\n"
        'reveal_type(Hub().session("s1").config.agent_count)\n'
        'reveal_type(Hub().run("list").document)\n'
        "Hub().nothing\n"
    )
    words = ("-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", program)
    result = hub.call(PYTHON, *words, environ={"MYPYPATH": str(CHECKOUT)}, cwd=tmp_path)
    assert 'Revealed type is "int"' in result.out
    assert 'Revealed type is "dict[str, Any]"' in result.out
    assert '"Hub" has no attribute "nothing"' in result.out
    assert "Found 1 error" in result.out
