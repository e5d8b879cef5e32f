"""Settings are the defaults of options: from git's configuration, and from the file .hubsession."""

from __future__ import annotations

from pathlib import Path

import pexpect
import pytest

from tests.support.cleanup import everything
from tests.support.hints import hints, type_hint, types
from tests.support.hub import Hub, Result

AGENT = 'echo "ms: ${HUB_AGENT#agent-}0" >ms && git commit --allow-empty -qam "By $HUB_AGENT"'
EVALUATION = {"eval": "cat ms", "metric": "ms", "direction": "lower"}
DEFAULTS = {"agentCmd": AGENT, "agents": "2", **EVALUATION}
RUN = ("run", "-F", "task.md", "--id", "s1", "--yes")


def file_text(settings: dict[str, str]) -> str:
    """Return the settings in the syntax of .hubsession."""
    quoted = {
        name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in settings.items()
    }
    return "[hubsession]\n" + "".join(f'\t{name} = "{value}"\n' for name, value in quoted.items())


def configure(hub: Hub, settings: dict[str, str]) -> None:
    """Set settings in git's configuration."""
    for name, value in settings.items():
        hub.git("config", f"hubsession.{name}", value)


@pytest.fixture
def project(hub: Hub) -> Hub:
    """Return a hub whose project has a task and the metric `ms` 50."""
    hub.commit(hub.top, "ms", "ms: 50\n")
    hub.commit(hub.top, "task.md", "Be quick\n")
    return hub


@pytest.fixture
def shared(project: Hub) -> Hub:
    """Return the hub of a project that has .hubsession."""
    project.commit(project.top, ".hubsession", file_text(DEFAULTS))
    return project


def type_hints(hub: Hub, result: Result) -> None:
    """Run the command of each hint."""
    assert hints(result)
    for hint in hints(result):
        type_hint(hub, hint)


def terminal(hub: Hub, *words: str) -> pexpect.spawn[str]:
    """Start the command on a terminal."""
    return pexpect.spawn(
        "git-hub-session",
        [*words],
        cwd=str(hub.top),
        env=hub.environ,
        timeout=120,
        encoding="utf-8",
    )


def config_values(hub: Hub, sid: str = "s1") -> dict[str, object]:
    """Return the settings of a session that options can have."""
    config = hub.json("status", sid)["config"]
    names = ("agent_count", "eval_cmd", "metric", "direction")
    return {name: config.get(name) for name in names}


def test_a_task_is_enough(project: Hub) -> None:
    configure(project, DEFAULTS)
    result = project.run(*RUN)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(
        "Initialized session s1 in .agenthub/sessions/s1\n"
        "  Task: Be quick\n  Agents: 2\n  Base branch: main\n  Eval: cat ms\n"
        "  Metric: ms (lower)\n  State: init\nBaseline: ms 50\n"
    )
    assert result.out.endswith("Session s1: evaluating → merged\n")
    assert (project.top / "ms").read_text() == "ms: 10\n"


def test_options_have_precedence(project: Hub) -> None:
    (project.top / ".hubsession").write_text(
        file_text({"agents": "4", "agentCmd": "false", "eval": "false", "metric": "loc"})
    )
    configure(project, {"agents": "3", "eval": "cat ms", "direction": "lower"})
    words = ("init", "-q", "--task", "t", "--id")
    assert project.run(*words, "s1", "--metric", "ms", "--direction", "higher") == Result(0, "s1\n")
    assert config_values(project) == {
        "agent_count": "3",
        "eval_cmd": "cat ms",
        "metric": "ms",
        "direction": "higher",
    }
    assert project.run(*words, "s2", "--agents", "1") == Result(0, "s2\n")
    expected = {"agent_count": "1", "eval_cmd": "cat ms", "metric": "loc", "direction": "lower"}
    assert config_values(project, "s2") == expected
    # The direction belongs to the metric of the settings.
    result = project.run(*words, "s3", "--metric", "ms")
    assert (result.code, result.err.splitlines()[0]) == (
        *(129, "error: --metric and --direction must be used together"),
    )


@types("git config {}{} {}")
def test_commands_of_the_file_need_approval(shared: Hub) -> None:
    before = everything(shared)
    refused = shared.run(*RUN)
    assert refused == Result(
        1,
        "",
        f"error: the command of hubsession.agentCmd in '.hubsession' is not approved: {AGENT}\n"
        f"hint: git config hubsession.agentCmd '{AGENT}'\n",
    )
    assert everything(shared) == before
    type_hints(shared, refused)
    refused = shared.run(*RUN)
    assert refused == Result(
        1,
        "",
        "error: the command of hubsession.eval in '.hubsession' is not approved: cat ms\n"
        "hint: git config hubsession.eval 'cat ms'\n",
    )
    type_hints(shared, refused)
    assert shared.run(*RUN).code == 0
    assert (shared.top / "ms").read_text() == "ms: 10\n"


def test_a_typed_command_needs_no_approval(shared: Hub) -> None:
    assert shared.run(*RUN, "--agent-cmd", AGENT, "--eval", "cat ms").code == 0


def test_a_dry_run_asks_nothing(shared: Hub) -> None:
    result = shared.run(*RUN, "-n")
    assert (result.code, result.err) == (0, "")
    assert "  Eval: cat ms\n" in result.out


def test_questions_on_a_terminal(shared: Hub) -> None:
    declined = terminal(shared, *RUN)
    declined.expect_exact("Run the command of hubsession.agentCmd in '.hubsession': ")
    declined.sendline("n")
    declined.expect_exact("error: the command of hubsession.agentCmd in '.hubsession'")
    declined.expect(pexpect.EOF)
    declined.close()
    assert declined.exitstatus == 1
    assert not shared.directory().exists()
    accepted = terminal(shared, *RUN)
    for name in ("agentCmd", "eval"):
        accepted.expect_exact(f"Run the command of hubsession.{name} in '.hubsession': ")
        accepted.sendline("y")
    accepted.expect_exact("Session s1: evaluating → merged")
    accepted.expect(pexpect.EOF)
    # The answers count for the exact text, and only for this text.
    again = shared.run("run", "-F", "task.md", "--id", "s2", "-n")
    assert again.code == 0
    shared.run("init", "-q", "--task", "t", "--id", "s3")
    shared.run("spawn", "-q", "s3")
    assert shared.run("exec", "-q", "s3") == Result(0)
    shared.commit(shared.top, ".hubsession", file_text({"agentCmd": f"{AGENT} && true"}))
    changed = shared.run("exec", "-q", "s3")
    assert (changed.code, "is not approved" in changed.err) == (1, True)


@pytest.mark.parametrize("is_shared", [False, True])
def test_the_eval_command_of_init(project: Hub, is_shared: bool) -> None:
    """Only the author of a command approves it with `init`."""
    if is_shared:
        (project.top / ".hubsession").write_text(file_text(DEFAULTS))
    else:
        configure(project, DEFAULTS)
    assert project.run("init", "-q", "--task", "t", "--id", "s1") == Result(0, "s1\n")
    assert project.run("spawn", "-q", "s1") == Result(0)
    assert project.run("exec", "-q", "s1", "--", "sh", "-c", AGENT) == Result(0)
    result = project.run("eval", "-q", "s1")
    expected = Result(
        1,
        "",
        "error: the eval command of session 's1' is not approved: cat ms\n"
        "hint: git hub-session eval s1 --eval 'cat ms'\n",
    )
    assert result == (expected if is_shared else Result(0))


def test_exec_without_a_command(project: Hub) -> None:
    project.run("init", "-q", "--task", "t", "--id", "s1", "--agents", "2")
    project.run("spawn", "-q", "s1")
    missing = "error: no command given\nhint: git hub-session exec [<id>] -- <command>\n"
    assert project.run("exec", "s1") == Result(129, "", missing)
    project.git("config", "--add", "hubsession.agentCmd", "echo one >made")
    project.git("config", "--add", "hubsession.agentCmd", "agent-2=echo two >made")
    assert project.run("exec", "-q", "s1") == Result(0)
    made = [project.top.parent / "project.hub" / "s1" / f"agent-{n}" / "made" for n in (1, 2)]
    assert [path.read_text() for path in made] == ["one\n", "two\n"]
    assert project.run("exec", "-q", "s1", "--", "rm", "made") == Result(0)
    assert [path.exists() for path in made] == [False, False]


def test_several_commands_of_the_file(project: Hub) -> None:
    project.run("init", "-q", "--task", "t", "--id", "s1", "--agents", "2")
    project.run("spawn", "-q", "s1")
    (project.top / ".hubsession").write_text(
        "[hubsession]\n\tagentCmd = touch a\n\tagentCmd = touch b\n"
    )
    refused = project.run("exec", "s1")
    assert refused == Result(
        1,
        "",
        "error: the command of hubsession.agentCmd in '.hubsession' is not approved: touch a\n"
        "hint: git config --add hubsession.agentCmd 'touch a'\n"
        "hint: git config --add hubsession.agentCmd 'touch b'\n",
    )
    preview = project.run("exec", "s1", "-n")
    assert (preview.code, preview.err) == (0, "")
    type_hints(project, refused)
    assert project.run("exec", "-q", "s1") == Result(0)


def test_the_setup_command_of_the_file(project: Hub) -> None:
    (project.top / ".git" / "info" / "exclude").write_text("ms.state\n")
    (project.top / ".hubsession").write_text(file_text({"setup": "echo ready >ms.state"}))
    project.run("init", "-q", "--task", "t", "--id", "s1", "--agents", "1", *evaluation_options())
    before = everything(project)
    refused = project.run("spawn", "s1")
    assert refused == Result(
        1,
        "",
        "error: the command of hubsession.setup in '.hubsession' is not approved: echo ready >ms.state\n"
        "hint: git config hubsession.setup 'echo ready >ms.state'\n",
    )
    assert everything(project) == before
    preview = project.run("spawn", "s1", "-n")
    assert (preview.code, preview.err) == (0, "")
    type_hints(project, refused)
    assert project.run("spawn", "-q", "s1") == Result(0)
    worktree = project.top.parent / "project.hub" / "s1" / "agent-1"
    assert (worktree / "ms.state").read_text() == "ready\n"
    # The command of the file is not approved, only the one of the user.
    project.git("config", "--unset", "hubsession.setup")
    project.commit(worktree, "ms", "ms: 1\n")
    result = project.run("eval", "-q", "s1")
    assert (result.code, result.err) == (refused.code, refused.err)
    assert project.state()["state"] == "running"
    assert project.run("eval", "-q", "s1", "--in-place") == Result(0)


def evaluation_options() -> list[str]:
    """Return the options of `init` for the metric `ms`."""
    return [word for name, value in EVALUATION.items() for word in (f"--{name}", value)]


def test_the_worktree_path_of_the_file(project: Hub) -> None:
    path = "../{repo}-trees/{id}-{n}"
    (project.top / ".hubsession").write_text(file_text({"worktreePath": path, "agents": "1"}))
    project.run("init", "-q", "--task", "t", "--id", "s1")
    assert project.run("spawn", "-q", "s1") == Result(0)
    assert (project.top.parent / "project-trees" / "s1-1" / "ms").exists()
    # A path in another directory has no effect.
    (project.top / ".hubsession").write_text(file_text({"worktreePath": "~/.vim/pack/{n}"}))
    assert project.run("spawn", "-q", "s1", "--retry", "1") == Result(0)
    assert not (Path(project.environ["HOME"]) / ".vim").exists()
    assert (project.top.parent / "project.hub" / "s1" / "agent-1-2" / "ms").exists()


def test_guards_and_strategies_of_the_file(project: Hub) -> None:
    (project.top / ".hubsession").write_text(
        file_text({"guard": "ms", "strategy": "cache", **EVALUATION})
    )
    project.git("config", "hubsession.eval", "cat ms")
    assert project.run("init", "-q", "--task", "t", "--id", "s1", "--agents", "1").code == 0
    assert project.json("status", "s1")["config"]["strategies"] == '{"agent-1": "cache"}'
    project.run("spawn", "-q", "s1")
    worktree = project.top.parent / "project.hub" / "s1" / "agent-1"
    project.commit(worktree, "ms", "ms: 1\n")
    document = project.json("eval", "s1")
    assert (document["guard"], document["agents"][0]["metric"]) == (["ms"], 50)


def test_a_next_session_inherits_and_reads_no_setting(project: Hub) -> None:
    configure(project, DEFAULTS)
    options = (
        "--agents",
        "1",
        "--eval",
        "cat ms || true",
        "--direction",
        "lower",
        "--metric",
        "ms",
    )
    assert project.run("init", "-q", "--task", "t", "--id", "s1", *options).code == 0
    for words in (("spawn", "-q"), ("exec", "-q"), ("eval", "-q")):
        assert project.run(*words, "s1") == Result(0)
    assert project.run("init", "-q", "--after", "s1", "--id", "s2") == Result(0, "s2\n")
    assert config_values(project, "s2") == {
        "agent_count": "1",
        "eval_cmd": "cat ms || true",
        "metric": "ms",
        "direction": "lower",
    }
    result = project.run("run", "--after", "s1", "--id", "s3", "-n")
    assert (result.code, result.err) == (0, "")
    assert "  Agents: 1\n" in result.out


@pytest.mark.parametrize(
    ("name", "value"), [("agents", "many"), ("agents", "0"), ("direction", "down")]
)
def test_a_wrong_value(project: Hub, name: str, value: str) -> None:
    message = f"fatal: bad value for hubsession.{name}: '{value}'\n"
    hint = f"hint: correct hubsession.{name} in "
    words = ("init", "--task", "t")
    (project.top / ".hubsession").write_text(file_text({name: value}))
    expected = f"{message}{hint}'{project.top}/.hubsession'\n"
    assert project.run(*words) == Result(128, "", expected)
    assert project.run("run", *words[1:], "--agent-cmd", "true") == Result(128, "", expected)
    project.git("config", f"hubsession.{name}", value)
    expected = f"{message}{hint}'{project.top}/.git/config'\n"
    assert project.run(*words) == Result(128, "", expected)
    typed = project.call("git", "-c", f"hubsession.{name}={value}", "hub-session", *words)
    assert typed == Result(128, "", f"{message}{hint}the command line\n")
    assert f"  Value: {value}\n" in project.run("config", name).out


def test_warnings_are_printed_once(shared: Hub) -> None:
    configure(shared, DEFAULTS)
    (shared.top / ".hubsession").write_text("[hubsession]\n\tagnets = 4\n")
    shared.git("commit", "-q", "-a", "-m", "settings")
    result = shared.run(*RUN)
    warning = "warning: '.hubsession': unknown setting: 'hubsession.agnets'\n"
    assert (result.code, result.err) == (0, warning)
    assert shared.run("list").err == ""
