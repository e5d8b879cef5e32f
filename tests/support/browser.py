"""Run chromium without a window."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
"""The path of the browser, or ''."""


def run_browser(profile: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the browser with more options and an address.

    Args:
        profile: the directory for its files.
    """
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr")
    return subprocess.run(
        [CHROMIUM, *options, f"--user-data-dir={profile}", *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
