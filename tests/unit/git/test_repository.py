"""What libgit2 is asked, held against git on the same repository."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from git_hub_session.git.diff import DiffStat
from git_hub_session.git.repository import (
    Branch,
    CannotOpenRepository,
    CannotReadRepository,
    GitRepo,
)
from tests.support.hub import CHECKOUT, PYTHON, Hub, Result


def repo_of(hub: Hub) -> GitRepo:
    return GitRepo(str(hub.top / ".git"), hub.environ)


def test_branches_loose_and_packed_by_whole_prefix(hub: Hub) -> None:
    base = hub.git("rev-parse", "main")
    for name in ("hub/s1/agent-1/attempt-1", "hub/s1/x", "hub/s10/y", "xhub/s1/z"):
        hub.git("branch", name)
    hub.git("pack-refs", "--all")
    hub.git("branch", "hub/s1/loose")
    assert repo_of(hub).branches("refs/heads/hub/s1/") == [
        Branch(f"refs/heads/hub/s1/{name}", base, 1773756000, "base", False)
        for name in ("agent-1/attempt-1", "loose", "x")
    ]


def test_refs_that_lead_nowhere_have_no_tip(hub: Hub) -> None:
    """Broken, dangling, in a loop, or to what is no commit: none of them stops the others."""
    heads = hub.top / ".git" / "refs" / "heads" / "hub"
    heads.mkdir()
    (heads / "zero").write_text("1" * 40 + "\n")
    (heads / "junk").write_text("junk\n")
    (heads / "loop").write_text("ref: refs/heads/hub/loop\n")
    (heads / "dangling").write_text("ref: refs/heads/nowhere\n")
    (heads / "blob").write_text(hub.git("rev-parse", "main:file") + "\n")
    (heads / "sound").write_text(hub.git("rev-parse", "main") + "\n")
    repo = repo_of(hub)
    found = {
        branch.ref.rpartition("/")[2]: branch.oid for branch in repo.branches("refs/heads/hub/")
    }
    assert found["sound"] == hub.git("rev-parse", "main")
    assert {name for name, oid in found.items() if not oid} == set(found) - {"sound"}
    assert (
        repo.tip("refs/heads/hub/zero"),
        repo.tip("refs/heads/none"),
        repo.find_ref_target("HEAD~9"),
    ) == ("", "", "")


def test_a_tag_leads_to_its_commit_and_is_an_object_itself(hub: Hub) -> None:
    hub.git("tag", "-a", "-m", "a tag", "v1")
    repo = repo_of(hub)
    assert repo.tip("refs/tags/v1") == hub.git("rev-parse", "main")
    assert repo.find_ref_target("refs/tags/v1") == hub.git("rev-parse", "v1")
    hub.git("symbolic-ref", "refs/tags/v2", "refs/heads/main")
    assert repo.find_ref_target("refs/tags/v2") == "refs/heads/main"


def test_subjects(hub: Hub) -> None:
    """The first line of a message, also of one that is empty, or no UTF-8."""
    tree = hub.git("rev-parse", "main^{tree}")
    for name, message in (("a", b"\n\n  One\nTwo\n"), ("b", b""), ("c", b"caf\xe9\n")):
        made = subprocess.run(
            ["git", "-c", "i18n.commitEncoding=latin1", "commit-tree", tree],
            cwd=hub.top,
            env=hub.environ,
            input=message,
            capture_output=True,
            check=True,
        )
        hub.git("update-ref", f"refs/heads/hub/{name}", made.stdout.decode().strip())
    subjects = [branch.subject for branch in repo_of(hub).branches("refs/heads/hub/")]
    assert subjects == ["One", "", "caf\ufffd"]


@pytest.mark.parametrize("seed", range(8))
def test_commits_that_no_ref_leads_to(hub: Hub, seed: int) -> None:
    """As `git rev-list --not --all`; of those in one line, the last."""
    dice = random.Random(seed)
    tree = hub.git("rev-parse", "main^{tree}")
    commits = [hub.git("rev-parse", "main")]
    for number in range(20):
        parents = dice.sample(commits, k=min(len(commits), dice.choice((1, 2))))
        words = [word for parent in parents for word in ("-p", parent)]
        commits.append(hub.git("commit-tree", "-m", f"c{number}", *words, tree))
    hub.git("update-ref", "refs/heads/main", dice.choice(commits))
    wanted = dice.sample(commits, k=6)
    lost = set(hub.git("rev-list", *wanted, "--not", "--all").splitlines()) & set(wanted)
    expected = set(hub.git("merge-base", "--independent", *lost).split()) if lost else set()
    found = repo_of(hub).unreachable([*wanted, "1" * 40, *wanted])
    assert set(found) == expected
    assert found == [oid for oid in wanted if oid in expected]


def test_tags_and_files_that_no_ref_leads_to(hub: Hub) -> None:
    """A tag is an object too: it needs a ref, which then leads to its commit; so does a blob."""
    tree = hub.git("rev-parse", "main^{tree}")
    lost = hub.git("commit-tree", "-m", "lost", tree)
    for name, oid in (("new", lost), ("old", "main"), ("kept", "main")):
        hub.git("tag", "-a", "-m", name, name, oid)
    tags = [hub.git("rev-parse", name) for name in ("new", "old", "kept")]
    hub.git("tag", "-d", "new", "old")
    blob = hub.git("rev-parse", "main:file")
    found = repo_of(hub).unreachable([lost, *tags, blob, tree, hub.git("rev-parse", "main")])
    assert found == [*tags[:2], blob]
    for oid in found:
        hub.git("update-ref", f"refs/hub/rescue/s1/{oid}", oid)
    assert repo_of(hub).unreachable([lost, *tags, blob]) == []


def test_objects_that_are_missing(hub: Hub) -> None:
    """Told as a fault, whatever was asked."""
    commit = hub.commit(hub.top, "sub/other", "third\n")
    gone = hub.git("rev-parse", "main:sub"), hub.git("rev-parse", "main~")
    tree = hub.git("rev-parse", "main^{tree}")
    merge = hub.git("commit-tree", "-m", "m", "-p", gone[1], "-p", commit, tree)
    hub.git("update-ref", "refs/stash", merge)
    for oid in gone:
        (hub.top / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    repo = repo_of(hub)
    questions: list[Callable[[], object]] = [
        lambda: repo.tree_entries(commit),
        lambda: repo.find_stash("refs/stash"),
        lambda: repo.unreachable([commit]),
        lambda: repo.ahead_behind(commit, gone[1]),
        lambda: repo.diff_stat(commit, gone[1]),
        lambda: repo.commit_parents([commit], []),
        lambda: repo.read_blob(bytes.fromhex(gone[0])),
    ]
    for ask in questions:
        with pytest.raises(CannotReadRepository) as caught:
            ask()
        assert caught.value.hint.startswith("git fsck\n")
    assert repo.tree_id(commit).hex() == tree


def test_a_stash_as_git_makes_it(hub: Hub) -> None:
    (hub.top / "file").write_text("staged\n")
    hub.git("add", "file")
    (hub.top / "file").write_text("changed\n")
    (hub.top / "new").write_text("new\n")
    hub.git("stash", "-u")
    repo = repo_of(hub)
    names = ("stash^1", "stash^2^{tree}", "stash^{tree}", "stash^3^{tree}")
    expected = tuple(hub.git("rev-parse", name) for name in names)
    assert repo.find_stash("refs/stash") == expected
    assert repo.find_stash("refs/heads/main") == ()
    assert repo.find_stash("refs/heads/none") == ()


def test_trees_with_names_that_are_no_text(hub: Hub) -> None:
    hub.commit(hub.top, "a/b/c", "deep\n")
    with open(os.path.join(os.fsencode(hub.top), b"\xff\n"), "wb") as file:
        file.write(b"odd\n")
    (hub.top / "run").write_text("#!/bin/sh\n")
    (hub.top / "run").chmod(0o755)
    (hub.top / "link").symlink_to("file")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "odd")
    expected = {}
    for line in hub.git("ls-tree", "-r", "-z", "HEAD").split("\0")[:-1]:
        facts, _, path = line.partition("\t")
        mode, _, oid = facts.split(" ")
        expected[os.fsencode(path)] = (int(mode, 8), bytes.fromhex(oid))
    commit = hub.git("rev-parse", "HEAD")
    assert repo_of(hub).tree_entries(commit) == expected
    assert repo_of(hub).tree_entries("1" * 40) == {}


def test_lines_that_changed_between_commits(hub: Hub) -> None:
    old = hub.git("rev-parse", "main")
    new = hub.commit(hub.top, "file", "first\nsecond\n")
    assert repo_of(hub).diff_stat(new, old) == DiffStat(1, 1, 0)
    assert repo_of(hub).diff_stat(old, new) == DiffStat(0, 0, 0)


def test_blob_ids(hub: Hub) -> None:
    for data in (b"", b"text\n", bytes(range(256))):
        (hub.top / "data").write_bytes(data)
        assert GitRepo.blob_id(data).hex() == hub.git("hash-object", "data")


def test_rules_of_what_is_ignored_everywhere(hub: Hub) -> None:
    (hub.top / ".git" / "info").mkdir(exist_ok=True)
    (hub.top / ".git" / "info" / "exclude").write_text("mine\n")
    (hub.top.parent / "excludes").write_text("*.log\n")
    hub.git("config", "core.excludesFile", hub.top.parent / "excludes")
    entry, top = str(hub.top / ".git"), str(hub.top)
    assert repo_of(hub).ignore_rules(entry, top) == ([b"*.log\n", b"mine\n"], False)
    hub.git("config", "core.ignoreCase", "true")
    hub.git("config", "core.excludesFile", "/nonexistent")
    assert repo_of(hub).ignore_rules(entry, top) == ([b"", b"mine\n"], True)


def test_settings_in_the_order_of_their_files(hub: Hub) -> None:
    hub.git("config", "--global", "hubsession.keepIgnored", "*.db")
    hub.git("config", "hubSession.keepIgnored", "*.env")
    hub.git("config", "hubsessions.other", "x")
    # In a process of its own: libgit2 looks for the home directory once.
    program = (
        "import os; from git_hub_session.git.repository import GitRepo\n"
        f"print(GitRepo({str(hub.top / '.git')!r}, os.environ).config_values('hubsession.keepIgnored'))"
    )
    assert hub.call(PYTHON, "-c", program, cwd=CHECKOUT) == Result(0, "['*.db', '*.env']\n")


def test_a_repository_that_libgit2_does_not_know(hub: Hub, tmp_path: Path) -> None:
    hub.git("config", "core.repositoryFormatVersion", "1")
    hub.git("config", "extensions.fromTheFuture", "true")
    with pytest.raises(CannotOpenRepository) as caught:
        repo_of(hub)
    assert caught.value.message.endswith(": unsupported extension name extensions.fromthefuture")
    assert caught.value.hint == (
        "use a newer pygit2, or a repository without that extension\n"
        "use 'list', 'update', 'log' and 'board', which need no libgit2"
    )


def test_it_loads_without_certificates_and_leaves_the_environment_alone(hub: Hub) -> None:
    program = (
        "import os; before = dict(os.environ)\n"
        "import git_hub_session.git.repository\n"
        "print(dict(os.environ) == before)"
    )
    for environ in ({}, {"SSL_CERT_FILE": "/nowhere", "SSL_CERT_DIR": "/nowhere"}):
        found = hub.call(PYTHON, "-c", program, cwd=CHECKOUT, environ=environ)
        assert found == Result(0, "True\n")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("ssl", "SSLContext"),
        ("tarfile", "TarInfo"),
        ("dataclasses", "field"),
        ("urllib.parse", "urlsplit"),
    ],
)
def test_what_it_does_not_need_is_not_loaded(hub: Hub, module: str, name: str) -> None:
    """The stand-in is gone afterwards; while it is there, what it does not have is the real module's."""
    program = (
        "import sys; from git_hub_session.git.libgit2 import _LazyModuleStub\n"
        f"print('{module}' in sys.modules)\n"
        f"sys.modules['{module}'] = _LazyModuleStub('{module}')\n"
        f"from {module} import {name}\n"
        f"import {module}; print({module}.{name} is {name})"
    )
    found = hub.call(PYTHON, "-c", program, cwd=CHECKOUT)
    assert found == Result(0, "False\nTrue\n")


def test_a_path_has_an_address_all_the_same(hub: Hub) -> None:
    """What pathlib was given for the time that pygit2 loads does what the real one does."""
    program = "import git_hub_session.git.repository, pathlib; print(pathlib.Path('/a b').as_uri())"
    assert hub.call(PYTHON, "-c", program, cwd=CHECKOUT) == Result(0, "file:///a%20b\n")


def test_what_was_loaded_before_stays(hub: Hub) -> None:
    program = (
        "import dataclasses, ssl, sys, tarfile\n"
        "import git_hub_session.git.repository, pygit2\n"
        "print(sys.modules['ssl'] is ssl, sys.modules['tarfile'] is tarfile)\n"
        "print(dataclasses.is_dataclass(pygit2.index.MergeFileResult))"
    )
    found = hub.call(PYTHON, "-c", program, cwd=CHECKOUT)
    assert found == Result(0, "True True\nTrue\n")
