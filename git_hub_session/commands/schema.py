"""git hub-session schema: print the JSON schema of an answer."""

from __future__ import annotations

import json

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import Arguments, Usage
from git_hub_session.cli.view import TerminalStyle, TextOutput, View
from git_hub_session.errors import UsageError
from git_hub_session.schemas.schema import read_descriptions, read_schema

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context

USAGE = Usage(("schema [<answer>]",), (), max_arguments=1)


def run(context: Context, args: Arguments) -> SchemaView | SchemaListView:
    """Return the schema of the answer of a command, or the names of all schemas."""
    name, descriptions = args.argument, read_descriptions()
    if name is None:
        return SchemaListView(descriptions)
    if name not in descriptions:
        raise UsageError(f"not a JSON answer: '{name}'", hint="git hub-session schema")
    return SchemaView(read_schema(name))


class SchemaView(View):
    """The schema of one answer."""

    wraps = False

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = schema

    @property
    def is_paged(self) -> bool:
        return True

    def document(self) -> dict[str, Any]:
        return self.schema

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        return TextOutput(json.dumps(self.schema, indent=2).splitlines())


class SchemaListView(View):
    """The names of all schemas, with their descriptions."""

    def __init__(self, descriptions: dict[str, str]) -> None:
        self.descriptions = descriptions

    def document(self) -> dict[str, Any]:
        return self.descriptions

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        width = max(map(len, self.descriptions))
        return TextOutput(
            [
                f"{name:<{width}}  {style.fit(description, width + 2)}"
                for name, description in self.descriptions.items()
            ]
        )
