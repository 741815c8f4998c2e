"""Charts as numbers: where each bar stands. The template draws them as SVG."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 140
_GAP = 0.25  # of a bar's room


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a bar; ``kind`` names its colour."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Stacked bars.

    Attributes:
        label: what it shows, in words, for who can't see it.
        bars: from left to right, each from the bottom up.
        kinds: those that occur.
        top: the value at the upper edge.
        first: name of the first bar.
        last: name of the last.
        rows: the same as a table.
    """

    label: str
    bars: tuple[Bar, ...]
    kinds: tuple[str, ...]
    top: float
    first: str
    last: str
    rows: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]
    width: int = WIDTH
    height: int = HEIGHT


def stacked(
    label: str,
    points: Sequence[tuple[str, Mapping[str, float]]],
    kinds: Iterable[str],
    *,
    top: float | None = None,
    unit: str = "",
) -> Chart | None:
    """Bars of several kinds; None where there is nothing to be seen.

    Args:
        label: what it shows.
        points: name of each bar, and its parts.
        kinds: in the order from the bottom.
        top: value at the upper edge; the highest bar's without it.
        unit: behind each value.
    """
    known = tuple(kinds)
    # Against a limit, nothing at all is something to be seen.
    used = tuple(kind for kind in known if top or any(parts.get(kind) for _, parts in points))
    highest = max((sum(parts.values()) for _, parts in points), default=0)
    limit = highest if top is None else top
    if not points or limit <= 0:
        return None
    room = WIDTH / len(points)
    bars = []
    for place, (name, parts) in enumerate(points):
        y = float(HEIGHT)
        for kind in used:
            value = parts.get(kind, 0)
            height = HEIGHT * min(value, limit) / limit
            if not height:
                continue
            y -= height
            title = (
                f"{name}: {value:,.4g}{unit} {kind}"
                if value < 1e4
                else (f"{name}: {value:,.0f}{unit} {kind}")
            )
            x = (place + _GAP / 2) * room
            bars.append(Bar(round(x, 2), round(y, 2), round(room * (1 - _GAP), 2),
                            round(max(height, 1.0), 2), kind, title))  # fmt: skip
    rows = tuple(
        (name, tuple((kind, parts.get(kind, 0)) for kind in used)) for name, parts in points
    )
    return Chart(
        label=label, bars=tuple(bars), kinds=used, top=limit, first=points[0][0],
        last=points[-1][0], rows=rows,
    )  # fmt: skip
