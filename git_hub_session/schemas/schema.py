"""The JSON schemas of the answers with --format=json.

<name>.json is the schema of the answer of a command, without the key `version`. definitions.json
has the parts that several schemas share. The reference "#/$defs/<name>" is such a part, or else the
answer of the command, without `version`. In event.json, `properties` has the keys of all events, and
`answers` names the part or the answer with the other keys of each event.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from git_hub_session._typing import Any

ANSWER_VERSION = 1
"""The value of `version` in each answer. A new key does not change it."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DIRECTORY = os.path.dirname(os.path.abspath(__file__))
_DEFINITIONS = "definitions"
_EVENT = "event"
_EXTENSION = ".json"
_REFERENCE = "#/$defs/"
_VERSION = {
    "description": "the version of the keys. It changes if a key changes or is removed",
    "const": ANSWER_VERSION,
}


def read_descriptions() -> dict[str, str]:
    """Return the description of each answer: by the name of its command, by `error` or `event`."""
    files = (os.path.splitext(name) for name in sorted(os.listdir(_DIRECTORY)))
    names = [name for name, extension in files if extension == _EXTENSION]
    return {name: _read_file(name)["description"] for name in names if name != _DEFINITIONS}


def read_schema(name: str) -> dict[str, Any]:
    """Return the schema of an answer, together with all parts that it refers to."""
    answer = _read_event() if name == _EVENT else _read_file(name)
    for variant in answer.get("oneOf", [answer]):
        variant["properties"] = {"version": _VERSION, **variant["properties"]}
        variant["required"].insert(0, "version")
    head = {"$schema": _DIALECT, "title": f"the JSON of git hub-session: {name}"}
    return {**head, **answer, "$defs": _referenced_parts(answer)}


def _read_event() -> dict[str, Any]:
    """Return the schema of an event. It has one form for each event."""
    schema = _read_file(_EVENT)
    head, shared = schema["properties"], _read_shared_parts()
    forms = []
    for name, part in schema["answers"].items():
        answer = shared[part] if part in shared else _read_file(part)
        keys = answer.get("oneOf", [answer])[0]  # an event has the keys of the first form
        event = {"event": {"description": "the name of the event", "const": name}, **head}
        required = [*event, *(key for key in keys["required"] if key not in event)]
        properties = {**event, **keys["properties"]}
        forms.append({**keys, "properties": properties, "required": required})
    return {"description": schema["description"], "oneOf": forms}


def _referenced_parts(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the parts that an answer refers to, also indirectly, by their names."""
    shared = _read_shared_parts()
    parts: dict[str, Any] = {}
    names = list(_references(answer))
    for name in names:  # it grows
        if name not in parts:
            parts[name] = shared[name] if name in shared else _read_file(name)
            names += _references(parts[name])
    return dict(sorted(parts.items()))


def _references(schema: object) -> Iterator[str]:
    """Yield the name of each part that a schema refers to."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].removeprefix(_REFERENCE)
        schema = list(schema.values())
    if isinstance(schema, list):
        for element in schema:
            yield from _references(element)


def _read_shared_parts() -> dict[str, Any]:
    parts: dict[str, Any] = _read_file(_DEFINITIONS)["$defs"]
    return parts


def _read_file(name: str) -> dict[str, Any]:
    with open(os.path.join(_DIRECTORY, name + _EXTENSION), encoding="utf-8") as file:
        schema: dict[str, Any] = json.load(file)
    return schema
