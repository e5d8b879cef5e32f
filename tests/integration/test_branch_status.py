"""Compare the branch facts of `status` with the results of git, on random histories.

Each history has merges (also criss-cross merges), several roots, commits of the same second, commits
that are older than their parents, and files of all modes.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Iterable
from itertools import permutations

import pytest

from git_hub_session.git.diff import DiffStat
from git_hub_session.git.repository import GitRepo
from git_hub_session.worktree.status import Divergence, compare_tips
from tests.support.hub import Hub

COMMITS, AGENTS = 40, 8
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # git hash-object -t tree /dev/null
FILE, SCRIPT, LINK, COMMIT = "100644", "100755", "120000", "160000"
PATHS = {
    "a": (FILE,),
    "b": (FILE, SCRIPT),
    "d": (FILE,),
    "d/x": (FILE, SCRIPT),
    "d/y": (LINK,),
    "e/f/g": (FILE,),
    "module": (COMMIT,),
    "é 漢": (FILE,),
}


def create_history(hub: Hub, seed: int) -> list[str]:
    """Create random commits with main and agents' branches. Return the agents' branches."""
    rng = random.Random(seed)

    def timestamp(mark: int) -> int:
        # Three commits per second, or a clock error of up to 15 s. With larger errors, git counts
        # wrong.
        return mark // 3 if seed % 2 else 10 * mark + rng.randrange(-15, 15)

    stream = []
    for mark in range(1, COMMITS + 1):
        # Choose recent parents, so that the history is long. A commit without parents is a root.
        recent = range(max(1, mark - 6), mark)
        count = 0 if rng.random() < 0.04 else rng.choice((1, 1, 1, 2, 2, 3))
        parents = rng.sample(recent, k=min(count, len(recent)))
        stream.append(f"commit refs/import/{mark}\nmark :{mark}\n")
        stream.append(f"committer Ada <a@b> {1773750000 + timestamp(mark)} +0000\n")
        stream.append("data 0\n")
        stream += [
            f"{'merge' if index else 'from'} :{parent}\n" for index, parent in enumerate(parents)
        ]
        stream += [random_change(rng) for _ in range(rng.randrange(1, 4))]
    for ref in ("main", *(f"hub/s1/agent-{agent}/attempt-1" for agent in range(1, AGENTS + 1))):
        stream.append(
            f"reset refs/heads/{ref}\nfrom :{rng.randrange(COMMITS // 2, COMMITS + 1)}\n\n"
        )
    subprocess.run(
        ["git", "fast-import", "--quiet", "--force"],
        cwd=hub.top,
        env=hub.environ,
        input="".join(stream).encode(),
        check=True,
    )
    return [f"hub/s1/agent-{agent}/attempt-1" for agent in range(1, AGENTS + 1)]


def random_change(rng: random.Random) -> str:
    """Return a command of `git fast-import` that writes or deletes a random file."""
    path = rng.choice([*PATHS])
    mode = rng.choice(PATHS[path])
    if rng.random() < 0.15:
        return f"D {path}\n"
    if mode == COMMIT:
        return f"M {mode} {rng.randrange(1, 16):040x} {path}\n"
    lines = [f"line {rng.randrange(9)}" for _ in range(rng.randrange(12))]
    text = rng.choice(("\n", "\r\n")).join(lines) + rng.choice(("", "\n", "\0"))
    return f"M {mode} inline {path}\ndata {len(text)}\n{text}\n"


# With the last two seeds, libgit2 returns wrong numbers for ahead and behind.
@pytest.mark.parametrize("seed", [*range(8), 34, 13])
def test_branch_facts_equal_those_of_git(hub: Hub, seed: int) -> None:
    hub.session()
    branches = create_history(hub, seed)
    tips = {branch: hub.git("rev-parse", branch) for branch in branches}
    contained = {
        tip
        for tip, other_tip in permutations(dict.fromkeys(tips.values()), 2)
        if hub.call("git", "merge-base", "--is-ancestor", tip, other_tip).code == 0
    }
    rows = hub.json("status", "s1")["branches"]
    assert [row["branch"] for row in rows] == branches
    for row in rows:
        tip = tips[row["branch"]]
        assert row["oid"] == tip
        assert row["ahead"] == int(hub.git("rev-list", "--count", f"main..{tip}"))
        assert row["behind"] == int(hub.git("rev-list", "--count", f"{tip}..main"))
        assert row["frontier"] == (tip not in contained)
        numbers = (row["files"], row["insertions"], row["deletions"])
        assert numbers in [read_shortstat(hub, base, tip) for base in newest_merge_bases(hub, tip)]


def newest_merge_bases(hub: Hub, tip: str) -> list[str]:
    """Return the newest merge bases, or the empty tree. git may use any of them."""
    bases = hub.call("git", "merge-base", "--all", "main", tip).out.split()
    times = {base: int(hub.git("show", "-s", "--format=%ct", base)) for base in bases}
    return [base for base in bases if times[base] == max(times.values())] or [EMPTY_TREE]


def read_shortstat(hub: Hub, base: str, tip: str) -> tuple[int, ...]:
    """Return git's numbers of files, insertions and deletions between two commits."""
    text = hub.git("diff", "--shortstat", "--no-renames", base, tip)
    matches = (re.search(rf"(\d+) {noun}", text) for noun in ("file", "insertion", "deletion"))
    return tuple(int(match[1]) if match else 0 for match in matches)


def test_a_file_that_a_link_replaces_is_counted_once(hub: Hub) -> None:
    hub.session(agents=1)
    (hub.worktree(1) / "file").unlink()
    (hub.worktree(1) / "file").symlink_to("sub/other")
    hub.git("commit", "-q", "-a", "-m", "a link", cwd=hub.worktree(1))
    [row] = hub.json("status", "s1")["branches"]
    counts = (row["files"], row["insertions"], row["deletions"])
    assert counts == read_shortstat(hub, "main", row["oid"]) == (1, 1, 1)


class CountingRepo(GitRepo):
    """A repository that counts the walks over its commits."""

    walks = 0

    def commit_parents(self, tips: Iterable[str], hidden: Iterable[str]) -> dict[str, list[str]]:
        self.walks += 1
        return super().commit_parents(tips, hidden)


@pytest.mark.parametrize("agents", [3, 30])
def test_the_number_of_walks_does_not_depend_on_the_agents(hub: Hub, agents: int) -> None:
    """The first walk finds the commits of all agents, the second those of the base branch."""
    tree, start = hub.git("rev-parse", "main^{tree}"), hub.git("rev-parse", "main")
    tips = [
        hub.git("commit-tree", "-m", str(number), "-p", start, tree) for number in range(agents)
    ]
    base = hub.commit(hub.top, "file", "the base moves\n")
    repo = CountingRepo(str(hub.top / ".git"), hub.environ)
    divergences = compare_tips([*tips, start], base, repo)
    ahead_and_behind = Divergence(1, 1, DiffStat(0, 0, 0), frontier=True)
    assert divergences == {
        **dict.fromkeys(tips, ahead_and_behind),
        start: Divergence(0, 1, DiffStat(0, 0, 0), frontier=False),
    }
    assert repo.walks == 2
