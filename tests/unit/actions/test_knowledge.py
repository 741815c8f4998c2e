"""The knowledge base: every entry is well-formed and reachable, and real failures find theirs."""

import importlib.util
import re
from pathlib import Path

import pytest

from seawall.actions.knowledge import (
    KINDS,
    KnowledgeBase,
    Symptoms,
    entries_of,
    shipped,
)
from seawall.classification import Classifier, ErrorType
from seawall.classification.rule import _CODE
from seawall.errors import InvalidConfigError
from support.standins import OWN, SHARED, build, load

ROOT = Path(__file__).parents[3]
FOLDER = SHARED / "data" / "exceptions"
BASE = KnowledgeBase()
CONDITIONS = [
    pytest.param(entry, condition, id=f"{entry.id}-{place}")
    for entry in shipped()
    for place, condition in enumerate(entry.when)
]


def best(**symptoms):
    return BASE.match(Symptoms(**symptoms))[0].entry.id


@pytest.mark.parametrize(("entry", "condition"), CONDITIONS)
def test_each_code_and_type_leads_to_its_entry_first(entry, condition):
    message = entry.examples[:1] if condition.message is not None else ()
    for code in condition.codes:
        assert best(codes=frozenset({code})) == entry.id, code
    for name in condition.exceptions:
        if condition.message is None:
            assert best(exceptions=frozenset({name})) == entry.id, name
        else:
            assert best(exceptions=frozenset({name}), messages=message) == entry.id
    if condition.error_type is not None:
        assert best(error_type=condition.error_type) == entry.id


@pytest.mark.parametrize("entry", [pytest.param(each, id=each.id) for each in shipped()])
def test_each_entry_is_well_formed_and_its_examples_lead_to_it(entry):
    asks_for_messages = any(each.message is not None for each in entry.when)
    assert bool(entry.examples) == asks_for_messages
    for example in entry.examples:
        assert best(messages=(example,)) == entry.id, example
    assert re.fullmatch(r"[A-Z].{9,160}[.]", entry.do)
    assert re.fullmatch(r"[A-Z].{19,300}[.]", entry.why)
    assert entry.kind in KINDS
    if entry.docs is not None:
        assert (ROOT / entry.docs).is_file()
    for condition in entry.when:
        for code in condition.codes:
            assert _CODE.fullmatch(code), code


def test_there_is_one_generic_entry_for_each_class_and_eighty_in_all():
    generic = [each for each in shipped() if each.is_generic]
    assert {each.when[0].error_type for each in generic} == set(ErrorType)
    assert len(shipped()) >= 80


def specific(records, made, classifier):
    found = [BASE.match(Symptoms.of(made(record), classifier)) for record in records]
    return sum(bool(each) and not each[0].entry.is_generic for each in found) / len(records)


def test_labelled_exceptions_get_a_recommendation_of_their_own():
    share = specific(load(OWN), build, Classifier())
    print(f"specific recommendation: {share:.1%} of {len(load(OWN))}")
    assert share >= 0.95


@pytest.mark.skipif(not (FOLDER / "labelled.jsonl").exists(), reason="not beside this checkout")
def test_labelled_set_gets_a_recommendation_of_its_own():
    spec = importlib.util.spec_from_file_location("replay", FOLDER / "replay.py")
    replay = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(replay)
    records = [r for r in load(FOLDER / "labelled.jsonl") if r["label"] != "unknown"]
    share = specific(records, replay.build, Classifier())
    print(f"specific recommendation: {share:.1%} of {len(records)} of the labelled set")
    assert share >= 0.9


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "start_service"),
        (ConnectionResetError(104, "reset"), "retry_connection"),
        (TimeoutError(), "raise_timeout"),
        (OSError(28, "No space left on device"), "free_disk_space"),
        (MemoryError(), "reduce_memory"),
        (FileNotFoundError(2, "No such file", "/in.csv"), "restore_file"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "fix_encoding"),
        (ValueError("invalid literal for int() with base 10: 'x'"), "correct_value"),
        (KeyError("id"), "correct_transform"),
        (RuntimeError("deadlock detected"), "retry_deadlock"),
        (RuntimeError("nothing is known"), "any_unknown"),
        (ExceptionGroup("x", [OSError(24, "Too many open files")]), "close_files"),
    ],
)
def test_exceptions_lead_to_what_to_do(error, name):
    assert BASE.match(Symptoms.of(error, Classifier()))[0].entry.id == name


def test_cause_says_what_the_outer_exception_does_not():
    try:
        try:
            raise ConnectionRefusedError(111, "refused")
        except OSError as cause:
            raise RuntimeError("the load failed") from cause
    except RuntimeError as error:
        assert BASE.match(Symptoms.of(error, Classifier()))[0].entry.id == "start_service"


OWN_ENTRY = {
    "id": "call_ann",
    "kind": "fix",
    "do": "Call Ann.",
    "why": "She knows.",
    "when": [{"message": "disk"}],
}


def test_user_entries_come_first_however_general():
    base = KnowledgeBase([OWN_ENTRY])
    found = base.match(Symptoms(codes=frozenset({"errno 28"}), messages=("the disk",)))
    assert [each.entry.id for each in found[:2]] == ["call_ann", "free_disk_space"]
    assert base.own_ids == {"call_ann"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "odd"}, "kind must be one of"),
        ({"id": "A b"}, "must be like 'free_disk_space'"),
        ({"do": ""}, "do='': must be a text"),
        ({"why": 5}, "why=5: must be a text"),
        ({"when": []}, "must be a list of conditions"),
        ({"when": [{}]}, "must have some of"),
        ({"when": [{"message": "("}]}, "must be right"),
        ({"when": [{"codes": "errno 28"}]}, "must be a list of texts"),
        ({"when": [{"error_type": "odd"}]}, "must be right"),
        ({"more": 1}, "must have no keys but"),
    ],
)
def test_entry_that_is_wrong_is_named(change, said):
    with pytest.raises(InvalidConfigError, match=said):
        KnowledgeBase([{**OWN_ENTRY, **change}])


def test_entries_must_have_ids_of_their_own():
    with pytest.raises(InvalidConfigError, match="must be unique"):
        KnowledgeBase([OWN_ENTRY, OWN_ENTRY])


def test_file_of_another_version_is_refused(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text("version = 2\n")
    with pytest.raises(InvalidConfigError, match="version=2: must be 1"):
        entries_of(path)
    path.write_text("version =")
    with pytest.raises(InvalidConfigError, match="must be TOML"):
        entries_of(path)
