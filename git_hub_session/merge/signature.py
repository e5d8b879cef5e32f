"""Refuse a winner without a valid signature if merge.verifySignatures requires one."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Refused
from git_hub_session.git.environment import ORIGINAL_OBJECTS
from git_hub_session.git.ref_names import short_name
from git_hub_session.merge.options import merge_command
from git_hub_session.merge.surroundings import git_at_target
from git_hub_session.util.shell import quote_word
from git_hub_session.util.signatures import SIGNATURE_COMMAND, is_signature_valid

if TYPE_CHECKING:
    from git_hub_session.merge.options import MergeOptions
    from git_hub_session.merge.plan import MergePlan
    from git_hub_session.session.project import Project


def refuse_unverified_tip(plan: MergePlan, options: MergeOptions, project: Project) -> None:
    """Raise Refused if the setting requires a signature and the winner's tip has no valid one."""
    if not plan.settings.verifies:
        return
    git = git_at_target(project, plan.checkout, ORIGINAL_OBJECTS)
    output = git.run([*SIGNATURE_COMMAND, plan.tip])
    if not is_signature_valid(output, plan.settings.min_trust):
        command = merge_command(plan.session.id, options).removeprefix("git ")
        # This setting comes after merge.verifySignatures.
        unverified = f"branch.{short_name(plan.into)}.mergeOptions=--no-verify-signatures"
        raise Refused(
            f"the last commit of {plan.winner_name} has no valid signature"
            " (merge.verifySignatures)",
            hint=f"git log -1 --show-signature {plan.tip[:12]}\n"
            f"git -c {quote_word(unverified)} {command}",
        )
