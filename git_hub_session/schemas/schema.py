"""The JSON schemas of the answers with --format=json.

<name>.json is the schema of the answer of a command, without the key `version`. definitions.json
has the parts that several schemas share. The reference "#/$defs/<name>" is such a part, or else the
answer of the command, without `version`.
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
_EXTENSION = ".json"
_REFERENCE = "#/$defs/"
_VERSION = {
    "description": "the version of the keys. It changes if a key changes or is removed",
    "const": ANSWER_VERSION,
}


def read_descriptions() -> dict[str, str]:
    """Return the description of each answer: by the name of its command, or by `error`."""
    files = (os.path.splitext(name) for name in sorted(os.listdir(_DIRECTORY)))
    names = [name for name, extension in files if extension == _EXTENSION]
    return {name: _read_file(name)["description"] for name in names if name != _DEFINITIONS}


def read_schema(name: str) -> dict[str, Any]:
    """Return the schema of an answer, together with all parts that it refers to."""
    answer = _read_file(name)
    for variant in answer.get("oneOf", [answer]):
        variant["properties"] = {"version": _VERSION, **variant["properties"]}
        variant["required"].insert(0, "version")
    head = {"$schema": _DIALECT, "title": f"the JSON of git hub-session: {name}"}
    return {**head, **answer, "$defs": _referenced_parts(answer)}


def _referenced_parts(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the parts that an answer refers to, also indirectly, by their names."""
    shared = _read_file(_DEFINITIONS)["$defs"]
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


def _read_file(name: str) -> dict[str, Any]:
    with open(os.path.join(_DIRECTORY, name + _EXTENSION), encoding="utf-8") as file:
        schema: dict[str, Any] = json.load(file)
    return schema
