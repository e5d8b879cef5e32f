"""Prepare the candidates of an evaluation: their merges, and the guarded paths."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.evaluation.candidates import Candidate, find_candidates, refuse_unmeasurable
from git_hub_session.evaluation.guard import (
    FixedPaths,
    choose_guard,
    mark_guarded,
    refuse_holdout_in_place,
)
from git_hub_session.evaluation.merged_commit import merge_notes, with_merged_commits
from git_hub_session.git.discovery import HUB_DIRECTORY
from git_hub_session.session.agents import base_now, refuse_if_evaluated, running_agents
from git_hub_session.temporary.holdout import choose_holdout
from git_hub_session.util.text import quote_list
from git_hub_session.worktree.git_settings import checkout_warning

if TYPE_CHECKING:
    from git_hub_session.evaluation.result import EvalOptions
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import LockedSession
    from git_hub_session.temporary.objects import NewObjects

_HUB = f"{HUB_DIRECTORY}/".encode()


def prepare_candidates(
    session: Session,
    project: Project,
    options: EvalOptions,
    objects: NewObjects,
    *,
    dry_run: bool,
    agent: int = 0,
) -> tuple[list[Candidate], FixedPaths]:
    """Return the candidates, and the guarded paths. Raise Refused if none can be measured.

    Args:
        agent: return only the candidates of this agent; 0 for those of all agents.
    """
    candidates = find_candidates(
        session,
        project,
        in_place=options.in_place,
        include_failed=options.include_failed,
        with_earlier=options.metric_command is not None and not options.in_place,
    )
    candidates = [each for each in candidates if agent in (0, each.branch.agent)]
    metric_command = options.metric_command
    if metric_command:
        candidates = with_merged_commits(candidates, session, project, objects, dry_run=dry_run)
    command = metric_command.command if metric_command else session.config.get("eval_cmd")
    fixed_paths = choose_guard(session, project, options.guard, command)
    if metric_command:
        fixed_paths = fixed_paths._replace(
            holdout=choose_holdout(session, project, options.holdout)
        )
        refuse_holdout_in_place(fixed_paths, in_place=options.in_place)
    candidates = mark_guarded(candidates, fixed_paths, session, project.repo)
    refuse_unmeasurable(session, candidates)
    return candidates, fixed_paths


def candidate_notes(
    candidates: Sequence[Candidate], fixed_paths: FixedPaths, session: Session, project: Project
) -> list[str]:
    """Return the notes about conflicts, files of the hub, settings, and default guarded paths."""
    settings_note = checkout_warning(session, project.paths.common_dir)
    mergeable = [candidate for candidate in candidates if not candidate.merge_problem]
    changed = {path for candidate in mergeable for path in candidate.guarded}
    notes = [
        *merge_notes(candidates, session, project),
        *_hub_file_notes(candidates, session, project.repo),
        *([settings_note] if settings_note else []),
    ]
    return notes + [
        f"'{path}' was measured as in the base branch, because the eval command names it"
        " (use --no-guard to measure the agents' own)"
        for path in sorted(changed)
        if fixed_paths.is_default and path in fixed_paths.names
    ]


def _hub_file_notes(
    candidates: Sequence[Candidate], session: Session, repo: GitRepo
) -> Iterator[str]:
    """Yield a note about each candidate that `merge` refuses because of files of the hub."""
    base = base_now(session, repo)
    for candidate in candidates:
        changed = repo.changed_paths(candidate.commit, base) if candidate.commit and base else ()
        hub = [os.fsdecode(path) for path in sorted(changed) if path.startswith(_HUB)]
        if hub:
            files = f"has committed files of the hub: {quote_list(hub)}"
            yield f"{candidate.name} {files} (merge refuses them)"


def refuse_if_busy(
    session: Session, locked: LockedSession, *, force: bool, with_workers: bool = True
) -> None:
    """Raise Busy if an agent is running, unless `force` is set, or if the session is evaluated.

    Args:
        with_workers: True if the evaluation of workers of `eval --on` counts too.
    """
    running = running_agents(session, locked.directory)
    if running and not force:
        name, agent = next(iter(running.items()))
        raise agent.refusal(name, otherwise="use --force")
    refuse_if_evaluated(session.id, locked.directory, with_workers=with_workers)
