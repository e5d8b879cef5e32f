"""Build the wheel of this program from its installed files.

The same files give the same bytes. See "Binary distribution format" on packaging.python.org.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from functools import cache

from git_hub_session import __version__

WHEEL_NAME = f"git_hub_session-{__version__}-py3-none-any.whl"
REQUIRED_PYTHON = ">=3.11"
REQUIREMENTS = (
    "pygit2>=1.11.1",
    "PyYAML>=6.0",
    "psutil>=5.9; sys_platform != 'linux' and sys_platform != 'cygwin'",
)
"""The packages that pip installs with the program, as in pyproject.toml."""
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_INFO = f"git_hub_session-{__version__}.dist-info"
_DATE = (2020, 1, 1, 0, 0, 0)


def make_wheel() -> bytes:
    """Return the wheel, which has the name WHEEL_NAME."""
    files = {**dict(_package_files()), **_info_files()}
    rows = [f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in files.items()]
    files[f"{_INFO}/RECORD"] = "".join([*rows, f"{_INFO}/RECORD,,\n"]).encode()
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path, _DATE)
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return output.getvalue()


@cache
def build_id() -> str:
    """Return a text that differs for builds of one version with other files."""
    digest = hashlib.sha256()
    for path, data in _package_files():
        digest.update(f"{path}\0{_digest(data)}\n".encode())
    return digest.hexdigest()


def _package_files() -> Iterator[tuple[str, bytes]]:
    """Yield the paths of the package's files in the wheel, with their contents."""
    parent = os.path.dirname(_PACKAGE)
    for directory, names, files in os.walk(_PACKAGE):
        names[:] = sorted(name for name in names if name != "__pycache__")
        for name in sorted(files):
            path = os.path.join(directory, name)
            with open(path, "rb") as file:
                yield os.path.relpath(path, parent), file.read()


def _info_files() -> dict[str, bytes]:
    metadata = [
        "Metadata-Version: 2.1",
        "Name: git-hub-session",
        f"Version: {__version__}",
        f"Requires-Python: {REQUIRED_PYTHON}",
        *(f"Requires-Dist: {each}" for each in REQUIREMENTS),
    ]
    wheel = [
        "Wheel-Version: 1.0",
        "Generator: git-hub-session",
        "Root-Is-Purelib: true",
        "Tag: py3-none-any",
    ]
    scripts = ["[console_scripts]", "git-hub-session = git_hub_session.__main__:command"]
    texts = {"METADATA": metadata, "WHEEL": wheel, "entry_points.txt": scripts}
    return {f"{_INFO}/{name}": "\n".join([*lines, ""]).encode() for name, lines in texts.items()}


def _digest(data: bytes) -> str:
    digest = hashlib.sha256(data).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
