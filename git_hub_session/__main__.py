"""`python -m git_hub_session`; the command on PATH is git-hub-session."""

from __future__ import annotations

import sys

from git_hub_session.cli import main

sys.exit(main())
