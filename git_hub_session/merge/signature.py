"""Refuse a winner without a valid signature if merge.verifySignatures requires one."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import GitFailed, Refused
from git_hub_session.git.ref_names import short_name
from git_hub_session.merge.options import merge_command
from git_hub_session.merge.surroundings import git_at_target
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.merge.options import MergeOptions
    from git_hub_session.merge.plan import MergePlan
    from git_hub_session.session.project import Project


def refuse_unverified_tip(plan: MergePlan, options: MergeOptions, project: Project) -> None:
    """Raise Refused if the setting requires a signature and the winner's tip has no valid one."""
    if not plan.settings.verifies:
        return
    # `git merge` wants more trust than `git verify-commit`, unless gpg.minTrustLevel is set.
    try:
        git = git_at_target(project, plan.checkout)
        git.run(
            ["verify-commit", plan.tip], settings={"gpg.minTrustLevel": plan.settings.min_trust}
        )
    except GitFailed:
        command = merge_command(plan.session.id, options).removeprefix("git ")
        # This setting comes after merge.verifySignatures.
        unverified = f"branch.{short_name(plan.into)}.mergeOptions=--no-verify-signatures"
        raise Refused(
            f"the last commit of {plan.winner_name} has no valid signature"
            " (merge.verifySignatures)",
            hint=f"git log -1 --show-signature {plan.tip[:12]}\n"
            f"git -c {quote_word(unverified)} {command}",
        ) from None
