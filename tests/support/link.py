"""A host in a network namespace, with a link that can be cut (ip-netns(8), veth(4))."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest


class Link(NamedTuple):
    """The link between this machine and the host `far`."""

    device: str
    """The end of the link on this machine."""
    near: str
    """The address of this machine."""
    far: str
    """The address of the host."""
    prefix: tuple[str, ...]
    """The command that runs a program on the host. Files are those of this machine."""

    def cut(self) -> None:
        """Lose all packets in both directions. The host does not notice it."""
        subprocess.run(["ip", "link", "set", self.device, "down"], check=True)

    def mend(self) -> None:
        """Make the link work again."""
        subprocess.run(["ip", "link", "set", self.device, "up"], check=True)


@contextmanager
def link_to_host() -> Iterator[Link]:
    """Create the host and its link. Skip the test if this machine or this user cannot."""
    if shutil.which("ip") is None:
        pytest.skip("ip is not installed")
    number = os.getpid() % (1 << 14)  # parallel tests have networks of their own
    name = f"hub{number}"
    network = f"10.{200 + (number >> 12)}.{number >> 4 & 255}.{(number & 15) * 16}"
    start, _, last = network.rpartition(".")
    near, far = (f"{start}.{int(last) + each}" for each in (1, 2))
    added = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if added.returncode:
        pytest.skip(f"cannot create a network namespace: {added.stderr.strip()}")
    inside = ("ip", "netns", "exec", name)
    try:
        for command in (
            ("ip", "link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b"),
            ("ip", "link", "set", f"{name}b", "netns", name),
            ("ip", "addr", "add", f"{near}/30", "dev", f"{name}a"),
            ("ip", "link", "set", f"{name}a", "up"),
            (*inside, "ip", "addr", "add", f"{far}/30", "dev", f"{name}b"),
            (*inside, "ip", "link", "set", f"{name}b", "up"),
        ):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"cannot create a link to a namespace: {done.stderr.strip()}")
        yield Link(f"{name}a", near, far, inside)
    finally:
        # The kernel deletes the link of a deleted namespace later, but the next test uses its name.
        subprocess.run(["ip", "link", "del", f"{name}a"], capture_output=True)
        subprocess.run(["ip", "netns", "del", name], check=True)
