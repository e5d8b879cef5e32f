"""The results of libgit2 are those of git in the same repository."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
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

_NEEDS_ENUMS = pytest.mark.skipif(
    find_spec("pygit2.enums") is None, reason="pygit2 before 1.14 lacks modules"
)


def open_repository(hub: Hub) -> GitRepo:
    return GitRepo(str(hub.top / ".git"), hub.environ)


def test_loose_and_packed_branches_with_a_prefix(hub: Hub) -> None:
    base = hub.git("rev-parse", "main")
    for name in ("hub/s1/agent-1/attempt-1", "hub/s1/x", "hub/s10/y", "xhub/s1/z"):
        hub.git("branch", name)
    hub.git("pack-refs", "--all")
    hub.git("branch", "hub/s1/loose")
    assert open_repository(hub).branches("refs/heads/hub/s1/") == [
        Branch(f"refs/heads/hub/s1/{name}", base, 1773756000, "base", False)
        for name in ("agent-1/attempt-1", "loose", "x")
    ]


def test_broken_refs_have_no_tip(hub: Hub) -> None:
    """A broken, dangling or cyclic ref or a ref to a blob does not hide the other refs."""
    heads = hub.top / ".git" / "refs" / "heads" / "hub"
    heads.mkdir()
    (heads / "zero").write_text("1" * 40 + "\n")
    (heads / "junk").write_text("junk\n")
    (heads / "loop").write_text("ref: refs/heads/hub/loop\n")
    (heads / "dangling").write_text("ref: refs/heads/nowhere\n")
    (heads / "blob").write_text(hub.git("rev-parse", "main:file") + "\n")
    (heads / "sound").write_text(hub.git("rev-parse", "main") + "\n")
    repo = open_repository(hub)
    tips = {
        branch.ref.rpartition("/")[2]: branch.oid for branch in repo.branches("refs/heads/hub/")
    }
    assert tips["sound"] == hub.git("rev-parse", "main")
    assert {name for name, oid in tips.items() if not oid} == set(tips) - {"sound"}
    assert (
        repo.tip("refs/heads/hub/zero"),
        repo.tip("refs/heads/none"),
        repo.find_ref_target("HEAD~9"),
    ) == ("", "", "")


def test_the_tip_and_the_target_of_a_tag(hub: Hub) -> None:
    hub.git("tag", "-a", "-m", "a tag", "v1")
    repo = open_repository(hub)
    assert repo.tip("refs/tags/v1") == hub.git("rev-parse", "main")
    assert repo.find_ref_target("refs/tags/v1") == hub.git("rev-parse", "v1")
    hub.git("symbolic-ref", "refs/tags/v2", "refs/heads/main")
    assert repo.find_ref_target("refs/tags/v2") == "refs/heads/main"


def test_subjects(hub: Hub) -> None:
    """The subject is the first line, also if the message is empty or in another encoding."""
    tree = hub.git("rev-parse", "main^{tree}")
    for name, message in (("a", b"\n\n  One\nTwo\n"), ("b", b""), ("c", b"caf\xe9\n")):
        process = subprocess.run(
            ["git", "-c", "i18n.commitEncoding=latin1", "commit-tree", tree],
            cwd=hub.top,
            env=hub.environ,
            input=message,
            capture_output=True,
            check=True,
        )
        hub.git("update-ref", f"refs/heads/hub/{name}", process.stdout.decode().strip())
    subjects = [branch.subject for branch in open_repository(hub).branches("refs/heads/hub/")]
    assert subjects == ["One", "", "café"]


@pytest.mark.parametrize("seed", range(8))
def test_unreachable_commits(hub: Hub, seed: int) -> None:
    """The result is that of `git rev-list --not --all`, without ancestors of other results."""
    rng = random.Random(seed)
    tree = hub.git("rev-parse", "main^{tree}")
    commits = [hub.git("rev-parse", "main")]
    for number in range(20):
        parents = rng.sample(commits, k=min(len(commits), rng.choice((1, 2))))
        parent_options = [option for parent in parents for option in ("-p", parent)]
        commits.append(hub.git("commit-tree", "-m", f"c{number}", *parent_options, tree))
    hub.git("update-ref", "refs/heads/main", rng.choice(commits))
    candidates = rng.sample(commits, k=6)
    unreferenced = set(hub.git("rev-list", *candidates, "--not", "--all").splitlines()) & set(
        candidates
    )
    expected = (
        set(hub.git("merge-base", "--independent", *unreferenced).split())
        if unreferenced
        else set()
    )
    unreachable = open_repository(hub).unreachable([*candidates, "1" * 40, *candidates])
    assert set(unreachable) == expected
    assert unreachable == [oid for oid in candidates if oid in expected]


def test_unreachable_tags_and_blobs(hub: Hub) -> None:
    """A tag object or a blob needs its own ref. The ref of a tag also keeps the tagged commit."""
    tree = hub.git("rev-parse", "main^{tree}")
    unreferenced = hub.git("commit-tree", "-m", "lost", tree)
    for name, oid in (("new", unreferenced), ("old", "main"), ("kept", "main")):
        hub.git("tag", "-a", "-m", name, name, oid)
    tags = [hub.git("rev-parse", name) for name in ("new", "old", "kept")]
    hub.git("tag", "-d", "new", "old")
    blob = hub.git("rev-parse", "main:file")
    unreachable = open_repository(hub).unreachable(
        [unreferenced, *tags, blob, tree, hub.git("rev-parse", "main")]
    )
    assert unreachable == [*tags[:2], blob]
    for oid in unreachable:
        hub.git("update-ref", f"refs/hub/rescue/s1/{oid}", oid)
    assert open_repository(hub).unreachable([unreferenced, *tags, blob]) == []


def test_missing_objects(hub: Hub) -> None:
    """All methods raise the same error."""
    commit = hub.commit(hub.top, "sub/other", "third\n")
    missing = hub.git("rev-parse", "main:sub"), hub.git("rev-parse", "main~")
    tree = hub.git("rev-parse", "main^{tree}")
    merge = hub.git("commit-tree", "-m", "m", "-p", missing[1], "-p", commit, tree)
    hub.git("update-ref", "refs/stash", merge)
    for oid in missing:
        (hub.top / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    repo = open_repository(hub)
    calls: list[Callable[[], object]] = [
        lambda: repo.tree_entries(commit),
        lambda: repo.find_stash("refs/stash"),
        lambda: repo.unreachable([commit]),
        lambda: repo.ahead_behind(commit, missing[1]),
        lambda: repo.diff_stat(commit, missing[1]),
        lambda: repo.commit_parents([commit], []),
        lambda: repo.read_blob(bytes.fromhex(missing[0])),
    ]
    for call in calls:
        with pytest.raises(CannotReadRepository) as caught:
            call()
        assert caught.value.hint.startswith("git fsck\n")
    assert repo.tree_id(commit).hex() == tree


def test_a_stash_of_git(hub: Hub) -> None:
    (hub.top / "file").write_text("staged\n")
    hub.git("add", "file")
    (hub.top / "file").write_text("changed\n")
    (hub.top / "new").write_text("new\n")
    hub.git("stash", "-u")
    repo = open_repository(hub)
    names = ("stash^1", "stash^2^{tree}", "stash^{tree}", "stash^3^{tree}")
    expected = tuple(hub.git("rev-parse", name) for name in names)
    assert repo.find_stash("refs/stash") == expected
    assert repo.find_stash("refs/heads/main") == ()
    assert repo.find_stash("refs/heads/none") == ()


def test_trees_with_names_that_are_not_utf_8(hub: Hub) -> None:
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
        fields, _, path = line.partition("\t")
        mode, _, oid = fields.split(" ")
        expected[os.fsencode(path)] = (int(mode, 8), bytes.fromhex(oid))
    commit = hub.git("rev-parse", "HEAD")
    assert open_repository(hub).tree_entries(commit) == expected
    assert open_repository(hub).tree_entries("1" * 40) == {}


def test_changed_directories_and_added_paths(hub: Hub) -> None:
    """The results are those of git, also if a file and a directory replace each other."""
    for path in ("same/deep/file", "changed/deep/file", "removed/file", "file-to-directory"):
        hub.commit(hub.top, path, "old\n")
    old = hub.commit(hub.top, "directory-to-file/file", "old\n")
    hub.git("rm", "-q", "-r", "removed", "file-to-directory", "directory-to-file")
    for path in ("changed/deep/file", "new/file", "file-to-directory/file", "directory-to-file"):
        hub.commit(hub.top, path, "new\n")
    (hub.top / "same" / "deep" / "file").chmod(0o755)
    with open(os.path.join(os.fsencode(hub.top), b"new", b"\xff\n"), "wb") as file:
        file.write(b"odd\n")
    submodule = f"160000,{old},submodule"
    hub.git("update-index", "--add", "--cacheinfo", submodule)
    hub.git("add", "new", "same")
    hub.git("commit", "-q", "-m", "new")
    new = hub.git("rev-parse", "HEAD")
    repo = open_repository(hub)
    for pair in ((old, new), (new, old), (old, old)):
        raw = hub.git("diff-tree", "-r", "-t", "-z", "--raw", "--no-renames", *pair)
        fields = [os.fsencode(field) for field in raw.split("\0")[:-1]]
        changes = list(zip(fields[::2], fields[1::2], strict=True))
        # A change is ":<old mode> <new mode> <old id> <new id> <kind>".
        directories = {path for change, path in changes if b"040000" in change[:14]}
        added = {path for change, path in changes if change.endswith(b" A")}
        trees = {path for change, path in changes if change[8:14] == b"040000"}
        assert {*repo.paths_added(*pair)} == added - trees
        tops = {b""} if changes else set()
        assert repo.changed_directories(*pair) == {path + b"/" for path in directories} | tops


def test_diff_stat(hub: Hub) -> None:
    old = hub.git("rev-parse", "main")
    new = hub.commit(hub.top, "file", "first\nsecond\n")
    assert open_repository(hub).diff_stat(new, old) == DiffStat(1, 1, 0)
    assert open_repository(hub).diff_stat(old, new) == DiffStat(0, 0, 0)


def test_blob_ids(hub: Hub) -> None:
    for data in (b"", b"text\n", bytes(range(256))):
        (hub.top / "data").write_bytes(data)
        assert GitRepo.blob_id(data).hex() == hub.git("hash-object", "data")


def test_global_ignore_files(hub: Hub) -> None:
    (hub.top / ".git" / "info").mkdir(exist_ok=True)
    (hub.top / ".git" / "info" / "exclude").write_text("mine\n")
    (hub.top.parent / "excludes").write_text("*.log\n")
    hub.git("config", "core.excludesFile", hub.top.parent / "excludes")
    git_dir = str(hub.top / ".git")
    top = str(hub.top)
    assert open_repository(hub).ignore_rules(git_dir, top) == ([b"*.log\n", b"mine\n"], False)
    hub.git("config", "core.ignoreCase", "true")
    hub.git("config", "core.excludesFile", "/nonexistent")
    assert open_repository(hub).ignore_rules(git_dir, top) == ([b"", b"mine\n"], True)


def test_settings_in_the_order_of_their_files(hub: Hub) -> None:
    hub.git("config", "--global", "hubsession.keepIgnored", "*.db")
    hub.git("config", "hubSession.keepIgnored", "*.env")
    hub.git("config", "hubsessions.other", "x")
    # Start a new process, because libgit2 reads the path of the home directory only once.
    program = (
        "import os; from git_hub_session.git.repository import GitRepo\n"
        f"print(GitRepo({str(hub.top / '.git')!r}, os.environ).config_values('hubsession.keepIgnored'))"
    )
    assert hub.call(PYTHON, "-c", program, cwd=CHECKOUT) == Result(0, "['*.db', '*.env']\n")


def test_an_unknown_repository_extension(hub: Hub, tmp_path: Path) -> None:
    hub.git("config", "core.repositoryFormatVersion", "1")
    hub.git("config", "extensions.fromTheFuture", "true")
    with pytest.raises(CannotOpenRepository) as caught:
        open_repository(hub)
    assert caught.value.message.endswith(": unsupported extension name extensions.fromthefuture")
    assert caught.value.hint == (
        "use a newer pygit2, or a repository without that extension\n"
        "use 'list', 'update', 'log' and 'board', which need no libgit2"
    )


def test_import_without_certificates_keeps_the_environment(hub: Hub) -> None:
    program = (
        "import os; before = dict(os.environ)\n"
        "import git_hub_session.git.repository\n"
        "print(dict(os.environ) == before)"
    )
    for environ in ({}, {"SSL_CERT_FILE": "/nowhere", "SSL_CERT_DIR": "/nowhere"}):
        result = hub.call(PYTHON, "-c", program, cwd=CHECKOUT, environ=environ)
        assert result == Result(0, "True\n")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("ssl", "SSLContext"),
        ("tarfile", "TarInfo"),
        ("dataclasses", "field"),
        ("pathlib", "PurePath"),
        ("queue", "Empty"),
        ("threading", "Lock"),
        ("typing", "NamedTuple"),
        ("weakref", "WeakSet"),
    ],
)
def test_stubs_replace_modules_during_the_import(hub: Hub, module: str, name: str) -> None:
    """The stub is removed after the import. It gets missing attributes from the real module."""
    program = (
        "import sys; from git_hub_session.git.libgit2 import _LazyModuleStub\n"
        f"print('{module}' in sys.modules)\n"
        f"sys.modules['{module}'] = _LazyModuleStub('{module}')\n"
        f"from {module} import {name}\n"
        f"import {module}; print({module}.{name} is {name})"
    )
    result = hub.call(PYTHON, "-c", program, cwd=CHECKOUT)
    assert result == Result(0, "False\nTrue\n")


@_NEEDS_ENUMS
def test_only_the_enums_of_pygit2_are_plain_integers(hub: Hub) -> None:
    """Another module that is first imported by pygit2 must have real enums."""
    program = (
        "from git_hub_session.git import libgit2; import enum, signal, sys\n"
        "print({cls.__module__ for cls in libgit2._PlainInteger.__subclasses__()})\n"
        "print(type(signal.SIGINT).__mro__[1] is enum.IntEnum)\n"
        "from pygit2 import enums\n"
        "print(enums.ConfigLevel.LOCAL + 0, enums.SortMode(3))"
    )
    result = hub.call(PYTHON, "-I", "-S", "-c", f"import sys; sys.path[:] = {sys.path}\n{program}")
    assert result == Result(0, "{'pygit2.enums'}\nTrue\n5 3\n")


def test_only_pygit2_keeps_the_stubs(hub: Hub) -> None:
    """A module of Python that is first imported by pygit2 must not keep a stub."""
    program = (
        "from git_hub_session.git import libgit2; import sys\n"
        "for name, module in list(sys.modules.items()):\n"
        "    if not name.startswith(('pygit2', 'git_hub_session')):\n"
        "        for key, value in list(vars(module).items()):\n"
        "            where = getattr(value, '__module__', '')\n"
        "            if isinstance(value, libgit2._LazyModuleStub) or where == libgit2.__name__:\n"
        "                print(name, key)\n"
    )
    assert hub.call(PYTHON, "-c", program, cwd=CHECKOUT) == Result(0, "")


@_NEEDS_ENUMS
def test_pygit2_uses_real_modules_when_it_needs_them(hub: Hub) -> None:
    program = (
        "from git_hub_session.git import libgit2; import pygit2.filter, pygit2.repository\n"
        "print(pygit2.filter.weakref.WeakSet.__module__, 'typing' in libgit2.sys.modules)\n"
        "print(repr(pygit2.repository.Path('a', 'b').parent))\n"
        "import pathlib, typing\n"
        "print(pathlib.Path('/a b').as_uri(), typing.Optional[int])\n"
    )
    expected = "_weakrefset False\nPosixPath('a')\nfile:///a%20b typing.Optional[int]\n"
    assert hub.call(PYTHON, "-c", program, cwd=CHECKOUT) == Result(0, expected)


@_NEEDS_ENUMS
def test_modules_that_are_already_loaded_are_kept(hub: Hub) -> None:
    program = (
        "import dataclasses, ssl, sys, tarfile\n"
        "import git_hub_session.git.repository, pygit2\n"
        "print(sys.modules['ssl'] is ssl, sys.modules['tarfile'] is tarfile)\n"
        "print(dataclasses.is_dataclass(pygit2.index.MergeFileResult))"
    )
    result = hub.call(PYTHON, "-c", program, cwd=CHECKOUT)
    assert result == Result(0, "True True\nTrue\n")


@pytest.mark.parametrize(
    ("encoding", "stored", "shown"),
    [
        ("ISO-8859-1", b"caf\xe9", "café"),
        ("Shift_JIS", b"\x93\xfa\x96{", "日本"),
        ("UTF-8", b"caf\xe9", "caf�"),
        ("none-such", b"caf\xc3\xa9", "café"),
        ("punycode", b"-" * 50_000, "-" * 9_999),
        ("rot13", b"cafe", "cafe"),
        ("undefined", b"cafe", "cafe"),
        ("\udcff", b"cafe", "cafe"),
    ],
)
def test_encoding_of_a_commit(hub: Hub, encoding: str, stored: bytes, shown: str) -> None:
    """git shows a commit in the encoding that its header names. An unknown one is UTF-8."""
    headers, _, _ = hub.git("cat-file", "commit", "main").partition("\n\n")
    data = os.fsencode(f"{headers}\nencoding {encoding}\n\n") + stored + b"\n"
    command = ["git", "hash-object", "-t", "commit", "-w", "--stdin"]
    oid = subprocess.run(
        command, cwd=hub.top, env=hub.environ, input=data, capture_output=True, check=True
    ).stdout.decode()
    hub.git("update-ref", "refs/heads/encoded", oid.strip())
    assert open_repository(hub).branch("refs/heads/encoded").subject == shown
