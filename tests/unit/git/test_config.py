"""The configuration and the committer are read as git reads them."""

from __future__ import annotations

import pytest

from git_hub_session.git.config import (
    config_from_environment,
    is_true,
    parse_git_config,
    parse_size,
)
from tests.support.hub import Hub
from tests.support.stores import create_session

FILES = [
    "[user]\n\tname = Ada\n",
    "[USER] Name=Ada\n[user] name = Bob ; the last one wins\n",
    '[user]\n\tname = "Ada # \\"L\\"" ; her\n\temail = a\\\nb@c\n',
    '[user]\n\tname =   inner   space   \n\temail = "  kept  "\n',
    "# a path C:\\\n[user]\n\tname = Ada\n",
    "[user]\n; C:\\\n\tname = C:\\\\\n\temail = x\n",
    "[user]\r\n\tname = Ada\r\n\temail = a@b\r\n",
    "[core]\n\tbare\n[core]\n\tfilemode = \n",
    '[remote "a#b \\"c\\\\"]\n\tURL = x;y\n\turl2 = "x;y"\n',
    "[section.Sub]\n\tkey = v\n",
    '[user] name = tab\\tnewline\\n"quo"ted\n',
    "[user]\n\tname = x\x0by\u2028z\x85\n\temail = e\n",
    "[user]\n\tname = no line feed",
]


@pytest.mark.parametrize("text", FILES)
def test_a_file_is_read_as_git_reads_it(hub: Hub, text: str) -> None:
    file = hub.top / "config"
    file.write_text(text, newline="")
    listing = hub.call("git", "config", "--file", file, "--null", "--list")
    assert (listing.code, listing.err) == (0, "")
    expected: dict[str, str] = {}
    for entry in listing.out.split("\0")[:-1]:
        name, line_feed, value = entry.partition("\n")
        expected[name] = value if line_feed else "true"
    assert parse_git_config(text) == expected


def test_invalid_lines_are_skipped() -> None:
    text = 'lost = 1\n[a]\n= 2\n1x = 3\nok = 4\n[broken\nk = 5\nopen = "6\nlast = 7\n'
    settings = parse_git_config(text)
    assert (settings["a.ok"], settings["a.last"]) == ("4", "7")
    assert parse_git_config("") == {}
    assert parse_git_config("\0\\\"'[") == {}


def test_a_large_hostile_file_is_read() -> None:
    for text in ('"' * 200_001, "\\\n" * 100_000, "[" * 200_000, "a=" * 100_000, '[a "' * 50_000):
        parse_git_config(text)


@pytest.mark.parametrize(
    "options",
    [
        ("-c", "user.name=Grace"),
        ("-c", 'USER.Name=it\'s = "x" y'),
        ("-c", "user.name="),
        ("-c", "core.bare"),
        ("-c", "remote.A.b.url=x=y", "-c", "user.name=two"),
        ("--config-env=user.name=HOME",),
    ],
)
def test_the_environment_is_read_as_git_reads_it(hub: Hub, options: tuple[str, ...]) -> None:
    """`git -c` exports its settings in a quoted format."""
    program = hub.top.parent / "bin" / "git-environment"
    program.write_text('#!/bin/sh\nprintf %s "$GIT_CONFIG_PARAMETERS"\n')
    program.chmod(0o755)
    environ = {"GIT_CONFIG_PARAMETERS": hub.git(*options, "environment")}
    fields = hub.call("git", *options, "config", "--show-scope", "--null", "--list").out.split("\0")
    expected: dict[str, str] = {}
    for scope, entry in zip(fields[::2], fields[1::2], strict=False):
        name, line_feed, value = entry.partition("\n")
        if scope == "command":
            expected[name] = value if line_feed else "true"
    assert expected
    assert config_from_environment(environ) == expected


def test_counted_settings_and_the_format_of_old_versions() -> None:
    assert config_from_environment(
        {
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "User.Name",
            "GIT_CONFIG_VALUE_0": "Ada",
            "GIT_CONFIG_KEY_1": "a.B.c",
            "GIT_CONFIG_PARAMETERS": "'user.email=a=b' 'core.bare'",
        }
    ) == {"user.name": "Ada", "a.B.c": "", "user.email": "a=b", "core.bare": "true"}
    assert config_from_environment({"GIT_CONFIG_COUNT": "-1"}) == {}
    assert config_from_environment({"GIT_CONFIG_PARAMETERS": "not quoted '"}) == {}


@pytest.mark.parametrize("text", ["true", "YES", "On", "1", "-1", "007", "2k", "+5"])
def test_true_values(hub: Hub, text: str) -> None:
    assert is_true(text)
    assert hub.git("-c", f"x.y={text}", "config", "--type=bool", "x.y") == "true"


@pytest.mark.parametrize(
    "text", ["false", "no", "off", "0", "00", "-0", "", "0k", "²", "truthy", None]
)
def test_other_values_are_not_true(text: str | None) -> None:
    assert not is_true(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("100m", 100 << 20),
        ("2G", 2 << 30),
        ("3k", 3072),
        ("", None),
        ("m", None),
        ("1.5m", None),
        ("-1", None),
        ("²", None),
    ],
)
def test_parse_size(text: str, size: int | None) -> None:
    assert parse_size(text) == size


# --- The committer --------------------------------------------------------------------------------


def read_recorded_committer(hub: Hub, *options: str, **environ: str) -> str:
    """Return the committer in the history after `git <options> hub-session update`."""
    create_session(hub, "init")
    result = hub.call(
        "git", *options, "hub-session", "update", "-q", "s1", "--state", "running", environ=environ
    )
    assert (result.code, result.err) == (0, "")
    name = hub.state()["history"][0]["by"]
    assert isinstance(name, str)
    return name


def read_git_committer(hub: Hub, *options: str, **environ: str) -> str:
    """Return the committer that git prints."""
    result = hub.call("git", *options, "var", "GIT_COMMITTER_IDENT", environ=environ)
    assert result.code == 0, result
    return result.out.rsplit(" ", 2)[0]


@pytest.mark.parametrize(
    ("local", "options", "variables"),
    [
        ({}, [], {}),
        ({"user.name": "Grace"}, [], {}),
        ({"user.name": "Grace", "committer.name": "C", "committer.email": "c@c"}, [], {}),
        ({"user.email": "l@l"}, ["-c", "user.email=c@c"], {}),
        ({"user.name": "Grace"}, ["-c", 'user.name=Kay\'s "x"'], {"GIT_COMMITTER_EMAIL": "e@e"}),
        ({}, ["-c", "user.name=x"], {"GIT_COMMITTER_NAME": "Eve", "GIT_AUTHOR_NAME": "no"}),
        ({}, [], {"GIT_COMMITTER_NAME": "Zoë 漢字", "EMAIL": "weak@example.com"}),
    ],
)
def test_the_history_names_the_committer_of_git(
    hub: Hub, local: dict[str, str], options: list[str], variables: dict[str, str]
) -> None:
    for name, value in local.items():
        hub.git("config", name, value)
    assert read_recorded_committer(hub, *options, **variables) == read_git_committer(
        hub, *options, **variables
    )


def test_the_committer_from_every_file(hub: Hub) -> None:
    """The files are the system file, XDG's file and ~/.gitconfig, or GIT_CONFIG_GLOBAL."""
    home = hub.top.parent / "home"
    (home / ".gitconfig").unlink()
    system = hub.top.parent / "system"
    system.write_text("[user]\n\tname = System\n\temail = s@s\n")
    system_file = {"GIT_CONFIG_NOSYSTEM": "0", "GIT_CONFIG_SYSTEM": str(system)}
    assert (
        read_recorded_committer(hub, **system_file)
        == read_git_committer(hub, **system_file)
        == "System <s@s>"
    )
    (home / ".config" / "git").mkdir(parents=True)
    (home / ".config" / "git" / "config").write_text("[user]\n\tname = Xdg\n")
    _remove_session(hub)
    assert (
        read_recorded_committer(hub, **system_file)
        == read_git_committer(hub, **system_file)
        == "Xdg <s@s>"
    )
    global_file = {**system_file, "GIT_CONFIG_GLOBAL": str(system)}
    _remove_session(hub)
    assert (
        read_recorded_committer(hub, **global_file)
        == read_git_committer(hub, **global_file)
        == "System <s@s>"
    )
    _remove_session(hub)
    assert (
        read_recorded_committer(hub, EMAIL="e@e")
        == read_git_committer(hub, EMAIL="e@e")
        == "Xdg <e@e>"
    )


def test_the_committer_without_a_name(hub: Hub) -> None:
    (hub.top.parent / "home" / ".gitconfig").unlink()
    assert read_recorded_committer(hub, LOGNAME="ada") == "ada <>"


def test_the_committer_is_one_line_without_control_characters(hub: Hub) -> None:
    assert read_recorded_committer(
        hub, GIT_COMMITTER_NAME="A\nB\x1b[2J <x>\u202e", GIT_COMMITTER_EMAIL=""
    ) == ("AB[2J x <ada@example.com>")


def _remove_session(hub: Hub) -> None:
    for path in hub.directory().iterdir():
        path.unlink()
    hub.directory().rmdir()
