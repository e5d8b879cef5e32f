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
    assert MountTable().find_place("/usr/bin") == "/usr/bin"
    assert MountTable().points == []
