"""Remotes that git reaches in different ways: a path, git://, http:// and ssh://."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

KINDS = ("file", "git", "http", "ssh")
_PATIENCE = 60.0  # seconds
_SSHD = "/usr/sbin/sshd"
_LOOPBACK = "127.0.0.1"


class ServedRepository:
    """A bare repository, and the URL that clones use."""

    def __init__(self, path: Path, url: str, environ: Mapping[str, str]) -> None:
        self.path = path
        self.url = url
        self.environ = environ
        """The variables that a client of this remote needs."""
        self.stop: Callable[[], None] = lambda: None
        """Make the remote unreachable."""
        self.start: Callable[[], None] = lambda: None
        """Make the remote reachable again, with the same URL."""

    def git(self, *words: str) -> str:
        """Run git in the bare repository and return its output without the last newline."""
        command = ["git", "-C", str(self.path), *words]
        environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout.removesuffix("\n")

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """Return {ref: object id} of the refs with a prefix."""
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        pairs = (line.split() for line in lines)
        return {ref: oid for ref, oid in pairs if ref.startswith(prefix)}

    def install_hook(self, name: str, script: str) -> None:
        """Install a hook of the server."""
        hook = self.path / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{script}\n")
        hook.chmod(0o755)


@contextmanager
def serve(kind: str, directory: Path, address: str = _LOOPBACK) -> Iterator[ServedRepository]:
    """Create a bare repository below an absolute directory, and serve it while the block runs.

    Skip the test if this machine cannot serve the kind of remote.

    Args:
        address: the address of `git daemon`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "shared.git"
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], env=environ, check=True)
    server = partial(_serve_git, address=address) if kind == "git" else _SERVERS[kind]
    with server(directory, path) as served:
        yield served


@contextmanager
def _serve_file(directory: Path, path: Path) -> Iterator[ServedRepository]:
    served = ServedRepository(path, f"file://{path}", {})
    hidden = path.with_name("hidden.git")
    served.stop = partial(os.rename, path, hidden)
    served.start = partial(os.rename, hidden, path)
    yield served


def free_port() -> int:
    """Return a port of the loopback interface that no process uses now."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
    return port


def _wait_for_port(port: int, address: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        with suppress(OSError), socket.create_connection((address, port), _PATIENCE):
            return
        assert time.monotonic() < deadline, f"no server on port {port}"
        time.sleep(0.01)


class _Server:
    """A server in a process group of its own."""

    def __init__(self, command: list[str], port: int, address: str = _LOOPBACK) -> None:
        self._command = command
        self._port = port
        self._address = address
        self.start()

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _wait_for_port(self._port, self._address)

    def stop(self) -> None:
        """End the server with its connections."""
        for pid in _below(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


def _below(pid: int) -> list[int]:
    """Return the ids of a process and its descendants, the process last.

    The processes of a connection to sshd are in a process group of their own.
    """
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True)
    children = [int(word) for word in listed.stdout.split()]
    return [*(each for child in children for each in _below(child)), pid]


@contextmanager
def _serve_git(directory: Path, path: Path, address: str = _LOOPBACK) -> Iterator[ServedRepository]:
    port = free_port()
    options = [f"--listen={address}", f"--port={port}", "--reuseaddr", f"--base-path={directory}"]
    command = ["git", "daemon", *options, "--export-all", "--enable=receive-pack"]
    server = _Server(command, port, address)
    served = ServedRepository(path, f"git://{address}:{port}/{path.name}", {})
    served.stop, served.start = server.stop, server.start
    try:
        yield served
    finally:
        server.stop()


class _GitHandler(BaseHTTPRequestHandler):
    """Answer requests with `git http-backend`, a CGI program (RFC 3875)."""

    directory: Path
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        self._run(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length")
        body = self.rfile.read(int(length)) if length else self._read_chunks()
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self._run(body)

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _run(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        environ = {
            **os.environ,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_PROJECT_ROOT": str(self.directory),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "someone",
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environ, capture_output=True)
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode().splitlines()]
        headers = {name: value for name, _, value in lines}
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextmanager
def _serve_http(directory: Path, path: Path) -> Iterator[ServedRepository]:
    subprocess.run(["git", "-C", path, "config", "http.receivepack", "true"], check=True)
    handler = type("Handler", (_GitHandler,), {"directory": directory})
    port = free_port()
    running: list[ThreadingHTTPServer] = []

    def start() -> None:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        running.append(server)

    def stop() -> None:
        while running:
            server = running.pop()
            server.shutdown()
            server.server_close()

    served = ServedRepository(path, f"http://127.0.0.1:{port}/{path.name}", {})
    served.stop, served.start = stop, start
    start()
    try:
        yield served
    finally:
        stop()


@contextmanager
def _serve_ssh(directory: Path, path: Path) -> Iterator[ServedRepository]:
    with run_sshd(directory / "keys", {}) as host:
        served = ServedRepository(path, f"ssh://far{path}", {"GIT_SSH_COMMAND": host.command})
        served.stop, served.start = host.stop, host.start
        yield served


def has_sshd() -> bool:
    """Return True if this machine can run sshd."""
    return os.access(_SSHD, os.X_OK)


class SshHost:
    """A host `far` on the loopback interface."""

    def __init__(self, command: str, server: _Server) -> None:
        self.command = command
        """The ssh command that knows the host."""
        self.stop, self.start = server.stop, server.start


@contextmanager
def run_sshd(
    keys: Path,
    variables: Mapping[str, str],
    address: str = _LOOPBACK,
    prefix: Sequence[str] = (),
) -> Iterator[SshHost]:
    """Run sshd as the calling user (sshd_config(5)). Only its own key is accepted.

    Skip the test if this machine has no sshd.

    Args:
        keys: a new directory for the keys and the configuration.
        variables: the environment of the programs on the host.
        address: the address of the host.
        prefix: the command that runs sshd on the host.
    """
    if not has_sshd():
        pytest.skip("sshd is not installed")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    keys.mkdir(mode=0o700, parents=True)
    for name in ("host_key", "id"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / name], check=True
        )
    shutil.copy(keys / "id.pub", keys / "authorized_keys")
    port = free_port()
    _write_ssh_files(keys, (address, port), variables)
    words = ["-f", str(keys / "sshd_config"), "-E", str(keys / "sshd.log"), "-D"]
    server = _Server([*prefix, _SSHD, *words], port, address)
    try:
        yield SshHost(f"ssh -F {keys / 'ssh_config'}", server)
    finally:
        server.stop()


def _write_ssh_files(keys: Path, place: tuple[str, int], variables: Mapping[str, str]) -> None:
    address, port = place
    login = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
    host_key = " ".join((keys / "host_key.pub").read_text().split()[:2])
    server = f"""\
Port {port}
ListenAddress {address}
HostKey {keys}/host_key
PidFile {keys}/sshd.pid
AuthorizedKeysFile {keys}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
"""
    client = f"""\
Host far
  HostName {address}
  Port {port}
  User {login}
  IdentityFile {keys}/id
  IdentitiesOnly yes
  UserKnownHostsFile {keys}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  BatchMode yes
  ConnectTimeout 20
"""
    if variables:  # only one line counts
        server += f"SetEnv {' '.join(f'{name}={value}' for name, value in variables.items())}\n"
    (keys / "sshd_config").write_text(server)
    (keys / "ssh_config").write_text(client)
    (keys / "known_hosts").write_text(f"[{address}]:{port} {host_key}\n")


_SERVERS = {"file": _serve_file, "git": _serve_git, "http": _serve_http, "ssh": _serve_ssh}
