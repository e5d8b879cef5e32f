"""The ignored files are those that git does not show as untracked."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from git_hub_session.git.ignore import IgnoreRules
from tests.support.cleanup import saved
from tests.support.hub import Hub, Result


def untracked_by_rules(hub: Hub, *, global_files: tuple[bytes, ...] = ()) -> set[bytes]:
    """Return the files that IgnoreRules does not ignore."""
    files = [
        os.path.relpath(os.path.join(directory, name), os.fsencode(hub.top))
        for directory, _, names in os.walk(os.fsencode(hub.top))
        for name in names
        if b"/.git" not in directory
    ]

    def read(path: bytes) -> bytes:
        full = Path(os.fsdecode(os.path.join(os.fsencode(hub.top), path)))
        return full.read_bytes() if full.is_file() else b""

    rules = IgnoreRules(read, global_files, ignore_case=False)
    return {path for path in files if not rules.is_ignored(path)}


def untracked_by_git(hub: Hub) -> set[bytes]:
    """Return the files that git does not ignore."""
    out = hub.git("ls-files", "-z", "--others", "--exclude-standard")
    return {os.fsencode(path) for path in out.split("\0")[:-1]}


# The components of the random patterns and of the random paths.
_PATTERN_COMPONENTS = [
    "a",
    "b",
    "c",
    "ab",
    "a.b",
    "*",
    "?",
    "**",
    "***",
    "a*",
    "*b",
    "a**",
    "**b",
    "a**b",
    "[ab]",
    "[!a]",
    "[^a]",
    "[a-c]",
    "[!a-b]*",
    "[]a]",
    "[a-]",
    "[a",
    "[[:lower:]]",
    "[[:x:]]",
    "[\\]a]",
    "\\a",
    "\\*",
    "\\!a",
    "\\#a",
    "#a",
    "!a",
    "?b",
    "a?",
    "a\\",
    "A",
] + ["a ", " a", "a\\ ", "b\r"]
_FILE_NAMES = [
    "a",
    "b",
    "c",
    "ab",
    "ac",
    "bb",
    "a.b",
    "A",
    "!a",
    "#a",
    "a ",
    " a",
    "*",
    "[a",
    "]",
    "-",
    "\\",
]


def _random_pattern(rng: random.Random) -> str:
    text = "/".join(rng.choice(_PATTERN_COMPONENTS) for _ in range(rng.choice([1, 1, 1, 2, 2, 3])))
    text = ("/" if rng.random() < 0.25 else "") + text + ("/" if rng.random() < 0.3 else "")
    return ("!" if rng.random() < 0.4 else "") + text + (" " if rng.random() < 0.05 else "")


@pytest.mark.parametrize("seed", range(40))
def test_random_patterns_as_git(tmp_path: Path, environ: Mapping[str, str], seed: int) -> None:
    """IgnoreRules ignores the same files as git, or fewer if versions of git differ."""
    rng = random.Random(seed)
    hub = Hub(tmp_path / "project", environ)
    hub.top.mkdir()
    hub.git("init", "-q")
    for _ in range(60):
        file = hub.top.joinpath(*(rng.choice(_FILE_NAMES) for _ in range(rng.choice([1, 2, 3]))))
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        except OSError:
            pass  # the path of the directory is a file
    directories = [
        path for path in hub.top.rglob("*") if path.is_dir() and ".git" not in path.parts
    ]
    for directory in [hub.top, *rng.sample(directories, min(len(directories), 6))]:
        lines = [_random_pattern(rng) for _ in range(rng.choice([1, 2, 4]))]
        (directory / ".gitignore").write_text("\n".join(lines) + rng.choice(["", "\n"]), newline="")
    exclude = _random_pattern(rng) + "\n"
    (hub.top / ".git" / "info").mkdir(exist_ok=True)
    (hub.top / ".git" / "info" / "exclude").write_text(exclude)
    by_rules = untracked_by_rules(hub, global_files=(b"", exclude.encode()))
    by_git = untracked_by_git(hub)
    assert by_git <= by_rules
    rules = [exclude, *(path.read_text() for path in hub.top.rglob(".gitignore"))]
    if not any(map(_AMBIGUOUS.search, rules)):
        assert by_git == by_rules


# Patterns that git 2.52 interprets in another way than older versions.
_AMBIGUOUS = re.compile(r"^!?(?=.*/)[^*?[\\\n]*[^*?[\\/\n!]\*\*", re.MULTILINE)


def test_a_pattern_that_git_versions_interpret_differently(hub: Hub) -> None:
    """A file is saved unless all versions of git ignore it."""
    path = hub.session("s1", agents=1).worktree(1)
    hub.commit(path, ".gitignore", "/foo**/bar\n*.tmp\n!/keep**/it.tmp\n")
    for name in ("foobar", "keepit.tmp", "gone.tmp"):
        (path / name).write_text("precious\n")
    assert hub.run("cleanup", "s1") == saved(path)
    ref = "refs/hub/rescue/s1/agent-1/attempt-1/1^3"
    assert hub.git("ls-tree", "-r", "--name-only", ref) == "foobar\nkeepit.tmp"


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        (b"*a" * 13 + b"*b", b"a" * 200 + b"b"),
        (b"x/" + b"*a" * 13 + b"*b", b"x/" + b"a" * 200 + b"b"),
        (b"**/a/" * 13 + b"b", b"a/" * 200 + b"b"),
    ],
)
def test_a_pattern_that_could_backtrack_exponentially(pattern: bytes, path: bytes) -> None:
    rules = IgnoreRules(lambda _: b"", [pattern], ignore_case=False)
    assert rules.is_ignored(path)
    assert not rules.is_ignored(path + b"c")


@pytest.mark.slow
def test_deep_directories() -> None:
    """The path has more components than Python's recursion limit."""
    deep = b"a/" * 1200
    rules = IgnoreRules(lambda _: b"", [b"ignored\n"], ignore_case=False)
    assert not rules.is_ignored(deep + b"file")
    assert rules.is_ignored(deep + b"ignored/file")


def test_a_file_that_a_deeper_pattern_includes_again_is_saved(hub: Hub) -> None:
    """libgit2 reports the file as ignored: the pattern negates only patterns of other files."""
    path = hub.session("s1", agents=1).worktree(1)
    hub.commit(path, ".gitignore", "*.log\n!kept.tmp\n")
    hub.commit(path, "sub/.gitignore", "!kept.log\n")
    (hub.top / ".git" / "info").mkdir(exist_ok=True)
    (hub.top / ".git" / "info" / "exclude").write_text("*.tmp\n")
    for name in ("sub/kept.log", "sub/gone.log", "kept.log", "kept.tmp", "gone.tmp"):
        (path / name).write_text("precious\n")
    assert hub.run("cleanup", "s1") == saved(path)
    ref = "refs/hub/rescue/s1/agent-1/attempt-1/1^3"
    assert hub.git("ls-tree", "-r", "--name-only", ref) == "kept.tmp\nsub/kept.log"


def test_the_global_ignore_file(hub: Hub) -> None:
    """The path is core.excludesFile, or ~/.config/git/ignore by default."""
    first = hub.session("s1", agents=1).worktree(1)
    home = Path(hub.environ["HOME"])
    (home / ".config" / "git").mkdir(parents=True)
    (home / ".config" / "git" / "ignore").write_text("*.mine\n")
    (first / "a.mine").write_text("x\n")
    assert hub.run("cleanup", "s1").out.startswith(
        "agent-1: removed ../worktrees/s1/agent-1, kept its branch\n"
    )
    second = hub.session("s2", agents=1).worktree(1, "s2")
    (home / "other").write_text("*.other\n")
    hub.git("config", "--global", "core.excludesFile", "~/other")
    (second / "a.mine").write_text("x\n")
    (second / "a.other").write_text("x\n")
    assert hub.run("cleanup", "s2").code == 0
    ref = "refs/hub/rescue/s2/agent-1/attempt-1/1^3"
    assert hub.git("ls-tree", "--name-only", ref) == "a.mine"


def test_ignoring_case(hub: Hub) -> None:
    path = hub.session("s1", agents=1).worktree(1)
    hub.commit(path, ".gitignore", "*.o\n[a-c]x\n")
    hub.git("config", "core.ignoreCase", "true")
    for name in ("A.O", "Bx", "CX", "Dx"):
        (path / name).write_text("x\n")
    git = hub.git("ls-files", "--others", "--exclude-standard", cwd=path)
    assert git == "Dx"
    assert hub.run("cleanup", "s1") == saved(path)
    ref = "refs/hub/rescue/s1/agent-1/attempt-1/1^3"
    assert hub.git("ls-tree", "--name-only", ref) == git


def test_a_gitignore_that_is_a_link_is_not_read(hub: Hub) -> None:
    """As in git, a .gitignore that is a symbolic link is not read. The files are saved."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (hub.top.parent / "rules").write_text("precious\n")
    (worktree / ".gitignore").symlink_to(hub.top.parent / "rules")
    (worktree / "precious").write_text("x\n")
    assert hub.run("cleanup", "s1") == saved(worktree)
    ref = "refs/hub/rescue/s1/agent-1/attempt-1/1^3"
    assert hub.git("ls-tree", "--name-only", ref) == ".gitignore\nprecious"


def test_names_and_patterns_that_are_not_utf_8(hub: Hub) -> None:
    path = hub.session("s1", agents=1).worktree(1)
    (path / ".gitignore").write_bytes(b"*.o\n\xff?\n!\xff\xfe\n")
    hub.git("add", ".gitignore", cwd=path)
    hub.git("commit", "-q", "-m", "rules", cwd=path)
    for name in (b"\xfe.o", b"\xffx", b"\xff\xfe", b"\xfd"):
        (path / os.fsdecode(name)).write_text("x\n")
    result = hub.run("cleanup", "s1")
    assert result == Result(0, saved(path).out)
    ref = "refs/hub/rescue/s1/agent-1/attempt-1/1^3"
    listing = subprocess.run(
        ["git", "ls-tree", "-z", "--name-only", ref],
        cwd=hub.top,
        env=hub.environ,
        capture_output=True,
    )
    assert listing.stdout == b"\xfd\0\xff\xfe\0"
