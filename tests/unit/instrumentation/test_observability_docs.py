"""docs/observability.md: its example runs, and its table is the table of metrics."""

import re
from pathlib import Path

from seawall.instrumentation.metrics import METRICS, OBSERVED
from seawall.instrumentation.prometheus import exposed_name

TEXT = (Path(__file__).parents[3] / "docs" / "observability.md").read_text()


def test_docs_list_every_metric_with_its_labels():
    listed = {
        name: tuple(labels.split(", "))
        for name, labels in re.findall(r"^\| `(seawall_\w+)` \| ([\w, ]+) \|", TEXT, re.MULTILINE)
    }
    assert listed == {exposed_name(metric): metric.labels for metric in (*METRICS, *OBSERVED)}


def test_docs_example_runs():
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names = {"DSN": "postgresql://nobody@localhost/nothing"}
    exec(compile(example, "observability.md", "exec"), names)
    manager = names["manager"]
    assert len(manager.bus.listeners) == 1 + 3 + 1
    assert manager.bus.tracer is not None
    manager.bus.listeners = ()
