"""git's settings for the output: color.ui, core.abbrev, hubsession.advice."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_hub_session.git.config_files import read_settings
from tests.support.hub import Hub, Result


def add_setting(file: Path, text: str) -> None:
    """Add lines to a configuration file."""
    file.write_text(file.read_text() + text)


def is_colored(hub: Hub, *options: str, git_options: tuple[str, ...] = ()) -> bool:
    """Return True if `status` prints colors into a pipe."""
    result = hub.call("git", *git_options, "hub-session", "status", "s1", *options)
    assert (result.code, result.err) == (0, "")
    return "\x1b[" in result.out


@pytest.mark.parametrize(
    ("settings", "colored"),
    [
        ({}, False),
        ({"color.ui": "auto"}, False),
        ({"color.ui": "true"}, False),  # as in git, the same as auto
        ({"color.ui": "always"}, True),
        ({"color.ui": "ALWAYS"}, True),
        ({"color.ui": "nonsense"}, False),
        ({"color.ui": "always", "color.hub-session": "never"}, False),
        ({"color.ui": "never", "color.hub-session": "always"}, True),
        ({"color.ui": "false", "color.hub-session": "always"}, True),
    ],
)
def test_color_settings(hub: Hub, settings: dict[str, str], colored: bool) -> None:
    """The options --color and --no-color have precedence. `git -c` works too."""
    hub.session()
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    assert is_colored(hub, git_options=tuple(options)) is colored
    for name, value in settings.items():
        hub.git("config", name, value)
    assert is_colored(hub) is colored
    assert is_colored(hub, "--color") is True
    assert is_colored(hub, "--no-color") is False
    assert is_colored(hub, "--color=auto") is False
    assert not hub.run("status", "s1", "--format=porcelain").out.count("\x1b")


def test_color_of_a_terminal(hub: Hub) -> None:
    """color.ui=never also counts on a terminal, as for git itself."""
    hub.session()
    terminal = ("script", "-qec", "git hub-session status s1", "/dev/null")
    environ = {"TERM": "xterm"}
    assert "\x1b[" in hub.call(*terminal, environ=environ).out
    for value in ("never", "false"):
        hub.git("config", "color.ui", value)
        assert "\x1b[" not in hub.call(*terminal, environ=environ).out


def test_settings_in_an_included_file_and_in_a_worktree(hub: Hub) -> None:
    """`include.path` is followed in its place."""
    hub.session(agents=1)
    home = hub.top.parent / "home"
    (home / "colors").write_text("[color]\n\tui = always\n")
    add_setting(home / ".gitconfig", "[include]\n\tpath = colors\n")
    assert is_colored(hub)
    hub.git("config", "include.path", "~/none")
    hub.git("config", "extensions.worktreeConfig", "true")
    hub.git("config", "--worktree", "color.ui", "never", cwd=hub.worktree(1))
    assert is_colored(hub)
    assert "\x1b[" not in hub.run("status", "s1", cwd=hub.worktree(1)).out


@pytest.mark.parametrize(
    ("value", "digits"),
    [(None, 12), ("auto", 12), ("9", 9), ("40", 40), ("no", 40)],
)
def test_abbreviated_object_ids(hub: Hub, value: str | None, digits: int) -> None:
    """core.abbrev is the length of object ids in text. JSON has the whole ids."""
    hub.session()
    base = hub.git("rev-parse", "main")
    if value:
        hub.git("config", "core.abbrev", value)
    result = hub.run("spawn", "s1")
    assert f"  Base: {base[:digits]}\n" in result.out
    assert hub.state()["base_commit"] == base
    hub.run("exec", "-q", "--commit", "s1", "--", "sh", "-c", "echo x >new")
    hub.run("eval", "-q", "s1", "--ranking", "1")
    merged = hub.run("merge", "--yes", "s1")
    assert f"Merged agent-1 into main: {hub.git('rev-parse', 'main')[:digits]}\n" in merged.out


def test_a_loop_of_included_files(tmp_path: Path) -> None:
    """git stops at ten nested files with an error. The settings that were read count here."""
    (tmp_path / "config").write_text("[color]\n\tui = always\n[include]\n\tpath = config\n")
    environ = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": ""}
    assert read_settings(str(tmp_path), "", environ)["color.ui"] == "always"


ERROR = "fatal: no such session: 's2'\n"
HINT = "hint: git hub-session list\n"


@pytest.mark.parametrize(
    ("value", "is_shown"), [("true", True), ("false", False), ("no", False), ("", False)]
)
def test_hints_can_be_turned_off(hub: Hub, value: str, is_shown: bool) -> None:
    """The error itself and the hint in JSON stay. The option -q keeps the hints of errors."""
    hub.session()
    assert hub.run("status", "-q", "s2") == Result(128, "", ERROR + HINT)
    hub.git("config", "hubsession.advice", value)
    assert hub.run("status", "s2") == Result(128, "", ERROR + (HINT if is_shown else ""))
    typing_error = hub.run("status", "--nope")
    assert typing_error.err.count("hint: ") == int(is_shown)
    usage = hub.run("update", "s1", "--state", "merged", "--format=json")
    assert '"hint": "' in usage.err


def test_hints_and_the_variable_of_git(hub: Hub) -> None:
    """git 2.45 and later set GIT_ADVICE for `git --no-advice`."""
    hub.session()
    result = hub.run("status", "s2", environ={"GIT_ADVICE": "0"})
    assert result == Result(128, "", ERROR)


def test_settings_outside_of_a_repository(hub: Hub) -> None:
    add_setting(hub.top.parent / "home" / ".gitconfig", "[hubsession]\n\tadvice = false\n")
    result = hub.run("list", cwd=hub.top.parent)
    assert (result.code, result.err.count("hint:")) == (128, 0)
