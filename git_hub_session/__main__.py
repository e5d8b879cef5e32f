"""The program: git-hub-session on PATH, and `python -m git_hub_session`."""

from __future__ import annotations

import signal

from git_hub_session._typing import NoReturn


def command() -> NoReturn:
    """Run the command line that the process was given, and end the process."""
    # Until cli hears signals itself ^C simply ends us, as it does git, in place of a traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from git_hub_session.main import run_and_exit

    run_and_exit()


if __name__ == "__main__":
    command()
