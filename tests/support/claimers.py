"""A process in which several workers claim agents: `python -m tests.support.claimers <arguments>`.

The arguments are the directory of a clone, the URL of the remote, and the agents to claim in their
order. Each agent is claimed by a worker of its own. The process prints the agents that it has got.
"""

from __future__ import annotations

import os
import sys

from git_hub_session.git.ref_names import parse_session_id
from git_hub_session.session.project import Project
from git_hub_session.sharing.claims import Claims
from git_hub_session.sharing.remote import Remote


def main() -> None:
    """Claim the agents and print those that this process has got."""
    directory, url, *agents = sys.argv[1:]
    project = Project({**os.environ}, directory=directory)
    remote = Remote(project.git, url)
    for agent in map(int, agents):
        claims = Claims(parse_session_id("s1"), project, remote, shared="refs/hub")
        if claims.take(agent) is not None:
            print(agent)


if __name__ == "__main__":
    main()
