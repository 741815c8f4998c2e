"""The tutorial's files and commands do what it says, in its order."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(
    r"```\{code-block\} python\n:caption: (?P<name>\S+)\n(?P<code>.*?)```"
    r"|```console\n(?P<console>.*?)```",
    re.DOTALL,
)


def steps():
    """Files to write, and commands with what they print, as they stand."""
    for block in BLOCK.finditer(DOCS.read_text("utf-8")):
        if block["name"]:
            yield block["name"], block["code"]
        else:
            for part in re.split(r"^\$ ", block["console"], flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                yield None, (command, printed)


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_tutorial_commands_print_what_it_says(database_dsn, tmp_path):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "SEAWALL_DSN": database_dsn, "PATH": path}
    ran = 0
    for name, content in steps():
        if name is not None:
            (tmp_path / name).write_text(content)
            continue
        command, printed = content
        # /bin/sh tells of the kill on stderr, in words of its own.
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env=environment, text=True, check=True,
            capture_output=True, timeout=60,
        )  # fmt: skip
        assert done.stdout == printed, (command, done.stderr)
        ran += 1
    assert ran == 7
