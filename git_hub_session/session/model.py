"""A session: what it is for, where it stands. This docstring is the file format.

<hub>/sessions/<id>/config.yaml, written once, keys in this order:

    session_id: 20260317-143022
    task: "Optimize API response time below 100ms"
    agent_count: 3
    base_branch: dev
    created: 2026-03-17T14:30:22.123456+00:00
    eval_cmd: "pytest bench.py --json"       (optional)
    metric: p50_ms                           (optional)
    direction: lower                         (optional: lower | higher)
    baseline: 180                            (optional)

<hub>/sessions/<id>/state.json, two-space indent, a newline at the end:

    {
      "session_id": "20260317-143022",
      "state": "running",
      "created": "2026-03-17T14:30:22.123456+00:00",
      "updated": "2026-03-17T14:35:10.000001+00:00",
      "base_commit": "9fceb02d0ae598e95dc970b74767f19372d61af8",
      "agents": {"agent-1": {"status": "ready", "attempt": 1, "worktree": "/…/agent-1",
                             "rescue": ["refs/hub/rescue/…/1"],
                             "work": {"attempt-1": "refs/hub/rescue/…/1"},
                             "result": {"rank": 1, "attempt": 1, "commit": "1a410e…",
                                        "metric": 142.5, "reason": ""}}},
      "evaluation": {"at": …, "base": "9fceb0…"},
      "merge": {"agent": 1, "attempt": 1, "tip": "1a410e…", "into": "dev", "commit": "fdf4fc…"},
      "history": [{"at": …, "from": "init", "to": "running", "by": "Name <email>", "verb": "update"}]
    }

Both are AgentHub's; `base_commit` (what `spawn` started the agents from), `evaluation` (the tip
of the base branch as `eval` saw it), `merge` (the winner), `history`, what stands in `agents`, and an optional
`reason` in a history entry are ours. Keys that nobody here knows are kept through every rewrite.
"""

from __future__ import annotations

from collections.abc import Mapping

from git_hub_session._typing import Any, NamedTuple
from git_hub_session.errors import Damaged
from git_hub_session.git.ref_names import SessionId, agent_number
from git_hub_session.session.state import State, check_transition
from git_hub_session.util.numbers import MAX_COUNT, parse_int

CONFIG_KEYS = (
    "session_id",
    "task",
    "agent_count",
    "base_branch",
    "created",
    "eval_cmd",
    "metric",
    "direction",
    "baseline",
)

MAX_AGENTS = 999
_LARGEST = 1e300  # a metric is never more; an integer in JSON may be more than a float holds


class Config(NamedTuple):
    """What a session is for, as config.yaml says it; every value is text."""

    values: Mapping[str, str]

    @property
    def task(self) -> str:
        return self.values.get("task", "")

    @property
    def base_branch(self) -> str:
        return self.values.get("base_branch", "")

    @property
    def agent_count(self) -> int:
        """How many agents the session was made for; 0 where the file does not say."""
        return parse_int(self.values.get("agent_count", ""), MAX_COUNT) or 0

    def get(self, key: str) -> str:
        """The value of `key`, or ''."""
        return self.values.get(key, "")


class AgentRecord(NamedTuple):
    """The entry of one agent in state.json. A value of a wrong type counts as missing."""

    status: str = ""
    """An AgentStatus, or ''. Another program may have written another word."""
    attempt: int = 0
    """The last attempt, or 0."""
    worktree: str = ""
    """The path of the last attempt's worktree, or ''."""
    rescue: tuple[str, ...] = ()
    """All rescue refs of the agent."""
    work: Mapping[str, str | None] = {}
    """For each attempt ("attempt-1") the rescue ref that its last cleanup saved, or None."""
    is_restored: bool = False
    """True if `restore` has recreated a worktree of the agent."""
    run: str | None = None
    """The name of the last run of `exec`, or None."""


class AgentResult(NamedTuple):
    """What an evaluation said of an agent."""

    agent: int
    attempt: int
    commit: str
    """The object id of the tip that was measured."""
    rank: int
    """1 is the best."""
    metric: float | None
    """None where nothing was measured."""
    reason: str = ""
    """Why it could not be measured; '' where it was, or where a judge spoke."""


class MergeRecord(NamedTuple):
    """The winner of a session, and where it was merged."""

    agent: int
    attempt: int
    tip: str
    """The object id of the winner's commit."""
    into: str
    """The branch's name, without refs/heads/."""
    commit: str
    """The object id of the merge."""


class Session(NamedTuple):
    """One session: its config, and its state.json as it was read."""

    id: SessionId
    config: Config
    state: State
    document: Mapping[str, Any]

    @property
    def created(self) -> str:
        """When the session was made, ISO-8601; '' where the file does not say."""
        return _text(self.document.get("created"))

    @property
    def updated(self) -> str:
        """When state.json was last written, ISO-8601; '' where the file does not say."""
        return _text(self.document.get("updated"))

    @property
    def base_commit(self) -> str:
        """The object id of the commit that the agents started from; '' before `spawn`."""
        return _oid(self.document.get("base_commit"))

    @property
    def agents(self) -> tuple[str, ...]:
        """The names of the agents of which something is recorded: "agent-1"."""
        agents = self.document.get("agents")
        return tuple(agents) if isinstance(agents, dict) else ()

    def agent_record(self, name: str) -> AgentRecord:
        """Return the entry of the agent `name` ("agent-1"), empty if there is none."""
        return _parse_agent_record(self.agent_fields(name))

    def agent_fields(self, name: str) -> Mapping[str, Any]:
        """Return the entry of the agent `name` as it is in state.json, or {}."""
        agents = self.document.get("agents")
        found = agents.get(name) if isinstance(agents, dict) else None
        return found if isinstance(found, dict) else {}

    @property
    def evaluated_base(self) -> str:
        """The object id of the base branch's tip when the agents were evaluated; '' where they were not."""
        evaluation = self.document.get("evaluation")
        return _oid(evaluation.get("base")) if isinstance(evaluation, dict) else ""

    @property
    def merge(self) -> MergeRecord | None:
        """What was merged, or was about to be; None where nothing is recorded."""
        found = self.document.get("merge")
        if not isinstance(found, dict):
            return None
        agent, attempt, into = found.get("agent"), found.get("attempt"), _text(found.get("into"))
        tip, commit = _oid(found.get("tip")), _oid(found.get("commit"))
        if type(agent) is not int or type(attempt) is not int or not (into and tip and commit):
            return None
        return MergeRecord(agent, attempt, tip, into, commit)

    @property
    def ranking(self) -> tuple[AgentResult, ...]:
        """What the evaluation said, the best first; what is no result is passed over."""
        found = (_result(name, self.agent_fields(name)) for name in self.agents)
        return tuple(sorted((one for one in found if one is not None), key=lambda one: one.rank))

    @property
    def history(self) -> tuple[Transition, ...]:
        """Every recorded transition, oldest first; what is no entry is passed over."""
        entries = self.document.get("history")
        if not isinstance(entries, list):
            return ()
        fields = ("at", "from", "to", "by", "verb", "reason")
        return tuple(
            Transition(*(_text(entry.get(field)) for field in fields))
            for entry in entries
            if isinstance(entry, dict)
        )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _oid(value: object) -> str:
    text = _text(value)
    return text if len(text) in (40, 64) and set(text) <= set("0123456789abcdef") else ""


def _parse_agent_record(fields: Mapping[str, Any]) -> AgentRecord:
    run = _mapping(fields.get("exec")).get("run")
    rescue = fields.get("rescue")
    work = _mapping(fields.get("work"))
    return AgentRecord(
        status=_text(fields.get("status")),
        attempt=_attempt(fields.get("attempt")),
        worktree=_text(fields.get("worktree")),
        rescue=tuple(filter(None, map(_text, rescue))) if isinstance(rescue, list) else (),
        work={attempt: _text(ref) or None for attempt, ref in work.items()},
        is_restored="restored" in fields,
        run=None if run is None else _text(run),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _attempt(value: object) -> int:
    return value if type(value) is int and 0 < value <= MAX_COUNT else 0


def _result(name: str, known: Mapping[str, Any]) -> AgentResult | None:
    """What is recorded as the result of the agent called `name`, or None where it is none."""
    number, found = agent_number(name), known.get("result")
    if not number or not isinstance(found, dict):
        return None
    attempt, rank, commit = found.get("attempt"), found.get("rank"), _oid(found.get("commit"))
    if type(attempt) is not int or type(rank) is not int or rank < 1 or not commit:
        return None
    metric = found.get("metric")
    if not isinstance(metric, int | float) or isinstance(metric, bool) or abs(metric) > _LARGEST:
        metric = None
    reason = _text(found.get("reason"))
    return AgentResult(number, attempt, commit, rank, metric, reason)


def new_state_document(sid: SessionId, *, at: str) -> dict[str, Any]:
    """state.json of a session made at `at` (ISO-8601 UTC)."""
    return {
        "session_id": sid,
        "state": str(State.INIT),
        "created": at,
        "updated": at,
        "agents": {},
        "history": [],
    }


def read_state(document: Mapping[str, Any]) -> State:
    """The state that a state.json names; raises Damaged where no machine knows it."""
    value = document.get("state")
    try:
        return State(value)
    except ValueError:
        raise Damaged(
            f"state.json: no known state: {value!r:.60}" if value else "state.json: no state"
        ) from None


def with_transition(
    session: Session, target: State, *, at: str, by: str, verb: str, reason: str = ""
) -> Session:
    """The session one transition on, the step recorded in its history; raises IllegalTransition, Damaged."""
    step = {
        "at": at,
        "from": str(session.state),
        "to": str(check_transition(session.state, target)),
        "by": by,
        "verb": verb,
    }
    if reason:
        step["reason"] = reason
    history = session.document.get("history", [])
    if not isinstance(history, list):
        raise Damaged("state.json: its history is not a list")
    document = dict(session.document)
    document["state"] = str(target)
    document["updated"] = at
    document["history"] = [*history, step]
    return session._replace(state=target, document=document)


def with_agents(session: Session, changes: Mapping[str, Mapping[str, Any]], *, at: str) -> Session:
    """The session with `changes` in what is recorded of its agents: {"agent-2": {"status": "ready"}}."""
    known = session.document.get("agents")
    agents = dict(known) if isinstance(known, dict) else {}
    for name, change in changes.items():
        agents[name] = {**session.agent_fields(name), **change}
    return session._replace(document={**session.document, "updated": at, "agents": agents})


def with_evaluation(
    session: Session,
    evaluation: Mapping[str, Any],
    results: Mapping[str, Mapping[str, Any]],
    *,
    at: str,
) -> Session:
    """The session evaluated: who is not among the `results` ({"agent-2": {"rank": 1, …}}) has none."""
    before = {
        name: {"result": None} for name in session.agents if "result" in session.agent_fields(name)
    }
    now = {name: {"result": result} for name, result in results.items()}
    done = with_agents(session, {**before, **now}, at=at)
    return done._replace(document={**done.document, "evaluation": dict(evaluation)})


def with_merge(session: Session, merge: MergeRecord, *, at: str) -> Session:
    """The session with its winner recorded."""
    return session._replace(document={**session.document, "updated": at, "merge": merge._asdict()})


def with_work(
    session: Session, left: Mapping[str, Mapping[str, str | None]], *, at: str
) -> Session:
    """The session with what the worktrees of attempts left behind: {"agent-2": {"attempt-1": ref}}; itself if it has it."""
    changes = {}
    for agent, work in left.items():
        known = session.agent_fields(agent).get("work")
        before = known if isinstance(known, dict) else {}
        now = {**before, **work}
        if now != before:
            changes[agent] = {"work": now}
    return with_agents(session, changes, at=at) if changes else session


def with_rescues(session: Session, rescues: Mapping[str, list[str]], *, at: str) -> Session:
    """The session with the refs of saved work in `agents`: {"agent-2": [ref, …]}; itself if it has them."""
    changes = {}
    for agent, refs in rescues.items():
        saved = session.agent_fields(agent).get("rescue")
        before = saved if isinstance(saved, list) else []
        new = [ref for ref in refs if ref not in before]
        if new:
            changes[agent] = {"rescue": [*before, *new]}
    return with_agents(session, changes, at=at) if changes else session


class Transition(NamedTuple):
    """One entry of the history. `at` is ISO-8601 UTC, `by` "Name <email>"."""

    at: str
    source: str
    target: str
    by: str
    verb: str
    reason: str
