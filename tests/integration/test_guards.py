"""The hooks that guard the branches of sessions, with git's own commands and with this program."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from git_hub_session.hooks.guards import GUARDS
from tests.support.evaluated_sessions import write_hook
from tests.support.hub import Hub, Result, new_hub, sealed_environment

BRANCH = "hub/s1/agent-1/attempt-1"
REF = f"refs/heads/{BRANCH}"
HINTS = (
    "hint: make a new commit, because the branch of an attempt only grows\n"
    "hint: keep the commit before you rename or delete the branch: git branch <name> {}\n"
    "hint: git hub-session hooks uninstall\n"
)


def install(hub: Hub) -> None:
    """Install the hooks, which must succeed."""
    assert hub.run("hooks", "-q", "install") == Result(0)


@pytest.fixture
def guarded(hub: Hub) -> Hub:
    """Return a hub with guards and a session whose agents have one commit."""
    install(hub)
    hub.session("s1", agents=2)
    for agent in (1, 2):
        hub.commit(hub.worktree(agent), "file", f"{agent}\n", "one")
    return hub


def git(hub: Hub, line: str, cwd: Path | None = None) -> Result:
    """Run a git command line."""
    return hub.call("git", *shlex.split(line), cwd=cwd)


def is_refused(hub: Hub, line: str, cwd: Path | None = None) -> bool:
    """Return True if the hook refuses a command, which then changes no branch."""
    before = hub.refs("refs/heads")
    result = git(hub, line, cwd)
    message = f"error: no other ref keeps commit {before[REF]} of '{BRANCH}'\n"
    message += HINTS.format(before[REF])
    if result.code and message in result.err:
        assert hub.refs("refs/heads") == before
        return True
    assert result.code == 0, result
    return False


@pytest.mark.parametrize(
    "line",
    [
        "commit -q --amend --allow-empty -m other",
        "reset -q --hard HEAD~1",
        f"branch -f {BRANCH} HEAD",
        f"update-ref {REF} HEAD~1",
        f"update-ref -d {REF}",
    ],
)
def test_a_branch_only_grows(guarded: Hub, line: str) -> None:
    where = guarded.worktree(1)
    if line.startswith("branch"):
        guarded.git("checkout", "-q", "--detach", "HEAD~1", cwd=where)
    assert is_refused(guarded, line, where)
    guarded.git("tag", "keep", BRANCH)
    assert not is_refused(guarded, line, where)


@pytest.mark.parametrize("line", [f"branch -m {BRANCH} mine", f"branch -D {BRANCH}"])
def test_a_rename_and_a_deletion_after_the_printed_command(guarded: Hub, line: str) -> None:
    """git deletes a branch before it creates the new one, so another ref has to keep the commit."""
    where = guarded.worktree(1)
    commit = guarded.refs()[REF]
    if "-D" in line:
        guarded.git("switch", "-q", "-c", "other", "HEAD~1", cwd=where)
    assert is_refused(guarded, line, where)
    printed = git(guarded, line, where).err
    [command] = re.findall("rename or delete the branch: (.*)", printed)
    assert guarded.call("sh", "-c", command.replace("<name>", "keep")).code == 0
    assert not is_refused(guarded, line, where)
    refs = guarded.refs("refs/heads")
    assert (REF in refs, refs["refs/heads/keep"]) == (False, commit)
    assert guarded.run("status", "s1").code == 0


def test_a_rebase_is_refused_and_can_be_aborted(guarded: Hub) -> None:
    guarded.commit(guarded.top, "sub/other", "main\n")
    where, tip = guarded.worktree(1), guarded.refs()[REF]
    result = git(guarded, "rebase -q main", where)
    assert result.code != 0
    assert (
        f"error: no other ref keeps commit {tip} of '{BRANCH}'\n" + HINTS.format(tip) in result.err
    )
    assert git(guarded, "rebase --abort", where).code == 0
    assert guarded.git("symbolic-ref", "HEAD", cwd=where) == REF
    assert guarded.refs()[REF] == tip


def test_commands_that_lose_nothing(guarded: Hub) -> None:
    where = guarded.worktree(1)
    guarded.commit(where, "file", "more\n")
    for line in (
        "merge -q --no-edit main",
        "pack-refs --all --prune",
        "gc -q",
        "tag kept",
        "stash",
    ):
        assert git(guarded, line, where).code == 0, line
    assert not (guarded.top / ".git" / REF).exists()
    assert git(guarded, "reset -q --hard HEAD~1", where) == Result(0)
    guarded.commit(where, "file", "again\n")
    guarded.git("worktree", "remove", where)
    assert is_refused(guarded, f"branch -D {BRANCH}")
    assert git(guarded, "pack-refs --all --prune").code == 0
    assert is_refused(guarded, f"branch -D {BRANCH}")
    assert is_refused(guarded, f"update-ref -d {REF}")
    guarded.git("tag", "archive", BRANCH)
    assert git(guarded, f"branch -q -D {BRANCH}") == Result(0)
    assert git(guarded, "tag -d archive").code == 0


def test_refs_that_keep_nothing(guarded: Hub) -> None:
    """The ref goes in the same transaction, is symbolic, or belongs to a running command."""
    where, tip = guarded.worktree(1), guarded.refs()[REF]
    guarded.git("symbolic-ref", "refs/heads/alias", REF)
    guarded.git("update-ref", "refs/worktree/mine", tip, cwd=where)
    guarded.git("update-ref", "refs/bisect/bad", tip, cwd=where)
    assert is_refused(guarded, "reset -q --hard HEAD~1", where)
    guarded.git("tag", "keep", tip)
    both = f"delete refs/tags/keep\ndelete {REF}\n"
    result = guarded.call("git", "update-ref", "--stdin", stdin=both)
    assert (result.code, REF in guarded.refs()) == (128, True)
    archive = f"create refs/tags/other {tip}\ndelete {REF} {tip}\n"
    assert guarded.call("git", "update-ref", "--stdin", stdin=archive) == Result(0)


def test_a_push_and_a_fetch(guarded: Hub, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    guarded.git("clone", "-q", guarded.top, clone)
    other = Hub(clone, guarded.environ)
    guarded.git("worktree", "remove", guarded.worktree(1))
    other.git("checkout", "-q", BRANCH)
    other.commit(clone, "file", "pushed\n")
    assert other.call("git", "push", "-q", "origin", BRANCH) == Result(0)
    for words in (("--force", f"main:{REF}"), (f":{REF}",)):
        result = other.call("git", "push", "-q", "origin", *words)
        assert result.code != 0
        assert f"error: no other ref keeps commit {guarded.refs()[REF]}" in result.err
    bare = tmp_path / "bare.git"
    guarded.git("clone", "-q", "--bare", guarded.top, bare)
    result = guarded.call("git", "--git-dir", bare, "update-ref", "-d", REF)
    assert result == Result(0)
    result = guarded.call(
        "git", "fetch", "-q", "--prune", bare, "+refs/heads/hub/*:refs/heads/hub/*"
    )
    assert REF in guarded.refs()
    assert result.code != 0


def test_the_commands_of_this_program(guarded: Hub) -> None:
    """The commands keep the commits, or the user wants to lose the commits."""
    for agent in (1, 2):
        guarded.commit(guarded.worktree(agent), "new", f"{agent}\n")
    guarded.git("pack-refs", "--all")
    guarded.run("update", "-q", "s1", "--state", "running")
    assert guarded.run("eval", "-q", "--ranking", "2,1", "s1") == Result(0)
    assert guarded.run("merge", "-q", "--yes", "s1") == Result(0)
    assert REF not in guarded.refs()
    assert guarded.run("restore", "-q", "s1", "--agent", "1") == Result(0)
    assert guarded.run("cleanup", "-q", "--archive", "s1") == Result(0)
    assert not guarded.refs("refs/heads/hub")
    assert guarded.run("prune", "-q", "--yes", "--older-than", "0s").code == 0
    guarded.session("s2", agents=1)
    assert guarded.run("adopt", "-q", "s2", "1", "main").code == 0
    assert guarded.run("archive", "-q", "s2") == Result(0)
    assert not guarded.refs("refs/heads/hub/s2")


def test_a_spawn_that_fails_undoes_its_commits(guarded: Hub) -> None:
    script = 'git commit -q --allow-empty -m mine; test "$HUB_AGENT" = agent-1'
    guarded.git("config", "hubsession.setup", script)
    assert guarded.run("init", "-q", "--id", "s2", "--task", "x", "--agents", "2").code == 0
    assert guarded.run("spawn", "-q", "s2").code == 128
    assert not guarded.refs("refs/heads/hub/s2")


def test_no_commit_in_a_finished_session(guarded: Hub) -> None:
    where = guarded.worktree(1)
    for state in ("running", "evaluating", "archived"):
        guarded.run("update", "-q", "s1", "--state", state)
        (where / "file").write_text(state)
        result = git(guarded, "commit -q -a -m more", where)
        if state != "archived":
            assert result == Result(0)
    message = "error: session 's1' is finished, and gets no more commits\n"
    assert result == Result(1, "", f"{message}hint: git hub-session init --task <text>\n")
    guarded.commit(guarded.top, "file", "main\n")
    guarded.session("s11", agents=1)
    guarded.commit(guarded.worktree(1, "s11"), "file", "other\n")


def test_the_hook_of_the_user_runs(hub: Hub) -> None:
    """The hook gets the input and the arguments of git, and its exit status decides."""
    log = hub.top.parent / "log"
    script = f'{{ echo "$@"; cat; echo end; }} >>{shlex.quote(str(log))}; test ! -e refuse'
    # git 2.54 has a phase before the others.
    script = f'test "$1" != preparing || exit 0; {script}'
    for name in ("reference-transaction", "pre-commit"):
        write_hook(hub, name, script)
    install(hub)
    oid = hub.git("rev-parse", "HEAD")
    hub.git("update-ref", "refs/tags/t", oid)
    line = f"{'0' * 40} {oid} refs/tags/t\n"
    assert log.read_text() == f"prepared\n{line}end\ncommitted\n{line}end\n"
    log.unlink()
    (hub.top / "refuse").touch()
    assert git(hub, f"update-ref {REF} {oid}").code == 128
    assert git(hub, "commit -q --allow-empty -m x").code == 1
    (hub.top / "refuse").unlink()
    assert log.read_text().startswith(f"prepared\n{'0' * 40} {oid} {REF}\nend\n")
    log.unlink()
    hub.git("update-ref", REF, hub.commit(hub.top, "file", "x\n"))
    log.unlink()
    assert git(hub, f"update-ref {REF} {oid}").code == 0, "main keeps the commit"
    hub.commit(hub.top, "file", "y\n")
    hub.git("branch", "-f", BRANCH, "main")
    hub.git("reset", "-q", "--hard", "HEAD~1")
    log.unlink()
    assert git(hub, f"update-ref {REF} {oid}").code == 128
    # A git that runs both hooks itself asks both.
    is_asked = hub.json("hooks", "status")["hooks"][0]["configured"]
    assert ("prepared" in log.read_text()) == is_asked


def test_an_unknown_phase(hub: Hub) -> None:
    """Phases of later versions of git reach the hook of the user."""
    write_hook(hub, "reference-transaction", 'echo "$1 $2 $(cat)"; exit 3')
    install(hub)
    path = hub.top / ".git" / "hooks" / "reference-transaction"
    assert hub.call(path, "preparing", "x", stdin="a b c\n") == Result(3, "preparing x a b c\n")


def test_an_unread_input(hub: Hub) -> None:
    """The hook of the user ends before it has read 10,000 refs."""
    write_hook(hub, "reference-transaction", "exit 0")
    install(hub)
    oid = hub.git("rev-parse", "HEAD")
    lines = "".join(f"create refs/tags/t{number} {oid}\n" for number in range(10_000))
    assert hub.call("git", "update-ref", "--stdin", stdin=lines) == Result(0)


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_an_unusual_path(tmp_path: Path, object_format: str) -> None:
    """Quotes, spaces and a line feed; both object formats."""
    directory = tmp_path / 'it\'s "here"\n$HOME'
    directory.mkdir()
    environ = {**sealed_environment(tmp_path), "GIT_DEFAULT_HASH": object_format}
    hub = new_hub(directory / "re po", environ)
    write_hook(hub, "pre-commit", 'echo "$0" >>ran')
    install(hub)
    hub.session("s1", agents=1)
    hub.commit(hub.worktree(1), "file", "x\n")
    assert (hub.worktree(1) / "ran").exists()
    assert is_refused(hub, "reset -q --hard HEAD~1", hub.worktree(1))


def test_a_bare_repository(hub: Hub, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    hub.git("clone", "-q", "--bare", hub.top, bare)
    place = Hub(bare, hub.environ)
    install(place)
    assert place.run("init", "-q", "--id", "s1", "--task", "x", "--agents", "1").code == 0
    assert place.run("spawn", "-q", "s1").code == 0
    [where] = [
        path
        for path in place.git("worktree", "list", "--porcelain").split()
        if "agent-1" in path and os.path.isdir(path)
    ]
    place.commit(Path(where), "file", "x\n")
    assert is_refused(place, "reset -q --hard HEAD~1", Path(where))
    assert is_refused(place, f"update-ref -d {REF}")
    assert place.run("archive", "-q", "s1") == Result(0)
    assert not place.refs("refs/heads/hub")


def test_a_missing_commit(guarded: Hub) -> None:
    """A branch whose commit is lost already can be deleted."""
    guarded.git("worktree", "remove", guarded.worktree(1))
    tip = guarded.refs()[REF]
    (guarded.top / ".git" / "objects" / tip[:2] / tip[2:]).unlink()
    assert git(guarded, f"update-ref -d {REF}").code == 0


def test_other_refs_start_nothing(hub: Hub, tmp_path: Path) -> None:
    """The script decides without git and without Python."""
    programs = tmp_path / "programs"
    programs.mkdir()
    cat = shutil.which("cat")
    assert cat
    (programs / "cat").symlink_to(cat)
    script = GUARDS[0].read_script()
    path = tmp_path / "reference-transaction"
    path.write_text(script)
    path.chmod(0o755)
    environ = {"PATH": str(programs)}
    lines = f"{'0' * 40} {'1' * 40} refs/heads/topic\n{'0' * 40} {'1' * 40} HEAD\n"
    for phase in ("preparing", "prepared", "committed", "aborted"):
        assert hub.call(path, phase, stdin=lines, environ=environ) == Result(0)
    result = hub.call(path, "prepared", stdin=lines.replace("topic", BRANCH), environ=environ)
    assert "git: not found" in result.err
    off = {**environ, "GIT_HUB_SESSION_GUARD": "off"}
    changed = lines.replace("topic", BRANCH)
    assert hub.call(path, "prepared", stdin=changed, environ=off) == Result(0)
