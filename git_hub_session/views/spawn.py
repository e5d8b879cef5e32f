"""The answer of `git hub-session spawn`."""

from __future__ import annotations

from git_hub_session.escape import visible
from git_hub_session.refnames import AgentBranch, short
from git_hub_session.typed import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.views.view import Answer, Record, Style, record, relative

if TYPE_CHECKING:
    from git_hub_session.operations.births import Newborn, Spawned


class SpawnView(NamedTuple):
    """The agents that were made, or would be; `here` is the directory that paths are shown from."""

    spawned: Spawned
    here: str
    dry_run: bool
    exit_code: int = 0

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def faults(self) -> tuple[str, ...]:
        return tuple(f"warning: {visible(note)}" for note in self.spawned.notes)

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.spawned.session.id,
            "state": str(self.spawned.state),
            "base_commit": self.spawned.base,
            "dry_run": self.dry_run,
            "spawned": [_made(newborn) for newborn in self.spawned.made],
            "present": [_agent(branch) for branch in self.spawned.present],
        }

    def records(self) -> list[Record]:
        head = ("session", self.spawned.session.id)
        return [
            *([head, ("outcome", "spawned"), *record(_made(one))] for one in self.spawned.made),
            *([head, ("outcome", "present"), *record(_agent(one))] for one in self.spawned.present),
        ]

    def lines(self, style: Style, *, quiet: bool) -> Answer:
        if quiet:
            return Answer([])
        session = self.spawned.session
        word = "Would spawn" if self.dry_run else "Spawned"
        out = [
            f"{word} agent-{one.branch.agent} in {visible(relative(one.path, self.here))}"
            f" on {short(one.branch.ref)}"
            for one in self.spawned.made
        ]
        told = [] if out else ["nothing to spawn: the agents are there already"]
        if out:
            out.append(f"  Base: {self.spawned.base[:12]}")
        if self.spawned.state != session.state:
            would = "Would update session" if self.dry_run else "Session"
            out.append(f"{would} {session.id}: {session.state} {style.arrow} {self.spawned.state}")
        return Answer(out, told)


def _agent(branch: AgentBranch) -> dict[str, Any]:
    return {"agent": branch.agent, "attempt": branch.attempt, "branch": short(branch.ref)}


def _made(newborn: Newborn) -> dict[str, Any]:
    return {**_agent(newborn.branch), "path": newborn.path}
