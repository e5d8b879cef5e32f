"""Random records of one session, for Hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from git_hub_session.git.ref_names import SessionId
from git_hub_session.sharing.record import Record, parse_record, record_files
from git_hub_session.sharing.values import canonical
from git_hub_session.system.json_file import encode_json

SID = SessionId("s1")
CONFIG = {
    "session_id": "s1",
    "task": "Make it fast",
    "agent_count": "2",
    "base_branch": "main",
    "created": "2026-03-17T14:30:22.000000+00:00",
}
OID = "1a410efbd13591db07496601ebc7a059dd55cfe9"

_states = st.sampled_from(["init", "running", "evaluating", "merged", "archived"])
_times = st.sampled_from(["2026-03-17T14:31:00+00:00", "2026-03-17T14:32:00+00:00", "2020-01-01"])
_people = st.sampled_from(["Ada <a@b>", "Bob <b@c>"])
_clones = st.sampled_from(["0" * 32, "a" * 32])
_counts = st.integers(1, 3)

_steps = st.fixed_dictionaries(
    {"at": _times, "from": _states, "to": _states, "by": _people, "verb": st.just("update")}
)
_decisions = st.fixed_dictionaries(
    {
        "at": _times,
        "from": st.just("merged"),
        "to": st.sampled_from(["merged", "archived"]),
        "by": _people,
        "verb": st.just("resolve"),
        "number": _counts,
    },
    optional={"agent": _counts, "attempt": st.just(1)},
)
_merges = st.fixed_dictionaries(
    {
        "agent": _counts,
        "attempt": st.just(1),
        "tip": st.just(OID),
        "commit": st.sampled_from([OID, "3" * 40]),
        "into": st.just("main"),
    }
)
_results = st.one_of(st.none(), st.fixed_dictionaries({"rank": _counts, "metric": st.floats(0, 9)}))
_agents = st.fixed_dictionaries(
    {"status": st.sampled_from(["ready", "done", "failed", "running"]), "attempt": _counts},
    optional={"exec": st.fixed_dictionaries({"exit_code": _counts}), "result": _results},
)
_stamps = st.tuples(_counts, _counts, _clones).map(list)
_documents = st.fixed_dictionaries(
    {
        "format": st.just(1),
        "session_id": st.just("s1"),
        "state": _states,
        "agents": st.dictionaries(st.sampled_from(["agent-1", "agent-2"]), _agents),
        "history": st.lists(st.one_of(_steps, _decisions), max_size=4),
        "stamps": st.dictionaries(st.sampled_from(["agent-1", "agent-2", "evaluation"]), _stamps),
    },
    optional={
        "created": _times,
        "base_commit": st.sampled_from([OID, "2" * 40]),
        "evaluation": st.fixed_dictionaries({"at": _times, "baseline": st.floats(0, 9)}),
        "merge": _merges,
        "merges": st.lists(_merges, max_size=3),
        "endings": st.lists(st.sampled_from(["merged", "archived"])),
    },
)
_lines = st.fixed_dictionaries({"at": _times, "by": _people, "agent": _counts, "rank": _counts})


def post_bytes(text: str, *, session: str = "s1", channel: str = "results") -> bytes:
    """Return the file of a post."""
    head = f"author: agent-1\ntimestamp: 2026-03-17T14:35:10Z\nchannel: {channel}\nsequence: 1"
    return f"---\n{head}\nparent: null\nsession: {session}\n---\n\n{text}\n".encode()


@st.composite
def record_file_sets(draw: st.DrawFn) -> dict[str, bytes]:
    """Return the files of a record as a remote may have them."""
    config = draw(
        st.sampled_from([CONFIG, {**CONFIG, "baseline": "3"}, {**CONFIG, "baseline": "5"}])
    )
    names = draw(st.lists(st.sampled_from(["001", "002"]), max_size=2))
    posts = {
        f"board/results/{name}-agent-1-20260317T143510Z.md": post_bytes(
            draw(st.sampled_from(["one", "two", "three"]))
        )
        for name in names
    }
    lines = draw(st.lists(_lines, max_size=3))
    return {
        "config.yaml": "".join(f"{key}: {config_text(key, config)}\n" for key in config).encode(),
        "state.json": encode_json(draw(_documents)),
        "evaluations.jsonl": "".join(f"{canonical(line)}\n" for line in lines).encode(),
        "previous.json": draw(st.sampled_from([b"", b'{"rounds": []}'])),
        **posts,
    }


def config_text(key: str, config: dict[str, str]) -> str:
    """Return the value of a key as in a config.yaml."""
    return f'"{config[key]}"' if key == "task" else config[key]


def records() -> st.SearchStrategy[Record]:
    """Return random records."""
    return record_file_sets().map(lambda files: parse_record(files, SID))


def files_of(record: Record) -> dict[str, Any]:
    """Return the files of a record, which tests compare."""
    return record_files(record)
