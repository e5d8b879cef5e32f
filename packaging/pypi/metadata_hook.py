"""Write the readme and the links of the package index: a hook of hatchling.

`url` in pyproject.toml is the only place that names the address of the repository. Links in
README.md are relative, so that they work in a checkout. A package index needs absolute ones.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE_LINK = re.compile(r"(!?)\[([^]]+)\]\((?!https?:|#)([^)]+)\)")
_PLACEHOLDER = "<url>"


class PackageIndexMetadata(MetadataHookInterface):
    """The hook that pyproject.toml names."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the readme and the urls."""
        root = Path(self.root)
        url = self.config["url"].removesuffix("/").removesuffix(".git")
        readme = (root / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": make_links_absolute(readme, url),
        }
        metadata["urls"] = project_urls(url)


def project_urls(url: str) -> dict[str, str]:
    """Return the links of a package index, or {} without a url."""
    if not url:
        return {}
    return {
        "Source": url,
        "Documentation": file_url(url, "docs/installing.md"),
        "Changes": file_url(url, "CHANGELOG.md"),
    }


def make_links_absolute(readme: str, url: str) -> str:
    """Return the readme with the address of the repository.

    Without a url, a link to a file or a picture becomes its text and the name of the file.
    """
    if not url:
        return _RELATIVE_LINK.sub(_describe_file, readme)

    def make_absolute(match: re.Match[str]) -> str:
        address = picture_url(url, match[3]) if match[1] else file_url(url, match[3])
        return f"{match[1]}[{match[2]}]({address})"

    return _RELATIVE_LINK.sub(make_absolute, readme).replace(_PLACEHOLDER, url)


def file_url(url: str, path: str) -> str:
    """Return the address of a file in the newest commit, as GitHub and GitLab spell it."""
    return f"{url}/blob/HEAD/{path}"


def picture_url(url: str, path: str) -> str:
    """Return the address of the content of a file: `file_url` leads to a page about the file."""
    return f"{url}/raw/HEAD/{path}"


def _describe_file(match: re.Match[str]) -> str:
    text, path = match[2], match[3].partition("#")[0]
    return text if path in text else f"{text} (`{path}`)"
