"""`config` shows each setting with its values, its default and its origin."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_hub_session.settings.table import SETTINGS
from tests.support.hub import Hub, Result, sealed_environment


def shown(hub: Hub, *names: str, cwd: Path | None = None) -> dict[str, tuple[list[str], str]]:
    """Return the values and the origin of each setting that `config` prints."""
    rows = hub.json("config", *names, cwd=cwd)["settings"]
    return {row["name"].removeprefix("hubsession."): (row["values"], row["origin"]) for row in rows}


def test_defaults(hub: Hub) -> None:
    expected = {each.name: (list(each.default), "default") for each in SETTINGS}
    assert shown(hub) == expected
    assert hub.json("config", "agents")["settings"] == [
        {
            "name": "hubsession.agents",
            "type": "number",
            "values": ["3"],
            "default": ["3"],
            "origin": "default",
            "description": "number of agents of a new session",
            "commands": ["init", "run"],
            "project": True,
        }
    ]


def test_text(hub: Hub) -> None:
    hub.git("config", "hubsession.agents", "5")
    hub.git("config", "--add", "hubsession.strategy", "one")
    hub.git("config", "--add", "hubsession.strategy", "two\x1b[31m")
    result = hub.run("config")
    lines = result.out.splitlines()
    assert (result.code, result.err, len(lines)) == (0, "", len(SETTINGS) + 1)
    assert lines[0].split() == ["SETTING", "VALUE", "DEFAULT", "ORIGIN"]
    origin = f"file:{hub.top}/.git/config"
    assert lines[2].split() == ["hubsession.agents", "5", "3", origin]
    [strategy] = [line for line in lines if line.startswith("hubsession.strategy ")]
    assert strategy.split() == ["hubsession.strategy", "one,", "two\\x1b[31m", "-", origin]
    assert hub.run("config", "HUBSESSION.STRATEGY") == Result(
        0,
        "hubsession.strategy: approach of an agent\n"
        "  Value: one\n"
        "  Value: two\\x1b[31m\n"
        f"  Origin: {origin}\n"
        "  Default: (none)\n"
        "  Type: list, text\n"
        "  Used by: init, run\n"
        "  Set in: git's configuration, or .hubsession\n",
    )
    assert hub.run("config", "advice") == Result(
        0,
        "hubsession.advice: whether to show hints\n"
        "  Value: true\n  Origin: default\n  Default: true\n  Type: boolean\n"
        "  Used by: all commands\n  Set in: git's configuration\n",
    )


def test_porcelain(hub: Hub) -> None:
    hub.git("config", "--add", "hubsession.guard", "a b")
    hub.git("config", "--add", "hubsession.guard", "c")
    assert hub.run("config", "guard", "--format=porcelain") == Result(
        0,
        "name hubsession.guard\ntype path\nvalues a b\nvalues c\n"
        f"origin file:{hub.top}/.git/config\n"
        "description path to measure as in the base branch\n"
        "commands eval\ncommands run\nproject\n\n",
    )


def test_an_unknown_name(hub: Hub) -> None:
    expected = "fatal: no such setting: 'agnets'\nhint: git hub-session config\n"
    assert hub.run("config", "agnets") == Result(128, "", expected)
    hub.git("config", "hubsession.agnets", "5")
    warning = "warning: unknown setting: 'hubsession.agnets'\n"
    assert hub.run("config", "agents")._replace(out="") == Result(0, "", warning)


def test_origins_are_those_of_git(hub: Hub) -> None:
    """Each source of git, in ascending priority; git itself shows the same."""
    home = Path(hub.environ["HOME"])
    included, conditional = home / "included", home / "conditional"
    included.write_text("[hubsession]\n\tagents = 2\n")
    conditional.write_text("[hubsession]\n\tagents = 6\n")
    (hub.top / ".hubsession").write_text("[hubsession]\n\tagents = 1\n")
    assert shown(hub)["agents"] == (["1"], f"file:{hub.top}/.hubsession")
    steps = (
        ("--global", "include.path", "~/included"),
        ("--global", "hubsession.agents", "4"),
        ("--local", "hubsession.agents", "5"),
        ("--local", f"includeIf.gitdir:{hub.top}/.path", str(conditional)),
    )
    for step, value in zip(steps, ("2", "4", "5", "6"), strict=True):
        hub.git("config", *step)
        listing = hub.git("config", "--show-origin", "--get", "hubsession.agents")
        origin, _, expected = listing.partition("\t")
        assert expected == value
        path = hub.top / origin.removeprefix("file:")
        assert shown(hub)["agents"] == ([value], f"file:{path}")
    typed = hub.call("git", "-c", "hubsession.agents=7", "hub-session", "config", "agents")
    assert "  Value: 7\n  Origin: command line:\n" in typed.out
    variables = {"GIT_CONFIG_COUNT": "1"}
    variables |= {"GIT_CONFIG_KEY_0": "hubSession.Agents", "GIT_CONFIG_VALUE_0": "8"}
    typed = hub.run("config", "agents", environ=variables)
    assert "  Value: 8\n  Origin: command line:\n" in typed.out


@pytest.mark.parametrize("path", ["~root/settings", "%(prefix)/etc/settings"])
def test_an_include_that_only_git_can_find(hub: Hub, path: str) -> None:
    hub.git("config", "include.path", path)
    hub.git("config", "hubsession.agents", "5")
    assert shown(hub)["agents"] == (["5"], f"file:{hub.top}/.git/config")
    hub.git("config", "--unset", "hubsession.agents")
    assert shown(hub)["agents"] == (["3"], "default")


def test_an_empty_value_turns_a_value_off(hub: Hub) -> None:
    (hub.top / ".hubsession").write_text("[hubsession]\n\teval = x\n\tguard = a\n\tguard = b\n")
    assert shown(hub)["guard"][0] == ["a", "b"]
    hub.git("config", "hubsession.eval", "")
    hub.git("config", "--add", "hubsession.guard", "c")
    hub.git("config", "--add", "hubsession.guard", "")
    hub.git("config", "--add", "hubsession.guard", "d")
    origin = f"file:{hub.top}/.git/config"
    assert shown(hub)["eval"] == ([], origin)
    assert shown(hub)["guard"] == (["d"], origin)


def test_the_file_of_the_main_worktree_counts(hub: Hub) -> None:
    hub.session(agents=1)
    (hub.worktree(1) / ".hubsession").write_text("[hubsession]\n\tagents = 9\n")
    assert shown(hub, cwd=hub.worktree(1))["agents"] == (["3"], "default")
    (hub.top / ".hubsession").write_text("[hubsession]\n\tagents = 2\n")
    expected = (["2"], f"file:{hub.top}/.hubsession")
    assert shown(hub, cwd=hub.worktree(1))["agents"] == expected


def test_a_bare_repository_has_no_file(hub: Hub) -> None:
    hub.commit(hub.top, ".hubsession", "[hubsession]\n\tagents = 2\n")
    hub.git("clone", "-q", "--bare", ".", "../bare")
    assert shown(hub, cwd=hub.top.parent / "bare")["agents"] == (["3"], "default")


def test_hostile_lines_are_ignored(hub: Hub) -> None:
    (hub.top / ".hubsession").write_text(
        "[hubsession]\n\tagnets\x1b[31m = 4\n\tholdout = /etc\n\teval = \x1b]0;x\x07\n"
        "[include]\n\tpath = .git/config\n"
    )
    result = hub.run("config")
    assert (result.code, "\x1b" in result.out + result.err, "\x07" in result.out) == (
        *(0, False, False),
    )
    assert result.err.splitlines() == [
        "warning: '.hubsession': only 'git config' can set: 'hubsession.holdout'",
        "warning: '.hubsession': unknown setting: 'include.path'",
        "warning: '.hubsession': not a line of a git configuration: 'agnets\\x1b[31m = 4'",
    ]


def test_outside_of_a_repository(tmp_path: Path) -> None:
    hub = Hub(tmp_path, sealed_environment(tmp_path), through_git=True)
    hub.git("config", "--global", "hubsession.agents", "4")
    assert shown(hub)["agents"] == (["4"], f"file:{hub.environ['HOME']}/.gitconfig")


def test_completion(hub: Hub) -> None:
    result = hub.run("completion", "--words", "--", "config", "a")
    assert result == Result(
        0,
        "words\nagentCmd\tshell command of the agents\n"
        "agents\tnumber of agents of a new session\n"
        "archiveLimit\tlargest number of archives without a warning\n"
        "autoShare\twhether to push a session after each change, and to fetch the session before status\n"
        "advice\twhether to show hints\n",
    )
    assert hub.run("completion", "--words", "--", "config", "agents", "").out == "words\n"
