"""Q3, first form: no secret of a known shape is left, harmless text is left alone."""

import time
from collections import namedtuple
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.errors import InvalidConfigError
from seawall.masking import MASK, Masker, default_masker

# Made of parts, so that no scanner takes this file for a leak.
JWT = "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0" + ".dozjgNryP4J3jVmNHl0w5N"
AWS_ID = "AKIA" + "IOSFODNN7EXAMPLE"
PEM_BODY = "MIIEowIBAAKCAQEAx9Zs"
GITHUB = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
SLACK = "xoxb-" + "123456789012-abcdefGHIJKL"
STRIPE = "sk_" + "live_abcdEFGH12345678"

LEAKS = [
    ("postgresql://etl:hunter2@db.internal:5432/app", "hunter2"),
    ("could not connect to postgres://u:p@ss:w0rd@db/app?sslmode=require", "ss:w0rd"),
    ("redis://:hunter2@cache:6379/0", "hunter2"),
    ("amqp://guest:gu/est#1@mq/vhost", "est#1"),
    ("https://" + "tokentokentokentoken1" + "@git.example/x.git", "tokentokentokentoken1"),
    ("host=db user=etl password=hunter2 dbname=app", "hunter2"),
    ("host=db password='hunter 2' dbname=app", "hunter 2"),
    ("invalid dsn: password=ab,cd;ef host=x", "cd;ef"),
    ("connect(user='etl', password='hunter2', port=1)", "hunter2"),
    ('{"user": "etl", "password": "hunter2"}', "hunter2"),
    ('body was "{\\"api_key\\": \\"hunter2\\", \\"a\\": 1}"', "hunter2"),
    ("{'Password': 'hun\\'ter2'}", "ter2"),
    ("DB_PASSWORD=hunter2", "hunter2"),
    ("PGPASSWORD: hunter2", "hunter2"),
    ("pwd=hunter2;Server=x", "hunter2"),
    ("ALTER ROLE etl PASSWORD 'hunter2'", "hunter2"),
    ("CREATE USER x IDENTIFIED BY 'hunter2'", "hunter2"),
    ("run --password hunter2 --host x", "hunter2"),
    ("run --api-token=hunter2", "hunter2"),
    ("GET /v1?api_key=hunter2&page=2", "hunter2"),
    ("GET /v1?page=2&access_token=hunter2", "hunter2"),
    ("https://acct.blob.example/c?sv=2020&sig=hunter2%2Babc&se=1", "hunter2"),
    ("https://s3/x?X-Amz-Credential=hunter2&X-Amz-Signature=hunter3", "hunter3"),
    ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=hunter2==;Suffix=x", "hunter2"),
    ("client_secret => hunter2", "hunter2"),
    ("Authorization: Bearer hunter2hunter2", "hunter2"),
    ("authorization: Basic dXNlcjpodW50ZXIy", "dXNlcjpodW50ZXIy"),
    ('Authorization: Digest username="u", response="hunter2"', "hunter2"),
    ("{'Authorization': 'Bearer hunter2', 'Accept': '*/*'}", "hunter2"),
    ("[(b'authorization', b'Bearer hunter2'), (b'accept', b'x')]", "hunter2"),
    ("Headers([('x-api-key', 'hunter2'), ('a', 'b')])", "hunter2"),
    ("X-Api-Key: hunter2", "hunter2"),
    ("refused with Bearer abcDEF123456xyz", "abcDEF123456xyz"),
    ("Cookie: sid=hunter2; theme=dark", "hunter2"),
    ("Set-Cookie: id=hunter2; HttpOnly", "hunter2"),
    ("auth=('etl', 'hunter2')", "hunter2"),
    ("secrets: ['hunter2', 'hunter3']", "hunter3"),
    ("credentials={'user': 'etl', 'key': 'hunter2'}", "hunter2"),
    (f"token {JWT} has expired", JWT[-10:]),
    (f"The key {AWS_ID} does not exist", AWS_ID),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPx", "wJalrXUtnFEMI"),
    (f"-----BEGIN RSA PRIVATE KEY-----\n{PEM_BODY}\n-----END RSA PRIVATE KEY-----", PEM_BODY),
    (f"cut: -----BEGIN PRIVATE KEY-----\\nDEK: A-1\\n{PEM_BODY}", PEM_BODY),
    (f"remote: {GITHUB} was revoked", GITHUB),
    (f"invalid_auth {SLACK}", SLACK),
    (f"No such key: {STRIPE}", STRIPE),
    ("POST https://hooks.slack.com/services/T0/B0/hunter2", "hunter2"),
    ("card 4111 1111 1111 1111 was declined", "1111 1111"),
    ("Key (card)=(5555555555554444) already exists.", "5555555555554444"),
    ("Key (api_token)=(hunter2) already exists.", "hunter2"),
    ('DETAIL:  Key (id, "password")=(3, hunter2) is not present in table "t".', "hunter2"),
]

HARMLESS = [
    "",
    "connection refused",
    'password authentication failed for user "boss"',
    "fe_sendauth: no password supplied",
    'Key (dest)=(BQN) is not present in table "airports".',
    'null value in column "dep_time" of relation "flights" violates not-null constraint',
    "Failing row contains (2, 1, null, 2013-01-01 05:00:00).",
    "http://127.0.0.1:8080/path?mail=a@b.example",
    "https://user@example.com/x",
    "postgresql://db.internal:5432/app",
    "basic authentication failed",
    "bearer authentication is required",
    "used 4096 tokens of max_tokens=8192",
    "Unexpected token } in JSON at position 4",
    "unexpected token: '}'",
    "the secretary: Bob, a tokenizer: fast",
    "author: Jane, signal: 9, assigned=3",
    "order 1234567812345678 shipped",
    "4111111111111112 has a wrong check digit",
    "flight 2013010105001545 left at 05:00:00.123456",
    "0.4111111111111111",
    "550e8400-e29b-41d4-a716-446655440000",
    "-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----",
    "[Errno 111] Connect call failed ('127.0.0.1', 37881)",
    "asia pacific, akia, ghost town, sk-ip",
    "canceling statement due to statement timeout",
    "monkey=banana; keyboard: qwerty",
]


@pytest.mark.parametrize(("text", "secret"), LEAKS)
def test_text_with_a_secret_is_masked(text, secret):
    """The corpus of real shapes: none leaks, and masking again changes nothing."""
    assert secret in text
    masked = default_masker.mask_text(text)
    assert secret not in masked
    assert MASK in masked
    assert default_masker.mask_text(masked) == masked


@pytest.mark.parametrize("text", HARMLESS)
def test_text_without_a_secret_is_left_alone(text):
    assert default_masker.mask_text(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://etl:pw@db:5432/app", "postgresql://etl:***@db:5432/app"),
        ("connect(password='a', port=1)", "connect(password='***', port=1)"),
        ("password=a, user=b", "password=***, user=b"),
        ("Authorization: Bearer abc then more", "Authorization: *** then more"),
        ('{\\"token\\": \\"a\\"}', '{\\"token\\": \\"***\\"}'),
        ("?token=abc&page=2", "?token=***&page=2"),
    ],
)
def test_text_around_a_secret_is_kept(text, masked):
    """What a person needs to find the fault stays readable."""
    assert default_masker.mask_text(text) == masked


FRAGMENTS = st.sampled_from(
    [each for pair in LEAKS for each in (pair[0], pair[0][: len(pair[0]) // 2])]
    + HARMLESS
    + ["'", '"', "\\", " ", ",", ";", "\n", "=", ":", "@", "://", "(", ")", MASK]
)


@settings(deadline=None, max_examples=400)
@given(st.lists(FRAGMENTS | st.text(max_size=5), max_size=6).map("".join))
def test_masking_twice_is_masking_once(text):
    once = default_masker.mask_text(text)
    assert default_masker.mask_text(once) == once


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "password",
        "password=",
        "password='",
        "://",
        "://a:",
        "eyJ",
        "eyJaaaaaaaaaa.",
        "4111 ",
        "\\",
    ]
    + ["-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "Key (", "key (a)=(", "AKIA", "bearer ", "--a"]
    + [
        "sk-",
        "sk-a",
        "gh",
        "AAAAAAAAAAAAAAAA",
        "curl ",
        "curl -u ",
        "mysql -p ",
        "login a password ",
    ]
    + [
        ":5432:",
        "a:5432:",
        "$6$",
        "$6$a$",
        "$argon2i$",
        "Private-Lines: 1\n",
        "api_key",
        "pass=",
        "a@",
    ]
    + ["a.b@", "a@b.", "M.a", "0123456789:AA", '\\"password\\": ', "jdbc:oracle:thin:a/", "key "]
    + ["authorization: ", "cookie: ", "token,", 'token="', "secret=(", "'", "ghp_", "--password "],
)
def test_masking_of_hostile_text_takes_time_in_proportion(unit):
    """No input makes an expression backtrack without end; the text is cut at a bound."""
    masker = Masker(extra_keys=["email"], emails=True)
    text = unit * (120_000 // len(unit))
    started = time.perf_counter()
    masked = masker.mask_text(text)
    assert time.perf_counter() - started < 2
    assert masker.mask_text(masked[:1000])


def test_text_past_the_bound_is_cut_and_says_so():
    masked = default_masker.mask_text("x" * 200_000)
    assert len(masked) < 100_100
    assert masked.endswith("(cut)")
    assert default_masker.mask_text(masked) == masked


def test_value_under_a_telling_key_is_masked_whatever_it_is():
    value = {
        "user": "etl",
        "password": 12345,
        "db": {"API-Key": "x", "credentials": {"a": 1}, "port": 5432},
        "headers": [("Cookie", "sid=1"), {"Authorization": b"Bearer x"}],
        "dsn": "postgresql://db/app",
        "url": "redis://:pw@cache",
        "secret": None,
        "password_set": True,
        "token": "",
        "token_count": 512,
        "tokens": 4096,
    }
    assert default_masker.mask_value(value) == {
        "user": "etl",
        "password": MASK,
        "db": {"API-Key": MASK, "credentials": MASK, "port": 5432},
        "headers": [("Cookie", "sid=1"), {"Authorization": MASK}],
        "dsn": MASK,
        "url": "redis://:***@cache",
        "secret": None,
        "password_set": True,
        "token": "",
        "token_count": 512,
        "tokens": 4096,
    }


def test_value_without_secrets_comes_back_equal_and_of_the_same_types():
    value = {
        "a": (1, 2.5, None, True),
        "b": {3, 4},
        "c": frozenset({"x"}),
        "d": [b"\xff\x00", bytearray(b"y")],
        5: datetime(2013, 1, 1, tzinfo=UTC),
        "id": UUID(int=7),
        "e": ValueError("x"),
    }
    masked = default_masker.mask_value(value)
    assert masked == value
    assert type(masked["a"]) is tuple
    assert type(masked["d"][1]) is bytearray


def test_value_is_never_changed_in_place():
    value = {"password": "x", "list": ["password=x"]}
    default_masker.mask_value(value)
    assert value == {"password": "x", "list": ["password=x"]}


def test_named_tuple_is_masked_by_the_names_of_its_fields():
    Login = namedtuple("Login", "user password")
    assert default_masker.mask_value(Login("etl", "x")) == Login("etl", MASK)


def test_object_whose_repr_shows_a_secret_becomes_its_masked_repr():
    class Settings:
        def __repr__(self):
            return "Settings(password='hunter2')"

    assert default_masker.mask_value([Settings()]) == ["Settings(password='***')"]


def test_object_without_a_working_repr_harms_nobody():
    class Bad:
        def __repr__(self):
            raise RuntimeError

    bad = Bad()
    assert default_masker.mask_value({"a": bad}) == {"a": bad}


def test_value_that_contains_itself_is_cut():
    value = {}
    value["again"] = [value, value]
    assert "…" in str(default_masker.mask_value(value))


def test_bytes_and_card_numbers_as_numbers_are_masked():
    assert default_masker.mask_value([b"password=x", 4111111111111111]) == [b"password=***", MASK]


def test_extra_keys_are_masked_in_mappings_texts_and_details():
    masker = Masker(extra_keys=["E-Mail", "birth_date"])
    assert masker.mask_value({"email": "a@b", "BirthDate": 3, "mail": "m"}) == {
        "email": MASK,
        "BirthDate": MASK,
        "mail": "m",
    }
    text = "Key (email)=(a@b) already exists. e_mail=x, birth-date: 1970 femail=y"
    assert masker.mask_text(text) == (
        "Key (email)=(***) already exists. e_mail=***, birth-date: *** femail=y"
    )


def test_failing_row_is_masked_where_personal_data_is_named():
    """Nobody can tell which of the row's values is the named one."""
    text = "violates check\nDETAIL:  Failing row contains (1, a@b (home), null).\nCONTEXT: x"
    masked = Masker(extra_keys=["email"]).mask_text(text)
    assert masked == "violates check\nDETAIL:  Failing row contains (***).\nCONTEXT: x"
    assert Masker(extra_keys=["email"]).mask_text(masked) == masked


def test_extra_patterns_mask_their_group_or_all_they_match():
    masker = Masker(extra_patterns=[r"CUST-\d+", r"iban (?P<secret>\w+)"])
    assert masker.mask_text("CUST-77 has iban DE02") == "*** has iban ***"


def test_pattern_that_is_no_expression_is_refused():
    with pytest.raises(InvalidConfigError, match="extra_patterns"):
        Masker(extra_patterns=["("])


def test_struct_is_masked_by_the_names_of_its_fields():
    class Login(msgspec.Struct):
        user: str
        pin_code: str

    shown = Masker(["pin_code"]).mask_value({"in": Login("ada", "1234")})
    assert shown["in"]["user"] == "ada"
    assert shown["in"]["pin_code"] == MASK
