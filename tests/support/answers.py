"""Compare the JSON answers of commands with their schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from git_hub_session.schemas.schema import read_descriptions, read_schema

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

ERROR = "error"
EVENT = "event"
_MAX_DIFFERENCES = 20
_MAX_LENGTH = 200


def find_invalid(words: Sequence[str], out: str, err: str) -> list[str]:
    """Return the differences between the JSON output of a command and its schema.

    Args:
        words: the words after `git hub-session`.
    """
    texts = {_answer_name(words): out, ERROR: err}
    return [
        f"{name}: {difference}"
        for name, text in texts.items()
        if name and text.startswith("{\n") and text.endswith("}\n")
        for difference in find_differences(name, _parse(text))
    ]


def find_differences(name: str, document: Any) -> list[str]:
    """Return the differences between an answer and the form of it that is the most similar."""
    forms = [
        [
            f"{'/'.join(map(str, error.instance_path))}: {error.message[:_MAX_LENGTH]}"
            for error in validator.iter_errors(document)
        ]
        for validator in _validators(name)
    ]
    return min(forms, key=len)[:_MAX_DIFFERENCES]


@cache
def _validators(name: str) -> list[Draft202012Validator]:
    """Return the validator of each form of an answer. It is compiled once in each process."""
    from jsonschema_rs import Draft202012Validator

    schema = read_schema(name)
    forms = schema.get("oneOf", [schema])
    return [Draft202012Validator({**form, "$defs": schema["$defs"]}) for form in forms]


@cache
def _answers() -> frozenset[str]:
    return frozenset(read_descriptions())


def _answer_name(words: Sequence[str]) -> str:
    """Return the name of the answer, or '' if the output is not JSON."""
    options = words[: words.index("--")] if "--" in words else words
    if not any(word.startswith("--format") for word in options):
        return ""
    # AgentHub's spelling of a command is an option, such as --status=s1.
    names = (word.removeprefix("--").partition("=")[0] for word in words)
    return next((name for name in names if name in _answers()), "")


def _parse(text: str) -> Any:
    """Parse an answer. A lone surrogate, which the validator does not take, becomes '?'."""
    document = json.loads(text)
    if "\\ud" in text:
        plain = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
        document = json.loads(plain)
    return document


def documented_keys() -> set[str]:
    """Return each key of the schemas, such as "list.sessions[].task" or "post.author"."""
    return {
        key
        for name in _answers()
        for schema in [read_schema(name)]
        for part, definition in [(name, schema), *schema["$defs"].items()]
        for key in _schema_keys(part, definition)
    }


def _schema_keys(place: str, schema: dict[str, Any]) -> Iterator[str]:
    """Yield the keys of a schema, without those of the parts that it refers to."""
    for form in _forms(schema):
        for key, value in form.get("properties", {}).items():
            yield f"{place}.{key}"
            yield from _schema_keys(f"{place}.{key}", value)
        if "items" in form:
            yield from _schema_keys(f"{place}[]", form["items"])


def occurring_keys(name: str, document: Any) -> set[str]:
    """Return the keys of the schemas that an answer has, as `documented_keys` spells them."""
    schema = read_schema(name)
    return set(_document_keys(name, schema, document, schema["$defs"]))


def _document_keys(
    place: str, schema: dict[str, Any], value: Any, parts: dict[str, Any]
) -> Iterator[str]:
    for form in _forms(schema):
        if "$ref" in form and value is not None:
            part = form["$ref"].rpartition("/")[2]
            yield from _document_keys(part, parts[part], value, parts)
        properties = form.get("properties", {})
        if isinstance(value, dict) and value.keys() <= properties.keys():
            for key, element in value.items():
                yield f"{place}.{key}"
                yield from _document_keys(f"{place}.{key}", properties[key], element, parts)
        if isinstance(value, list) and "items" in form:
            for element in value:
                yield from _document_keys(f"{place}[]", form["items"], element, parts)


def _forms(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the forms of an answer or a value."""
    forms: list[dict[str, Any]] = schema.get("oneOf") or schema.get("anyOf") or [schema]
    return forms
