"""Worktrees in the middle of a git operation whose files name work that is nowhere else."""

from __future__ import annotations

import subprocess
from hashlib import sha1
from pathlib import Path

import pytest

from tests.support.cleanup import everything, kept
from tests.support.hub import Hub, Result

RESCUES = "refs/hub/rescue/s1/agent-1/attempt-1"


@pytest.fixture
def worktree(hub: Hub) -> Path:
    """Return the worktree of the only agent of session s1."""
    return hub.session("s1", agents=1).worktree(1)


def try_git(hub: Hub, worktree: Path, *words: str | Path, editor: str = "true") -> None:
    """Run a git command that stops before its end."""
    environ = {**hub.environ, "GIT_SEQUENCE_EDITOR": editor}
    assert subprocess.run(
        ["git", *words], cwd=worktree, env=environ, capture_output=True
    ).returncode


def create_commits(hub: Hub, worktree: Path, *names: str) -> list[str]:
    """Return new commits that no ref and no reflog names. Each adds a file."""
    commits = []
    parent = "HEAD"
    for name in names:
        index = {**hub.environ, "GIT_INDEX_FILE": str(worktree.parent / "other-index")}
        hub_of_index = Hub(hub.top, index)
        hub_of_index.git("read-tree", parent, cwd=worktree)
        blob = hub.git("hash-object", "-w", "--stdin", stdin=f"{name}\n")
        hub_of_index.git(
            "update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", cwd=worktree
        )
        tree = hub_of_index.git("write-tree", cwd=worktree)
        parent = hub.git("commit-tree", "-p", parent, "-m", f"Add {name}", tree, cwd=worktree)
        commits.append(parent)
    return commits


def test_patches_that_wait(hub: Hub, worktree: Path, tmp_path: Path) -> None:
    """The patches of `git am` are only in the git dir. No option deletes them."""
    last = create_commits(hub, worktree, "file-2", "two")[-1]
    hub.git("format-patch", "-q", "-o", tmp_path / "patches", f"HEAD..{last}", cwd=worktree)
    hub.commit(worktree, "file-2", "conflict\n")
    try_git(hub, worktree, "am", *sorted((tmp_path / "patches").iterdir()))
    before = everything(hub)
    expected = kept(worktree, "in the middle of an am", f"git -C {worktree} am --abort")
    for options in ([], ["--force"], ["--force", "--discard"]):
        assert hub.run("cleanup", *options, "s1") == expected
        assert everything(hub) == before
    assert hub.run("archive", "s1").code == 1
    assert (hub.top / ".git" / "worktrees" / "agent-1" / "rebase-apply" / "0002").exists()
    hub.git("am", "--abort", cwd=worktree)
    assert hub.run("cleanup", "-q", "s1") == Result(0)


def test_patches_of_a_missing_worktree(hub: Hub, worktree: Path, tmp_path: Path) -> None:
    """The doctor prints the commands that recreate the directory."""
    [commit] = create_commits(hub, worktree, "file-2")
    hub.git("format-patch", "-q", "-o", tmp_path / "patches", f"{commit}^..{commit}", cwd=worktree)
    hub.commit(worktree, "file-2", "conflict\n")
    try_git(hub, worktree, "am", *(tmp_path / "patches").iterdir())
    worktree.rename(tmp_path / "elsewhere")
    result = hub.run("cleanup", "--force", "s1")
    assert result == kept(worktree, "in the middle of an am", "git hub-session doctor s1")


@pytest.mark.parametrize("abbreviation", [None, "4", "40"])
def test_commits_of_a_cherry_pick(hub: Hub, worktree: Path, abbreviation: str | None) -> None:
    """The list of the sequencer is the only place that names the later commits."""
    if abbreviation:
        hub.git("config", "core.abbrev", abbreviation)
    commits = create_commits(hub, worktree, "one", "two", "three")
    hub.commit(worktree, "two", "conflict\n")
    try_git(hub, worktree, "cherry-pick", *commits)
    (worktree / "two").write_text("resolved\n")
    hub.git("add", ".", cwd=worktree)
    todo = (hub.top / ".git" / "worktrees" / "agent-1" / "sequencer" / "todo").read_text()
    assert commits[-1] not in todo or abbreviation == "40"
    assert hub.run("cleanup", "s1").code == 1
    assert hub.run("cleanup", "-q", "--force", "s1").code == 0
    saved = hub.refs(RESCUES).values()
    assert commits[-1] in saved
    assert not worktree.exists()


@pytest.mark.parametrize("backend", ["--merge", "--apply"])
def test_commits_of_a_rebase(hub: Hub, worktree: Path, backend: str) -> None:
    """A rebase of commits that no ref names, from a detached HEAD without a reflog."""
    commits = create_commits(hub, worktree, "one", "two")
    hub.commit(worktree, "one", "conflict\n")
    hub.git("config", "core.logAllRefUpdates", "false")
    hub.git("checkout", "-q", "--detach", commits[-1], cwd=worktree)
    try_git(hub, worktree, "rebase", backend, "hub/s1/agent-1/attempt-1")
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    (git_dir / "logs" / "HEAD").unlink(missing_ok=True)
    (git_dir / "ORIG_HEAD").unlink(missing_ok=True)
    (worktree / "one").write_text("resolved\n")
    hub.git("add", ".", cwd=worktree)
    assert hub.run("cleanup", "-q", "--force", "s1").code in (0, 1)
    assert worktree.exists() or commits[-1] in hub.refs(RESCUES).values()


def test_commit_that_a_user_added_to_the_list_of_a_rebase(hub: Hub, worktree: Path) -> None:
    """The list names a commit that the rebased branch does not contain."""
    [added] = create_commits(hub, worktree, "added")
    hub.commit(worktree, "own", "own\n")
    edit = f'f() {{ printf "break\\npick {added[:12]} Add it\\nfixup -C {added}\\n" >>"$1"; }}; f'
    environ = {**hub.environ, "GIT_SEQUENCE_EDITOR": edit}
    subprocess.run(["git", "rebase", "-q", "-i", "HEAD~1"], cwd=worktree, env=environ, check=True)
    assert hub.run("cleanup", "s1").code == 1
    assert hub.run("cleanup", "-q", "--force", "s1").code == 0
    assert added in hub.refs(RESCUES).values()
    assert not worktree.exists()


def test_ambiguous_abbreviation(hub: Hub, worktree: Path) -> None:
    """An abbreviation that several objects share keeps the worktree."""
    texts: dict[str, bytes] = {}
    for number in range(10000):
        text = b"%d\n" % number
        start = sha1(b"blob %d\0" % len(text) + text).hexdigest()[:4]
        if start in texts:
            break
        texts[start] = text
    for content in (text, texts[start]):
        hub.git("hash-object", "-w", "--stdin", stdin=content.decode())
    sequencer = hub.top / ".git" / "worktrees" / "agent-1" / "sequencer"
    sequencer.mkdir()
    (sequencer / "todo").write_text(f"pick {start} nothing\n")
    before = everything(hub)
    expected = kept(worktree, f"cannot inspect the worktree: ambiguous object id: '{start}'")
    assert hub.run("cleanup", "--force", "s1") == expected
    assert everything(hub) == before


@pytest.mark.parametrize("options", [[], ["--force"], ["--force", "--discard"]])
def test_notes_that_are_being_merged(hub: Hub, worktree: Path, options: list[str]) -> None:
    """The notes with conflicts, and their resolution, are only in the git dir."""
    hub.git("notes", "add", "-m", "a note", "HEAD", cwd=worktree)
    hub.git("notes", "--ref=other", "add", "-m", "another note", "HEAD", cwd=worktree)
    try_git(hub, worktree, "notes", "merge", "other")
    before = everything(hub)
    expected = kept(
        worktree, "in the middle of a notes merge", f"git -C {worktree} notes merge --abort"
    )
    assert hub.run("cleanup", *options, "s1") == expected
    assert everything(hub) == before
    hub.git("notes", "merge", "--abort", cwd=worktree)
    assert hub.run("cleanup", "-q", "s1") == Result(0)


def test_own_ref_of_a_blob(hub: Hub, worktree: Path) -> None:
    """A ref of the worktree can lead to a blob, which no branch can contain."""
    blob = hub.git("hash-object", "-w", "--stdin", stdin="a result\n")
    commit = hub.git("commit-tree", "-m", "a try", "HEAD^{tree}")
    hub.git("update-ref", "refs/worktree/result", blob, cwd=worktree)
    hub.git("update-ref", "refs/worktree/try", commit, cwd=worktree)
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert not worktree.exists()
    assert sorted(hub.refs(RESCUES).values()) == sorted([blob, commit])
