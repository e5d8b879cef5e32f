"""The repository as libgit2 sees it; the only module that loads pygit2. It only looks.

What changes a repository goes through git's plumbing (gitcommand): libgit2 deletes refs
by writing back a packed-refs that it read before it took the lock, and so loses refs that
others packed meanwhile (libgit2#1534).
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from git_hub_session.errors import HubError
from git_hub_session.typed import NamedTuple

# pygit2 reads every CA certificate when it is imported (13 ms) and cannot be imported where
# there are none. Nothing here speaks TLS: it is shown an empty place for the while.
_TLS = {"SSL_CERT_FILE": "/nonexistent", "SSL_CERT_DIR": os.path.dirname(__file__)}
_before = {name: os.environ.get(name) for name in _TLS}
os.environ.update(_TLS)
try:
    import pygit2
    from pygit2.enums import SortMode
finally:
    for _name, _value in _before.items():
        if _value is None:
            del os.environ[_name]
        else:
            os.environ[_name] = _value


class CannotOpen(HubError):
    """libgit2 does not open the repository (SHA-256, reftable, an extension it does not know)."""

    code = "cannot-open"


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


class GitRepo:
    """One repository, open for looking."""

    def __init__(self, common_dir: str) -> None:
        """Open the repository at `common_dir`; raises CannotOpen.

        Whose it is was decided before, by git's rules (discovery, context): libgit2's own
        check knows neither `git -c safe.directory=…` nor prefixes.
        """
        pygit2.settings.owner_validation = False
        try:
            self._repo = pygit2.Repository(common_dir)
        except pygit2.GitError as fault:
            raise CannotOpen(
                f"libgit2 cannot open '{common_dir}': {fault}",
                hint="'list', 'update' and 'log' work without it",
            ) from None
        self._trees: dict[bytes, dict[bytes, tuple[int, bytes]]] = {}

    def branches(self, prefix: str) -> list[Branch]:
        """Every ref that starts with `prefix`, by name; a broken one has no oid."""
        return [self._branch(ref) for ref in self.refs(prefix)]

    def refs(self, prefix: str) -> list[str]:
        """The names of the refs that start with `prefix`, sorted."""
        wanted = os.fsencode(prefix)
        names = self._repo.raw_listall_references()
        return sorted(os.fsdecode(name) for name in names if name.startswith(wanted))

    def _branch(self, ref: str) -> Branch:
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
        return self._branch(ref).oid

    def target(self, ref: str) -> str:
        """The object id that `ref` itself holds (a tag object's, not its commit's), or ''."""
        try:
            return str(self._repo.lookup_reference(ref).resolve().target)
        except (pygit2.GitError, ValueError, KeyError, OSError):
            return ""

    def stash_of(self, ref: str) -> tuple[str, ...]:
        """What the stash at `ref` keeps: its HEAD commit, then the trees of I, W and U ('' if none)."""
        tip = self.tip(ref)
        parents = self._repo[tip].peel(pygit2.Commit).parents if tip else []
        if len(parents) not in (2, 3):
            return ()
        trees = [str(parent.peel(pygit2.Tree).id) for parent in parents[1:]]
        worktree = str(self._repo[tip].peel(pygit2.Tree).id)
        return (str(parents[0].id), trees[0], worktree, trees[1] if len(trees) > 1 else "")

    def ahead_behind(self, tip: str, base: str) -> tuple[int, int]:
        """How many commits `tip` has that `base` has not, and the other way round."""
        return self._repo.ahead_behind(pygit2.Oid(hex=tip), pygit2.Oid(hex=base))

    def diff_stat(self, tip: str, base: str) -> DiffStat:
        """What `tip` changed since it left `base`; from nothing where they share no history."""
        fork = self._repo.merge_base(pygit2.Oid(hex=tip), pygit2.Oid(hex=base))
        new = self._repo[tip].peel(pygit2.Tree)
        if fork is None:
            stats = new.diff_to_tree(swap=True).stats
        else:
            stats = self._repo[fork].peel(pygit2.Tree).diff_to_tree(new).stats
        return DiffStat(stats.files_changed, stats.insertions, stats.deletions)

    def frontier(self, tips: Iterable[str]) -> frozenset[str]:
        """The tips that no other of the tips contains."""
        left = set(tips)
        contained = {
            tip
            for tip in left
            for other in left
            if tip != other and self._repo.descendant_of(pygit2.Oid(hex=other), pygit2.Oid(hex=tip))
        }
        return frozenset(left - contained)

    def has_commit(self, oid: str) -> bool:
        """Whether `oid` is a commit of this repository."""
        try:
            return isinstance(self._repo[oid], pygit2.Commit)
        except (KeyError, ValueError):
            return False

    def unreached(self, oids: Iterable[str]) -> list[str]:
        """Those of the commits that no ref leads to and no other of them contains."""
        wanted = [oid for oid in dict.fromkeys(oids) if self.has_commit(oid)]
        if not wanted:
            return []
        walker = self._repo.walk(None, SortMode.TOPOLOGICAL)
        for oid in wanted:
            walker.push(pygit2.Oid(hex=oid))
        for name in self._repo.raw_listall_references():
            tip = self.tip(os.fsdecode(name))
            if tip:
                walker.hide(pygit2.Oid(hex=tip))
        lost: set[str] = set()
        parents: set[str] = set()
        for commit in walker:
            lost.add(str(commit.id))
            parents.update(str(parent) for parent in commit.parent_ids)
        # Every lost commit was reached from one of the wanted: what is a parent is contained in one.
        return [oid for oid in wanted if oid in lost and oid not in parents]

    def tree_id(self, commit: str) -> bytes:
        """The object id of a commit's tree, as 20 bytes; b'' where there is no such commit."""
        try:
            return self._repo[commit].peel(pygit2.Tree).id.raw
        except (KeyError, ValueError, pygit2.GitError):
            return b""

    def tree_entries(self, commit: str) -> dict[bytes, tuple[int, bytes]]:
        """Every file of a commit's tree: {path: (mode, object id as 20 bytes)}."""
        tree = self.tree_id(commit)
        if not tree:
            return {}
        if tree not in self._trees:
            entries: dict[bytes, tuple[int, bytes]] = {}
            self._flatten(self._repo[tree.hex()].peel(pygit2.Tree), b"", entries)
            self._trees[tree] = entries
        return self._trees[tree]

    def _flatten(
        self, tree: pygit2.Tree, prefix: bytes, entries: dict[bytes, tuple[int, bytes]]
    ) -> None:
        # By raw_name: pygit2's Index has only names that are UTF-8.
        for entry in tree:
            path = prefix + (entry.raw_name or b"")
            if isinstance(entry, pygit2.Tree):
                self._flatten(entry, path + b"/", entries)
            else:
                entries[path] = (int(entry.filemode), entry.id.raw)

    @staticmethod
    def blob_id(data: bytes) -> bytes:
        """The object id, as 20 bytes, that `data` has as a blob."""
        return pygit2.hash(data).raw

    def ignore_rules(self) -> tuple[list[bytes], bool]:
        """The texts of core.excludesFile and info/exclude, and whether names are compared ignoring case."""
        config = self._repo.config
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        named = os.path.join(home, "git", "ignore")
        if "core.excludesfile" in config:
            named = os.path.expanduser(str(config["core.excludesfile"]))
        paths = (named, os.path.join(self._repo.path, "info", "exclude"))
        folded = "core.ignorecase" in config and config.get_bool("core.ignorecase")
        return [_content(path) for path in paths], folded

    def settings(self, section: str) -> dict[str, list[str]]:
        """git's configuration below `section`, from its files: {"hubsession.keepignored": [value, …]}."""
        found: dict[str, list[str]] = {}
        for entry in self._repo.config:
            if entry.name.startswith(f"{section}."):
                found.setdefault(entry.name, []).append(entry.value or "")
        return found


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
