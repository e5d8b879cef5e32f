"""A session as a value: its configuration and its state. This docstring is the file format.

<hub>/sessions/<id>/config.yaml, written once, with the keys in this order:

    session_id: 20260317-143022
    task: "Optimize API response time below 100ms"
    agent_count: 3
    base_branch: dev
    created: 2026-03-17T14:30:22.123456+00:00
    eval_cmd: "pytest bench.py --json"       (optional)
    metric: p50_ms                           (optional)
    direction: lower                         (optional: lower | higher)
    baseline: 180                            (optional)
    guard: bench.py                          (optional: a path in each line)
    require: 'errors==0'                     (optional: a requirement in each line)

<hub>/sessions/<id>/state.json, indented by two spaces, with a line feed at the end:

    {
      "session_id": "20260317-143022",
      "state": "running",
      "created": "2026-03-17T14:30:22.123456+00:00",
      "updated": "2026-03-17T14:35:10.000001+00:00",
      "base_commit": "9fceb0…",              the commit that all agents start from
      "agents": {
        "agent-1": {
          "status": "ready",                 an AgentStatus
          "attempt": 1,                      the last attempt
          "worktree": "/…/agent-1",
          "rescue": ["refs/hub/rescue/…/1"], all rescue refs of the agent
          "work": {"attempt-1": "refs/hub/rescue/…/1"},  the changes that the last cleanup saved
          "restored": null,                  the rescue ref that the last restore applied
          "exec": {"run": "exec-1", …},      the last run
          "attempts": {"attempt-1": {"status": …, "exec": …, "worktree": …}},  the earlier ones
          "result": {"rank": 1, "attempt": 1, "commit": "1a410e…", "metric": 142.5, "reason": ""}
        }
      },
      "evaluation": {"at": …, "base": "9fceb0…"},    the tip of the base branch at that time
      "merge": {"agent": 1, "attempt": 1, "tip": …, "into": "dev", "commit": …, "base": …, "kind": …},
      "history": [{"at": …, "from": "init", "to": "running", "by": "Name <email>", "verb": "update"}]
    }

AgentHub knows the keys `session_id`, `state`, `created`, `updated` and `agents`. All other keys,
the content of `agents`, and an optional `reason` in an entry of the history belong to this program.
Unknown keys are kept in every rewrite. docs/format.md has the complete format.
"""

from __future__ import annotations

from collections.abc import Mapping

from git_hub_session._typing import Any, NamedTuple
from git_hub_session.git.ref_names import SessionId, agent_name, agent_number, is_object_id
from git_hub_session.session.state import State
from git_hub_session.util.json_values import (
    as_count,
    as_mapping,
    as_number,
    as_numbers,
    as_text,
    as_texts,
)
from git_hub_session.util.machine import Machine, parse_machine
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.text import escape_control

CONFIG_KEYS = (
    *("session_id", "task", "agent_count", "base_branch", "created"),
    *("eval_cmd", "metric", "direction", "baseline"),
)

MAX_AGENTS = 999


class Config(NamedTuple):
    """The values of config.yaml, all as text."""

    values: Mapping[str, str]

    @property
    def task(self) -> str:
        return self.values.get("task", "")

    @property
    def title(self) -> str:
        """The first line of the task, with escaped control characters."""
        return escape_control(self.task.strip().partition("\n")[0])

    @property
    def base_branch(self) -> str:
        return self.values.get("base_branch", "")

    @property
    def agent_count(self) -> int:
        """The number of agents, or 0 if the file has no valid number."""
        return parse_int(self.values.get("agent_count", ""), MAX_COUNT) or 0

    @property
    def guard(self) -> tuple[str, ...] | None:
        """The guarded paths, one in each line, or None without the key."""
        text = self.values.get("guard")
        return None if text is None else tuple(filter(None, text.split("\n")))

    @property
    def holdout(self) -> str:
        """The directory with the files that only measurements see, or ''."""
        return self.get("holdout")

    @property
    def require(self) -> tuple[str, ...]:
        """The requirements, such as "errors==0", one in each line."""
        return tuple(filter(None, self.get("require").split("\n")))

    def get(self, key: str) -> str:
        """Return the value of `key`, or ''."""
        return self.values.get(key, "")


class AgentRecord(NamedTuple):
    """The entry of one agent in state.json. A value of the wrong type counts as missing."""

    status: str = ""
    """An AgentStatus, the unknown status of another program, or ''."""
    attempt: int = 0
    """The last attempt, or 0."""
    worktree: str = ""
    """The path of the last attempt's worktree, or ''."""
    rescue: tuple[str, ...] = ()
    """All rescue refs of the agent."""
    work: Mapping[str, str | None] = {}
    """The rescue ref of the last cleanup for each attempt, such as {"attempt-1": ref}."""
    is_restored: bool = False
    """True if `restore` has recreated a worktree of the agent."""
    run: str | None = None
    """The name of the last run of `exec`, or None."""
    measured_attempt: int = 0
    """The attempt of the last evaluation, or 0."""
    guarded: tuple[str, ...] = ()
    """The guarded paths that the measured attempt changed."""
    starts: Mapping[str, str] = {}
    """The commits of the attempts that do not start from `base_commit`, by "attempt-2"."""


CONFLICTS = "conflicts with "
"""The start of the reason of an AgentResult that cannot be merged, before the branch."""


class AgentResult(NamedTuple):
    """The result of an evaluation for one agent."""

    agent: int
    attempt: int
    commit: str
    """The object id of the measured commit."""
    rank: int
    """The rank. 1 is the best, 0 means that the agent has no rank."""
    metric: float | None
    """The measured value, or None."""
    reason: str = ""
    """The reason why the agent was not measured. '' if it was, or if a judge ranked it."""
    spread: float = 0.0
    """The difference between the largest and the smallest measured value."""
    values: tuple[float, ...] = ()
    """The measured values."""
    delta: float | None = None
    """The difference to the baseline, or None."""
    is_tie: bool = False
    """True if the measurements cannot tell the agent apart from another one."""
    margin: float | None = None
    """The smallest difference to the baseline that noise does not explain, or None."""
    tree: str = ""
    """The object id of the measured tree, or ''."""
    passed: bool | None = None
    """True if the eval command passed and all requirements were met.

    None if neither the exit status nor a requirement decides.
    """
    last_attempt: int = 0
    """The agent's last attempt at that time, or 0 if it is the measured one."""
    baseline: float | None = None
    """The value of the base branch on the machine that measured the agent (eval --on), or None."""
    base_values: tuple[float, ...] = ()
    """The values of the base branch in the same rounds."""
    ratio: float | None = None
    """The ratio of the value to that of the base branch, or None."""
    machine: Machine | None = None
    """The machine that measured the agent for `eval --on`, or None."""


class MergeRecord(NamedTuple):
    """The winner of a session and the commit that merged it."""

    agent: int
    attempt: int
    tip: str
    """The object id of the winner's commit."""
    into: str
    """The name of the target branch, without refs/heads/."""
    commit: str
    """The object id of the merge commit, or of the last commit of a rebase."""
    base: str = ""
    """The object id of the target branch before the merge, or ''."""
    kind: str = ""
    """The kind of the merge, such as "rebase", or ''."""


class Session(NamedTuple):
    """A session: its configuration, and its state.json as it was read."""

    id: SessionId
    config: Config
    state: State
    document: Mapping[str, Any]
    base_tip: str = ""
    """The commit to take for the tip of the base branch, or '' for the branch of this clone."""

    @property
    def created(self) -> str:
        """The time of creation in ISO 8601, or ''."""
        return as_text(self.document.get("created"))

    @property
    def updated(self) -> str:
        """The time of the last change of state.json in ISO 8601, or ''."""
        return as_text(self.document.get("updated"))

    @property
    def base_commit(self) -> str:
        """The object id of the commit that all agents start from. '' before `spawn`."""
        return _object_id(self.document.get("base_commit"))

    @property
    def agents(self) -> tuple[str, ...]:
        """The names of the agents in state.json, such as "agent-1"."""
        return tuple(as_mapping(self.document.get("agents")))

    def agent_record(self, name: str) -> AgentRecord:
        """Return the entry of the agent `name`, such as "agent-1", or an empty entry."""
        return _parse_agent_record(self.agent_fields(name))

    def agent_fields(self, name: str) -> Mapping[str, Any]:
        """Return the entry of the agent `name` as it is in state.json, or {}."""
        return as_mapping(as_mapping(self.document.get("agents")).get(name))

    def attempt_fields(self, name: str, attempt: int) -> Mapping[str, Any]:
        """Return the entry of an attempt: that of the agent `name` for its last attempt and for 0."""
        fields = self.agent_fields(name)
        if not attempt or attempt >= as_count(fields.get("attempt")):
            return fields
        return as_mapping(as_mapping(fields.get("attempts")).get(f"attempt-{attempt}"))

    @property
    def evaluated_base(self) -> str:
        """The tip of the base branch at the time of the evaluation, or ''."""
        return _object_id(as_mapping(self.document.get("evaluation")).get("base"))

    @property
    def merge(self) -> MergeRecord | None:
        """The winner, or None. It is recorded before the branch moves."""
        return parse_merge_record(as_mapping(self.document.get("merge")))

    @property
    def results(self) -> tuple[AgentResult, ...]:
        """The valid results of the last evaluation, also those without a rank."""
        results = (_parse_result(name, self.agent_fields(name)) for name in self.agents)
        return tuple(result for result in results if result is not None)

    def result(self, agent: int) -> AgentResult | None:
        """Return the valid result of an agent in the last evaluation, or None."""
        return _parse_result(agent_name(agent), self.agent_fields(agent_name(agent)))

    @property
    def ranking(self) -> tuple[AgentResult, ...]:
        """The valid results of the last evaluation that have a rank, the best first."""
        ranked = [result for result in self.results if result.rank]
        return tuple(sorted(ranked, key=lambda result: result.rank))

    @property
    def continues_session(self) -> bool:
        """True if the agents start from the winner of another session (`init --after`)."""
        return "parent" in self.document


def _object_id(value: object) -> str:
    text = as_text(value)
    return text if is_object_id(text) else ""


def _parse_agent_record(fields: Mapping[str, Any]) -> AgentRecord:
    run = as_mapping(fields.get("exec")).get("run")
    work = as_mapping(fields.get("work"))
    result = as_mapping(fields.get("result"))
    return AgentRecord(
        status=as_text(fields.get("status")),
        attempt=as_count(fields.get("attempt")),
        worktree=as_text(fields.get("worktree")),
        rescue=as_texts(fields.get("rescue")),
        work={attempt: as_text(ref) or None for attempt, ref in work.items()},
        is_restored="restored" in fields,
        run=None if run is None else as_text(run),
        measured_attempt=as_count(result.get("attempt")),
        guarded=as_texts(result.get("guarded")),
        starts={name: _object_id(oid) for name, oid in as_mapping(fields.get("starts")).items()},
    )


def parse_merge_record(fields: Mapping[str, Any]) -> MergeRecord | None:
    """Return the merge in an entry of state.json, or None if it is not valid."""
    agent = fields.get("agent")
    attempt = fields.get("attempt")
    into = as_text(fields.get("into"))
    tip = _object_id(fields.get("tip"))
    commit = _object_id(fields.get("commit"))
    if type(agent) is not int or type(attempt) is not int or not (into and tip and commit):
        return None
    base, kind = _object_id(fields.get("base")), as_text(fields.get("kind"))
    return MergeRecord(agent, attempt, tip, into, commit, base, kind)


def _parse_result(name: str, fields: Mapping[str, Any]) -> AgentResult | None:
    """Return the result in the entry of the agent `name`, or None if it is missing or invalid."""
    number = agent_number(name)
    result = as_mapping(fields.get("result"))
    attempt = result.get("attempt")
    rank = as_count(result.get("rank"))
    has_rank = rank > 0 or result.get("rank", "") is None
    commit = _object_id(result.get("commit"))
    passed = result.get("passed")
    if not number or type(attempt) is not int or not has_rank or not commit:
        return None
    return AgentResult(
        number,
        attempt,
        commit,
        rank,
        as_number(result.get("metric")),
        as_text(result.get("reason")),
        as_number(result.get("spread")) or 0.0,
        as_numbers(result.get("values")),
        as_number(result.get("delta")),
        result.get("tie") is True,
        as_number(result.get("margin")),
        _object_id(result.get("tree")),
        passed if isinstance(passed, bool) else None,
        as_count(result.get("last_attempt")),
        as_number(result.get("baseline")),
        as_numbers(result.get("base_values")),
        as_number(result.get("ratio")),
        parse_machine(result.get("machine")),
    )
