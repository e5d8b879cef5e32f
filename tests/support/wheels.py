"""Wheels of the packages that this Python has installed: tests install them without a network."""

from __future__ import annotations

import zipfile
from email.parser import Parser
from importlib.metadata import distribution
from pathlib import Path

LIBRARIES = ("pygit2", "cffi", "pycparser", "PyYAML")
"""The packages that the program needs, and those that they need."""


def pack_wheel(name: str, directory: Path) -> Path:
    """Pack the installed files of a package into a wheel, and return its path."""
    package = distribution(name)
    tag = Parser().parsestr(package.read_text("WHEEL") or "")["Tag"]
    label = name.replace("-", "_")
    path = directory / f"{label}-{package.version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in package.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                archive.write(file.locate(), file)
    return path


def pack_libraries(directory: Path) -> Path:
    """Pack the libraries of the program into wheels in a new directory."""
    directory.mkdir()
    for name in LIBRARIES:
        pack_wheel(name, directory)
    return directory
