"""The answer of `git hub-session spawn`."""

from __future__ import annotations

from git_hub_session.escape import escape_control
from git_hub_session.refnames import AgentBranch, short_name
from git_hub_session.typed import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.views.view import TextOutput, Record, TerminalStyle, make_record, relative_path

if TYPE_CHECKING:
    from git_hub_session.operations.births import PlannedAgent, SpawnResult


class SpawnView(NamedTuple):
    """The agents that were made, or would be; `here` is the directory that paths are shown from."""

    spawned: SpawnResult
    here: str
    dry_run: bool
    exit_code: int = 0

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def diagnostics(self) -> tuple[str, ...]:
        return tuple(f"warning: {escape_control(note)}" for note in self.spawned.notes)

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.spawned.session.id,
            "state": str(self.spawned.state),
            "base_commit": self.spawned.base,
            "dry_run": self.dry_run,
            "spawned": [_created_fields(newborn) for newborn in self.spawned.created],
            "present": [_agent(branch) for branch in self.spawned.present],
        }

    def records(self) -> list[Record]:
        head = ("session", self.spawned.session.id)
        return [
            *(
                [head, ("outcome", "spawned"), *make_record(_created_fields(one))]
                for one in self.spawned.created
            ),
            *(
                [head, ("outcome", "present"), *make_record(_agent(one))]
                for one in self.spawned.present
            ),
        ]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        session = self.spawned.session
        word = "Would spawn" if self.dry_run else "Spawned"
        out = [
            f"{word} agent-{one.branch.agent} in {escape_control(relative_path(one.path, self.here))}"
            f" on {short_name(one.branch.ref)}"
            for one in self.spawned.created
        ]
        told = [] if out else ["nothing to spawn: the agents are there already"]
        if out:
            out.append(f"  Base: {self.spawned.base[:12]}")
        if self.spawned.state != session.state:
            would = "Would update session" if self.dry_run else "Session"
            out.append(f"{would} {session.id}: {session.state} {style.arrow} {self.spawned.state}")
        return TextOutput(out, told)


def _agent(branch: AgentBranch) -> dict[str, Any]:
    return {"agent": branch.agent, "attempt": branch.attempt, "branch": short_name(branch.ref)}


def _created_fields(newborn: PlannedAgent) -> dict[str, Any]:
    return {**_agent(newborn.branch), "path": newborn.path}
