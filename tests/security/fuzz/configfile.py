"""Check that any bytes in config.yaml are settings, which can be written again, or an error."""

from __future__ import annotations

from git_hub_session.errors import Damaged
from git_hub_session.session.config_file import MAX_CONFIG_BYTES, parse_config, render_config
from git_hub_session.session.model import Config

KEYS = ("session_id", "task", "agent_count", "base_branch", "created", "eval_cmd", "metric")


def check_input(data: bytes) -> None:
    """Parse `data` as the store does. Write the settings and parse them again."""
    try:
        text = data[:MAX_CONFIG_BYTES].decode()
    except UnicodeDecodeError:
        return  # the store raises an error before it parses
    try:
        values = parse_config(text)
    except Damaged as error:
        assert error.message.startswith("config.yaml: "), error.message
        assert error.message.isprintable(), error.message
        return
    assert all(type(key) is type(value) is str for key, value in values.items()), values
    config = Config(values)
    assert 0 <= config.agent_count < 10**9
    assert config.task == values.get("task", "")
    known_values = {key: value for key, value in values.items() if key in KEYS and _is_utf8(value)}
    if known_values:
        assert parse_config(render_config(known_values)) == known_values


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
