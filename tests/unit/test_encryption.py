"""Keys for quarantined payloads: what is taken, what is refused, and that no message shows one."""

import base64
import sys

import pytest

from seawall import InvalidConfigError
from seawall.quarantine.encryption import ENVIRONMENT, KeyRing, new_key

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER = base64.urlsafe_b64encode(b"\xff" * 32).decode().rstrip("=")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    monkeypatch.delenv(ENVIRONMENT, raising=False)


@pytest.mark.parametrize(
    "value",
    [f"2026:{KEY},2025:{OTHER}", f" 2026:{KEY}\n2025:{OTHER},", {"2026": KEY, "2025": OTHER}],
)
def test_keys_of_a_text_or_mapping_are_taken_in_order(value):
    ring = KeyRing.of(value)
    assert ring.current == "2026"
    assert repr(ring) == "KeyRing(2026, 2025)"


def test_keys_without_a_value_are_the_environments(monkeypatch):
    assert KeyRing.of(None) is None
    monkeypatch.setenv(ENVIRONMENT, "")
    assert KeyRing.of(None) is None
    monkeypatch.setenv(ENVIRONMENT, f"env:{KEY}")
    assert KeyRing.of(None).current == "env"
    assert KeyRing.of(f"own:{KEY}").current == "own"


def test_new_key_is_taken_and_never_the_same():
    one, two = new_key(), new_key()
    assert one != two
    assert KeyRing.of(f"a:{one},b:{two}").current == "a"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (KEY, "has no id"),
        (f":{KEY}", "letters, digits"),
        (f"{KEY}:{KEY}", "letters, digits"),
        ("a:" + KEY[:20], "has 15 bytes"),
        ("a:" + "?" * 44, "no base64"),
        (f"a:{KEY},a:{OTHER}", "'a' stands there twice"),
        (" , ", "holds no key"),
        ({}, "holds no key"),
        ({"a": "short"}, "base64"),
        (5, "is a int"),
    ],
)
def test_keys_of_a_wrong_form_are_refused_and_not_shown(value, message):
    with pytest.raises(InvalidConfigError, match=message) as caught:
        KeyRing.of(value)
    assert KEY not in str(caught.value)
    assert "?????" not in str(caught.value)


def test_keys_without_cryptography_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(InvalidConfigError, match=r"pip install 'seawall\[encryption\]'"):
        KeyRing.of(f"a:{KEY}")
