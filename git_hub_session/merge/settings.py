"""Read the settings with which `git merge` would merge into a branch.

git reads them in the worktree in which it commits. A linked worktree can have settings of its own.
"""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Refused
from git_hub_session.git.config import is_true
from git_hub_session.git.config_files import may_have_hooks
from git_hub_session.git.ref_names import short_name
from git_hub_session.merge.hooks import COMMIT_HOOKS, MERGE_HOOKS
from git_hub_session.merge.options import MergeKind, MergeOptions, merge_command
from git_hub_session.util.signatures import MIN_TRUST
from git_hub_session.worktree.merge_tree import (
    CLEANUP_MODES,
    overriding_setting,
    parse_merge_options,
)

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.checkouts import Checkout


class MergeSettings(NamedTuple):
    """The settings that apply to a merge."""

    kind: MergeKind = MergeKind.MERGE
    """The kind of merge if the user does not choose one."""
    cleanup: str = "default"
    """The mode of commit.cleanup."""
    signs_off: bool = False
    """True if the message gets a Signed-off-by line."""
    signs: bool = False
    """True if the commit is signed with the user's key."""
    verifies: bool = False
    """True if the winner's tip needs a valid signature."""
    min_trust: str = MIN_TRUST
    """The level of trust that the signature needs."""
    has_diffstat: bool = True
    """True if the merge shows the list of changed files."""
    strategy_options: tuple[str, ...] = ()
    """The options -X of branch.<name>.mergeOptions, without "-X"."""
    merge_options: tuple[str, str] = ("", "")
    """The setting branch.<name>.mergeOptions and its value."""
    unsupported: tuple[str, str] = ("", "")
    """A setting with an option that this program does not have, and its value, or two ''."""
    tree_settings: tuple[tuple[str, str], ...] = ()
    """The result of tree_settings()."""
    requires_filters: bool = False
    """True if a file cannot be written without a filter: one of the filters is required."""
    has_hooks: bool = True
    """False if there is certainly no hook for the commit."""
    has_merge_hooks: bool = True
    """False if there is certainly no hook after the merge."""


def read_merge_settings(into: str, checkout: Checkout | None, project: Project) -> MergeSettings:
    """Return the settings for a merge into the branch `into` (a full ref). Raise GitFailed."""
    paths = project.paths
    values = project.settings_at(*(checkout or (paths.common_dir, paths.main_worktree)))
    options = parse_merge_options(short_name(into), values)
    option, strategy = options.unsupported_option, options.unsupported_strategy
    settings = MergeSettings(
        kind=MergeKind(options.kind),
        cleanup=options.cleanup,
        signs=is_true(values.get("commit.gpgsign")),
        verifies=is_true(values.get("merge.verifysignatures")),
        min_trust=values.get("gpg.mintrustlevel", MIN_TRUST).lower(),
        has_diffstat=values.get("merge.stat", "true") == "compact"
        or is_true(values.get("merge.stat", "true")),
        strategy_options=options.strategy_options,
        merge_options=options.merge_options,
        unsupported=option if option[0] else strategy,
        tree_settings=options.settings,
        requires_filters=any(
            name.startswith("filter.") and name.endswith(".required") for name in values
        ),
        has_hooks=may_have_hooks(paths.common_dir, values, COMMIT_HOOKS),
        has_merge_hooks=may_have_hooks(paths.common_dir, values, MERGE_HOOKS),
    )
    return settings._replace(**options.switches)  # type: ignore[arg-type]


def unsupported_error(setting: tuple[str, str], options: MergeOptions, sid: SessionId) -> Refused:
    """Return the error for a setting that asks for a merge that this program cannot make."""
    name, value = setting
    command = merge_command(sid, options).removeprefix("git ")
    return Refused(
        f"cannot merge with {name}='{value}'", hint=f"git -c {overriding_setting(name)} {command}"
    )


def apply_settings(options: MergeOptions, settings: MergeSettings, sid: SessionId) -> MergeOptions:
    """Return the options of the user, and the settings for the others.

    Raises:
        Refused: a setting asks for a merge that this program cannot make.
    """
    kind = settings.kind if options.kind is MergeKind.MERGE else options.kind
    if not kind.has_message:
        if options.message is not None or options.signs_off:
            squash = options._replace(kind=MergeKind.SQUASH)
            raise Refused(
                "merge.ff is 'only': a fast-forward has no message",
                hint=merge_command(sid, squash),
            )
        return options._replace(kind=kind)
    if settings.unsupported[0]:
        raise unsupported_error(settings.unsupported, options, sid)
    if settings.cleanup not in CLEANUP_MODES:
        name = "commit.cleanup"
        raise Refused(
            f"invalid value of {name}: '{settings.cleanup}'",
            hint=f"git config --show-origin --get-all {name}",
        )
    return options._replace(kind=kind, signs_off=options.signs_off or settings.signs_off)
