"""The whole terminal, drawn in a pseudo-terminal."""

from __future__ import annotations

import os
import signal
from functools import partial

import pytest

from git_hub_session.cli.paging.full_screen import FullScreen
from tests.support.watched import style


def test_ctrl_z_before_the_first_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the sessions takes time. `fg` continues, and nothing is drawn yet."""
    stopped: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", stopped.append)
    controller, terminal = os.openpty()
    with open(terminal, "w") as stream:
        screen = FullScreen(stream, partial(style, 80), is_dumb=False)
        with screen:
            os.kill(os.getpid(), signal.SIGTSTP)
            screen.draw(["table"])
        assert stopped == [signal.SIGTSTP]
        shown = b""
        while not shown.endswith(b"table\x1b[?25h\x1b[?1049l"):
            shown += os.read(controller, 1000)
    os.close(controller)
