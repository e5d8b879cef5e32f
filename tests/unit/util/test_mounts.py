"""The place of a path in its file system."""

from __future__ import annotations

from git_hub_session.util.mounts import MountTable


def test_place_of_a_path() -> None:
    table = MountTable(
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "23 22 8:2 /@home /home rw shared:1 - btrfs /dev/sda2 rw\n"
        "24 22 8:1 /srv/data /mnt/with\\040space rw - ext4 /dev/sda1 rw\n"
        "25 22 0:5 / /home/tmp rw - tmpfs none rw\n"
        "26 22 0:6 / /home/tmp rw - tmpfs none rw\n"
        "broken\n"
    )
    assert table.points == ["/", "/home", "/mnt/with space", "/home/tmp"]
    places = {
        "/": "8:1:/",
        "/usr/bin": "8:1:/usr/bin",
        "/home": "8:2:/@home",
        "/home/ada": "8:2:/@home/ada",
        "/homes": "8:1:/homes",
        "/mnt/with space/x": "8:1:/srv/data/x",
        "/srv/data/x": "8:1:/srv/data/x",
        "/home/tmp/x": "0:6:/x",
    }
    assert {path: table.find_place(path) for path in places} == places
    assert table.layers == []
    assert MountTable().find_place("/usr/bin") == "/usr/bin"
    assert MountTable().points == []


def test_layers_of_an_overlay() -> None:
    """A layer can be relative, and its path can have escaped colons, commas and white space."""
    options = r"rw,lowerdir=/a\134:b:l/ABC:/c\040d,upperdir=/srv/up,workdir=/e\134,f,xino=off"
    table = MountTable(
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw,upperdir=/no\n"
        "23 22 8:2 / /srv rw - ext4 /dev/sda2 rw\n"
        f"24 22 0:40 / /merged rw shared:1 - overlay overlay {options}\n"
    )
    layers = ["/a:b", "/c d", "/srv/up", "/e,f"]
    assert table.layers == [("/merged", layer) for layer in layers]
    assert {"8:1:/a:b", "8:2:/up", "0:40:"} <= table.places
