"""git hub-session schema, and the keys of all answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from shlex import quote
from typing import Any

import pytest

from git_hub_session.schemas.schema import read_descriptions, read_schema
from git_hub_session.settings.table import SETTINGS
from tests.support.answers import ERROR, EVENT, documented_keys, occurring_keys
from tests.support.clones import (
    add_clone,
    bare_remote,
    connect,
    merge_different_winners,
    write_claim,
)
from tests.support.hints import find_hint, type_hint, types
from tests.support.hub import Hub
from tests.support.slurm import install_squeue, record_job

MEASURE = ("--eval", "cat ms", "--metric", "ms", "--direction", "lower")


def test_list_of_the_schemas(hub: Hub) -> None:
    result = hub.run("schema")
    assert (result.code, result.err) == (0, "")
    rows = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert rows == read_descriptions()


def test_schema_of_each_answer(hub: Hub) -> None:
    for name in read_descriptions():
        result = hub.run("schema", name)
        assert (result.code, result.err) == (0, "")
        assert json.loads(result.out) == read_schema(name)
        assert result.out.isascii()


def test_schema_outside_of_a_repository(hub: Hub) -> None:
    assert hub.run("schema", "list", cwd=hub.top.parent).code == 0


@types("git hub-session schema")
def test_no_such_schema(hub: Hub) -> None:
    result = hub.run("schema", "diff")
    assert (result.code, result.out) == (129, "")
    assert result.err.startswith("error: not a JSON answer: 'diff'\n")
    type_hint(hub, find_hint(result, "git hub-session schema"))


def test_words_of_the_schemas(hub: Hub) -> None:
    words = hub.run("completion", "--words", "--", "schema", "er").out.splitlines()
    assert words == ["words", f"error\t{read_descriptions()[ERROR]}"]


class Reader:
    """Runs commands, and collects the keys of their answers."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.keys: set[str] = set()
        self._events = hub.top.parent / "events"

    def read(self, name: str, *words: str, code: int = 0, cwd: Path | None = None) -> Any:
        """Run a command, and return its answer or its error. Read the events that it sends."""
        result = self.hub.run(name, "--format=json", *words, cwd=cwd)
        assert result.code == code, result
        document = json.loads(result.out or result.err)
        self.keys |= occurring_keys(name if result.out else ERROR, document)
        self._read_events()
        return document

    def save_events(self) -> None:
        """Save each event of the later commands, for `read`."""
        for key in (each.key for each in SETTINGS if each.name.startswith("hook.")):
            self.hub.git("config", key, f"cat >>{quote(str(self._events))}")

    def _read_events(self) -> None:
        if self._events.exists():
            for line in self._events.read_text().splitlines():
                self.keys |= occurring_keys(EVENT, json.loads(line))
            self._events.unlink()


@pytest.mark.slow
def test_each_documented_key_occurs(hub: Hub) -> None:
    reader = Reader(hub)
    reader.save_events()
    hub.commit(hub.top, "ms", "ms: 50\n")
    _play_rounds(reader)
    _play_session(reader)
    _end_session(reader)
    _find_problems(reader)
    _read_the_rest(reader)
    _share_session(reader)
    assert documented_keys() - reader.keys == set()
    assert reader.keys - documented_keys() == set()


def _play_rounds(reader: Reader) -> None:
    """The second round does not improve, so that the winner of the first one is merged."""
    improve = 'test $HUB_AGENT = agent-2 && exit 1; case $HUB_SESSION_ID in *-r2) date >other;; *) echo "ms: 9" >ms;; esac'
    init = ("--id", "r1", "--task", "x", "--agents", "2", "--agent-cmd", improve)
    document = reader.read("run", *init, *MEASURE, "--rounds", "2", "--yes")
    assert set(document["rounds"][0]["steps"]) >= {"merge", "archive"}


def _play_session(reader: Reader) -> None:
    hub = reader.hub
    reader.read("init", "--id", "s1", "--task", "x", "--agents", "3", *MEASURE)
    reader.read("spawn", "s1", "--only", "1")
    reader.read("spawn", "s1")
    reader.read("exec", "s1", "--", "sh", "-c", "echo ms: 3 >ms && git commit -qam faster")
    worktree = Path(reader.read("path", "s1", "1")["path"])
    reader.read("board", "post", "results", "-m", "text", cwd=worktree)
    reader.read("board")
    reader.read("board", "read", "results")
    reader.read("board", "create", "ideas")
    reader.read("guide", cwd=worktree)
    reader.read("eval", "--here", "--eval=cat ms", cwd=worktree)
    hub.git("switch", "-q", "-c", "fix", cwd=worktree)
    assert reader.read("log", "s1", "--frontier")["sessions"][0]["off_branch"]
    hub.git("switch", "-q", "-", cwd=worktree)
    reader.read("eval", "s1", "--eval=cat ms")
    reader.read("log", "s1", "--evaluations")
    reader.read("status", "s1")
    reader.read("status", "--short")
    reader.read("show", "s1", "1")
    reader.read("merge", "s1", "-n")
    reader.read("archive", "s1", "-n")
    hub.git("branch", "work", "hub/s1/agent-1/attempt-1")
    reader.read("adopt", "s1", "2", "work")


def _end_session(reader: Reader) -> None:
    hub = reader.hub
    worktrees = [Path(reader.read("path", "s1", agent)["path"]) for agent in "123"]
    reader.read("update", "s1", "--state", "archived", "--reason", "why")
    reader.read("log", "s1")
    (worktrees[0] / "new").write_text("new\n")
    hub.git("worktree", "lock", worktrees[1])
    reader.read("cleanup", "s1", "--archive", code=1)
    worktrees[2].mkdir()
    (worktrees[2] / "mine").write_text("mine\n")
    reader.read("restore", "s1", code=1)
    reader.read("prune", "--older-than", "0s", "-n")
    assert reader.read("log", "r1-r2")["ancestors"]
    assert reader.read("log", "--frontier", "r1-r2")["sessions"][0]["ancestors"]
    hub.session("s2")
    reader.read("delete", "s2")


def _find_problems(reader: Reader) -> None:
    hub = reader.hub
    reader.read("status", "none", code=128)
    path = hub.directory("") / ".b.0123456789ab.tmp"
    path.mkdir()
    (path / "notes").write_text("mine")
    hub.session("s3", agents=1)
    (hub.worktree(1, "s3") / "staged").write_text("an agent's\n")
    hub.git("add", "staged", cwd=hub.worktree(1, "s3"))
    shutil.rmtree(hub.worktree(1, "s3"))
    reader.read("doctor", "--fix", code=1)
    hub.session("s4")
    (hub.directory("s4") / "state.json").write_text("{")
    reader.read("list", code=1)
    for sid in ("s4", "s3", "s1", "r1-r2", "r1"):
        shutil.rmtree(hub.directory(sid))
    assert reader.read("list", code=1)["missing"]


def _read_the_rest(reader: Reader) -> None:
    reader.read("hooks", "status")
    reader.read("config")
    reader.read("guide", "--plugin")
    reader.read("guide", "--agents-md")
    reader.read("completion", "bash")
    reader.read("completion", "--words", "--", "l")


def _share_session(reader: Reader) -> None:
    """Publish a session, and bring it into another clone."""
    remote = str(bare_remote(reader.hub))
    connect(reader.hub, remote)
    reader.hub.session("s5", agents=1)
    assert reader.read("push", "s5")["sessions"][0]["refs"]
    other = Reader(add_clone(reader.hub, "second", remote))
    assert other.read("fetch")["sessions"][0]["refs"]
    assert other.read("work", "s5", "--", "true")["agents"][0]["run"]
    reader.hub.session("s6", agents=2)
    assert reader.read("push", "s6")["sessions"][0]["refs"]
    other.read("fetch", "s6")
    merge_different_winners(reader.hub, other.hub, "s6")
    for clone in (reader, other):
        clone.read("push", "s6")
    write_claim(other.hub, "refs/hub/claims/s6/agent-1")
    assert other.read("status", "s6")["merges"]
    record_job(other.hub, "s6", "7_1")
    install_squeue(other.hub, other.hub.top.parent / "squeue", "echo '7_1|RUNNING|0|n1|None|'")
    assert other.read("status", "s6")["jobs"]
    assert reader.read("fetch", "s6")["sessions"][0]["merges"]
    other.hub.git("config", "--global", "hubsession.executor.box.command", "env")
    assert other.read("exec", "--on", "box", "s5", "--", "true")["workers"]
    _measure_elsewhere(reader, other)
    reader.keys |= other.keys


def _measure_elsewhere(reader: Reader, other: Reader) -> None:
    """Measure a session through an executor, and as a worker in another clone."""
    reader.read("init", "--id", "s7", "--task", "x", "--agents", "1")
    reader.read("spawn", "s7")
    worktree = Path(reader.read("path", "s7", "1")["path"])
    reader.hub.commit(worktree, "ms", "ms: 7\n")
    assert reader.read("eval", "--on", "box", *MEASURE, "s7")["workers"]
    assert reader.read("log", "s7", "--evaluations")["evaluations"][0]["machine"]
    assert reader.read("status", "s7")["agents"][0]["machine"]
    assert reader.read("show", "s7", "1")["machine"]
    evaluation = f"{reader.hub.git('rev-parse', 'main')}-{'0' * 16}"
    assert other.read("work", "--measure", evaluation, *MEASURE, "s7")["measured"]
