"""Commands lose nothing while git commits, packs refs or prunes worktrees in parallel."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

from git_hub_session.git.repository import GitRepo
from tests.support.evaluated_sessions import (
    agent_worktree,
    create_evaluated_session,
    git_status,
    write_hook,
)
from tests.support.hub import Hub, Result, wait_for
from tests.support.interrupt import LONG
from tests.support.invariants import check_repository, lost_contents
from tests.support.loops import check_refused_transaction, run_in_loops

MERGES = 300 if LONG else 12
CLEANUPS = 40 if LONG else 4
SPAWNS = 40 if LONG else 4
ARCHIVES = 40 if LONG else 3
PACKED = 1000 if LONG else 100


class Committer:
    """A thread that makes several commits on the checked-out branch."""

    KINDS = ("commit --allow-empty", "commit -a", "add and commit", "commit a path")

    def __init__(self, hub: Hub, seed: int) -> None:
        self.hub = hub
        self.chance = random.Random(seed)
        self.number = 0

    def commit_in_burst(self, start: Path, end: Path, stop: threading.Event) -> None:
        """Wait for the file `start` and a random time, then commit up to eight times until `stop`.

        Create the file `end` after the last commit.
        """
        while not start.exists():
            if stop.is_set():
                return
            time.sleep(0.0005)
        time.sleep(self.chance.random() * 0.06)
        for _ in range(self.chance.randint(1, 8)):
            self.commit(self.chance.choice(self.KINDS))
            if stop.is_set() and self.chance.random() < 0.5:
                break
        end.touch()

    def commit(self, kind: str) -> None:
        """Make one commit. Try again if git finds a lock file."""
        self.number += 1
        name = f"loop-{self.number}"
        command = ["commit", "-q", "-m", name]
        if kind == "commit --allow-empty":
            command.append("--allow-empty")
        elif kind == "commit -a":
            (self.hub.top / "loop").write_text(f"{name}\n")
            command.append("-a")
        else:
            (self.hub.top / name).write_text(f"{name}\n")
            if kind == "add and commit":
                self.retry_git("add", name)
            else:
                self.retry_git("add", "-N", name)
                command += ["--", name]
        self.retry_git(*command)

    def retry_git(self, *arguments: str) -> None:
        """Run git without hooks. Try again while another process holds a lock."""
        for _ in range(400):
            result = self.hub.call("git", "-c", "core.hooksPath=/dev/null", *arguments, now=None)
            if result.code == 0:
                break
            assert "lock" in result.err or "File exists" in result.err, result
            time.sleep(0.002)
        else:
            raise AssertionError(result)


def test_merge_while_another_process_commits(hub: Hub) -> None:
    """Each commit keeps its content. A merge is complete, or it is refused and changes nothing.

    In the first round, the other process commits while the merge waits for a hook, so the merge is
    refused. In the second round, it makes no commit. In the other rounds, it commits at any time.
    """
    (hub.top / "loop").write_text("start\n")
    hub.git("add", "loop")
    hub.git("commit", "-q", "-m", "loop")
    create_evaluated_session(hub)
    start, end = hub.top.parent / "go", hub.top.parent / "end"
    wait = f"until test -e {end}; do sleep 0.01; done"
    hooks = [f"touch {start}; {wait}", "exit 0"]
    base = hub.git("rev-parse", "main")
    state = (hub.directory() / "state.json").read_bytes()
    seed = random.randrange(1 << 32)
    exit_codes = {0: 0, 1: 0}
    for number in range(MERGES):
        write_hook(hub, "commit-msg", hooks[number] if number < 2 else f"touch {start}")
        committer = Committer(hub, seed + number)
        stop = threading.Event()
        thread = threading.Thread(target=committer.commit_in_burst, args=(start, end, stop))
        thread.start()
        result = hub.run("merge", "-q", "--yes", "--no-cleanup", "s1", now=None)
        stop.set()
        thread.join()
        exit_codes[result.code] += 1
        context = f"round {number} of seed {seed}: {result}"
        assert number > 1 or result.code == 1 - number, context
        check_merge(hub, base, result, committer, context)
        start.unlink(missing_ok=True)
        end.unlink(missing_ok=True)
        hub.git("reset", "-q", "--hard", base)
        hub.git("clean", "-qfd")
        (hub.directory() / "state.json").write_bytes(state)
    print(f"merges: {exit_codes}, seed {seed}")


def check_merge(hub: Hub, base: str, result: Result, committer: Committer, context: str) -> None:
    """Check that main has all commits of the loop, and the merge exactly if it succeeded."""
    log = hub.git("log", "--first-parent", "--format=%H %s", f"{base}..main").splitlines()
    subjects = [line.partition(" ")[2] for line in log]
    loop_subjects = [line for line in reversed(subjects) if line.startswith("loop-")]
    assert loop_subjects == [f"loop-{number}" for number in range(1, committer.number + 1)], context
    is_merged = False
    for line in reversed(log):
        oid, _, subject = line.partition(" ")
        if subject.startswith("hub: merge"):
            is_merged = True
        tree = hub.git("ls-tree", "-r", "--name-only", oid).splitlines()
        assert ("new" in tree) == is_merged, (context, log)
        assert (hub.git("show", f"{oid}:file") == "first\nby agent 2") == is_merged, (context, log)
    assert is_merged == (result.code == 0), (context, log)
    assert git_status(hub) == "## main", (context, log)


class Agent(threading.Thread):
    """A thread that writes and commits files by absolute paths while its worktree exists."""

    def __init__(self, hub: Hub, worktree: Path, *, leaves_commits: bool) -> None:
        super().__init__()
        self.hub, self.worktree, self.leaves_commits = hub, worktree, leaves_commits
        self.written: list[str] = []
        self.commits: list[str] = []
        self.stopped = False

    def has_committed(self) -> bool:
        return bool(self.commits)

    def run(self) -> None:
        for number in range(10000):
            text = f"{self.worktree} {number}\n"
            try:
                (self.worktree / f"new-{number}").write_text(text)
            except FileNotFoundError:
                return
            self.written.append(text)
            steps = ["add -A", f"commit -q -m {number}"]
            if self.leaves_commits and number % 4 == 3:  # a commit that only the reflog of HEAD has
                steps = ["checkout -q --detach", *steps, "checkout -q -"]
            for step in steps:
                self.hub.call("git", "-C", self.worktree, *step.split(), now=None)
                if "commit" in step:
                    tip = self.hub.call("git", "-C", self.worktree, "rev-parse", "HEAD", now=None)
                    self.commits += tip.out.split()
            if self.stopped:
                return


def test_cleanup_while_the_agent_commits(hub: Hub) -> None:
    """The worktree is kept, or it is removed after all its files and commits were saved."""
    options = [[], ["--archive"], ["--force"], ["--force", "--archive"]]
    agents, exit_codes = [], {0: 0, 1: 0}
    for number in range(CLEANUPS):
        sid = f"s{number}"
        hub.run("init", "-q", "--id", sid, "--task", "t", "--agents", "1")
        assert hub.run("spawn", "-q", sid) == Result(0)
        worktree = agent_worktree(hub, 1, sid)
        agent = Agent(hub, worktree, leaves_commits="--archive" not in options[number % 4])
        agents.append(agent)
        agent.start()
        wait_for(agent.has_committed)
        for _ in range(6):
            result = hub.run("cleanup", *options[number % 4], sid, now=None)
            exit_codes[result.code] += 1
            if not worktree.exists():
                break
        agent.stopped = True
        agent.join()
        if worktree.exists():  # HEAD is still detached if git refused the last checkout
            hub.git("checkout", "-q", f"hub/{sid}/agent-1/attempt-1", cwd=worktree)
        result = hub.run("cleanup", *options[number % 4], sid, now=None)
        assert (result.code, result.err, worktree.exists()) == (0, "", False), result
        assert lost_contents(hub, agent.written) == [], result
    commits = [commit for agent in agents for commit in agent.commits]
    assert all(agent.commits for agent in agents)
    check_repository(hub, commits=commits)
    print(f"cleanups: {exit_codes}, commits: {len(commits)}")


def test_spawn_while_git_prunes_worktrees(hub: Hub) -> None:
    """`git worktree prune` does not remove the git dir of a worktree that spawn is creating."""
    with run_in_loops(hub, "git worktree prune --expire=now", "git worktree list"):
        for number in range(SPAWNS):
            sid = f"s{number}"
            hub.run("init", "-q", "--id", sid, "--task", "t", "--agents", "3")
            assert hub.run("spawn", "-q", sid, now=None) == Result(0)
            for agent in (1, 2, 3):
                worktree = agent_worktree(hub, agent, sid)
                assert hub.git("status", "--porcelain", "--branch", cwd=worktree) == (
                    f"## hub/{sid}/agent-{agent}/attempt-1"
                )
            if number % 2:
                assert hub.run("cleanup", "-q", sid, now=None) == Result(0)
    worktree_count = hub.git("worktree", "list", "--porcelain").count("worktree ")
    assert worktree_count == 1 + 3 * sum(1 for number in range(SPAWNS) if not number % 2)
    check_repository(hub)


def test_archive_while_git_packs_refs(hub: Hub) -> None:
    """While other processes pack refs and create branches, no ref is lost or reappears."""
    hub.git("config", "gc.auto", "1")
    hub.git("config", "gc.autoDetach", "false")
    oid, tree = hub.git("rev-parse", "main"), hub.git("rev-parse", "main^{tree}")
    created = hub.top.parent / "made"
    create_branch = (
        f"n=$((n+1)); oid=$(git commit-tree {tree} -p main -m other-$n) && "
        f'git update-ref refs/heads/other/$n $oid "" && echo "refs/heads/other/$n $oid" >>{created}'
    )
    archived: dict[str, str] = {}  # no tags: the base branch contains the commit
    refused = []
    with run_in_loops(hub, "git pack-refs --all --prune", "git gc --auto --quiet", create_branch):
        for number in range(ARCHIVES):
            sid = f"s{number}"
            hub.session(sid)
            agents = range(1, 21)
            branches = [f"refs/heads/hub/{sid}/agent-{agent}/attempt-1" for agent in agents]
            commands = [f"create {branch} {oid}\n" for branch in branches]
            hub.git("update-ref", "--stdin", stdin="".join(commands))
            wait_for_new_line(created)
            result = hub.run("archive", "-q", sid, now=None)
            if result.code:
                # git waits 0.1 seconds for the lock of a ref, which a busy machine can exceed.
                check_refused_transaction(
                    hub, f"refs/heads/hub/{sid}/", result, dict.fromkeys(branches, oid)
                )
                refused.append(sid)
            archived |= {
                f"refs/hub/archive/{sid}/agent-{agent}/attempt-1/1": oid for agent in agents
            }
    for sid in refused:
        assert hub.run("archive", "-q", sid, now=None) == Result(0)
    others = dict(line.split() for line in created.read_text().splitlines())
    assert len(others) > ARCHIVES
    assert hub.refs() == {"refs/heads/main": oid, **archived, **others}
    check_repository(hub, commits=others.values())
    print(
        f"new branches: {len(others)}, archived: {len(archived)}, refused archives: {len(refused)}"
    )


def wait_for_new_line(file: Path) -> None:
    """Wait until a process appends to a file."""
    size = file.stat().st_size if file.exists() else 0
    wait_for(lambda: file.exists() and file.stat().st_size > size)


def test_refs_are_found_while_git_packs_them(hub: Hub) -> None:
    """libgit2 reads packed-refs before the loose refs: a single read misses one ref in 70."""
    missed = []
    with run_in_loops(hub, "git pack-refs --all"):
        for number in range(PACKED):
            prefix = f"refs/heads/hub/s{number}/"
            hub.git("update-ref", f"{prefix}agent-1/attempt-1", "HEAD")
            for _ in range(60):
                repo = GitRepo(str(hub.top / ".git"), hub.environ)
                if repo.refs(prefix) != [f"{prefix}agent-1/attempt-1"]:
                    missed.append(number)
    assert missed == []
