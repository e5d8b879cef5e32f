"""Read a repository with libgit2: branches, commits, trees, diffs and settings.

Nothing here changes a repository: git's own commands do that (`command`). When libgit2 deletes a
ref, it writes back a packed-refs that it read before it took the lock. It loses refs that another
process packed in the meantime (libgit2#1534).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.git import diff as diffs
from git_hub_session.git.conflicts import has_conflicts
from git_hub_session.git.diff import DiffStat, diff_stat, file_patches, patch_text, summary_lines
from git_hub_session.git.libgit2 import (
    RecentTrees,
    constants,
    message_text,
    open_for_diffs,
    peel_to_commit,
    pygit2,
)
from git_hub_session.git.libgit2_config import (
    FileSettings,
    IgnoreSettings,
    Libgit2Config,
    has_worktree_settings,
)
from git_hub_session.git.ref_names import MIGRATE_REFTABLE_HINT, REFS, is_object_id
from git_hub_session.git.refs import all_refs, read_consistently
from git_hub_session.git.safe_open import MAX_BYTES, read_bytes

_LOOKUP_ERRORS = (pygit2.GitError, ValueError, KeyError, OSError)
_IGNORE_LIMIT = MAX_BYTES + 1  # `parse_ignore_file` rejects a file with more than MAX_BYTES


class CannotOpenRepository(HubError):
    """libgit2 cannot open the repository (SHA-256, reftable, or an unknown extension)."""

    code = "cannot-open"

    def __init__(self, common_dir: str, reason: str) -> None:
        hint = next((hint for phrase, hint in _OPEN_HINTS.items() if phrase in reason), "")
        super().__init__(
            f"libgit2 cannot open '{common_dir}': {reason.removeprefix(f'{common_dir}: ')}",
            hint=f"{hint}\nuse 'list', 'update', 'log' and 'board', which need no libgit2".lstrip(),
        )


_OPEN_HINTS = {
    "extensions.refstorage": MIGRATE_REFTABLE_HINT,
    "object format": "use a repository whose object format is SHA-1",
    "extensions.objectformat": "use a repository whose object format is SHA-1",  # libgit2 1.5
    "extensions.": "use a newer pygit2, or a repository without that extension",
}


class CannotReadRepository(HubError):
    """An object, a ref or a setting of the repository is missing or damaged."""

    code = "cannot-read"

    def __init__(self, reason: object) -> None:
        super().__init__(
            f"cannot read the repository: {reason}",
            hint="git fsck\nin a partial clone: git fetch --refetch --no-filter",
        )


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Turn the exceptions of pygit2 into CannotReadRepository."""
    try:
        yield
    except _LOOKUP_ERRORS as error:
        reason = str(error.args[0] if isinstance(error, KeyError) else error)
        is_object_id = " " not in reason
        raise CannotReadRepository(f"no object {reason}" if is_object_id else reason) from None


class Branch(NamedTuple):
    """A ref under refs/heads/ and the commit at its tip."""

    ref: str
    oid: str
    """The object id of the tip, or '' if the ref is broken or missing."""
    time: int
    """The commit time of the tip, in seconds since the epoch."""
    subject: str
    symbolic: bool


class GitRepo:
    """One repository, read-only."""

    def __init__(self, common_dir: str, environ: Mapping[str, str]) -> None:
        """Open the repository. Raise CannotOpenRepository if libgit2 does not support it.

        The caller has checked by git's rules that the owner of the repository is trusted. The
        check of libgit2 knows neither `git -c safe.directory=...` nor prefixes in that setting.

        Args:
            common_dir: the common dir of the repository.
            environ: the environment. It decides which configuration files git reads.
        """
        constants.option(constants.GIT_OPT_SET_OWNER_VALIDATION, False)
        self._config = Libgit2Config(environ)
        try:
            self._repo = pygit2.Repository(common_dir)
        except pygit2.GitError as error:
            raise CannotOpenRepository(common_dir, str(error)) from None
        self._recent_trees = RecentTrees(self._repo)
        self._trees: dict[bytes, dict[bytes, tuple[int, bytes]]] = {}
        self._conflicts: dict[tuple[str, str], bool] = {}
        self._ignore_settings: dict[str, IgnoreSettings | None] = {}
        self._diff_stats: dict[tuple[str, str], DiffStat] = {}

    # --- Refs -------------------------------------------------------------------------------------

    @_translate_errors()
    def branches(self, prefix: str) -> list[Branch]:
        """Return the refs that start with `prefix`, sorted. A broken ref has no object id."""
        return [self.branch(ref) for ref in self.refs(prefix)]

    @_translate_errors()
    def refs(self, *prefixes: str) -> list[str]:
        """Return the full names of the refs that start with one of the prefixes, sorted."""
        return sorted(all_refs(self._repo.path, self._repo.raw_listall_references, prefixes))

    def branch(self, ref: str) -> Branch:
        """Return the commit that the full ref `ref` leads to. A broken ref has no object id."""
        symbolic = False
        try:
            reference = self._repo.lookup_reference(ref)
            symbolic = isinstance(reference.target, str)
            commit = reference.peel(pygit2.Commit)
        except _LOOKUP_ERRORS:
            return Branch(ref, "", 0, "", symbolic)
        lines = message_text(commit).strip().splitlines()
        return Branch(ref, str(commit.id), commit.commit_time, lines[0] if lines else "", symbolic)

    def tip(self, ref: str) -> str:
        """Return the object id of the commit that `ref` leads to, or ''."""
        return self.branch(ref).oid

    def find_ref_target(self, ref: str) -> str:
        """Return the object id in `ref`, the name of another ref if it is symbolic, or ''.

        For an annotated tag, that is the id of the tag object, and not of its commit.
        """
        try:
            return str(self._repo.lookup_reference(ref).target)
        except _LOOKUP_ERRORS:
            return ""

    @_translate_errors()
    def find_stash(self, ref: str) -> tuple[str, ...]:
        """Return the base commit of the stash at `ref` (or an object id), and its trees I, W and U.

        I is the tree of the index, W of the tracked files, and U of the untracked files, or ''. The
        result is () if the commit is not a stash. A merge can have as many parents, but its second
        parent does not have the message that git gives to a commit of the index.
        """
        tip = ref if is_object_id(ref) else self.tip(ref)
        parents = self._repo[tip].peel(pygit2.Commit).parents if tip else []
        if len(parents) not in (2, 3) or not parents[1].raw_message.startswith(b"index on "):
            return ()
        trees = [str(parent.peel(pygit2.Tree).id) for parent in parents[1:]]
        worktree = str(self._repo[tip].peel(pygit2.Tree).id)
        return (str(parents[0].id), trees[0], worktree, trees[1] if len(trees) > 1 else "")

    # --- Commits ----------------------------------------------------------------------------------

    def has_commit(self, oid: str) -> bool:
        """Return True if the commit with the object id `oid` exists."""
        return isinstance(self._find(oid), pygit2.Commit)

    def has_object(self, oid: str) -> bool:
        """Return True if an object with the object id `oid` exists and can be read."""
        return self._find(oid) is not None

    @_translate_errors()
    def commit_message(self, ref: str) -> str:
        """Return the message of the commit that `ref` leads to, without line feeds at its end."""
        message = self._repo[self.tip(ref)].peel(pygit2.Commit).raw_message
        return message.decode("utf-8", "surrogateescape").rstrip("\n")

    @_translate_errors()
    def commit_data(self, oid: str) -> bytes:
        """Return the bytes of the commit with the object id `oid`, with its headers."""
        return self._repo[oid].peel(pygit2.Commit).read_raw()

    @_translate_errors()
    def ahead_behind(self, tip: str, base: str) -> tuple[int, int]:
        """Count the commits that only `tip` contains, and those that only `base` contains.

        Walk the commits, as git does. The count of libgit2 is sometimes wrong after merges
        (docs/decisions.md).
        """
        return len(self.commit_parents([tip], [base])), len(self.commit_parents([base], [tip]))

    @_translate_errors()
    def is_ancestor(self, tip: str, commit: str) -> bool:
        """Return True if `commit` is an ancestor of `tip`, or `tip` itself. `tip` can be ''."""
        if not tip or not self.has_commit(commit):
            return False
        if tip == commit:
            return True
        return self._repo.descendant_of(pygit2.Oid(hex=tip), pygit2.Oid(hex=commit))

    @_translate_errors()
    def find_merge_base(self, commit: str, other: str) -> str:
        """Return the best common ancestor of two commits, or ''."""
        oid = self._repo.merge_base(pygit2.Oid(hex=commit), pygit2.Oid(hex=other))
        return str(oid) if oid else ""

    @_translate_errors()
    def commit_parents(self, tips: Iterable[str], hidden: Iterable[str]) -> dict[str, list[str]]:
        """Return the commits that a tip reaches and no hidden commit reaches, with their parents.

        One walk answers for all tips. A parent that is not a key is reachable from a hidden commit.
        """
        walker = self._repo.walk(None)
        for oid in tips:
            walker.push(pygit2.Oid(hex=oid))
        for oid in hidden:
            walker.hide(pygit2.Oid(hex=oid))
        return {str(commit.id): [str(oid) for oid in commit.parent_ids] for commit in walker}

    @_translate_errors()
    def unreachable(self, oids: Iterable[str]) -> list[str]:
        """Return the objects that neither a ref nor another of the objects reaches.

        The ids may be abbreviated. A tag object or a blob is reachable only if a ref points to it.
        Trees are left out, because they contain no work: git's merges leave one behind (AUTO_MERGE).
        """
        objects = {str(obj.id): obj for obj in map(self._find, oids) if obj is not None}
        commits = [oid for oid, obj in objects.items() if isinstance(obj, pygit2.Commit)]
        others = self._without_ref(objects)
        reached = {peel_to_commit(objects[oid]) for oid in others} - {""}
        starts = [*commits, *reached]
        parents = self.commit_parents(starts, self._tips()) if starts else {}
        reached.update(*parents.values())
        # The walk starts at the objects, so each parent in it is reached by another of the objects.
        unreachable = others | (parents.keys() - reached)
        return [oid for oid in objects if oid in unreachable]

    def _without_ref(self, objects: Mapping[str, pygit2.Object | None]) -> set[str]:
        """Return the ids of the tag objects and blobs to which no ref points."""
        kinds = pygit2.Tag | pygit2.Blob
        oids = {oid for oid, obj in objects.items() if isinstance(obj, kinds)}
        if oids:
            oids -= {self.find_ref_target(ref) for ref in self.refs(REFS)}
        return oids

    def _tips(self) -> set[str]:
        """Return the commits that refs lead to.

        Look up only symbolic refs by name: a repository can have 100,000 refs.
        """
        targets = read_consistently(self._repo.path, self._ref_targets)
        tips = {
            self.tip(target) if isinstance(target, str) else peel_to_commit(self._find(str(target)))
            for target in targets
        }
        return tips - {""}

    def _ref_targets(self) -> set[str | pygit2.Oid]:
        references = {ref.raw_name: ref.target for ref in self._repo.references.objects}
        names = all_refs(self._repo.path, lambda: references, (REFS,))
        return {*references.values(), *names.difference(map(os.fsdecode, references))}

    def _find(self, oid: str) -> pygit2.Object | None:
        try:
            return self._repo[oid]
        except (KeyError, ValueError, pygit2.GitError) as error:
            if "ambiguous" in str(error):
                raise HubError(f"ambiguous object id: '{oid}'") from None
            return None

    # --- Diffs ------------------------------------------------------------------------------------

    @_translate_errors()
    def diff_stat(self, tip: str, base: str) -> DiffStat:
        """Count the changes from the merge base of `tip` and `base` to `tip`.

        Without a merge base, count all files of `tip` as new.
        """
        if (tip, base) not in self._diff_stats:  # `watch` asks again and again
            self._diff_stats[tip, base] = diff_stat(self._diff(tip, base))
        return self._diff_stats[tip, base]

    @_translate_errors()
    def diff_summary(
        self, commit: str, tree: str, objects: str
    ) -> tuple[DiffStat, tuple[str, ...]]:
        """Return the counts and the lines of `git diff --stat --summary <commit> <tree>`.

        Args:
            objects: a further directory with the objects of the tree, or ''.
        """
        repo = open_for_diffs(self._repo, objects) if objects else self._repo_for_diffs
        diff = repo[commit].peel(pygit2.Tree).diff_to_tree(repo[tree].peel(pygit2.Tree))
        stat = diff_stat(diff)  # before the search for renames
        return stat, summary_lines(diff)

    @_translate_errors()
    def diff_text(self, tip: str, base: str, limit: int) -> tuple[str, bool]:
        """Return at most `limit` bytes of the diff, and True if the diff is longer."""
        return patch_text(self._diff(tip, base), limit)

    @_translate_errors()
    def changed_paths(self, tip: str, base: str) -> set[bytes]:
        """Return the paths of the files that differ between the merge base of both and `tip`."""
        return diffs.paths_changed(self._diff(tip, base))

    @_translate_errors()
    def changed_directories(self, old: str, new: str) -> set[bytes]:
        """Return the directories in which two commits differ, as diff.changed_directories()."""
        return diffs.changed_directories(self._recent_trees, *map(self.tree_id, (old, new)))

    @_translate_errors()
    def patches(self, tip: str, base: str) -> dict[bytes, bytes]:
        """Return the diff of each file that differs between the merge base of both and `tip`."""
        return file_patches(self._diff(tip, base))

    def _diff(self, tip: str, base: str) -> pygit2.Diff:
        repo = self._repo_for_diffs
        trees = self._recent_trees if repo is self._repo else RecentTrees(repo)
        return diffs.diff_since_merge_base(trees, tip, base)

    @_translate_errors()
    def has_conflicts(self, tip: str, base: str) -> bool:
        """Return True if the two commits cannot be merged without conflicts (see conflicts.py)."""
        if (tip, base) not in self._conflicts:
            self._conflicts[tip, base] = has_conflicts(self._repo_for_diffs, base, tip)
        return self._conflicts[tip, base]

    @cached_property
    def _repo_for_diffs(self) -> pygit2.Repository:
        return open_for_diffs(self._repo)

    # --- Trees and blobs --------------------------------------------------------------------------

    @_translate_errors()
    def tree_id(self, commit: str) -> bytes:
        """Return the 20 bytes of the id of a commit's tree, or b'' if there is no such commit.

        `commit` can also be the id of a tree.
        """
        obj = self._find(commit)
        if isinstance(obj, pygit2.Tree):
            return obj.id.raw
        return obj.tree_id.raw if isinstance(obj, pygit2.Commit) else b""

    @_translate_errors()
    def find_entries(self, commit: str, paths: Iterable[bytes]) -> dict[bytes, tuple[int, bytes]]:
        """Return the files of a commit that exist among `paths`, as tree_entries()."""
        return diffs.find_entries(self._recent_trees.get(commit), paths)

    @_translate_errors()
    def tree_entries(self, commit: str) -> dict[bytes, tuple[int, bytes]]:
        """Return all files of a commit or tree: {path: (mode, 20 bytes of the object id)}."""
        tree = self.tree_id(commit)
        if not tree:
            return {}
        if tree not in self._trees:
            self._trees[tree] = diffs.flatten_tree(self._repo[tree.hex()].peel(pygit2.Tree))
        return self._trees[tree]

    @_translate_errors()
    def read_small_files(self, commit: str, **limits: int) -> dict[str, bytes] | None:
        """Return the files of a hostile commit, or None, as diff.read_small_files()."""
        tree = self._repo[commit].peel(pygit2.Tree)
        return diffs.read_small_files(self._repo, tree, **limits)

    @_translate_errors()
    def paths_added(self, old: str, new: str) -> list[bytes]:
        """Return the paths of the files that the commit `new` has and the commit `old` has not."""
        return diffs.paths_added(self._recent_trees, *map(self.tree_id, (old, new)))

    @staticmethod
    def blob_id(data: bytes) -> bytes:
        """Return the 20 bytes of the object id that `data` has as a blob."""
        return pygit2.hash(data).raw

    @_translate_errors()
    def read_blob(self, oid: bytes) -> bytes:
        """Return the contents of the blob with the object id `oid` (20 bytes)."""
        return self._repo[oid.hex()].peel(pygit2.Blob).data

    # --- Settings ---------------------------------------------------------------------------------

    @cached_property
    @_translate_errors()
    def reads_all_config(self) -> bool:
        """True if `config_values` knows every setting that git reads."""
        return self._config.reads_all(self._repo.config)

    @_translate_errors()
    def config_values(self, name: str) -> list[str]:
        """Return all values of the setting `name`. The last one has the highest priority."""
        return self._config.values(self._repo.config, name)

    @_translate_errors()
    def ignore_rules(self, git_dir: str, top: str) -> tuple[list[bytes], bool]:
        """Return the texts of core.excludesFile and info/exclude, and the value of core.ignoreCase.

        The settings are those of the worktree at `top` with the git dir `git_dir`. If git reads a
        file that libgit2 does not read, core.excludesFile is empty: more ignored files are saved.
        """
        exclude = read_bytes(f"{self._repo.path}info/exclude", limit=_IGNORE_LIMIT)
        owner = git_dir if self._has_worktree_settings else self._repo.path
        if owner not in self._ignore_settings:  # the cache saves 40 ms for 200 worktrees
            repo = pygit2.Repository(owner)
            self._ignore_settings[owner] = self._config.ignore_settings(repo.config)
        settings = self._ignore_settings[owner]
        if settings is None:
            return [b"", exclude], False
        excludes_file = os.path.join(top, os.path.expanduser(settings.excludes_file))
        return [read_bytes(excludes_file, limit=_IGNORE_LIMIT), exclude], settings.ignore_case

    @_translate_errors()
    def file_settings(self, git_dir: str) -> FileSettings:
        """Return the settings for the files of the worktree with the git dir `git_dir`."""
        return FileSettings(pygit2.Repository(git_dir), self._config)

    @cached_property
    def _has_worktree_settings(self) -> bool:
        return has_worktree_settings(self._repo.config)
