"""Small functions that know neither git nor sessions."""

from __future__ import annotations
