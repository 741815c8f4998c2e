"""Made-up secrets of the shapes in ``tests/data/secret_shapes.txt``."""

import random
import re
import string
from dataclasses import dataclass
from pathlib import Path

_LETTERS = {
    "A": string.ascii_letters + string.digits,
    "U": string.ascii_uppercase + string.digits,
    "H": "0123456789abcdef",
    "D": string.digits,
    "W": string.ascii_letters + string.digits + "-_",
    "B": string.ascii_letters + string.digits + "+/",
}
_SECRET = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)


@dataclass(frozen=True)
class Shape:
    """``whole``: the secret is all of it, and gives itself away wherever it stands."""

    name: str
    text: str
    whole: bool

    def made(self, seed):
        """A text, and the parts in it that nobody must see."""
        random_ = random.Random(f"{self.name} {seed}")

        def some(match):
            letters, count = _LETTERS[match[1]], int(match[2])
            ends = letters.replace("-", "").replace("_", "")
            middle = "".join(random_.choice(letters) for _ in range(max(0, count - 2)))
            return (random_.choice(ends) + middle + random_.choice(ends))[:count]

        # An issuer's tokens always have a digit and a capital somewhere; so have these.
        text = re.sub(r"<([A-Z])(\d+)>", some, self.text.replace("·", ""))
        text = text.replace("\\\\", "\x00").replace("\\n", "\n").replace("\x00", "\\")
        if self.whole:
            return text, [text]
        secret = _SECRET.search(text)[1]
        return _SECRET.sub(lambda match: match[1], text), secret.split("\n")


def shapes():
    path = Path(__file__).parents[1] / "data" / "secret_shapes.txt"
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, text = line.partition("\t")
            yield Shape(name, text, "[[" not in text)
