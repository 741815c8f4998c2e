"""What isn't used isn't imported."""

import json
import subprocess
import sys

PROGRAM = """
import importlib, json, sys
import seawall
seawall.ErrorRecoveryManager("postgresql://nobody@localhost/x")
found = [sorted({name.partition(".")[0] for name in sys.modules})]
ours = [name for name in sys.modules if name.startswith("seawall.instrumentation")]
for module in ("logs", "asgi", "prometheus", "opentelemetry"):
    importlib.import_module(f"seawall.instrumentation.{module}")
    found.append(sorted({name.partition(".")[0] for name in sys.modules}))
print(json.dumps([ours, found]))
"""
VENDORS = {"prometheus_client", "opentelemetry", "structlog", "starlette", "uvicorn"}


def test_only_what_is_used_is_imported():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    ours, found = json.loads(done.stdout)
    assert ours == []
    nothing, logs, asgi, prometheus, opentelemetry = (VENDORS & set(names) for names in found)
    assert nothing == logs == asgi == set()
    assert prometheus == {"prometheus_client"}
    assert opentelemetry == {"prometheus_client", "opentelemetry"}
