"""The JSON schemas: one for each answer, valid, with a description for each key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from git_hub_session.cli.options import FORMAT
from git_hub_session.commands import COMMANDS
from git_hub_session.schemas.schema import read_descriptions, read_schema
from git_hub_session.settings.table import SETTINGS
from tests.support.answers import ERROR, EVENT, find_differences
from tests.support.command_usage import usage_of

NAMES = tuple(read_descriptions())
# The contents of config.yaml and state.json, which other programs may have written.
FILES = {"status.config", "status.state"}


def objects(place: str, schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each part of a schema that describes an object, with its place."""
    if isinstance(schema, list):
        for element in schema:
            yield from objects(place, element)
    elif isinstance(schema, dict):
        if schema.get("type") == "object":
            yield place, schema
        for key in ("items", "anyOf", "oneOf"):
            yield from objects(place, schema.get(key))
        for key in ("properties", "$defs"):
            for name, value in schema.get(key, {}).items():
                yield from objects(f"{place}.{name}", value)


def test_each_command_with_json_output_has_a_schema() -> None:
    commands = {name for name in COMMANDS if set(FORMAT) <= set(usage_of(name).options)}
    assert {*NAMES} == {*commands, ERROR, EVENT}


@pytest.mark.parametrize("name", NAMES)
def test_each_schema_is_valid(name: str) -> None:
    schema = read_schema(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(schema)
    for form in schema.get("oneOf", [schema]):
        assert "version" in form["required"]
        assert form["properties"]["version"]["const"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_no_other_key_is_allowed(name: str) -> None:
    parts = dict(objects(name, read_schema(name)))
    open_parts = {place for place, part in parts.items() if part.get("additionalProperties", True)}
    assert open_parts <= FILES
    for place, part in parts.items():
        assert set(part.get("required", ())) <= set(part.get("properties", ())), place


@pytest.mark.parametrize("name", NAMES)
def test_each_key_has_a_description(name: str) -> None:
    schema = read_schema(name)
    for place, part in objects(name, schema):
        assert part["description"], place
        for key, value in part.get("properties", {}).items():
            shared = schema["$defs"][value["$ref"].rpartition("/")[2]] if "$ref" in value else value
            assert shared["description"], (place, key)


def test_each_key_is_required_except_the_known_ones() -> None:
    keys_of_merges = ("removed", "saved", "kept", "archived", "branches_kept", "notes", "ancestors")
    optional = {
        f"{place}.{key}"
        for name in NAMES
        for place, part in objects(name, read_schema(name))
        if place.startswith(f"{name}.$defs") is False
        for key in set(part.get("properties", ())) - set(part.get("required", ()))
    }
    assert {place for place in optional if not place.startswith("run.")} == {
        *(f"{name}.{key}" for name in ("merge", "event") for key in keys_of_merges),
        *("list.missing", "list.sessions.reason"),
        *(f"doctor.findings.{key}" for key in ("failure", "hint", "notes")),
        "log.history.reason",
    }


def test_events_are_those_of_the_settings() -> None:
    forms = read_schema(EVENT)["oneOf"]
    keys = [f"hubsession.hook.{form['properties']['event']['const']}" for form in forms]
    assert keys == [each.key for each in SETTINGS if each.name.startswith("hook.")]
    for form in forms:
        assert form["required"][:5] == ["version", "event", "time", "repository", "session_id"]


def test_types_of_settings_are_those_of_the_table() -> None:
    setting = read_schema("config")["properties"]["settings"]["items"]["properties"]
    assert {each.type for each in SETTINGS} <= set(setting["type"]["enum"])


def test_a_difference_is_found() -> None:
    answer: dict[str, Any] = {
        "version": 1,
        "session_id": "s1",
        "branch": "hub/s1/agent-1/attempt-1",
        "path": "/x",
    }
    answer |= {"off_branch": None, "hint": None}
    assert find_differences("path", answer) == []
    for changed, difference in (
        ({**answer, "more": 1}, "more"),
        ({**answer, "path": None}, "path"),
        ({**answer, "version": 2}, "version"),
        ({key: answer[key] for key in answer if key != "branch"}, "branch"),
    ):
        [found] = find_differences("path", changed)
        assert difference in found


_TIMES = ("at", "created", "renewal_seen", "time", "timestamp", "updated")
_KINDS = {"ISO 8601": "string", "seconds since the epoch": "integer"}


def test_each_time_is_a_text_or_a_number() -> None:
    """The description names the kind. The man page names the keys of each kind."""
    found = set()
    for name in NAMES:
        for place, schema in objects(name, read_schema(name)):
            for key, described in schema.get("properties", {}).items():
                if key in _TIMES and place not in FILES:
                    [kind] = [kind for kind in _KINDS if kind in described["description"]]
                    assert _KINDS[kind] in described["type"], (place, key)
                    found.add(key)
    assert sorted(found) == [*_TIMES]
