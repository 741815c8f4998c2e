"""Q1 and Q3 of stored payloads: whatever the form, a record comes back equal, or says why not."""

import json
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.clock import uuid7
from seawall.errors import CodecError, PayloadTooLargeError, QuarantineKeyError
from seawall.masking import Masker
from seawall.postgres import pieces
from seawall.quarantine.encryption import KeyRing
from seawall.quarantine.payload import PLAIN, PayloadForm, Stored
from support.records import RECORDS, WRAPS, nested, same

OLD, NEW = {"old": b"o" * 32}, {"new": b"n" * 32}
FORMS = {
    "plain": PLAIN,
    "compressed": PayloadForm(compress_above=0),
    "encrypted": PayloadForm(keys=KeyRing(OLD)),
    "compressed and encrypted": PayloadForm(keys=KeyRing(OLD), compress_above=0),
}
REASONS = st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=20), max_size=3)


def owner(run_id="r", step="s"):
    return (uuid7(), run_id, step)


@settings(deadline=None, max_examples=300)
@given(RECORDS, REASONS, st.sampled_from(sorted(FORMS)), st.text(max_size=5))
def test_record_sealed_and_opened_comes_back_the_same(record, reasons, name, run_id):
    form, whose = FORMS[name], owner(run_id)
    stored = form.seal(record, whose, "why", reasons)
    assert same(form.open(stored, whose), record)
    assert form.reasons(stored, whose) == [each.replace("\x00", "\\x00") for each in reasons]


@settings(deadline=None, max_examples=150)
@given(RECORDS, REASONS, st.sampled_from(sorted(FORMS)))
def test_record_sealed_anew_opens_with_the_new_key_alone(record, reasons, name):
    whose = owner()
    stored = FORMS[name].seal(record, whose, "why", reasons)
    both, alone = PayloadForm(keys=KeyRing(NEW | OLD)), PayloadForm(keys=KeyRing(NEW))
    again = both.resealed(stored, whose)
    assert again.key_id == "new"
    assert same(alone.open(again, whose), record)
    assert alone.reasons(again, whose) == both.reasons(stored, whose)


@settings(deadline=None, max_examples=100)
@given(RECORDS, st.sampled_from(sorted(FORMS)), st.integers(1, 40))
def test_record_in_pieces_comes_back_the_same(record, name, size):
    """Cut at any size: the pieces are the sealed bytes, in order."""
    whose, form = owner(), FORMS[name]
    stored = form.seal(record, whose, "why", [])
    if stored.sealed is None:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "LARGEST", size)
        head, rows = pieces.cut(whose[0], stored.sealed)
        rows = list(rows)
    assert pieces.is_head(head)
    assert not pieces.is_head(stored.sealed)
    assert [number for _, number, _ in rows] == list(range(int.from_bytes(head[1:], "big")))
    whole = stored._replace(sealed=b"".join(data for _, _, data in rows))
    assert same(form.open(whole, whose), record)


@pytest.mark.parametrize("name", FORMS)
def test_record_nested_deep_is_stored_in_every_form(name):
    record, whose = nested(3000, WRAPS["odd key"]), owner()
    opened = FORMS[name].open(FORMS[name].seal(record, whose, "why", []), whose)
    depth = 0
    while opened != 1:
        opened, depth = opened[1], depth + 1
    assert depth == 3000


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_encrypted_record_altered_anywhere_is_refused(data):
    whose, form = owner(), FORMS["encrypted"]
    stored = form.seal({"a": 1}, whose, "why", ["x"])
    place = data.draw(st.integers(0, len(stored.sealed) - 1))
    bit = data.draw(st.sampled_from([1 << n for n in range(8)]))
    sealed = bytearray(stored.sealed)
    sealed[place] ^= bit
    with pytest.raises((CodecError, QuarantineKeyError)):
        form.open(stored._replace(sealed=bytes(sealed)), whose)


@pytest.mark.parametrize("length", range(40))
def test_sealed_record_cut_short_is_refused(length):
    for form in (FORMS["encrypted"], FORMS["compressed"]):
        whose = owner()
        stored = form.seal({"a": list(range(50))}, whose, "why", [])
        with pytest.raises((CodecError, QuarantineKeyError)):
            form.open(stored._replace(sealed=stored.sealed[:length]), whose)


def test_encrypted_record_moved_to_another_row_is_refused():
    """Record, run and step are bound to the bytes: none can be put in another's place."""
    form, whose = FORMS["encrypted"], owner()
    stored = form.seal({"a": 1}, whose, "why", [])
    for other in (
        owner(),
        (whose[0], "other", "s"),
        (whose[0], "r", "other"),
        (whose[0], "rs", ""),
    ):
        with pytest.raises(CodecError, match=r"altered, or is another record's"):
            form.open(stored, other)


def test_same_record_encrypted_twice_has_nothing_in_common():
    form, whose = FORMS["encrypted"], owner()
    one, two = (form.seal({"a": 1}, whose, "why", []).sealed for _ in range(2))
    assert one[6:18] != two[6:18]
    assert one[18:] != two[18:]


def test_nothing_of_an_encrypted_record_is_readable_beside_it():
    record = {"name": "Ada Lovelace"}
    stored = FORMS["encrypted"].seal(
        record, owner(), "ValueError: invalid literal: 'Ada Lovelace'", ["bad 'Ada Lovelace'"]
    )
    assert "Ada" not in repr(stored)
    assert stored.payload is None
    assert stored.reasons is None
    assert stored.reason == "ValueError: invalid literal: '…'"


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ('null value in column "dep_time" of relation "flights" violates not-null constraint',) * 2,
        ('duplicate key value violates unique constraint "flights_pkey"',) * 2,
        ('invalid input value for enum mood: "Ada"', "invalid input value for enum mood: '…'"),
        ('ValueError: \'Ada\' and "Bob" at column "x"', "ValueError: '…' and '…' at column \"x\""),
    ],
)
def test_reason_beside_an_encrypted_record_keeps_names_and_no_values(reason, kept):
    """Records are still counted by what was wrong, and where."""
    whose = owner()
    assert FORMS["encrypted"].seal({}, whose, reason, []).reason == kept
    plain = PLAIN.seal({}, whose, reason, [])
    assert plain.reason == reason
    assert FORMS["encrypted"].resealed(plain, whose).reason == kept


def test_record_without_its_key_names_the_key():
    whose = owner()
    stored = FORMS["encrypted"].seal({"a": 1}, whose, "why", [])
    for form in (PLAIN, PayloadForm(keys=KeyRing(NEW))):
        with pytest.raises(QuarantineKeyError, match="'old' is needed") as caught:
            form.open(stored, whose)
        assert caught.value.key_id == "old"


def test_record_under_another_key_of_the_same_id_says_so():
    whose = owner()
    stored = FORMS["encrypted"].seal({"a": 1}, whose, "why", [])
    with pytest.raises(QuarantineKeyError, match="'old' is not the one that record"):
        PayloadForm(keys=KeyRing({"old": b"x" * 32})).open(stored, whose)


def test_plain_record_stays_json_for_sql():
    stored = PLAIN.seal({"n": 7, "name": "x"}, owner(), "why", ["why 7"])
    assert json.loads(stored.payload) == {"n": 7, "name": "x"}
    assert stored == Stored(stored.payload, None, None, False, "why", '["why 7"]')


def test_record_above_the_bound_is_compressed_and_smaller():
    text = "the same again " * 10_000
    stored, whose = PLAIN.seal({"text": text}, whose := owner(), "why", []), whose
    assert stored.payload is None
    assert len(stored.sealed) < len(text) / 20
    assert PLAIN.open(stored, whose) == {"text": text}


@pytest.mark.parametrize("name", FORMS)
def test_record_above_the_largest_is_refused_with_its_size(name):
    import dataclasses

    form = dataclasses.replace(FORMS[name], max_bytes=400, compress_above=100)
    with pytest.raises(PayloadTooLargeError, match="quarantine_max_bytes=400") as caught:
        form.seal({"text": "x" * 500}, owner(), "why", [])
    assert caught.value.limit == 400
    assert caught.value.size > 500


def test_redacted_record_is_masked_and_marked():
    form = PayloadForm(redact=True, masker=Masker(extra_keys=["email"]))
    record = {"n": 1, "Email": "a@b.example", "url": "redis://:hunter2@cache", "in": [{"pwd": "x"}]}
    whose = owner()
    stored = form.seal(record, whose, "bad email=a@b.example", ["Key (email)=(a@b.example) exists"])
    assert stored.redacted
    assert form.open(stored, whose) == {
        "n": 1, "Email": "***", "url": "redis://:***@cache", "in": [{"pwd": "***"}],
    }  # fmt: skip
    assert stored.reason == "bad email=***"
    assert "a@b" not in repr(stored)


def test_redacted_record_that_the_codec_does_not_know_is_kept_as_it_looked():
    class Odd:
        def __repr__(self):
            return "Odd(password='hunter2', n=1)"

    stored = PayloadForm(redact=True).seal([Odd(), object], owner(), "why", [])
    assert "hunter2" not in stored.payload
    assert "n=1" in stored.payload


def test_redaction_with_a_key_is_not_needed_and_not_done():
    """Whole and encrypted beats masked: it can be reprocessed."""
    form, whose = PayloadForm(keys=KeyRing(OLD), redact=True), owner()
    stored = form.seal({"password": "x"}, whose, "why", [])
    assert not stored.redacted
    assert form.open(stored, whose) == {"password": "x"}


def test_reason_that_holds_a_secret_is_masked_in_every_form():
    for form in FORMS.values():
        stored = form.seal({"n": 1}, owner(), "refused: password=hunter2", [])
        assert "hunter2" not in stored.reason
    long = "x" * 2_000 + " password=hunter2"
    assert "hunter2" not in PLAIN.seal({"n": 1}, owner(), long, []).reason


def test_payload_from_a_newer_version_is_refused():
    stored = PLAIN.seal("x" * 100_000, whose := owner(), "why", [])
    for head in (b"\x02\x01", b"\x01\x08"):
        with pytest.raises(CodecError, match="newer version"):
            PLAIN.open(stored._replace(sealed=head + stored.sealed[2:]), whose)
    with pytest.raises(CodecError, match="no payload"):
        PLAIN.open(Stored(None, None, None, False, "why", None), (UUID(int=1), "r", "s"))
