"""The entry point: `git-hub-session` on PATH, and `python -m git_hub_session`."""

from __future__ import annotations

import gc
import signal

from git_hub_session._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from git_hub_session._typing import NoReturn


_COLLECTION_THRESHOLD = 100_000  # new objects between two collections; Python's default is 700


def command() -> NoReturn:
    """Run the command line of the process, and exit."""
    # A collection of garbage would only visit what the imports create: 1 ms of a short command.
    gc.set_threshold(_COLLECTION_THRESHOLD)
    # Until `main` installs its handlers, Ctrl-C ends the process without a traceback, as in git.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _install_finder()
    from git_hub_session.main import run_and_exit

    run_and_exit()


def _install_finder() -> None:
    """Find the modules of the package faster, if this Python has the functions for that."""
    try:
        from git_hub_session._finder import install_finder
    except ImportError:  # the finder uses functions of CPython that are not public
        return
    install_finder()


if __name__ == "__main__":
    command()
