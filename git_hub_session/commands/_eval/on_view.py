"""The agents and the measurements of workers, and the executors that failed."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.view import TerminalStyle, TextOutput, error_lines
from git_hub_session.commands._eval.view import EvalView
from git_hub_session.commands._executors.results import (
    cancel_lines,
    error_and_hint_lines,
    result_fields,
)

if TYPE_CHECKING:
    from git_hub_session.distributed.rank import CollectedResult
    from git_hub_session.errors import HubError
    from git_hub_session.executors.launcher import FarResult


class FarEvalView(EvalView):
    """The agents and their measurements on other machines."""

    def __init__(
        self,
        collected: CollectedResult,
        results: Sequence[FarResult],
        errors: Sequence[HubError | None],
        again: str,
    ) -> None:
        """Create the output.

        Args:
            errors: the errors of the fetch and of the push after the work.
            again: the command that shows the workers that go on, and measures what is missing.
        """
        super().__init__(collected.result, "", "", dry_run=False)
        self.unmeasured = collected.unmeasured
        self.results = results
        self.errors = [error for error in errors if error is not None]
        self.again = again
        self.cancels = any(each.cancels for each in results)

    @property
    def exit_code(self) -> int:
        has_failed = any(each.has_failed for each in self.results)
        return 1 if has_failed or self.errors or self.unmeasured else super().exit_code

    @property
    def diagnostics(self) -> list[str]:
        lines = error_and_hint_lines(self.results, self.again)
        for error in self.errors:
            lines += error_lines(error)
        if self.unmeasured:
            names = ", ".join(self.unmeasured)
            lines += [
                f"error: not measured: {names}; nothing is ranked",
                f"hint: {self.again}",
            ]
        return [*super().diagnostics, *lines]

    def document(self) -> dict[str, Any]:
        workers = [result_fields(each) for each in self.results]
        return {**super().document(), "workers": workers, "unmeasured": list(self.unmeasured)}

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if self.cancels:
            return TextOutput([] if quiet else [*cancel_lines(self.results)])
        return super().lines(style, quiet=quiet)
