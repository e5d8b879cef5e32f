"""The mounts of Linux: parse /proc/<pid>/mountinfo, and find the place of a path."""

from __future__ import annotations

import re

# A string, not a compiled pattern: most commands never use it.
_OCTAL = r"\\([0-7]{3})"
# The options of an overlay file system that name directories: see mount(8).
_LAYERS = ("lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir")


class MountTable:
    """The mounts of one mount namespace, and the place of a path in its file system.

    The same directory can have several paths: bind mounts show it at other places, also in the
    mount namespace of a container. Its device and its path in the file system are the same.
    """

    def __init__(self, text: str = "") -> None:
        """Parse the content of /proc/<pid>/mountinfo. Without it, a place is the path itself."""
        self._places: dict[str, str] = {}
        """The place of the root of each mount, by its mount point. The last mount covers others."""
        self.layers: list[tuple[str, str]] = []
        """The directories of overlay file systems, each with the mount point before it."""
        self._found: dict[str, str] = {}  # many processes have the same directory
        for line in text.splitlines():
            fields = line.split(" ")
            if len(fields) > 4:
                root, point = (unescape(field) for field in fields[3:5])
                self._places[point] = f"{fields[2]}:{root.rstrip('/')}"
                if " - overlay " in line:
                    options = unescape(fields[-1])
                    self.layers += [(point, layer) for layer in _overlay_layers(options)]

    @property
    def points(self) -> list[str]:
        """The directories on which a file system is mounted, bind mounts included."""
        return list(self._places)

    @property
    def places(self) -> frozenset[str]:
        """The places of the roots of all mounts, and of the layers of overlay file systems."""
        layers = (self.find_place(layer) for _, layer in self.layers)
        return frozenset((*self._places.values(), *layers))

    def find_place(self, path: str) -> str:
        """Return the device of an absolute path, and the path in the file system, as one text."""
        if path not in self._found:
            self._found[path] = self._search_place(path)
        return self._found[path]

    def _search_place(self, path: str) -> str:
        point = path
        while point not in self._places:
            parent = point.rpartition("/")[0] or "/"
            if parent == point:
                return path
            point = parent
        return self._places[point] + (path if point == "/" else path[len(point) :])


def _overlay_layers(options: str) -> list[str]:
    """Return the absolute paths in the options of an overlay, in which `\\` escapes `:` and `,`."""
    pairs = (option.partition("=") for option in re.split(r"(?<!\\),", options))
    values = (value for name, _, value in pairs if name in _LAYERS)
    layers = [layer for value in values for layer in re.split(r"(?<!\\):", value)]
    return [re.sub(r"\\(.)", r"\1", layer) for layer in layers if layer.startswith("/")]


def unescape(field: str) -> str:
    """Return a path from a file of /proc without the escapes of white space."""
    return re.sub(_OCTAL, lambda match: chr(int(match[1], 8)), field) if "\\" in field else field
