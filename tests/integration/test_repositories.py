"""Unusual repositories. Most of them work, and libgit2 cannot open some."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cleanup import shown_path
from tests.support.hints import follow_hint, hints, type_hint, types
from tests.support.hub import Hub, Result, snapshot
from tests.support.interrupt import LONG
from tests.support.whole_session import run_session


def clone_repository(hub: Hub, *options: str) -> Hub:
    """Clone the repository, and rename the original so that the clone cannot find it."""
    top = hub.top.parent / "clone"
    hub.git("clone", "-q", *options, f"file://{hub.top}", top)
    hub.top.rename(hub.top.parent / "gone")
    return Hub(top, hub.environ)


def split_index(hub: Hub) -> Hub:
    hub.git("config", "core.splitIndex", "true")
    hub.git("update-index", "--split-index")
    return hub


def relative_worktrees(hub: Hub) -> Hub:
    """Move a repository whose worktree has relative links (git 2.48)."""
    hub.git("config", "worktree.useRelativePaths", "true")
    hub.git("worktree", "add", "-q", "--detach", hub.top.parent / "other")
    link = (hub.top / ".git" / "worktrees" / "other" / "gitdir").read_text()
    if link != "../../../../other/.git\n":
        pytest.skip("git creates no relative links")
    moved = hub.top.parent / "moved"
    moved.mkdir()
    for name in ("project", "other"):
        (hub.top.parent / name).rename(moved / name)
    return Hub(moved / "project", hub.environ)


def untracked_cache(hub: Hub) -> Hub:
    """Use the untracked cache, and a file system monitor that never reports a change."""
    hub.git("config", "core.untrackedCache", "true")
    hub.git("config", "core.fsmonitor", "printf 'x\\0'")
    hub.git("update-index", "--untracked-cache")
    return hub


def sparse_index(hub: Hub) -> Hub:
    hub.git("sparse-checkout", "set", "--cone", "--sparse-index", "nothing")
    return hub


def worktree_config(hub: Hub) -> Hub:
    hub.git("config", "extensions.worktreeConfig", "true")
    hub.git("config", "--worktree", "core.bigFileThreshold", "1m")
    return hub


def precious_objects(hub: Hub) -> Hub:
    hub.git("config", "core.repositoryFormatVersion", "1")
    hub.git("config", "extensions.preciousObjects", "true")
    return hub


def alternates(hub: Hub) -> Hub:
    top = hub.top.parent / "clone"
    hub.git("clone", "-q", "--shared", hub.top, top)
    return Hub(top, hub.environ)


def shallow(hub: Hub) -> Hub:
    hub.commit(hub.top, "file", "second\n")
    return clone_repository(hub, "--depth=1")


def partial(hub: Hub) -> Hub:
    hub.commit(hub.top, "file", "second\n")
    hub.git("config", "uploadpack.allowFilter", "true")
    hub.git("config", "uploadpack.allowAnySHA1InWant", "true")
    return clone_repository(hub, "--filter=blob:none")


def grafted(hub: Hub) -> Hub:
    base = hub.git("rev-parse", "HEAD")
    hub.commit(hub.top, "file", "second\n")
    hub.git("replace", "--graft", hub.commit(hub.top, "file", "third\n"), base)
    return hub


def packed(hub: Hub) -> Hub:
    for command in (
        "repack -qad", "multi-pack-index write", "commit-graph write --reachable", "pack-refs --all"
    ):  # fmt: skip
        hub.git(*command.split())
    return hub


def separate_git_dir(hub: Hub) -> Hub:
    hub.git("init", "-q", "--separate-git-dir", hub.top.parent / "elsewhere.git")
    return hub


def core_worktree(hub: Hub) -> Hub:
    directory = hub.top.parent / "elsewhere.git"
    (hub.top / ".git").rename(directory)
    hub.git("config", "--file", directory / "config", "core.worktree", hub.top)
    (hub.top / ".git").write_text(f"gitdir: {directory}\n")
    return hub


def submodule(hub: Hub) -> Hub:
    """Return a submodule that is a clone of the repository."""
    top = hub.top.parent / "super"
    top.mkdir()
    hub.git("init", "-q", cwd=top)
    hub.git("submodule", "--quiet", "add", hub.top, "below", cwd=top)
    hub.git("commit", "-q", "-m", "s", cwd=top)
    return Hub(top / "below", hub.environ)


def names_of_bytes(hub: Hub) -> Hub:
    """Use names with invalid UTF-8, spaces, and special characters of shells and terminals."""
    odd = os.fsdecode(b"\xff$(touch x) `y`;'\"\t\nz|")
    top = hub.top.parent / f"-{odd}"
    hub.top.rename(top)
    odd_hub = Hub(top, hub.environ)
    (top / odd).write_text("odd\n")
    odd_hub.git("add", ".")
    odd_hub.git("commit", "-q", "-m", "odd")
    return odd_hub


# The program has special code for each of the first six layouts. The long form tests all layouts.
LAYOUTS = (
    split_index, sparse_index, partial, names_of_bytes, core_worktree, relative_worktrees,
    untracked_cache, worktree_config, precious_objects, alternates, shallow, grafted, packed,
    separate_git_dir, submodule,
)  # fmt: skip


@pytest.mark.parametrize(
    "layout", LAYOUTS[: None if LONG else 6], ids=lambda layout: layout.__name__
)
def test_session_in_an_unusual_repository(hub: Hub, layout: Callable[[Hub], Hub]) -> None:
    run_session(layout(hub))


COMMANDS_HINT = "use 'list', 'update', 'log' and 'board', which need no libgit2"
MIGRATE_COMMAND = "git refs migrate --ref-format=files"
REMOVE_HINT = (
    "if git refuses because of worktrees, remove each one: git worktree remove (its branch stays)"
)
REFUSALS = {
    "sha256": (
        "unknown object format 'sha256'",
        "use a repository whose object format is SHA-1",
    ),
    **dict.fromkeys(
        ("reftable", "reftable_by_git"),
        ("unsupported extension name extensions.refstorage", f"{MIGRATE_COMMAND}\n{REMOVE_HINT}"),
    ),
    "fromTheFuture": (
        "unsupported extension name extensions.fromthefuture",
        "use a newer pygit2, or a repository without that extension",
    ),
}
# The table that `git refs migrate --ref-format=reftable` of git 2.55.0 creates in the repository of
# these tests, with HEAD, main and their reflogs.
REFTABLE = """
UkVGVAEAEAAAAAAAAAAAAQAAAAAAAAACcgAAYQAjSEVBRAAPcmVmcy9oZWFkcy9tYWluAHlyZWZzL2hlYWRzL21haW4AgTc0
KHWzOKK11L223VHc/sza9VkAABwAADMAAmcAAOx42mPI9HB1dGH4DwH/GLCARnMTjdLNFou2Xtm77W7gnX9nbn2NZHZMSeRP
TEl0SK1IzC3ISdVLzs9tPfNkdwIDgziQmZtZoqCRmZdZkpmYo2mlkJRYnMrF0OBYlJpWrJ+RmphSrJ+bmJkHs/UvLW1lYGFg
yGNgAgCVFVS0UkVGVAEAEAAAAAAAAAAAAQAAAAAAAAACAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAGEAAAAAAAAA
AB7u1c8=
"""


def sha256(hub: Hub) -> None:
    shutil.move(hub.top / ".agenthub", hub.top.parent / "kept")
    shutil.rmtree(hub.top / ".git")
    hub.git("init", "-q", "--object-format=sha256")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "base")
    shutil.move(hub.top.parent / "kept", hub.top / ".agenthub")


def reftable(hub: Hub) -> None:
    """Change the repository to the reftable format. Check that a new git can read it."""
    commit = hub.git("rev-parse", "main")
    set_extension(hub, "refStorage", "reftable")
    directory = hub.top / ".git"
    shutil.rmtree(directory / "refs")
    shutil.rmtree(directory / "logs")
    (directory / "refs").mkdir()
    (directory / "refs" / "heads").write_text("this repository uses the reftable format\n")
    (directory / "HEAD").write_text("ref: refs/heads/.invalid\n")
    (directory / "reftable").mkdir()
    name = "0x000000000001-0x000000000002-a37567f2.ref"
    (directory / "reftable" / name).write_bytes(base64.b64decode(REFTABLE))
    (directory / "reftable" / "tables.list").write_text(f"{name}\n")
    result = hub.call("git", "rev-parse", "main")
    if result.code:
        assert "unknown repository extension" in result.err
    else:
        assert result.out == f"{commit}\n"


def reftable_by_git(hub: Hub) -> None:
    migration = hub.call("git", "refs", "migrate", "--ref-format=reftable")
    if migration.code:
        pytest.skip(f"git cannot migrate the repository: {migration.err.splitlines()[0]}")


def set_extension(hub: Hub, name: str, value: str) -> None:
    hub.git("config", "core.repositoryFormatVersion", "1")
    hub.git("config", f"extensions.{name}", value)


@pytest.mark.parametrize("kind", REFUSALS)
def test_repository_that_libgit2_cannot_open(hub: Hub, kind: str) -> None:
    """Commands without libgit2 succeed. The others print a reason and a fix, and change nothing."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "t").code == 0
    change = {"sha256": sha256, "reftable": reftable, "reftable_by_git": reftable_by_git}.get(kind)
    if change:
        change(hub)
    else:
        set_extension(hub, kind, "true")

    def run(*command: str) -> Result:
        # With `git hub-session`, git would also print a warning about the extension.
        return hub.call("git-hub-session", *command)

    assert run("list").out.splitlines()[1].split()[:2] == ["s1", "init"]
    assert run("update", "s1", "--state", "running") == Result(0, "Session s1: init → running\n")
    assert run("log", "s1").out.startswith("2026-03-17T14:30:22.000000+00:00  init → running")
    assert run("board").code == 0
    assert run("board", "post", "-q", "progress", "-m", "hello") == Result(0)
    assert "hello" in run("board", "read", "progress").out
    assert run("update", "-q", "s1", "--state", "evaluating") == Result(0)
    before = snapshot(hub.top)
    reason, fix = REFUSALS[kind]
    path = hub.top / ".git"
    message = f"libgit2 cannot open '{path}': {reason}"
    for command in (
        "status s1", "spawn s1", "exec s1 -- true", "eval s1 --ranking 1", "merge --yes s1",
        "cleanup s1", "restore s1", "archive s1", "cleanup --archive s1",
    ):  # fmt: skip
        hints = "".join(f"hint: {hint}\n" for hint in [*fix.splitlines(), COMMANDS_HINT])
        assert run(*command.split()) == Result(128, "", f"fatal: {message}\n{hints}"), command
    for command in ("doctor", "doctor --fix"):
        result = run(*command.split())
        assert (result.code, result.err) == (1, "")
        assert result.out.startswith(
            f"cannot-open: the repository\n  {message}\n  manual fix: {fix}\n".replace(
                f"\n{REMOVE_HINT}", f"\n    {REMOVE_HINT}"
            )
        )
    if "reftable" in kind:
        for command in ("init --task t", "run --task t --agent-cmd true"):
            assert run(*command.split()) == Result(
                128,
                "",
                "fatal: the repository uses the reftable format, which is not supported\n"
                f"hint: {MIGRATE_COMMAND}\nhint: {REMOVE_HINT}\n",
            )
    assert snapshot(hub.top) == before
    if kind == "reftable_by_git":
        hub.git(*MIGRATE_COMMAND.split()[1:])
        assert run("status", "s1").code == 0
        assert run("doctor").code == 0


@types(
    "use a repository whose object format is SHA-1",
    "use a newer pygit2, or a repository without that extension",
    COMMANDS_HINT,
)
def test_hints_of_a_repository_that_libgit2_cannot_open(hub: Hub) -> None:
    """The four commands work. Without the extension, and with SHA-1, all commands work."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "t").code == 0
    shutil.copytree(hub.top, hub.top.parent / "sha1")
    sha256(hub)
    assert REFUSALS["sha256"][1] in hints(hub.run("status", "s1"))
    assert Hub(hub.top.parent / "sha1", hub.environ).run("status", "s1").code == 0
    follow_hint(REFUSALS["sha256"][1])
    hub = Hub(hub.top.parent / "sha1", hub.environ)
    set_extension(hub, "fromTheFuture", "true")
    result = hub.call("git-hub-session", "status", "s1")
    assert hints(result) == [REFUSALS["fromTheFuture"][1], COMMANDS_HINT]
    for command in ("list", "update s1 --state running", "log s1", "board"):
        assert hub.call("git-hub-session", *command.split()).code == 0
    follow_hint(COMMANDS_HINT)
    hub.git("config", "-f", ".git/config", "--unset", "extensions.fromTheFuture")
    assert hub.run("status", "s1").code == 0
    follow_hint(REFUSALS["fromTheFuture"][1])


@types(MIGRATE_COMMAND, REMOVE_HINT)
def test_hints_of_a_reftable(hub: Hub) -> None:
    """Some versions of git migrate no repository with worktrees."""
    reftable_by_git(hub)
    hub.git("worktree", "add", "-q", "-b", "aside", "../aside")
    lines = hints(hub.run("init", "--task", "t"))
    assert lines == [MIGRATE_COMMAND, REMOVE_HINT]
    if hub.call("sh", "-c", MIGRATE_COMMAND).code:
        hub.git("worktree", "remove", "../aside")
        type_hint(hub, MIGRATE_COMMAND)
    follow_hint(MIGRATE_COMMAND)
    follow_hint(REMOVE_HINT)
    assert hub.run("init", "--task", "t").code == 0
    assert "aside" in hub.git("branch")


def test_relative_links_of_a_newer_git(hub: Hub) -> None:
    """Commands that need no git work also if git is too old to open the repository."""
    hub.session(agents=2)
    for agent in (1, 2):
        git_dir, worktree = hub.top / ".git" / "worktrees" / f"agent-{agent}", hub.worktree(agent)
        (git_dir / "gitdir").write_text(f"{os.path.relpath(worktree, git_dir)}/.git\n")
        (worktree / ".git").write_text(f"gitdir: {os.path.relpath(git_dir, worktree)}\n")
    (hub.worktree(2) / "new").write_text("new\n")
    set_extension(hub, "relativeWorktrees", "true")
    git_status = hub.call("git", "status")
    status = json.loads(hub.call("git-hub-session", "status", "s1", "--format=json").out)
    assert [row["worktree"] for row in status["worktrees"]] == [
        str(hub.worktree(agent)) for agent in (1, 2)
    ]
    cleanup = hub.call("git-hub-session", "cleanup", "s1")
    assert not hub.worktree(1).exists()
    if git_status.code:
        assert "unknown repository extension found" in git_status.err
        assert (cleanup.code, (hub.worktree(2) / "new").read_text()) == (1, "new\n")
        assert "unknown repository extension found" in cleanup.out
    else:
        assert cleanup.code == 0
        assert hub.git("show", "refs/hub/rescue/s1/agent-2/attempt-1/1^3:new") == "new"


@types("in a partial clone: git fetch --refetch --no-filter")
def test_missing_objects_of_a_partial_clone(hub: Hub) -> None:
    """Read-only commands fetch no objects and report the missing ones. The hint fetches them."""
    (hub.top / "sub" / ".gitignore").write_text("*.o\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "rules")
    hub.git("config", "uploadpack.allowFilter", "true")
    hub.git("config", "uploadpack.allowAnySHA1InWant", "true")
    top = hub.top.parent / "clone"
    hub.git("clone", "-q", "--filter=blob:none", "--sparse", f"file://{hub.top}", top)
    clone = Hub(top, hub.environ)

    def count_missing_objects() -> int:
        return clone.git("rev-list", "--objects", "--all", "--missing=print").count("?")

    missing = count_missing_objects()
    assert missing == 2
    clone.session(agents=2)
    worktree = clone.worktree(1)
    clone.git("rm", "-q", "--sparse", "sub/other", cwd=worktree)
    clone.git("commit", "-q", "-m", "gone", cwd=worktree)
    (clone.worktree(2) / "sub").mkdir()
    (clone.worktree(2) / "sub" / "x.o").write_text("x\n")

    status = clone.run("status", "s1")
    assert (status.code, status.out) == (128, "")
    assert status.err.startswith("fatal: cannot read the repository: object not found")
    preview = clone.run("cleanup", "s1", "--dry-run")
    assert preview.code == 1
    assert (
        f"agent-2: kept {shown_path(clone.worktree(2))}\n  cannot inspect the worktree: "
        in preview.out
    )
    assert count_missing_objects() == missing

    fix = "git fetch --refetch --no-filter"
    for message in (status.err, preview.out):
        assert f"hint: in a partial clone: {fix}\n" in message
    type_hint(clone, fix)
    follow_hint(f"in a partial clone: {fix}")
    assert count_missing_objects() == 0
    assert clone.run("status", "s1").code == 0
    assert clone.run("cleanup", "-q", "s1") == Result(0)


def test_agents_of_a_repository_with_submodules(hub: Hub, tmp_path: Path) -> None:
    """Submodules of a new worktree are empty. A worktree with an initialized submodule is kept."""
    other = tmp_path / "other"
    hub.git("clone", "-q", hub.top, other)
    hub.git("submodule", "--quiet", "add", other, "below")
    hub.git("commit", "-q", "-m", "s")
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2").code == 0
    assert hub.run("spawn", "-q", "s1") == Result(0)
    first, second = (tmp_path / "project.hub" / "s1" / f"agent-{agent}" for agent in (1, 2))
    hub.git("submodule", "--quiet", "update", "--init", cwd=first)
    (first / "below" / "file").write_text("work in the submodule\n")
    cleanup = hub.run("cleanup", "s1")
    assert (cleanup.code, first.exists(), second.exists()) == (1, True, False)
    assert "has repositories of submodules" in cleanup.out
    assert (first / "below" / "file").read_text() == "work in the submodule\n"
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert (second / "below").is_dir()
    assert hub.run("archive", "-q", "s1").code == 1
    modules = hub.top / ".git" / "worktrees" / "agent-1" / "modules"
    hub.git("submodule", "--quiet", "deinit", "--all", "--force", cwd=first)
    shutil.rmtree(modules)
    assert hub.run("archive", "-q", "s1") == Result(0)
    assert hub.state()["state"] == "archived"
