"""Every point at which a worker may die in a batch's life, and what the database must hold then.

Three forms of work, each over batches of ten records, each with a bad one: ``alone`` (one batch at
a time), ``side by side`` (three lanes: when the second batch comes to the point, the third is
committed and the first is in the middle of its transaction), ``acknowledged`` (a sink outside).
"""

from dataclasses import dataclass

NOTHING, WITHOUT, WITH, ALL = "nothing", "not there", "there", "all of the source"


@dataclass(frozen=True)
class Point:
    """A place in a batch's life.

    Attributes:
        form: of work.
        name: what has just happened; or, with "being", is under way.
        holds: what is committed of the batch: NOTHING (not even an earlier one), WITHOUT, WITH it,
            or ALL of the source.
        announced: its end is saved, so that it comes again as it was (a sink outside).
        given: the sink outside has it.
    """

    form: str
    name: str
    holds: str
    announced: bool = False
    given: bool = False

    @property
    def row(self):
        """As the documentation shows it."""
        if self.form == "acknowledged":
            sink = "has it" if self.given else "has not seen it"
            again = "ends right" if self.holds == WITH else self._again()
            return f"| {self.name} | {self.holds} | {sink} | {again} |"
        return f"| {self.name} | {self.holds} | {self._restart()} |"

    def _again(self):
        if not self.announced:
            return "cuts its batches anew"
        return "gives the sink the very same batch, under the same key"

    def _restart(self):
        return {
            NOTHING: "begins at the beginning",
            WITHOUT: "runs it again",
            WITH: "goes on behind it",
            ALL: "finds nothing left to do",
        }[self.holds]


_BATCH = (
    ("the batch is issued", WITHOUT),
    ("its transaction is begun", WITHOUT),
    ("its bad rows are being looked for", WITHOUT),
    ("its good rows are loaded", WITHOUT),
    ("its bad rows are in quarantine", WITHOUT),
    ("its position is saved, COMMIT is not sent", WITHOUT),
    ("COMMIT is sent, and lost on the way", WITHOUT),
    ("COMMIT is done, its answer is lost", WITH),
    ("the answer is there, the next batch is not begun", WITH),
)

POINTS = (
    Point("alone", "the lease is being taken", NOTHING),
    Point("alone", "the lease is taken", NOTHING),
    Point("alone", "the source is opened", NOTHING),
    Point("alone", "the first record is read", NOTHING),
    *(Point("alone", name, holds) for name, holds in _BATCH),
    Point("alone", "the source is at its end", ALL),
    Point("alone", "the lease is being given back", ALL),
    Point("alone", "the lease is given back, the step finished", ALL),
    *(Point("side by side", name, holds) for name, holds in _BATCH),
    *(
        Point("acknowledged", name, holds, announced=announced, given=given)
        for name, holds, announced, given in (
            ("the batch is issued", WITHOUT, False, False),
            ("its end is saved, COMMIT is not sent", WITHOUT, False, False),
            ("the end's COMMIT is sent, and lost on the way", WITHOUT, False, False),
            ("the end's COMMIT is done, its answer is lost", WITHOUT, True, False),
            ("its end is announced", WITHOUT, True, False),
            ("the sink has been called", WITHOUT, True, True),
            ("the sink has answered", WITHOUT, True, True),
            ("its refused records are in quarantine", WITHOUT, True, True),
            ("its position is saved, COMMIT is not sent", WITHOUT, True, True),
            ("COMMIT is sent, and lost on the way", WITHOUT, True, True),
            ("COMMIT is done, its answer is lost", WITH, False, True),
            ("the answer is there, the next batch is not begun", WITH, False, True),
        )
    ),
)


def table(form):
    """The form's points, as the documentation shows them."""
    if form == "acknowledged":
        head = "| the worker dies when | the batch's position | the sink | a restart |\n|---|---|---|---|"
    else:
        head = "| the worker dies when | the batch | a restart |\n|---|---|---|"
    return "\n".join([head, *(each.row for each in POINTS if each.form == form)])
