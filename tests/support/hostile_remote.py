"""Write records that no honest clone would publish, straight into a bare repository."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.hub import Hub
from tests.support.shared_records import CONFIG, config_text

CONFIG_YAML = "".join(f"{key}: {config_text(key, CONFIG)}\n" for key in CONFIG)
STATE = {"format": 1, "session_id": "s1", "state": "running"}
RECORD = "refs/hub/sessions/s1"


def write_blob(hub: Hub, remote: Path, content: bytes) -> str:
    """Write a blob and return its object id."""
    file = remote / "content"
    file.write_bytes(content)
    return hub.git("-C", remote, "hash-object", "-w", file)


def make_tree(hub: Hub, remote: Path, entries: list[tuple[str, str, str]]) -> str:
    """Write a tree with entries (mode, object id, name), which git does not check."""
    data = b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(oid) for mode, oid, name in entries)
    file = remote / "content"
    file.write_bytes(data)
    return hub.git("-C", remote, "hash-object", "-t", "tree", "--literally", "-w", file)


def publish(hub: Hub, remote: Path, files: dict[str, bytes], *more: tuple[str, str, str]) -> str:
    """Publish a record with these files at its top, and with more entries. Return the commit."""
    entries = [("100644", write_blob(hub, remote, data), name) for name, data in files.items()]
    return publish_tree(hub, remote, make_tree(hub, remote, sorted([*entries, *more], key=str)))


def publish_tree(hub: Hub, remote: Path, tree: str) -> str:
    """Publish a record with a tree. Return the commit."""
    commit = hub.git("-C", remote, "commit-tree", tree, "-m", "hostile")
    hub.git("-C", remote, "update-ref", RECORD, commit)
    return commit


def record(**state: object) -> dict[str, bytes]:
    """Return the files of a record with values in its state.json."""
    return {
        "config.yaml": CONFIG_YAML.encode(),
        "state.json": json.dumps({**STATE, **state}).encode(),
    }
