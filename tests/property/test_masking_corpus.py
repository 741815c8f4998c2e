"""Q3: no secret of the corpus comes through, wherever it stands; ordinary text is left alone."""

import json
import re
from collections import namedtuple
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.masking import MASK, Masker, default_masker
from seawall.quarantine.payload import PayloadForm
from seawall.text import recordable
from support.secrets_corpus import shapes

CORPUS = list(shapes())
MARKED = [
    each
    for each in CORPUS
    # Hashes and card numbers with blanks have marks that a quote, a letter or JSON would break.
    if each.whole and each.name not in ("visa", "mastercard", "amex", "sha512 crypt")
]
LEAD = st.sampled_from(["", "failed: ", "x ", "'", '"', "(", "[", "<", "=", ": ", ", ", "\n", "\t"])
TRAIL = st.sampled_from(["", " expired", "'", '"', ")", "]", ">", ", x", ": y", "\n", "; z", "."])
NAMES = st.sampled_from(
    ["password", "db_password", "API-Key", "apiKey", "x-api-key", "client_secret", "PGPASSWORD"]
    + ["access_token", "Authorization", "Cookie", "private_key", "AccountKey", "session_id"]
    + ["aws_secret_access_key", "smtp_pass", "signing_key", "credentials", "passphrase"]
)
OPAQUE = st.text("abcdefghijkmnpqrstuvwxyzABCDEFGH23456789_-.!$%^*+~", min_size=8, max_size=30).map(
    lambda text: f"zq{text}qz"
)


def leaked(shown, secrets):
    return [each for each in secrets if each in shown]


def test_corpus_holds_a_hundred_shapes_and_each_once():
    assert len(CORPUS) >= 100
    assert len({each.name for each in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("shape", CORPUS, ids=lambda shape: shape.name)
def test_secret_of_each_shape_is_masked(shape):
    for seed in range(25):
        text, secrets = shape.made(seed)
        masked = default_masker.mask_text(f"call failed: {text}\nin step load")
        assert leaked(masked, secrets) == []
        assert masked.startswith("call failed: ")
        assert masked.endswith("\nin step load")
        assert default_masker.mask_text(masked) == masked


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(MARKED), st.integers(0, 9), LEAD, TRAIL)
def test_marked_secret_between_anything_is_masked(shape, seed, lead, trail):
    text, secrets = shape.made(seed)
    assert leaked(default_masker.mask_text(lead + text + trail), secrets) == []


class Shown:
    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return f"Client(base={self.text!r})"


@dataclass
class Login:
    user: str
    note: str
    hidden: str = field(default="", repr=False)


Pair = namedtuple("Pair", "left right")

PLACES = {
    "value": lambda s: {"a": s},
    "key": lambda s: {s: 1},
    "deep": lambda s: {"a": [{"b": ({"c": {s}},)}]},
    "bytes": lambda s: {"raw": s.encode()},
    "exception": lambda s: ValueError("refused", s),
    "exception group": lambda s: ExceptionGroup("all failed", [KeyError(s), ValueError(s)]),
    "repr": lambda s: {"client": Shown(s)},
    "dataclass": lambda s: Login("etl", s),
    "hidden field": lambda s: Login("etl", "", hidden=s),
    "named tuple": lambda s: [Pair("x", s)],
    "json in text": lambda s: json.dumps({"a": [s]}),
    "json in json": lambda s: json.dumps({"body": json.dumps({"a": json.dumps([s])})}),
    "url path": lambda s: f"https://api.example/v1/{s}/items",
    "query": lambda s: f"https://api.example/v1?x={s}&y=2",
    "header": lambda s: {"headers": [("X-Custom", s)]},
    "mapping in text": lambda s: str({"some": s, "other": 1}),
    "tail of a line": lambda s: f"line 7: unexpected {s}",
}


def everything_shown(value, masker=default_masker):
    """What a table would hold of it, in each of the ways that it can get there."""
    masked = masker.mask_value(value)
    yield repr(masked)
    yield recordable(repr(value), masker)
    stored = PayloadForm(redact=True, masker=masker).seal(
        value, (__import__("uuid").UUID(int=1), "r", "s"), str(value), [repr(value)]
    )
    yield repr(stored)


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(MARKED), st.integers(0, 9), st.sampled_from(sorted(PLACES)))
def test_marked_secret_in_any_place_is_masked(shape, seed, place):
    text, secrets = shape.made(seed)
    if "path" in place and shape.name == "google oauth refresh":
        return  # its own slashes are those of the path
    for shown in everything_shown(PLACES[place](text)):
        assert leaked(shown, secrets) == [], shown


NAMED_PLACES = {
    "mapping": lambda n, s: {n: s},
    "nested": lambda n, s: {"a": [{"b": {n: [s, {"c": s}]}}]},
    "bytes": lambda n, s: {n: s.encode()},
    "assignment": lambda n, s: f"{n}={s}",
    "yaml": lambda n, s: f"a: 1\n{n}: {s}\nb: 2",
    "call": lambda n, s: f"connect(user='u', {n}='{s}', port=1)",
    "json": lambda n, s: json.dumps({"a": 1, n: s}),
    "json in text": lambda n, s: "body was " + json.dumps(json.dumps({n: s, "a": 1})),
    "json in json in json": lambda n, s: json.dumps([json.dumps([json.dumps({n: s})])]),
    "repr": lambda n, s: repr({n: s}),
    "repr of bytes": lambda n, s: repr([(n.encode(), s.encode())]),
    "exception": lambda n, s: RuntimeError(f"refused: {n}={s}"),
    "query": lambda n, s: f"https://api.example/x?a=1&{n}={s.replace('%', '').replace('+', '')}",
    "named tuple": lambda n, s: Pair({n: s}, s[:2]),
}


@settings(deadline=None, max_examples=500)
@given(NAMES, OPAQUE, st.sampled_from(sorted(NAMED_PLACES)))
def test_secret_under_a_telling_name_is_masked(name, secret, place):
    value = NAMED_PLACES[place](name, secret)
    needle = secret.replace("%", "").replace("+", "") if place == "query" else secret
    for shown in everything_shown(value):
        assert needle not in shown


DSNS = [
    "postgresql://etl:{}@db:5432/app", "mysql://root:{}@h/x", "redis://:{}@c:6379/0",
    "amqp://a:{}@mq/v", "mongodb+srv://u:{}@c0.example/", "host=db user=etl password={} dbname=x",
    "Server=db;Uid=etl;Pwd={};Encrypt=yes", "jdbc:postgresql://db/x?user=u&password={}&ssl=true",
]  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(DSNS), OPAQUE, st.sampled_from(sorted(PLACES)))
def test_password_of_a_dsn_in_any_place_is_masked(dsn, secret, place):
    for shown in everything_shown(PLACES[place](dsn.format(secret))):
        assert secret not in shown


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.sampled_from(CORPUS).map(lambda shape: shape.made(3)[0]) | st.text(max_size=8),
        max_size=5,
    ).map(" ".join)
)
def test_masking_of_many_secrets_twice_is_masking_once(text):
    once = default_masker.mask_text(text)
    assert default_masker.mask_text(once) == once


ORDINARY = st.one_of(
    st.uuids().map(str),
    st.binary(min_size=20, max_size=20).map(bytes.hex),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.binary(min_size=16, max_size=16).map(bytes.hex),
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.dates().map(str),
    st.timedeltas().map(str),
    st.tuples(st.sampled_from(["UA", "AA", "B6", "DL"]), st.integers(1, 9999)).map(
        lambda pair: f"{pair[0]}{pair[1]}"
    ),
    st.sampled_from(
        ["N14228", "EWR", "LaGuardia", "n=12345678", "3.14159265358979", "0x7f3d1dd11e90"]
    ),
    st.decimals(
        allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9
    ).map(str),
    st.ip_addresses().map(str),
)


@settings(deadline=None, max_examples=600)
@given(st.lists(ORDINARY, min_size=1, max_size=5))
def test_ordinary_values_are_left_alone(values):
    text = f"record ({', '.join(values)}) was refused at line 7"
    assert default_masker.mask_text(text) == text


PROSE = [
    "SELECT n, carrier FROM flights WHERE dep_time > '2013-01-01 05:00:00+00' ORDER BY n LIMIT 10",
    "INSERT INTO flights (year, month, day) VALUES ($1, $2, $3) ON CONFLICT (n) DO NOTHING",
    'duplicate key value violates unique constraint "flights_pkey"; Key (n)=(17) already exists.',
    'insert or update on table "flights" violates foreign key constraint "flights_dest_fkey"',
    "the primary key is (n); the foreign key: dest",
    'Traceback (most recent call last):\n  File "/app/etl/load_flights_from_source.py", line 7, in load',
    "https://api.example.com/v1/flights/2013/01/01?origin=EWR&page=2&sort=dep_time",
    "s3://bucket/raw/2013/01/part-00000-6f1c2d3e-aaaa-4bbb-8ccc-0123456789ab.snappy.parquet",
    "sk-learn-based-feature-extraction-pipeline failed; task-runner-with-a-long-hyphenated-name",
    "pat-na1-notes and key-value-store-with-long-name, re_calculated_departure_time_of_flight",
    "github.com/seawall/seawall/pull/1234567890123456789012345",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 by Ann; sha256:" + "ab" * 32,
    "kafka topic flights.raw.v1 partition 7 offset 123456789012 lag 42",
    "arn:aws:iam::123456789012:role/etl-worker and projects/my-project-123456/locations/eu",
    "mac 00:1b:44:11:3a:b7, ipv6 2001:db8:85a3::8a2e:370:7334, port 127.0.0.1:5432",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0",
    "mysql error 1045 on host db; curl: (7) Failed to connect to db port 5432",
    "passenger: Ann, compass: north, bypass: true, passed: 12, pass: 3 fail: 2",
    "sort key: n, partition key: origin, hot keys: 3; hotkey=F5, keyboard=de",
    "task com.example.etl.LoadFlights.run.with.many.dotted.parts.in.its.name failed",
    "order 4000001234567898 of 2013, tracking 1Z999AA10123456784",
    "the token was rejected, 3 tokens left, tokenize=True, token_count=12",
    "password authentication failed; the secret is out; basic understanding",
    "base64 iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4",
    "[2013-01-01T05:00:00.123Z] INFO seawall.recorder - 17 rows written in 12.5 ms",
]


@pytest.mark.parametrize("text", PROSE)
def test_ordinary_text_is_left_alone(text):
    assert default_masker.mask_text(text) == text


def test_emails_are_masked_where_asked_and_nothing_else():
    masker = Masker(emails=True)
    text = "mail ada.l+etl@mail.example.co.uk, <bob@x.io>; not a@b, @seawall, x@1.2.3, git@host:x"
    assert masker.mask_text(text) == ("mail ***, <***>; not a@b, @seawall, x@1.2.3, git@host:x")
    assert masker.mask_value({"to": ["ada@example.com"]}) == {"to": [MASK]}
    assert default_masker.mask_text("ada@example.com") == "ada@example.com"


def test_users_function_sees_what_is_masked_and_has_the_last_word():
    seen = []

    def function(text):
        seen.append(text)
        return re.sub(r"Ada \w+", MASK, text)

    masker = Masker(function=function)
    assert masker.mask_text("Ada Lovelace: password=hunter2") == "***: password=***"
    assert seen == ["Ada Lovelace: password=***"]
    assert masker.mask_value(["Ada Lovelace"]) == [MASK]
