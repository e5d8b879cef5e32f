"""Any bytes as a config.yaml: a mapping of texts that is written back the same, or damaged."""

from __future__ import annotations

from git_hub_session.errors import Damaged
from git_hub_session.session.config_file import MAX_CONFIG_BYTES, parse_config, render_config
from git_hub_session.session.model import Config

KEYS = ("session_id", "task", "agent_count", "base_branch", "created", "eval_cmd", "metric")


def one_input(data: bytes) -> None:
    """Read `data` as the store does, and write what was read."""
    try:
        text = data[:MAX_CONFIG_BYTES].decode()
    except UnicodeDecodeError:
        return  # the store says so before anything is parsed
    try:
        values = parse_config(text)
    except Damaged as fault:
        assert fault.message.startswith("config.yaml: "), fault.message
        assert fault.message.isprintable(), fault.message
        return
    assert all(type(key) is type(value) is str for key, value in values.items()), values
    config = Config(values)
    assert 0 <= config.agent_count < 10**9
    assert config.task == values.get("task", "")
    known = {key: value for key, value in values.items() if key in KEYS and _is_utf8(value)}
    if known:
        assert parse_config(render_config(known)) == known


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
