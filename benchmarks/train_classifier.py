"""Train the classifier's learned layer, and say how it does on libraries that it hasn't seen.

    python benchmarks/train_classifier.py FOLDER [MORE.jsonl …] [--write]

FOLDER holds ``labelled.jsonl`` and ``replay.py``, which rebuilds its exceptions; further files are
of the same form. ``--write`` writes ``src/seawall/classification/learned.json``. Pure Python, a
fixed seed: the same sets give the same file.
"""

import argparse
import importlib.util
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from seawall.classification import learned
from seawall.classification.learned import KINDS, SCALE, SURE_ENOUGH, Model, tokens_of

TARGET = Path(learned.__file__).with_name("learned.json")
EPOCHS = 25
RATE = 0.5
DECAY = 2e-3
FOLDS = 10
Sample = tuple[str, list[str], int, set[str]]  # library, tokens, class, what counts as right


def load_replay(folder: Path) -> Any:
    """The module that rebuilds the recorded exceptions."""
    spec = importlib.util.spec_from_file_location("replay", folder / "replay.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"{folder}: has no replay.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_samples(replay: Any, files: Iterable[Path]) -> list[Sample]:
    """Every labelled exception of the files, rebuilt and cut into tokens."""
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    return samples_of([json.loads(line) for line in lines], replay.build)


def samples_of(records: Iterable[dict[str, Any]], build: Any) -> list[Sample]:
    """The records, each rebuilt by ``build`` and cut into tokens."""
    names = [str(kind) for kind in KINDS]
    return [
        (
            record["lib"],
            tokens_of(build(record)),
            names.index(record["label"]),
            {record["label"], *record["also"]},
        )
        for record in records
    ]


def train(samples: Sequence[Sample]) -> tuple[list[float], dict[str, list[float]]]:
    """Bias and weights: softmax by AdaGrad, tokens that occur once left out."""
    seen = Counter(token for _, tokens, _, _ in samples for token in tokens)
    bias = [0.0] * len(KINDS)
    weights: dict[str, list[float]] = {
        token: [0.0] * len(KINDS) for token, count in seen.items() if count > 1
    }
    squares: dict[str, list[float]] = defaultdict(lambda: [1.0] * len(KINDS))
    order = list(range(len(samples)))
    for epoch in range(EPOCHS):
        random.Random(epoch).shuffle(order)
        for at in order:
            _, tokens, kind, _ = samples[at]
            _step(bias, weights, squares, tokens, kind)
    return bias, weights


def _step(
    bias: list[float],
    weights: dict[str, list[float]],
    squares: dict[str, list[float]],
    tokens: Sequence[str],
    kind: int,
) -> None:
    known = [token for token in tokens if token in weights]
    share = 1 / math.sqrt(len(tokens) or 1)
    scores = [b + share * sum(weights[t][k] for t in known) for k, b in enumerate(bias)]
    top = max(scores)
    odds = [math.exp(score - top) for score in scores]
    for k, odd in enumerate(odds):
        slope = odd / sum(odds) - (k == kind)
        bias[k] -= 0.02 * slope
        for token in known:
            square, row = squares[token], weights[token]
            pull = slope * share + DECAY * row[k]
            square[k] += pull * pull
            row[k] -= RATE * pull / math.sqrt(square[k])


def packed(bias: Sequence[float], weights: dict[str, list[float]]) -> dict[str, Any]:
    """As the file has it: hundredths, and no token that says next to nothing."""
    rows = {token: [round(w * SCALE) for w in row] for token, row in sorted(weights.items())}
    return {
        "about": "Weights of seawall.classification.learned; trained by"
        " benchmarks/train_classifier.py from the project's labelled exceptions;"
        " under the project's licence.",
        "kinds": [str(kind) for kind in KINDS],
        "bias": [round(each * SCALE) for each in bias],
        "weights": {t: row for t, row in rows.items() if max(map(abs, row)) >= 20},
    }


def model_of(content: dict[str, Any]) -> Model:
    """The model as the package would read it."""
    return Model(
        [each / SCALE for each in content["bias"]],
        {t: tuple(each / SCALE for each in row) for t, row in content["weights"].items()},
    )


def cross_validate(samples: Sequence[Sample]) -> None:
    """Each library is asked of a model that was trained without it."""
    libraries = sorted({library for library, *_ in samples})
    tally: Counter[str] = Counter()
    for fold in range(FOLDS):
        held = set(libraries[fold::FOLDS])
        model = model_of(packed(*train([each for each in samples if each[0] not in held])))
        for library, tokens, _, right in samples:
            if library in held:
                _count(tally, model, tokens, right)
    asked = tally["asked"]
    print(f"{asked} exceptions of {len(libraries)} libraries, each unseen by its model:")
    for name in ("right", "answered", "right where answered", "wrongly retried"):
        print(f"  {name:22} {tally[name]:5}  {100 * tally[name] / asked:.1f} %")


def _count(tally: Counter[str], model: Model, tokens: list[str], right: set[str]) -> None:
    if "unknown" in right:
        return
    tally["asked"] += 1
    guess = model.guess(tokens)
    if guess is None:
        return
    is_right = str(guess.error_type) in right
    tally["right"] += is_right
    if guess.error_type != "unknown" and guess.confidence >= SURE_ENOUGH[guess.error_type]:
        tally["answered"] += 1
        tally["right where answered"] += is_right
        tally["wrongly retried"] += guess.error_type == "transient" and "transient" not in right


def main() -> None:
    """Train, report, and write where asked."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("more", type=Path, nargs="*")
    arguments.add_argument("--write", action="store_true")
    given = arguments.parse_args()
    replay = load_replay(given.folder)
    samples = read_samples(replay, [given.folder / "labelled.jsonl", *given.more])
    cross_validate(samples)
    content = packed(*train(samples))
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":")).replace('],"', '],\n"')
    print(f"{len(content['weights'])} tokens, {len(text) / 1024:.0f} KiB")
    if given.write:
        TARGET.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
