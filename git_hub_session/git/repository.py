"""The repository as libgit2 sees it; the only module that uses pygit2. It only looks.

What changes a repository goes through git's plumbing (gitcommand): libgit2 deletes refs
by writing back a packed-refs that it read before it took the lock, and so loses refs that
others packed meanwhile (libgit2#1534).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.git.config import config_from_environment, is_true
from git_hub_session.git.libgit2 import (
    ConfigLevel,
    DiffStatsFormat,
    SortMode,
    open_without_index,
    pygit2,
)
from git_hub_session.git.ref_names import MIGRATE_REFTABLE_HINT, REFS
from git_hub_session.git.refs import read_consistently
from git_hub_session.git.safe_open import read_bytes
from git_hub_session.util.text import escape_control


class CannotOpenRepository(HubError):
    """libgit2 does not open the repository (SHA-256, reftable, an extension it does not know)."""

    code = "cannot-open"


class CannotReadRepository(HubError):
    """Something that the repository should hold is missing or broken."""

    code = "cannot-read"

    def __init__(self, what: object) -> None:
        super().__init__(
            f"cannot read the repository: {what}",
            hint="git fsck\nin a partial clone: git fetch --refetch --no-filter",
        )


@contextmanager
def _translate_errors() -> Iterator[None]:
    """What libgit2 raises becomes CannotRead."""
    try:
        yield
    except (pygit2.GitError, KeyError, ValueError, OSError) as fault:
        told = str(fault.args[0] if isinstance(fault, KeyError) else fault)
        raise CannotReadRepository(told if " " in told else f"no object {told}") from None


class Branch(NamedTuple):
    """A ref under refs/heads/ and the commit at its tip; `oid` is '' where there is none."""

    ref: str
    oid: str
    time: int
    """When the tip was committed, seconds since the epoch."""
    subject: str
    symbolic: bool


class DiffStat(NamedTuple):
    """What changed between two commits: files, lines added, lines deleted."""

    files: int
    insertions: int
    deletions: int


_COLUMNS = 72


class GitRepo:
    """One repository, open for looking."""

    def __init__(self, common_dir: str, environ: Mapping[str, str]) -> None:
        """Open the repository at `common_dir`; raises CannotOpen.

        `environ` says which configuration git would read.

        Whose it is was decided before, by git's rules (discovery, context): libgit2's own
        check knows neither `git -c safe.directory=…` nor prefixes.
        """
        pygit2.settings.owner_validation = False
        self._environ = environ
        self._settings = config_from_environment(environ)
        self._unread = _match_git_config_scope(environ)
        try:
            self._repo = pygit2.Repository(common_dir)
        except pygit2.GitError as fault:
            raise _cannot_open(common_dir, str(fault)) from None
        self._trees: dict[bytes, dict[bytes, tuple[int, bytes]]] = {}
        self._ignore_settings: dict[str, tuple[str, bool] | None] = {}

    @_translate_errors()
    def branches(self, prefix: str) -> list[Branch]:
        """Every ref that starts with `prefix`, by name; a broken one has no oid."""
        return [self.branch(ref) for ref in self.refs(prefix)]

    @_translate_errors()
    def refs(self, prefix: str) -> list[str]:
        """The names of the refs that start with `prefix`, sorted."""
        wanted = os.fsencode(prefix)
        names = read_consistently(self._repo.path, self._repo.raw_listall_references)
        return sorted(os.fsdecode(name) for name in names if name.startswith(wanted))

    def branch(self, ref: str) -> Branch:
        """Return what the full ref `ref` leads to; a broken or missing ref has no oid."""
        symbolic = False
        try:
            reference = self._repo.lookup_reference(ref)
            symbolic = isinstance(reference.target, str)
            commit = reference.peel(pygit2.Commit)
        except (pygit2.GitError, ValueError, KeyError, OSError):
            return Branch(ref, "", 0, "", symbolic)
        lines = commit.raw_message.decode("utf-8", "replace").strip().splitlines()
        return Branch(ref, str(commit.id), commit.commit_time, lines[0] if lines else "", symbolic)

    def tip(self, ref: str) -> str:
        """The object id of the commit that `ref` leads to, or ''."""
        return self.branch(ref).oid

    def has_commit(self, oid: str) -> bool:
        """Whether `oid` is the object id of a commit that is there."""
        return isinstance(self._find(oid), pygit2.Commit)

    def has_object(self, oid: str) -> bool:
        """Whether `oid` is the object id of anything that is there."""
        return self._find(oid) is not None

    def find_ref_target(self, ref: str) -> str:
        """What `ref` itself holds: an object id (a tag object's, not its commit's), or, if it is
        symbolic, another ref's name; '' where it is not there."""
        try:
            return str(self._repo.lookup_reference(ref).target)
        except (pygit2.GitError, ValueError, KeyError, OSError):
            return ""

    @_translate_errors()
    def find_stash(self, ref: str) -> tuple[str, ...]:
        """What the stash at `ref` keeps: its HEAD commit, then the trees of I, W and U ('' if none).

        () where it is none: not every commit with two parents is a stash.
        """
        tip = self.tip(ref)
        parents = self._repo[tip].peel(pygit2.Commit).parents if tip else []
        if len(parents) not in (2, 3) or not parents[1].raw_message.startswith(b"index on "):
            return ()
        trees = [str(parent.peel(pygit2.Tree).id) for parent in parents[1:]]
        worktree = str(self._repo[tip].peel(pygit2.Tree).id)
        return (str(parents[0].id), trees[0], worktree, trees[1] if len(trees) > 1 else "")

    @_translate_errors()
    def commit_message(self, ref: str) -> str:
        """The message of the commit that `ref` leads to, without line feeds at its end."""
        message = self._repo[self.tip(ref)].peel(pygit2.Commit).raw_message
        return message.decode("utf-8", "surrogateescape").rstrip("\n")

    @_translate_errors()
    def ahead_behind(self, tip: str, base: str) -> tuple[int, int]:
        """How many commits `tip` has that `base` has not, and the other way round.

        By walking, as git counts: libgit2's own count is now and then wrong after merges
        (docs/decisions.md).
        """
        return len(self.commit_parents([tip], [base])), len(self.commit_parents([base], [tip]))

    @_translate_errors()
    def is_ancestor(self, tip: str, commit: str) -> bool:
        """Whether the commit `tip` ('': none) is, or descends from, the commit of object id `commit`."""
        return (
            bool(tip)
            and self.has_commit(commit)
            and (
                tip == commit
                or self._repo.descendant_of(pygit2.Oid(hex=tip), pygit2.Oid(hex=commit))
            )
        )

    @_translate_errors()
    def diff_stat(self, tip: str, base: str) -> DiffStat:
        """What `tip` changed since it left `base`; from nothing where they share no history."""
        return _diff_stat(self._diff(tip, base))

    @_translate_errors()
    def diff_summary(self, tip: str, base: str) -> tuple[DiffStat, tuple[str, ...]]:
        """The same, and file by file, with what was renamed: the lines of `git diff --stat --summary`.

        Where a name is no plain text they are simpler: libgit2 writes out what is in it, line feeds too.
        """
        diff = self._diff(tip, base)
        stat = _diff_stat(diff)
        diff.find_similar()
        shape = DiffStatsFormat.FULL | DiffStatsFormat.INCLUDE_SUMMARY
        names = {one.raw_path for delta in diff.deltas for one in (delta.old_file, delta.new_file)}
        if all(escape_control(name) == name for name in map(os.fsdecode, names)):
            return stat, tuple(diff.stats.format(shape, _COLUMNS).split("\n")[:-1])
        total = diff.stats.format(DiffStatsFormat.SHORT, _COLUMNS).rstrip("\n")
        return stat, (*(_format_patch(patch) for patch in diff if patch), total)

    def _diff(self, tip: str, base: str) -> pygit2.Diff:
        repo = self._repo_without_index
        fork = repo.merge_base(pygit2.Oid(hex=tip), pygit2.Oid(hex=base))
        new = repo[tip].peel(pygit2.Tree)
        if fork is None:
            return new.diff_to_tree(swap=True)
        return repo[fork].peel(pygit2.Tree).diff_to_tree(new)

    @cached_property
    def _repo_without_index(self) -> pygit2.Repository:
        """The repository, to compare trees: libgit2 then reads its index for attributes, and does not
        know every form of one (split, sparse). In its place it is shown a worktree that has none."""
        try:
            _ = self._repo.index
        except pygit2.GitError:
            return open_without_index(self._repo)
        return self._repo

    @_translate_errors()
    def commit_parents(self, tips: Iterable[str], hidden: Iterable[str]) -> dict[str, list[str]]:
        """Return the commits that a tip reaches and no hidden commit reaches, with their parents.

        One walk answers for all tips. A parent that is not a key is reachable from a hidden commit.
        """
        walker = self._repo.walk(None, SortMode.NONE)
        for oid in tips:
            walker.push(pygit2.Oid(hex=oid))
        for oid in hidden:
            walker.hide(pygit2.Oid(hex=oid))
        return {str(commit.id): [str(oid) for oid in commit.parent_ids] for commit in walker}

    def _find(self, oid: str) -> pygit2.Object | None:
        try:
            return self._repo[oid]
        except (KeyError, ValueError):
            return None

    @_translate_errors()
    def unreachable(self, oids: Iterable[str]) -> list[str]:
        """Those of the objects that no ref leads to and no other of them contains.

        A tag or a file is reached only by a ref that holds it itself: no tree is searched. A
        bare tree is nobody's work: git's merges leave one behind (AUTO_MERGE).
        """
        found = {oid: self._find(oid) for oid in oids}
        starts = [oid for oid, one in found.items() if isinstance(one, pygit2.Commit)]
        others = {oid for oid, one in found.items() if isinstance(one, pygit2.Tag | pygit2.Blob)}
        if others:
            others -= {self.find_ref_target(ref) for ref in self.refs(REFS)}
        contained = {self._peel_tag(found[oid]) for oid in others} - {""}
        starts += contained
        if not starts:
            return [oid for oid in found if oid in others]
        walker = self._repo.walk(None, SortMode.TOPOLOGICAL)
        for oid in starts:
            walker.push(pygit2.Oid(hex=oid))
        for tip in self._tips():
            walker.hide(pygit2.Oid(hex=tip))
        lost: set[str] = set()
        for commit in walker:
            lost.add(str(commit.id))
            contained.update(str(parent) for parent in commit.parent_ids)
        # Every lost commit was reached from one of the wanted: what is a parent is contained in one.
        needed = others | (lost - contained)
        return [oid for oid in found if oid in needed]

    def _tips(self) -> set[str]:
        """The commits that refs lead to. There may be 100,000 refs: none is looked up by its name."""
        look = lambda: {ref.target for ref in self._repo.references.iterator()}
        targets = read_consistently(self._repo.path, look)
        tips = {
            self.tip(target)
            if isinstance(target, str)
            else self._peel_to_commit(self._find(str(target)))
            for target in targets
        }
        return tips - {""}

    @staticmethod
    def _peel_to_commit(found: pygit2.Object | None) -> str:
        """The commit that an object is, or is a tag of, or ''."""
        try:
            return str(found.peel(pygit2.Commit).id) if found is not None else ""
        except (pygit2.GitError, ValueError):
            return ""

    def _peel_tag(self, found: pygit2.Object | None) -> str:
        """The commit that a tag leads to, or '' for anything else."""
        while isinstance(found, pygit2.Tag):
            found = self._repo[found.target]
            if isinstance(found, pygit2.Commit):
                return str(found.id)
        return ""

    @_translate_errors()
    def tree_id(self, commit: str) -> bytes:
        """The object id of a commit's tree (a tree's is its own), as 20 bytes; b'' where there is no such commit."""
        found = self._find(commit)
        if isinstance(found, pygit2.Tree):
            return found.id.raw
        return found.tree_id.raw if isinstance(found, pygit2.Commit) else b""

    @_translate_errors()
    def tree_entries(self, commit: str) -> dict[bytes, tuple[int, bytes]]:
        """Every file of a commit's tree, or of a tree: {path: (mode, object id as 20 bytes)}."""
        tree = self.tree_id(commit)
        if not tree:
            return {}
        if tree not in self._trees:
            self._trees[tree] = self._flatten_tree(tree)
        return self._trees[tree]

    def _flatten_tree(self, tree: bytes) -> dict[bytes, tuple[int, bytes]]:
        # By raw_name: pygit2's Index has only names that are UTF-8.
        entries: dict[bytes, tuple[int, bytes]] = {}
        trees = [(b"", self._repo[tree.hex()].peel(pygit2.Tree))]
        while trees:
            prefix, parent = trees.pop()
            for entry in parent:
                path = prefix + (entry.raw_name or b"")
                if isinstance(entry, pygit2.Tree):
                    trees.append((path + b"/", entry))
                else:
                    entries[path] = (int(entry.filemode), entry.id.raw)
        return entries

    @_translate_errors()
    def paths_added(self, old: str, new: str) -> list[bytes]:
        """The paths of the files of the commit `new` at which the commit `old` has none."""
        found: list[bytes] = []
        pairs: list[tuple[bytes, pygit2.Tree | None, pygit2.Tree]] = [
            (b"", self._repo[old].peel(pygit2.Tree), self._repo[new].peel(pygit2.Tree))
        ]
        while pairs:
            prefix, before, after = pairs.pop()
            known = {entry.raw_name: entry for entry in before or ()}
            for entry in after:
                was, path = known.get(entry.raw_name), prefix + (entry.raw_name or b"")
                if isinstance(entry, pygit2.Tree):
                    if was is None or was.id != entry.id:
                        below = was if isinstance(was, pygit2.Tree) else None
                        pairs.append((path + b"/", below, entry))
                elif was is None or isinstance(was, pygit2.Tree):
                    found.append(path)
        return found

    @staticmethod
    def blob_id(data: bytes) -> bytes:
        """The object id, as 20 bytes, that `data` has as a blob."""
        return pygit2.hash(data).raw

    @_translate_errors()
    def read_blob(self, oid: bytes) -> bytes:
        """The bytes of the blob of that object id, 20 bytes."""
        return self._repo[oid.hex()].peel(pygit2.Blob).data

    @_translate_errors()
    def ignore_rules(self, git_dir: str, top: str) -> tuple[list[bytes], bool]:
        """Return the texts of core.excludesFile and info/exclude, and the value of core.ignoreCase.

        The settings are those of the worktree at `top` with the git dir `git_dir`. If git reads a
        file that libgit2 does not read, core.excludesFile counts as empty: that only saves more.
        """
        exclude = read_bytes(os.path.join(self._repo.path, "info", "exclude"))
        owner = git_dir if self._has_worktree_settings else self._repo.path
        if owner not in self._ignore_settings:  # read 200 worktrees in 40 ms less
            self._ignore_settings[owner] = self._read_ignore_settings(owner)
        settings = self._ignore_settings[owner]
        if settings is None:
            return [b"", exclude], False
        named, ignore_case = settings
        return [read_bytes(os.path.join(top, os.path.expanduser(named))), exclude], ignore_case

    def _read_ignore_settings(self, git_dir: str) -> tuple[str, bool] | None:
        config = pygit2.Repository(git_dir).config
        if self._unread or _has_unknown_include(config, self._settings):
            return None
        home = self._environ.get("XDG_CONFIG_HOME") or "~/.config"
        default = os.path.join(home, "git", "ignore")
        named = [default, *self._values(config, "core.excludesFile")][-1]
        folded = ["", *self._values(config, "core.ignoreCase")][-1]
        return named, is_true(folded)

    @cached_property
    def _has_worktree_settings(self) -> bool:
        """True if the settings of a worktree may differ from those of the repository."""
        prefixes = (b"extensions.worktreeconfig", b"includeif.")
        return any(name.startswith(prefixes) for name in _names(self._repo.config))

    @cached_property
    @_translate_errors()
    def reads_all_config(self) -> bool:
        """Whether git itself reads its configuration from nowhere else."""
        unknown = self._unread or bool(self._settings)
        return not unknown and not _has_unknown_include(self._repo.config, self._settings)

    @_translate_errors()
    def config_values(self, name: str) -> list[str]:
        """Every value for `name`, the one that counts last, where all settings are known; see Context.settings."""
        return self._values(self._repo.config, name)

    def _values(self, config: pygit2.Config, name: str) -> list[str]:
        try:
            values = ["true" if value is None else value for value in config.get_multivar(name)]
        except UnicodeDecodeError:
            raise HubError(f"the value of {name} is not UTF-8", hint=f"git config {name}") from None
        folded = name.lower()
        return [*values, self._settings[folded]] if folded in self._settings else values


# What libgit2 says of a repository that it does not read, and how one gets a repository that it does.
_WAYS_OUT = {
    "extensions.refstorage": MIGRATE_REFTABLE_HINT,
    "object format": "it takes a repository whose objects are named by SHA-1",
    "extensions.": "a newer pygit2, or a repository without that extension",
}


def _cannot_open(common_dir: str, told: str) -> CannotOpenRepository:
    way = next((way for word, way in _WAYS_OUT.items() if word in told), "")
    works = "'list', 'update', 'log' and 'board' work all the same"
    return CannotOpenRepository(
        f"libgit2 cannot open '{common_dir}': {told.removeprefix(f'{common_dir}: ')}",
        hint=f"{way}\n{works}".lstrip(),
    )


def _format_patch(patch: pygit2.Patch) -> str:
    """One file of a diff: `A name | 12`."""
    _, added, deleted = patch.line_stats
    name = escape_control(os.fsdecode(patch.delta.new_file.raw_path))
    return f" {patch.delta.status_char()} {name} | {added + deleted}"


def _diff_stat(diff: pygit2.Diff) -> DiffStat:
    """As git counts: a file that became a link is one file, though libgit2 has it deleted and added."""
    files = {delta.new_file.raw_path for delta in diff.deltas}
    stats = diff.stats
    return DiffStat(len(files), stats.insertions, stats.deletions)


def _match_git_config_scope(environ: Mapping[str, str]) -> bool:
    """Keep libgit2 from files that git does not read; whether git reads others in their place."""
    no_system = is_true(environ.get("GIT_CONFIG_NOSYSTEM"))
    other_system, other_global = ("GIT_CONFIG_" + name in environ for name in ("SYSTEM", "GLOBAL"))
    paths = pygit2.settings.search_path
    if no_system or other_system:
        paths[ConfigLevel.SYSTEM] = ""
    if other_global:
        paths[ConfigLevel.GLOBAL] = paths[ConfigLevel.XDG] = ""
    return other_global or (other_system and not no_system)


def _has_unknown_include(config: pygit2.Config, environment: Mapping[str, str]) -> bool:
    """Whether git reads a file that libgit2 does not: by another condition, or `git -c include.path`."""
    known = (b"includeif.gitdir:", b"includeif.gitdir/i:", b"includeif.onbranch:")
    return any(name.startswith(("include.", "includeif.")) for name in environment) or any(
        name.startswith(b"includeif.") and not name.startswith(known) for name in _names(config)
    )


def _names(config: pygit2.Config) -> Iterator[bytes]:
    entries = iter(config)
    while True:
        try:
            yield next(entries).raw_name
        except StopIteration:
            return
        except UnicodeDecodeError as fault:
            yield fault.object  # the name: an entry decodes nothing else
