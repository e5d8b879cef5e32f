"""The shared record of a session as a value, and as files. This docstring is the format.

    config.yaml              the purpose of the session, without `holdout`
    state.json               the state, without everything that is true on one machine only
    evaluations.jsonl        the log of all evaluations, sorted
    previous.json            as in the session
    board/<channel>/<post>   the posts of the session

state.json has `format` and `stamps` in addition to the keys of a session. A stamp tells which clone
has changed an entry last: [attempt, counter, id of the clone]. The entries are the agents, and the
evaluation with all results. `endings` lists `archived` and `merged` if clones have ended the session
in both ways, and `merges` the merges if clones have made several.

A record is hostile input. It has only the keys of `values.py`, and no path of a machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.board.posts import MAX_POST_BYTES, is_new_channel, parse_post, post_number
from git_hub_session.errors import Damaged, Refused
from git_hub_session.git.ref_names import agent_number
from git_hub_session.session.config_file import MAX_CONFIG_BYTES, parse_config, render_config
from git_hub_session.session.history import (
    RESOLVE_VERB,
    Conflict,
    find_conflict,
    parse_winner,
    settled_ending,
    settled_winner,
)
from git_hub_session.session.state import FINISHED, State
from git_hub_session.sharing.session_values import (
    CONFIG_KEYS,
    EVALUATION,
    EVALUATIONS,
    MERGE,
    MERGES,
    clean_config,
    clean_evaluations,
    clean_facts,
    clean_history,
    clean_merges,
    clean_values,
)
from git_hub_session.sharing.values import is_state
from git_hub_session.system.json_file import encode_json, parse_json
from git_hub_session.util.json_values import as_count, as_mapping, as_text, as_texts
from git_hub_session.util.numbers import MAX_COUNT

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId

FORMAT = 1
"""The version of the format. A record with a higher version is refused."""
CONFIG, STATE, PREVIOUS = "config.yaml", "state.json", "previous.json"

MAX_RECORD_BYTES = 64 << 20
MAX_RECORD_FILES = 20_000
_MAX_EVALUATIONS = 10_000
_CLONE_ID = r"[0-9a-f]{32}"
_POST = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,200}"
_COPY = r"~[0-9a-f]{8}(?=\.md$|-[0-9A-Z:-]+\.md$)"
_RANKS = {state: rank for rank, state in enumerate(State)}
_ENDINGS = frozenset(map(str, FINISHED))


class InvalidRecord(Refused):
    """A record of a remote that is not valid. Nothing was changed."""

    code = "invalid-record"


class Stamp(NamedTuple):
    """The version of an entry. The largest one is the newest. It contains no clock."""

    attempt: int
    """The last attempt of an agent, or 0 for another entry."""
    counter: int
    """The number of changes."""
    clone: str
    """The id of the clone that has changed the entry."""


class Entry(NamedTuple):
    """A part of a session that one clone changes as a whole."""

    stamp: Stamp
    text: str
    """The canonical JSON of the value. It settles equal stamps."""

    @property
    def value(self) -> dict[str, Any]:
        """The value of the entry."""
        value = json.loads(self.text)
        assert isinstance(value, dict)
        return value


class SharedPost(NamedTuple):
    """A post with the name of its file."""

    channel: str
    name: str
    data: bytes


class Record(NamedTuple):
    """The values of a session that clones share."""

    config: Mapping[str, str]
    state: str
    """The name of the state. With two endings, it is the one that the history settles."""
    endings: tuple[str, ...] = ()
    """The endings that any clone has reached, sorted."""
    facts: Mapping[str, str] = {}
    """The canonical JSON of `created`, `base_commit` and `parent`, which never change."""
    entries: Mapping[str, Entry] = {}
    """The entries by name: "agent-2" and EVALUATION."""
    merges: tuple[str, ...] = ()
    """The canonical JSON of the merges that clones have made, sorted."""
    history: tuple[str, ...] = ()
    """The canonical JSON of the transitions, in the order of the states."""
    evaluations: tuple[str, ...] = ()
    """The canonical JSON of the lines of the log, sorted."""
    posts: tuple[SharedPost, ...] = ()
    """The posts, sorted."""
    previous: bytes = b""
    """The content of previous.json, or b''."""

    @property
    def created(self) -> str:
        """The time of creation in ISO 8601, or ''."""
        return str(json.loads(self.facts.get("created", '""')))

    @property
    def merge(self) -> str:
        """The canonical JSON of the merge that counts, or ''. The history settles several winners."""
        winner = settled_winner(_decisions(self.history))
        settled = [text for text in self.merges if parse_winner(json.loads(text)) == winner]
        return max(settled or self.merges, default="")

    @property
    def conflict(self) -> Conflict | None:
        """The different endings or winners of clones, between which nobody has chosen, or None."""
        merges = map(json.loads, self.merges)
        return find_conflict(self.endings, merges, _decisions(self.history))


def make_record(**fields: Any) -> Record:
    """Return a record whose collections are sorted, and whose state follows from the others."""
    record = Record(**fields)
    endings = {*record.endings, record.state} & _ENDINGS
    history = tuple(sorted({*record.history}, key=_history_key))
    ending = min(endings, default=record.state)
    if len(endings) > 1:
        ending = settled_ending(_decisions(history)) or str(State.MERGED)
    return record._replace(
        state=ending,
        endings=tuple(sorted(endings)),
        history=history,
        merges=tuple(sorted({*record.merges})),
        evaluations=tuple(sorted({*record.evaluations}, key=_evaluation_key))[-_MAX_EVALUATIONS:],
        posts=tuple(sorted({*record.posts})),
    )


def state_rank(state: str) -> int:
    """Return the position of a state in the machine."""
    return _RANKS[State(state)]


def _decisions(history: Iterable[str]) -> list[Mapping[str, Any]]:
    """Return the entries of a history that settle a conflict, and perhaps others."""
    return [json.loads(text) for text in history if f'"{RESOLVE_VERB}"' in text]


def _history_key(text: str) -> tuple[int, int, str, str]:
    """Return the position of a transition. The machine decides before a clock does."""
    step = json.loads(text)
    return state_rank(step["to"]), step.get("number", 0), step.get("at", ""), text


def _evaluation_key(text: str) -> tuple[str, ...]:
    """Return a key that keeps the lines of one evaluation together."""
    entry = json.loads(text)
    return *(str(entry.get(key, "")) for key in ("at", "by", "run", "verdict")), text


# --- Files ----------------------------------------------------------------------------


def record_files(record: Record) -> dict[str, bytes]:
    """Return the files of a record: {path: content}."""
    config = {key: record.config[key] for key in CONFIG_KEYS if key in record.config}
    files = {
        CONFIG: render_config(config).encode(),
        STATE: encode_json(_state_document(record)),
        EVALUATIONS: "".join(f"{line}\n" for line in record.evaluations).encode(),
        PREVIOUS: record.previous,
    }
    return {**{path: data for path, data in files.items() if data}, **_post_files(record.posts)}


def _state_document(record: Record) -> dict[str, Any]:
    facts = {name: json.loads(text) for name, text in sorted(record.facts.items())}
    values = {name: entry.value for name, entry in sorted(record.entries.items())}
    evaluation = values.pop(EVALUATION, {})
    merges = [json.loads(text) for text in record.merges]
    agents = {name: values[name] for name in sorted(values, key=agent_number)}
    for name, result in evaluation.get("results", {}).items():
        agents[name] = {**agents.get(name, {}), "result": result}
    return {
        "format": FORMAT,
        "session_id": record.config["session_id"],
        "state": record.state,
        **({"endings": list(record.endings)} if len(record.endings) > 1 else {}),
        **facts,
        "agents": agents,
        **({EVALUATION: evaluation["evaluation"]} if evaluation else {}),
        **({MERGE: json.loads(record.merge)} if merges else {}),
        **({MERGES: merges} if len(merges) > 1 else {}),
        "history": [json.loads(text) for text in record.history],
        "stamps": {name: list(entry.stamp) for name, entry in sorted(record.entries.items())},
    }


def _post_files(posts: Sequence[SharedPost]) -> dict[str, bytes]:
    """Return the files of posts. Mark all but the first of several posts with one name."""
    files: dict[str, bytes] = {}
    for channel, name, data in posts:
        path = f"board/{channel}/{name}"
        files[path if path not in files else f"board/{channel}/{copy_name(name, data)}"] = data
    return files


def copy_name(name: str, data: bytes) -> str:
    """Return the name of another post whose name is taken."""
    start, dash, end = name.removesuffix(".md").rpartition("-")
    mark = f"~{sha256(data).hexdigest()[:8]}"
    return f"{start}{mark}{dash}{end}.md" if dash else f"{end}{mark}.md"


def original_name(name: str) -> str:
    """Return the name that a post had before copy_name()."""
    return re.sub(_COPY, "", name)


def parse_record(files: Mapping[str, bytes], sid: SessionId) -> Record:
    """Return the record in the files of a commit. Ignore unknown paths and invalid posts.

    Raises:
        InvalidRecord: the files are not the record of the session, or are too large.
    """
    if len(files) > MAX_RECORD_FILES or sum(map(len, files.values())) > MAX_RECORD_BYTES:
        raise InvalidRecord(f"the shared record of '{sid}' is too large")
    try:
        state = parse_json(STATE, files.get(STATE, b""))
        config = _parse_config(files.get(CONFIG, b""))
        if files.get(PREVIOUS):
            parse_json(PREVIOUS, files[PREVIOUS])
    except (Damaged, UnicodeDecodeError) as error:
        message = error.message if isinstance(error, Damaged) else f"{CONFIG}: not UTF-8"
        raise InvalidRecord(f"the shared record of '{sid}' is damaged: {message}") from None
    _check_identity(state, config, sid)
    return make_record(
        config=config,
        state=state["state"],
        endings=tuple(name for name in as_texts(state.get("endings")) if name in _ENDINGS),
        facts=clean_facts(state),
        entries=_parse_entries(state),
        merges=clean_merges(state),
        history=clean_history(state.get("history")),
        evaluations=clean_evaluations(files.get(EVALUATIONS, b"").split(b"\n")),
        posts=tuple(_parse_posts(files, sid)),
        previous=files.get(PREVIOUS, b""),
    )


def _check_identity(state: Mapping[str, Any], config: Mapping[str, str], sid: SessionId) -> None:
    version = state.get("format")
    if type(version) is not int or version < 1:
        raise InvalidRecord(f"the shared record of '{sid}' has no format")
    if version > FORMAT:
        raise InvalidRecord(
            f"the shared record of '{sid}' has the unknown format {version}",
            hint="install a newer version of git hub-session",
        )
    if config.get("session_id") != sid or state.get("session_id") != sid:
        raise InvalidRecord(f"the shared record of '{sid}' belongs to another session")
    if not is_state(state.get("state")):
        raise InvalidRecord(f"the shared record of '{sid}' has an unknown state")


def _parse_config(data: bytes) -> dict[str, str]:
    if not 0 < len(data) <= MAX_CONFIG_BYTES:
        raise Damaged(f"{CONFIG}: missing or too large")
    return clean_config(parse_config(data.decode()))


def _parse_entries(state: Mapping[str, Any]) -> dict[str, Entry]:
    stamps = as_mapping(state.get("stamps"))
    entries = {}
    for name, text in clean_values(state).items():
        entries[name] = Entry(_parse_stamp(stamps.get(name), stamp_attempt(name, text)), text)
    return entries


def stamp_attempt(name: str, text: str) -> int:
    """Return the last attempt in the entry of an agent, or 0 for another entry."""
    return as_count(json.loads(text).get("attempt")) if agent_number(name) else 0


def _parse_stamp(value: object, attempt: int) -> Stamp:
    """Return a stamp. An invalid one is older than all others."""
    if isinstance(value, list) and len(value) == 3:
        _, counter, clone = value
        is_counter = type(counter) is int and 0 < counter <= MAX_COUNT
        if is_counter and re.fullmatch(_CLONE_ID, as_text(clone)):
            return Stamp(attempt, counter, clone)
    return Stamp(attempt, 0, "")


def _parse_posts(files: Mapping[str, bytes], sid: SessionId) -> Iterable[SharedPost]:
    for path, data in files.items():
        top, _, rest = path.partition("/")
        channel, _, name = rest.partition("/")
        name = original_name(name)
        if top == "board" and is_shared_post(channel, name, data, sid):
            yield SharedPost(channel, name, data)


def is_shared_post(channel: str, name: str, data: bytes, sid: SessionId) -> bool:
    """Return True if a file of the board is a valid post of the session."""
    if len(data) > MAX_POST_BYTES or not is_new_channel(channel) or not post_number(name):
        return False
    if re.fullmatch(_POST, name, re.ASCII) is None:
        return False
    post = parse_post(channel, name, data)
    return post.session == sid and not post.reason
