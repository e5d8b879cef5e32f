"""The log of all recorded evaluations: <hub>/sessions/<id>/evaluations.jsonl.

Each line is a JSON object with the result of one agent. Lines are only appended, so the log keeps
the values that a later evaluation replaces in state.json. A line that is not an entry is skipped.
docs/format.md lists the keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.errors import Damaged
from git_hub_session.system.append import append_lines, read_last_lines
from git_hub_session.system.directory import write_error
from git_hub_session.system.json_file import parse_json
from git_hub_session.util.json_values import as_count, as_number, as_numbers, as_text
from git_hub_session.util.machine import Machine, machine_fields, parse_machine
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.system.directory import SafeDirectory

LOG_FILE = "evaluations.jsonl"
"""The file in the directory of a session."""

# Limit the memory: the log may have come with the repository.
_MAX_BYTES = 4 << 20
_MAX_ENTRIES = 10_000

_TEXTS = (
    "at",
    "by",
    "run",
    "commit",
    "tree",
    "base",
    "metric",
    "unit",
    "reason",
    "verdict",
    "judge",
    "base_reason",
    "part_of",
)
_NUMBERS = ("value", "baseline", "delta", "ratio")
_OPTIONAL = ("ratio", "base_values", "base_reason", "machine", "part_of")
"""The keys that only an evaluation on several machines writes."""


class EvaluationEntry(NamedTuple):
    """The result of one agent in one evaluation. The names of the fields are the keys."""

    at: str
    """The time of the evaluation in ISO 8601 (UTC)."""
    by: str
    """The user, as "Name <email>"."""
    run: str
    """The name of the run, such as eval-1, or '' if a person ranked the agents."""
    agent: int
    attempt: int
    commit: str
    """The object id of the evaluated commit, or ''."""
    tree: str
    """The object id of the measured tree, or ''."""
    base: str
    """The tip of the base branch at that time, or ''."""
    metric: str
    """The name of the metric, or ''."""
    unit: str
    """The unit of all values, or ''."""
    value: float | None
    """The median of the values, or None."""
    values: tuple[float, ...]
    baseline: float | None
    delta: float | None
    rank: int | None
    tie: bool
    reason: str
    """The reason why the agent has no value, or ''."""
    verdict: str
    """The text of the person or the judge that ranked the agents, or ''."""
    passed: bool | None = None
    """True or False if the exit status or a requirement decides (see AgentResult)."""
    judge: str = ""
    """The command of the judge, or ''."""
    improves: bool | None = None
    """False if the judge found no agent better than the baseline. None if it did not say."""
    ratio: float | None = None
    """The median of the ratios of the values to `base_values`, or None."""
    base_values: tuple[float, ...] = ()
    """The values of the base branch in the same rounds on the same machine (eval --on)."""
    base_reason: str = ""
    """The reason why the base branch has no values, or ''."""
    machine: Machine | None = None
    """The machine that measured the agent for `eval --on`, or None."""
    part_of: str = ""
    """The id of the unfinished evaluation that the measurement of a worker is for, or ''."""


class EvaluationLog(NamedTuple):
    """The readable entries of a log, oldest first."""

    entries: tuple[EvaluationEntry, ...] = ()
    is_shortened: bool = False
    """True if the log has earlier entries, which were not read."""


def check_log(directory: SafeDirectory) -> None:
    """Raise Damaged if the log is not a regular file. A missing log is fine.

    Call this function before a long evaluation, whose result must not be lost.
    """
    _read_lines(directory, limit=0)


def append_evaluation(directory: SafeDirectory, entries: Iterable[EvaluationEntry]) -> None:
    """Append entries to the log in the directory of a locked session.

    Raises:
        Damaged: the log is not a regular file.
        CannotWrite: the log is unchanged.
    """
    lines = [json.dumps(_line_fields(entry), allow_nan=False) + "\n" for entry in entries]
    append_log_lines(directory, map(str.encode, lines))


def entry_fields(entry: EvaluationEntry) -> dict[str, Any]:
    """Return the JSON of an entry, with all keys."""
    machine = machine_fields(entry.machine)
    lists = {"values": list(entry.values), "base_values": list(entry.base_values)}
    return {**entry._asdict(), **lists, "machine": machine}


def _line_fields(entry: EvaluationEntry) -> dict[str, Any]:
    """Return the JSON of an entry in the log, without the optional keys that have no value."""
    fields = entry_fields(entry)
    return {key: value for key, value in fields.items() if value or key not in _OPTIONAL}


def read_log_lines(directory: SafeDirectory) -> list[bytes]:
    """Return the newest lines of the log, or raise Damaged as read_evaluations() does."""
    return _read_lines(directory, limit=_MAX_BYTES)[0][-_MAX_ENTRIES:]


def append_log_lines(directory: SafeDirectory, lines: Iterable[bytes]) -> None:
    """Append whole lines, each with its line feed. Raise what append_evaluation() raises."""
    try:
        append_lines(directory, LOG_FILE, b"".join(lines))
    except OSError as error:
        raise write_error(f"{directory.path}/{LOG_FILE}", error) from None


def read_evaluations(directory: SafeDirectory) -> EvaluationLog:
    """Return the newest entries of the log, without the measurements of workers.

    Raises:
        Damaged: the log is not a regular file, or cannot be read.
    """
    lines, is_shortened = _read_lines(directory, limit=_MAX_BYTES)
    entries = tuple(entry for entry in _parse_lines(lines) if not entry.part_of)
    return EvaluationLog(entries, is_shortened or len(lines) > _MAX_ENTRIES)


def read_measurements(directory: SafeDirectory, part_of: str) -> list[EvaluationEntry]:
    """Return the measurements of workers for an evaluation (its id), or raise Damaged."""
    lines, _ = _read_lines(directory, limit=_MAX_BYTES)
    return [entry for entry in _parse_lines(lines) if entry.part_of == part_of]


def _parse_lines(lines: Sequence[bytes]) -> Iterator[EvaluationEntry]:
    return filter(None, map(_parse_line, lines[-_MAX_ENTRIES:]))


def group_evaluations(entries: Sequence[EvaluationEntry]) -> list[list[EvaluationEntry]]:
    """Return the entries of each evaluation, in the order of `entries`."""
    groups: list[list[EvaluationEntry]] = []
    for entry in entries:
        if groups and _evaluation_key(groups[-1][0]) == _evaluation_key(entry):
            groups[-1].append(entry)
        else:
            groups.append([entry])
    return groups


def _evaluation_key(entry: EvaluationEntry) -> tuple[str, ...]:
    """Return the values that all entries of one evaluation share."""
    return entry.at, entry.by, entry.run, entry.verdict


def evaluation_name(entry: EvaluationEntry) -> str:
    """Return the name of the evaluation of an entry: "eval-1", or "ranking" for a person's."""
    return entry.run or "ranking"


def _read_lines(directory: SafeDirectory, *, limit: int) -> tuple[list[bytes], bool]:
    try:
        return read_last_lines(directory, LOG_FILE, limit=limit)
    except OSError as error:
        path = f"{directory.path}/{LOG_FILE}"
        raise Damaged(
            f"cannot read '{path}': {error.strerror}",
            hint=f"mv {quote_word(path)} {quote_word(path)}.old",
        ) from None


def _parse_line(line: bytes) -> EvaluationEntry | None:
    """Return the entry in a line, or None. A value of the wrong type counts as missing."""
    try:
        fields = parse_json(LOG_FILE, line)
    except Damaged:
        return None
    agent = as_count(fields.get("agent"))
    if not agent:
        return None
    texts: dict[str, Any] = {key: as_text(fields.get(key)) for key in _TEXTS}
    passed, improves = (fields.get(key) for key in ("passed", "improves"))
    numbers: dict[str, Any] = {key: as_number(fields.get(key)) for key in _NUMBERS}
    return EvaluationEntry(
        agent=agent,
        attempt=as_count(fields.get("attempt")),
        values=as_numbers(fields.get("values")),
        rank=as_count(fields.get("rank")) or None,
        tie=fields.get("tie") is True,
        passed=passed if isinstance(passed, bool) else None,
        improves=improves if isinstance(improves, bool) else None,
        base_values=as_numbers(fields.get("base_values")),
        machine=parse_machine(fields.get("machine")),
        **texts,
        **numbers,
    )
