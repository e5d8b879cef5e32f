"""Paths are compared, and free names are found."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import pytest

from git_hub_session.util.paths import first_free, free_names, is_inside, is_same_path


@pytest.mark.parametrize(
    ("path", "top", "expected"),
    [
        ("/a/b", "/a", True),
        ("/a", "/a", True),
        ("/a/b", "/a/", True),
        ("/ab", "/a", False),
        ("/a", "/a/b", False),
        ("/a", "/", True),
        ("/", "/", True),
        ("/a", "", False),
        ("", "", False),
        ("", "/a", False),
    ],
)
def test_is_inside_compares_whole_components(path: str, top: str, *, expected: bool) -> None:
    assert is_inside(path, top) is expected


def test_is_same_path_resolves_symbolic_links(tmp_path: Path) -> None:
    directory = str(tmp_path / "directory")
    link = str(tmp_path / "link")
    os.symlink(directory, link)
    assert is_same_path(link, directory)
    assert is_same_path(directory, f"{tmp_path}/other/../directory")
    assert not is_same_path(directory, str(tmp_path))
    assert not is_same_path("", "")
    assert not is_same_path("", os.getcwd())
    for text in ("a\0b", "\ud800"):  # no path can have this text
        assert not is_same_path(text, directory)
        assert not is_same_path(directory, text)


def test_first_free_numbers_the_names_from_two() -> None:
    taken = {"a", "a-2", "a-4"}
    assert first_free("b", taken.__contains__) == "b"
    assert first_free("a", taken.__contains__) == "a-3"
    assert list(islice(free_names("a", taken.__contains__), 3)) == ["a-3", "a-5", "a-6"]


def test_always_numbered_names_start_with_one() -> None:
    assert first_free("a", set().__contains__, always_numbered=True) == "a-1"
    assert first_free("a", {"a-1"}.__contains__, always_numbered=True) == "a-2"


def test_a_dangling_link_is_not_free(tmp_path: Path) -> None:
    os.symlink("missing", tmp_path / "name")
    assert first_free(f"{tmp_path}/name", os.path.lexists) == f"{tmp_path}/name-2"
