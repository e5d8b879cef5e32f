"""Reading git's configuration without git."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from git_hub_session.git.config_files import read_all_settings
from tests.support.hub import Hub


@pytest.fixture
def repository(hub: Hub) -> Hub:
    """Set settings in all files that git reads."""
    home = Path(hub.environ["HOME"])
    (home / "more").write_text("[merge]\n\tff = only\n")
    (home / "system").write_text("[commit]\n\tcleanup = strip\n[user]\n\tname = System\n")
    hub.git("config", "--global", "--add", "include.path", "more")
    hub.git("config", "gpg.program", 'my "gpg" \\ # x')
    hub.git("config", "Branch.A/b.mergeOptions", "--no-ff")
    hub.git("config", "extensions.worktreeConfig", "true")
    hub.git("config", "--worktree", "merge.stat", "false")
    with (hub.top / ".git" / "config").open("a") as file:
        file.write("[Commit] gpgSign\n")
    del hub.environ["GIT_CONFIG_NOSYSTEM"]
    hub.environ["GIT_CONFIG_SYSTEM"] = str(home / "system")
    hub.environ["GIT_CONFIG_COUNT"] = "1"
    hub.environ["GIT_CONFIG_KEY_0"] = "merge.Log"
    hub.environ["GIT_CONFIG_VALUE_0"] = "5"
    return hub


def settings_of_git(hub: Hub, cwd: Path) -> dict[str, str]:
    """Return the last value of each setting that git lists."""
    entries = hub.git("config", "-z", "--list", cwd=cwd).split("\0")[:-1]
    pairs = (entry.partition("\n") for entry in entries)
    values = {name: value if separator else "true" for name, separator, value in pairs}
    return {name: value for name, value in values.items() if not name.startswith("include.")}


def test_the_settings_are_those_of_git(repository: Hub) -> None:
    """A linked worktree has its own file of settings."""
    git_dir = f"{repository.top}/.git"
    found = read_all_settings(git_dir, git_dir, repository.environ)
    assert found == settings_of_git(repository, repository.top)
    assert found["merge.ff"] == "only"
    assert found["merge.stat"] == "false"
    assert found["commit.gpgsign"] == "true"
    worktree = repository.spawn("s1", 1)
    repository.git("config", "--worktree", "merge.stat", "compact", cwd=worktree)
    found = read_all_settings(git_dir, f"{git_dir}/worktrees/agent-1", repository.environ)
    assert found == settings_of_git(repository, worktree)
    assert found["merge.stat"] == "compact"


@pytest.mark.parametrize("path", ["~root/more", "%(prefix)/more"])
def test_file_that_only_git_finds(hub: Hub, path: str) -> None:
    git_dir = f"{hub.top}/.git"
    hub.git("config", "include.path", path)
    assert read_all_settings(git_dir, git_dir, hub.environ) is None


def test_value_that_is_not_utf8(hub: Hub) -> None:
    """A merge driver can be a program whose path is not UTF-8."""
    git_dir = f"{hub.top}/.git"
    with open(f"{git_dir}/config", "ab") as file:
        file.write(b'[merge "x"]\n\tdriver = /opt/caf\xe9 %A\n')
    assert read_all_settings(git_dir, git_dir, hub.environ) is None


def test_file_under_a_condition(hub: Hub) -> None:
    git_dir = f"{hub.top}/.git"
    hub.git("config", "includeIf.onbranch:main.path", "more")
    assert read_all_settings(git_dir, git_dir, hub.environ) is None


@pytest.mark.skipif(not os.path.exists("/usr/bin/git"), reason="git is in another directory")
def test_git_with_another_system_file(hub: Hub, tmp_path: Path) -> None:
    """A git outside of /usr can read another file than /etc/gitconfig."""
    git_dir = f"{hub.top}/.git"
    other = tmp_path / "opt"
    other.mkdir()
    (other / "git").symlink_to("/usr/bin/git")
    environ = {name: value for name, value in hub.environ.items() if name != "GIT_CONFIG_NOSYSTEM"}
    for path, is_read in (
        ("/usr/bin", True),
        (f"{other}:/usr/bin", False),
        (str(tmp_path / "missing"), False),
        (f"{tmp_path / 'missing'}:/usr/bin", True),
    ):
        found = read_all_settings(git_dir, git_dir, {**environ, "PATH": path})
        assert (found is not None) == is_read, path
    named = {**environ, "PATH": str(other), "GIT_CONFIG_SYSTEM": os.devnull}
    assert read_all_settings(git_dir, git_dir, named) is not None
