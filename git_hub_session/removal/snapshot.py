"""Read the processes and the mount points once for all checks of a removal."""

from __future__ import annotations

from functools import cached_property

from git_hub_session.system import procfs


class SystemSnapshot:
    """The processes and the mount points at one moment; each is read on first use."""

    @cached_property
    def processes(self) -> procfs.ProcessList:
        """The processes with their open files, but without their mapped files."""
        return procfs.processes()

    @cached_property
    def mounts(self) -> list[str]:
        """The directories on which a file system is mounted."""
        return procfs.mount_points()
