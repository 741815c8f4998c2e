"""Is the classification right, on libraries that it hasn't seen too, and what does it cost?

    python benchmarks/classification.py [FOLDER]

FOLDER holds ``labelled.jsonl`` and ``replay.py`` (``../shared/data/exceptions`` without it). Peers
are measured in the same run: redress and retryguard, where they are installed, and plain message
rules. Peers with fewer classes are judged kindly: "permanent" is right for every class that isn't
transient. Stand-ins have a library's names but aren't its classes: a peer that asks ``isinstance``
is better on the real ones.
"""

import hashlib
import importlib
import json
import sys
import timeit
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import train_classifier as trainer

from seawall.classification import Classifier

Record = dict[str, Any]
Classify = Callable[[BaseException], str]

ROOT = Path(__file__).resolve().parents[1]
OWN = ROOT / "tests" / "data" / "exceptions.jsonl"
LABELS = ("transient", "configuration", "data", "system")
PERMANENT = "permanent"
FOLDS = 10
# Modules whose classes stay what they are where a library is made unknown.
STANDARD = frozenset(sys.stdlib_module_names) | {"rx_os"}


def read(path: Path) -> list[Record]:
    """The records that have a class."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [record for record in records if record["label"] != "unknown"]


def is_right(record: Record, answer: str) -> bool:
    """Whether the answer is the label, or right as well."""
    right = {record["label"], *record["also"]}
    return bool(right - {"transient"}) if answer == PERMANENT else answer in right


def score(records: Iterable[Record], answers: Iterable[str]) -> str:
    """Shares of right answers, of unknown ones, and of vain retries."""
    pairs = list(zip(records, answers, strict=True))
    right = sum(is_right(*pair) for pair in pairs) / len(pairs)
    unknown = sum(answer == "unknown" for _, answer in pairs) / len(pairs)
    lasting = [each for each in pairs if "transient" not in {each[0]["label"], *each[0]["also"]}]
    vain = sum(answer == "transient" for _, answer in lasting) / len(lasting)
    return f"right {right:6.1%}   unknown {unknown:6.1%}   wrongly retried {vain:6.1%}"


def kept_apart(labelled: list[Record], others: list[Record]) -> set[str]:
    """The libraries, chosen by a hash, whose misses weren't looked at while the rules were made.

    A quarter of the labelled set's (the first tables had been made with all of it in view), and
    about half of the others.
    """
    names = sorted({each["lib"] for each in labelled}, key=_hash)
    return {*names[: len(names) // 4], *(r["lib"] for r in others if _digest(r["lib"])[0] % 2)}


def _digest(library: str) -> bytes:
    return hashlib.sha256(library.encode()).digest()


def _hash(library: str) -> str:
    return _digest(library).hex()


def unfamiliar(record: Record) -> Record:
    """The record as if no table had its library: the module's name is one that nobody knows."""
    made = dict(record)
    made["mro"] = [
        name if name.partition(".")[0] in STANDARD else f"nobody_{name}" for name in record["mro"]
    ]
    for key in ("cause", "context"):
        if key in record:
            made[key] = unfamiliar(record[key])
    if "group" in record:
        made["group"] = [unfamiliar(each) for each in record["group"]]
    return made


def held_out(records: list[Record], build: Any, change: Callable[[Record], Record]) -> list[str]:
    """Answers by a classifier whose model was trained without the library asked about."""
    libraries = sorted({record["lib"] for record in records})
    samples = trainer.samples_of(records, build)
    answers: dict[int, str] = {}
    for fold in range(FOLDS):
        held = set(libraries[fold::FOLDS])
        rest = [each for each in samples if each[0] not in held]
        classifier = Classifier(learned=trainer.model_of(trainer.packed(*trainer.train(rest))))
        for at, record in enumerate(records):
            if record["lib"] in held:
                answers[at] = str(classifier.classify(build(change(record))))
    return [answers[at] for at in range(len(records))]


def confusion(records: list[Record], classify: Classify, build: Any) -> None:
    """Each library's answers by label."""
    cells: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for record in records:
        cells[record["lib"]][record["label"], classify(build(record))] += 1
        cells["all"][record["label"], classify(build(record))] += 1
    print("| library | cases | right class, or one that is right as well | label → answer |")
    print("|---|---:|---:|---|")
    for library, counts in sorted(cells.items()):
        mine = [each for each in records if library in ("all", each["lib"])]
        right = sum(is_right(each, classify(build(each))) for each in mine)
        other = ", ".join(f"{a} → {b}: {n}" for (a, b), n in sorted(counts.items()) if a != b)
        print(f"| {library} | {len(mine)} | {right} | {other} |")
    print("\n| label | " + " | ".join((*LABELS, "unknown")) + " |")
    print("|---|" + "---:|" * (len(LABELS) + 1))
    for label in LABELS:
        row = " | ".join(str(cells["all"][label, answer]) for answer in (*LABELS, "unknown"))
        print(f"| {label} | {row} |")


# -- peers ---------------------------------------------------------------------------------------


def message_rules(exc: BaseException) -> str:
    """What is written first everywhere: words in the text, in a loop."""
    text = str(exc).lower()
    for answer, words in (
        (
            "transient",
            ("timeout", "timed out", "connection", "temporar", "unavailable", "deadlock"),
        ),
        ("configuration", ("config", "credential", "permission", "denied", "auth", "not found")),
        ("data", ("invalid", "validation", "constraint", "format", "parse", "type", "duplicate")),
        ("system", ("memory", "disk", "space", "database is down")),
    ):
        if any(word in text for word in words):
            return answer
    return "unknown"


def redress() -> Classify:
    module = importlib.import_module("redress")
    words = {"AUTH": "configuration", "PERMISSION": "configuration", "PERMANENT": PERMANENT}
    extras = [
        getattr(module, f"{name}_classifier")
        for name in (
            "sqlstate",
            "http",
            "boto3",
            "grpc",
            "redis",
            "pyodbc",
            "aiohttp",
            "urllib3",
            "default",
        )
    ]

    def classify(exc: BaseException) -> str:
        """The first of its classifiers that says anything: more than a user of it would set up."""
        for extra in extras:
            found = extra(exc)
            name = getattr(found, "klass", found).name
            if name != "UNKNOWN":
                return words.get(name, "transient")
        return "unknown"

    return classify


def retryguard() -> Classify:
    module = importlib.import_module("retryguard")
    words = {"auth": "configuration", "validation": "data", "unknown": "unknown"}

    def classify(exc: BaseException) -> str:
        decision = module.classify_error(exc)
        return "transient" if decision.retryable else words.get(decision.category.value, PERMANENT)

    return classify


def redress_alone() -> Classify:
    """The one that a user has without setting anything up, for the costs."""
    classify = importlib.import_module("redress").default_classifier
    return lambda exc: str(classify(exc))


def peers(redress: Callable[[], Classify] = redress) -> dict[str, Classify]:
    """Those that are installed."""
    found: dict[str, Classify] = {"message rules": message_rules}
    for make in (redress, retryguard):
        try:
            found[make.__name__.partition("_")[0]] = make()
        except ImportError:
            print(f"{make.__name__}: not installed")
    return found


# -- costs ---------------------------------------------------------------------------------------


class LoadError(Exception):
    """One that no table has."""


def cases() -> dict[str, BaseException]:
    """One exception for each way through the layers."""
    coded = type("UniqueViolation", (Exception,), {"__module__": "psycopg.errors"})
    coded.sqlstate = "23505"
    numbered = type("OperationalError", (Exception,), {"__module__": "pymysql.err"})
    http = type("HTTPError", (OSError,), {"__module__": "requests.exceptions"})("503 Server Error")
    http.response = type("Response", (), {"status_code": 503, "_content": b"try again"})()
    caused = LoadError("load failed")
    caused.__cause__ = ConnectionResetError(104, "Connection reset by peer")
    deep = LoadError("load failed")
    deep.__cause__ = caused
    return {
        "type": TimeoutError(),
        "type, with a message": TimeoutError("timed out"),
        "SQLSTATE": coded("duplicate key"),
        "MySQL number": numbered(1213, "Deadlock found"),
        "errno": OSError(28, "No space left on device"),
        "HTTP status": http,
        "cause": caused,
        "cause of a cause": deep,
        "group of two": ExceptionGroup("g", [TimeoutError("x"), OSError(28, "No space left")]),
        "message": LoadError("the warehouse timed out after 30 s"),
        "model": LoadError("loader gave up on the northern depot, step 7 of 12"),
    }


def cost(classify: Classify, exc: BaseException) -> float:
    """Microseconds of one call, the best of five runs."""
    classify(exc)
    return min(timeit.repeat(lambda: classify(exc), number=2000, repeat=5)) / 2000 * 1e6


def costs(others: dict[str, Classify]) -> None:
    """A row a case: ours, and how many times as long the peers take."""
    ours = Classifier()
    names = list(others)
    print("| decided by | ours, µs | " + " | ".join(f"{name}, × ours" for name in names) + " |")
    print("|---|---:|" + "---:|" * len(names))
    for label, exc in cases().items():
        own = cost(ours.classify, exc)
        row = " | ".join(f"{cost(others[name], exc) / own:.1f}" for name in names)
        print(f"| {label} | {own:.2f} | {row} |")


def main() -> None:
    """Everything, in one run."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT.parent / "shared/data/exceptions")
    build = trainer.load_replay(folder).build
    labelled, others = read(folder / "labelled.jsonl"), read(OWN)
    ours = Classifier()
    confusion(labelled, lambda exc: str(ours.classify(exc)), build)
    subjects: dict[str, Classify] = {
        "seawall": lambda exc: str(ours.classify(exc)),
        "seawall, no model": lambda exc: str(Classifier(learned=False).classify(exc)),
        **peers(),
    }
    for name, records in (("labelled set", labelled), ("sixty other libraries", others)):
        print(f"\n{name}: {len(records)}")
        for subject, classify in subjects.items():
            print(f"  {subject:18} {score(records, [classify(build(r)) for r in records])}")
    both = [*labelled, *others]
    print(f"\neach library held out of the model's training: {len(both)}")
    apart = kept_apart(labelled, others)
    for name, change in (("tables know it", dict), ("no table knows it", unfamiliar)):
        answers = held_out(both, build, change)
        print(f"  {name:18} {score(both, answers)}")
        pairs = [pair for pair in zip(both, answers, strict=True) if pair[0]["lib"] in apart]
        print(f"    {len(pairs)} never tuned on {score(*zip(*pairs, strict=True))}")
    print()
    costs(peers(redress_alone))


if __name__ == "__main__":
    main()
