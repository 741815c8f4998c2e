"""The example of docs/patterns.md prints what stands below it."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "patterns.md"


def test_docs_example_prints_what_the_docs_say(capsys):
    code, printed = re.search(
        r"```python\n(.*?)```\n\n((?:    [^\n]*\n)+)", DOCS.read_text("utf-8"), re.DOTALL
    ).groups()
    exec(code, {})

    assert capsys.readouterr().out == re.sub("^    ", "", printed, flags=re.MULTILINE)
