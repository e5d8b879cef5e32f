"""Merge two commits without a checkout.

`git merge-tree --write-tree` computes the merge with git's rename detection, the user's settings
and merge drivers. Attributes select a merge driver, and git reads attributes only from files. So
the attribute files of the commit are written to a temporary directory.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import GitFailed
from git_hub_session.git.environment import ORIGINAL_OBJECTS
from git_hub_session.git.process import GitTooOld
from git_hub_session.git.ref_names import agent_name
from git_hub_session.system.temporary import temporary_directory
from git_hub_session.util.shell import quote_word, split_words

if TYPE_CHECKING:
    from git_hub_session.git.command import GitAt
    from git_hub_session.git.ref_names import AgentBranch
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.project import Project


_ATTRIBUTES = b".gitattributes"
_DRIVER = r"merge\..*\.driver"
_TREE_SETTING = (
    _DRIVER
    + r"|core\.attributesfile|merge\.(default|renames|renamelimit|directoryrenames|renormalize)"
    + r"|diff\.(renames|renamelimit|algorithm)"
)
_CONFLICTS_STATUS = 1  # the exit status of git merge-tree if there are conflicts
_USAGE_ERROR = 129
_STRATEGY_OPTION = "--strategy-option"
_WITH_VALUE = {
    "-X": _STRATEGY_OPTION,
    _STRATEGY_OPTION: _STRATEGY_OPTION,
    "-s": "--strategy",
    "--strategy": "--strategy",
}

_PULL_STRATEGY = "pull.twohead"  # the setting of the strategy of all merges of two commits
_STRATEGIES = ("", "ort", "recursive")  # those of `git merge-tree`, and an old name
CLEANUP_MODES = ("default", "verbatim", "whitespace", "strip", "scissors")
"""The values of commit.cleanup."""
FAST_FORWARD = "ff"  # the kind of merge, as state.json spells it
_KINDS = {
    "--squash": "squash",
    "--no-squash": "merge",
    "--ff-only": FAST_FORWARD,
    "--ff": "merge",
    "--no-ff": "merge",
}
"""The options of `git merge` that choose a kind of merge, as state.json spells it."""
_SWITCHES = {
    "--signoff": {"signs_off": True},
    "--no-signoff": {"signs_off": False},
    "--gpg-sign": {"signs": True},
    "-S": {"signs": True},
    "--no-gpg-sign": {"signs": False},
    "--verify-signatures": {"verifies": True},
    "--no-verify-signatures": {"verifies": False},
    "--stat": {"has_diffstat": True},
    "--summary": {"has_diffstat": True},
    "--no-stat": {"has_diffstat": False},
    "-n": {"has_diffstat": False},
}
"""The options of `git merge` that set a field of MergeSettings, and the field."""
# The options that change only the default message, the editor, or messages on the terminal.
_WITHOUT_EFFECT = (
    *("-q", "--quiet", "-v", "--verbose", "--progress", "--no-progress"),
    *("-e", "--edit", "--no-edit", "--log", "--no-log", "--commit", "--verify"),
    *("--overwrite-ignore", "--no-overwrite-ignore", "--no-autostash"),
    *("--rerere-autoupdate", "--no-rerere-autoupdate", "--autostash"),
    *("--strategy=ort", "--strategy=recursive"),
)


class MergeTreeResult(NamedTuple):
    """The tree of a merge, and its conflicts."""

    tree: str
    """The object id of the merged tree, with markers in the files that have conflicts."""
    conflicts: tuple[bytes, ...] = ()
    """The paths that git cannot merge."""


class GitMergeOptions(NamedTuple):
    """The options and the settings of `git merge` for a branch."""

    branch: str
    """The name of the branch."""
    settings: tuple[tuple[str, str], ...] = ()
    """The result of tree_settings()."""
    kind: str = "merge"
    """The kind of merge, as state.json spells it."""
    cleanup: str = "default"
    """The mode of commit.cleanup."""
    switches: Mapping[str, bool] = {}
    """The fields of MergeSettings that branch.<name>.mergeOptions sets."""
    strategy_options: tuple[str, ...] = ()
    """The options -X of branch.<name>.mergeOptions, without "-X"."""
    merge_options: tuple[str, str] = ("", "")
    """The setting branch.<name>.mergeOptions and its value."""
    unsupported_strategy: tuple[str, str] = ("", "")
    """A setting with a strategy that `git merge-tree` does not have, and its value, or two ''."""
    unsupported_option: tuple[str, str] = ("", "")
    """branch.<name>.mergeOptions with an option that `merge` refuses, and its value, or two ''."""


def parse_merge_options(branch: str, values: Mapping[str, str]) -> GitMergeOptions:
    """Return the options of a merge into the branch (a name), from the settings of git."""
    name = f"branch.{branch}.mergeoptions"
    text = values.get(name, "")
    words = split_words(text)
    long = list(_long_options(words or ()))
    kind = FAST_FORWARD if values.get("merge.ff") == "only" else "merge"
    switches: dict[str, bool] = {}
    for word in long:
        switches |= _SWITCHES.get(word, {})
    options = GitMergeOptions(
        branch,
        tree_settings(values),
        [kind, *(_KINDS[word] for word in long if word in _KINDS)][-1],
        [values.get("commit.cleanup", "default"), *_with_values("--cleanup", long)][-1],
        switches,
        tuple(filter(None, _with_values(_STRATEGY_OPTION, long))),
        (name, text),
    )
    if words is None or not {*_with_values("--strategy", long)}.issubset(_STRATEGIES):
        options = options._replace(unsupported_strategy=(name, text))
    elif values.get(_PULL_STRATEGY, "") not in _STRATEGIES:
        options = options._replace(unsupported_strategy=(_PULL_STRATEGY, values[_PULL_STRATEGY]))
    if words is None or not all(map(_is_supported_option, long)):
        options = options._replace(unsupported_option=(name, text))
    return options


def _is_supported_option(word: str) -> bool:
    """Return True if `merge` can follow an option of `git merge` in its long form."""
    option, _, value = word.partition("=")
    if option == "--cleanup":
        return value in CLEANUP_MODES
    if option == _STRATEGY_OPTION:
        return bool(value)
    return word in _KINDS or word in _SWITCHES or word in _WITHOUT_EFFECT or option == "--log"


def _with_values(option: str, words: Sequence[str]) -> Iterator[str]:
    """Yield the values of an option among options in their long form."""
    for word in words:
        name, _, value = word.partition("=")
        if name == option:
            yield value


def overriding_setting(name: str) -> str:
    """Return the argument of `git -c` that replaces a setting which `merge` refuses."""
    defaults = {_PULL_STRATEGY: "ort", "commit.cleanup": "default"}
    return quote_word(f"{name}={defaults.get(name, '')}")


def _long_options(words: Sequence[str]) -> Iterator[str]:
    """Yield options of `git merge` in their long form: "-X ours" as "--strategy-option=ours"."""
    rest = iter(words)
    for word in rest:
        long = _WITH_VALUE.get(word[:2] if not word.startswith("--") else word)
        if long is None:
            yield word
        elif word.startswith("--") or len(word) == len("-X"):
            yield f"{long}={next(rest, '')}"
        else:
            yield f"{long}={word[2:]}"


def merge_trees(
    project: Project, ours: str, theirs: str, options: GitMergeOptions, *, objects: str
) -> MergeTreeResult:
    """Merge the commit `theirs` into `ours`. Change no ref, index or file of a worktree.

    Args:
        objects: a directory for new objects.

    Raises:
        GitFailed: the commits have no common history.
        GitTooOld: git has no `merge-tree --write-tree`.
        StrategyOptionsNotSupported: git has that command without its option -X.
    """
    with open_merge_git(project, ours, theirs, objects=objects, settings=options.settings) as git:
        try:
            return run_merge_tree(git, ours, theirs, options.strategy_options)
        except GitFailed as error:
            if error.status != _USAGE_ERROR or not options.strategy_options:
                raise
            raise StrategyOptionsNotSupported(options.merge_options) from None


class StrategyOptionsNotSupported(GitTooOld):
    """git cannot merge with -X before version 2.43 without a checkout."""

    def __init__(self, setting: tuple[str, str]) -> None:
        name, value = setting
        super().__init__(f"{name}='{value}' needs git 2.43")
        self.setting = name
        """The name of the setting that has -X."""


@contextmanager
def open_merge_git(
    project: Project,
    ours: str,
    theirs: str = "",
    *,
    objects: str = "",
    variables: Mapping[str, str] | None = None,
    settings: Sequence[tuple[str, str]] = (),
) -> Iterator[GitAt]:
    """Yield the git that merges into the commit `ours`. It has the attributes of `ours`.

    Uncommitted attributes and replaced objects do not count, so that `eval` and `merge` compute the
    same merge.

    Args:
        theirs: the only commit to merge, or '' for any commits.
        objects: a directory for new objects, or '' for that of the repository.
        variables: added to the environment of merge drivers.
        settings: the result of tree_settings() for the worktree that is merged into.
    """
    common_dir = project.paths.common_dir
    with temporary_directory() as scratch:
        _write_attributes(project.repo, ours, theirs, scratch)
        placed = _placed_settings(settings, project.paths.main_worktree, scratch)
        variables = {**ORIGINAL_OBJECTS, **(variables or {})}
        yield project.git.at(
            common_dir, scratch, objects=objects, settings=placed, variables=variables
        )


def tree_settings(values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the settings among `values` that change the tree of a merge.

    `git -c` ends the name of a setting at the first "=", so a name with that character is left out.
    """
    return tuple(
        (name, value)
        for name, value in values.items()
        if re.fullmatch(_TREE_SETTING, name) and "=" not in name
    )


def _placed_settings(settings: Sequence[tuple[str, str]], top: str, scratch: str) -> dict[str, str]:
    """Return the settings that run the merge drivers in the main worktree, as `git merge` does.

    git starts a driver in `scratch`, with the names of files there. A driver must not write on
    standard output: `git merge-tree` prints the result there.
    """
    place = "unset GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES; "
    place += f"unset GIT_DIR GIT_WORK_TREE; cd {quote_word(top)} || exit; " if top else ""
    placed = dict(settings)
    for name, value in settings:
        if name == "core.attributesfile":
            is_relative = bool(top) and value[:1] not in ("", "/", "~", "%")
            placed[name] = os.path.join(top, value) if is_relative else value
        elif re.fullmatch(_DRIVER, name):
            command = re.sub("%%|%[OAB]", lambda match: _absolute_name(match[0], scratch), value)
            placed[name] = f"exec >&2; {place}{command}"
    return placed


def _absolute_name(placeholder: str, scratch: str) -> str:
    return placeholder if placeholder == "%%" else f"{scratch}/{placeholder}"


def run_merge_tree(
    git: GitAt, ours: str, theirs: str, strategy_options: Sequence[str] = ()
) -> MergeTreeResult:
    """Merge the commit `theirs` into `ours` with the git of open_merge_git().

    Raise GitFailed. The exit status is 129 if git is too old for `strategy_options` (before 2.43).
    """
    command = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages"]
    command += [*(f"-X{option}" for option in strategy_options), ours, theirs]
    try:
        output = git.run(command)
    except GitFailed as error:
        if error.status != _CONFLICTS_STATUS or not error.stdout:
            raise
        output = error.stdout
    tree, *conflicts = output.rstrip(b"\0").split(b"\0")
    return MergeTreeResult(tree.decode(), tuple(conflicts))


def resolve_commands(
    verb: str, attempt: AgentBranch, branch: str, *, earlier_commit: str = ""
) -> list[str]:
    """Return the shell commands that show conflicts with `branch` in an agent's worktree.

    The last one runs `git <verb> <branch>` there. Do not use `exec`: git fails because of the
    conflicts, and the agent would count as failed.

    Args:
        earlier_commit: the commit of an earlier attempt, which may have no worktree, or ''. `adopt`
            makes the commit the last attempt, and creates a worktree.
    """
    agent = f"{attempt.session} {agent_name(attempt.agent)}"
    adopt = f"git hub-session adopt {agent} {earlier_commit[:12]}"
    git = f'dir=$(git hub-session path {agent}) && git -C "$dir" {verb} {quote_word(branch)}'
    return [adopt, git] if earlier_commit else [git]


def _write_attributes(repo: GitRepo, ours: str, theirs: str, top: str) -> None:
    """Write the attribute files of the commit `ours` that can apply to a merged file."""
    for path, (mode, oid) in _attribute_files(repo, ours, theirs).items():
        # A malicious tree can contain a directory with the name "..".
        if stat.S_ISREG(mode) and b".." not in path.split(b"/"):
            file = os.path.join(os.fsencode(top), path)
            os.makedirs(os.path.dirname(file), exist_ok=True)
            with open(file, "wb") as writer:
                writer.write(repo.read_blob(oid))


def _attribute_files(repo: GitRepo, ours: str, theirs: str) -> dict[bytes, tuple[int, bytes]]:
    """Return the mode and the object id of attribute files.

    Without merges on the two sides, git merges only files that one side has changed. Otherwise
    several merge bases are possible, and git merges these too.
    """
    fork = repo.find_merge_base(ours, theirs) if theirs else ""
    if fork and not _has_merges(repo, ours, theirs):
        changed = repo.changed_directories(fork, ours) | repo.changed_directories(fork, theirs)
        return repo.find_entries(ours, [directory + _ATTRIBUTES for directory in changed])
    return {
        path: entry
        for path, entry in repo.tree_entries(ours).items()
        if path.rpartition(b"/")[2] == _ATTRIBUTES
    }


def _has_merges(repo: GitRepo, ours: str, theirs: str) -> bool:
    """Return True if a commit that only one side contains has several parents."""
    commits = repo.commit_parents([ours], [theirs]) | repo.commit_parents([theirs], [ours])
    return any(len(parents) > 1 for parents in commits.values())
