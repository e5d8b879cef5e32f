"""`python -m git_hub_session`; the command on PATH is git-hub-session."""

from __future__ import annotations

from git_hub_session.cli import command

command()
