"""The classifier on recorded exceptions: right on nearly all, and almost none wrongly retried."""

import importlib.util
import json
from pathlib import Path

import pytest

from seawall.classification import Classifier, learned
from seawall.classification.learned import KINDS, Guess, Model, tokens_of
from support.standins import OWN, SHARED, build, is_right, is_wrongly_retried, load

FOLDER = SHARED / "data" / "exceptions"
needs_shared = pytest.mark.skipif(
    not (FOLDER / "labelled.jsonl").exists(), reason="the labelled set isn't beside this checkout"
)


def scored(records, classify, made=build):
    """Shares of those with a class: right, and wrongly retried."""
    answers = [(record, str(classify(made(record)))) for record in records]
    answers = [pair for pair in answers if pair[0]["label"] != "unknown"]
    right = sum(is_right(*pair) for pair in answers)
    retried = sum(is_wrongly_retried(*pair) for pair in answers)
    return right / len(answers), retried / len(answers)


@pytest.fixture(scope="module")
def replay():
    spec = importlib.util.spec_from_file_location("replay", FOLDER / "replay.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@needs_shared
def test_labelled_set_is_classified_right(replay):
    records = load(FOLDER / "labelled.jsonl")
    right, retried = scored(records, Classifier().classify, replay.build)
    print(f"labelled set: right {right:.1%}, wrongly retried {retried:.1%}")
    assert right >= 0.97
    assert retried <= 0.01


@needs_shared
def test_exceptions_without_a_class_are_not_guessed_at(replay):
    records = [r for r in load(FOLDER / "labelled.jsonl") if r["label"] == "unknown"]
    answers = [Classifier().classify(replay.build(record)) for record in records]
    assert sum(answer == "unknown" for answer in answers) >= len(answers) - 1


def test_libraries_outside_the_labelled_set_are_classified_right():
    right, retried = scored(load(OWN), Classifier().classify)
    print(f"other libraries: right {right:.1%}, wrongly retried {retried:.1%}")
    assert right >= 0.95
    assert retried <= 0.01


def test_other_libraries_without_the_model_are_classified_nearly_as_well():
    """The tables and codes carry it; the model was trained on these too, and must not be needed."""
    right, retried = scored(load(OWN), Classifier(learned=False).classify)
    assert right >= 0.93
    assert retried <= 0.01


@needs_shared
def test_model_made_again_from_the_sets_is_the_one_that_is_shipped():
    """The weights are what the trainer makes of the sets, and nothing else."""
    path = Path(__file__).parents[2] / "benchmarks" / "train_classifier.py"
    spec = importlib.util.spec_from_file_location("train_classifier", path)
    trainer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(trainer)
    samples = trainer.read_samples(trainer.load_replay(FOLDER), [FOLDER / "labelled.jsonl", OWN])
    made, shipped = trainer.packed(*trainer.train(samples)), json.loads(trainer.TARGET.read_text())
    assert made["bias"] == pytest.approx(shipped["bias"], abs=1)
    assert made["weights"].keys() == shipped["weights"].keys()
    for token, row in made["weights"].items():
        assert row == pytest.approx(shipped["weights"][token], abs=1), token


def test_shipped_weights_are_small_and_say_where_they_come_from():
    path = Path(learned.__file__).with_name("learned.json")
    assert path.stat().st_size < 150 * 1024
    content = json.loads(path.read_text(encoding="utf-8"))
    assert "train_classifier.py" in content["about"]
    assert "licence" in content["about"]
    assert content["kinds"] == [str(kind) for kind in KINDS]


class WarehouseError(Exception):
    pass


def model_for(word, *row):
    return Model([0.0] * len(KINDS), {f"word:{word}": row, "name:warehouse": (0.1, 0, 0, 0, 0)})


@pytest.mark.parametrize(
    ("row", "error_type"),
    [
        ((9, 0, 0, 0, 0), "transient"),
        ((4, 0, 0, 0, 0), "unknown"),  # 0.6 sure: too little for a retry that may be vain
        ((0, 9, 0, 0, 0), "configuration"),
        ((0, 0, 0, 9, 0), "system"),
        ((0, 0, 0, 0, 9), "unknown"),
        ((0, 1, 1, 1, 0), "unknown"),
    ],
)
def test_model_answers_only_where_it_is_sure(row, error_type):
    classifier = Classifier(learned=model_for("zork", *row))
    found = classifier.explain(WarehouseError("zork flibber"))
    assert found.error_type == error_type
    if error_type != "unknown":
        assert found.layer == "learned"
        assert "by the words zork" in found.detail


def test_model_guess_is_a_softmax_over_the_tokens_known_to_it():
    model = model_for("zork", 3.0, 0.0, 0.0, 0.0, 0.0)
    guess = model.guess(["word:zork", "word:flibber", "x", "y"])
    assert isinstance(guess, Guess)
    e = 2.718281828459045
    assert guess.confidence == pytest.approx(e**1.5 / (e**1.5 + 4))
    assert model.reasons(["word:zork", "word:flibber"], guess.error_type) == ("zork",)
    assert model.guess(["word:nothing"]) is None


def test_model_is_not_asked_about_groups_nor_before_the_tables():
    sure = Classifier(learned=model_for("zork", 99, 0, 0, 0, 0))
    assert sure.classify(WarehouseError("zork")) == "transient"
    assert (
        sure.classify(ExceptionGroup("zork", [WarehouseError("zork"), RuntimeError("x")]))
        == "unknown"
    )
    assert sure.classify(ExceptionGroup("x", [WarehouseError("zork")])) == "transient"
    assert sure.classify(ValueError("zork")) == "data"
    assert sure.classify(OSError(28, "zork")) == "system"


def test_tokens_are_words_of_types_message_and_causes_without_sql():
    exc = WarehouseError('peer went away in "secret_column"\n[SQL: select password]')
    exc.__cause__ = KeyError("dock")
    tokens = tokens_of(exc)
    for token in (
        "name:warehouse",
        "word:peer",
        "pair:peer went",
        "behind word:dock",
        "behind name:key",
    ):
        assert token in tokens
    assert not any("secret" in token or "password" in token for token in tokens)
