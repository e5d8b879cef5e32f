"""Commands beside somebody who works on, packs, prunes or commits: nothing of anybody is lost."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.commands.test_merge import hook, place, status, tournament
from tests.hub import Hub, Result
from tests.interposed import LONG

MERGES = 300 if LONG else 12


class Committer:
    """Somebody who commits to what is checked out, as fast as git lets them, when they are told to."""

    WAYS = ("commit --allow-empty", "commit -a", "add and commit", "commit a path")

    def __init__(self, hub: Hub, seed: int) -> None:
        self.hub = hub
        self.chance = random.Random(seed)
        self.made: dict[str, str] = {}
        self.number = 0

    def burst(self, go: Path, over: threading.Event) -> None:
        """Wait for `go`, a random while, and commit until it is `over`."""
        while not go.exists():
            if over.is_set():
                return
            time.sleep(0.0005)
        time.sleep(self.chance.random() * 0.06)
        for _ in range(self.chance.randint(1, 8)):
            self.commit(self.chance.choice(self.WAYS))
            if over.is_set() and self.chance.random() < 0.5:
                return

    def commit(self, way: str) -> None:
        """One commit, tried until git takes it: who is refused because of a lock tries again."""
        self.number += 1
        name = f"loop-{self.number}"
        command = ["commit", "-q", "-m", name]
        if way == "commit --allow-empty":
            command.append("--allow-empty")
        elif way == "commit -a":
            (self.hub.top / "loop").write_text(f"{name}\n")
            command.append("-a")
        else:
            (self.hub.top / name).write_text(f"{name}\n")
            if way == "add and commit":
                self.retry("add", name)
            else:
                self.retry("add", "-N", name)
                command += ["--", name]
        self.retry(*command)

    def retry(self, *words: str) -> None:
        for _ in range(400):
            done = self.hub.call("git", "-c", "core.hooksPath=/dev/null", *words, now=None)
            if done.code == 0:
                break
            assert "lock" in done.err or "File exists" in done.err, done
            time.sleep(0.002)
        else:
            raise AssertionError(done)


def test_merge_beside_commits_at_once(hub: Hub) -> None:
    """Each commit stays, with what it holds; what was merged stays merged, and of what was refused nothing is there."""
    (hub.top / "loop").write_text("start\n")
    hub.git("add", "loop")
    hub.git("commit", "-q", "-m", "loop")
    tournament(hub)
    go = hub.top.parent / "go"
    hook(hub, "commit-msg", f"touch {go}")
    begin = hub.git("rev-parse", "main")
    state = (hub.directory() / "state.json").read_bytes()
    seed = random.randrange(1 << 32)
    ends = {0: 0, 1: 0}
    for number in range(MERGES):
        committer = Committer(hub, seed + number)
        over = threading.Event()
        thread = threading.Thread(target=committer.burst, args=(go, over))
        thread.start()
        result = hub.run("merge", "-q", "--yes", "--no-cleanup", "s1", now=None)
        over.set()
        thread.join()
        ends[result.code] += 1
        where = f"round {number} of seed {seed}: {result}"
        judge(hub, begin, result, committer, where)
        go.unlink(missing_ok=True)
        hub.git("reset", "-q", "--hard", begin)
        hub.git("clean", "-qfd")
        (hub.directory() / "state.json").write_bytes(state)
    print(f"merges: {ends}, seed {seed}")


def judge(hub: Hub, begin: str, result: Result, committer: Committer, where: str) -> None:
    log = hub.git("log", "--first-parent", "--format=%H %s", f"{begin}..main").splitlines()
    subjects = [line.partition(" ")[2] for line in log]
    loops = [line for line in reversed(subjects) if line.startswith("loop-")]
    assert loops == [f"loop-{at}" for at in range(1, committer.number + 1)], where
    merged = False
    for line in reversed(log):
        oid, _, subject = line.partition(" ")
        if subject.startswith("hub: merge"):
            merged = True
        tree = hub.git("ls-tree", "-r", "--name-only", oid).splitlines()
        assert ("new" in tree) == merged, (where, log)
        assert (hub.git("show", f"{oid}:file") == "first\nby agent 2") == merged, (where, log)
    assert merged == (result.code == 0), (where, log)
    assert status(hub) == "## main", (where, log)
