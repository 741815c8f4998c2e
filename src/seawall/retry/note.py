"""The one note that a retry leaves on the exception it gives back."""

_PREFIX = "seawall: "


def replace_note(error: BaseException, note: str) -> None:
    """Leave ``note`` on the error, in place of one left before.

    An exception instance that is raised again and again gathers no notes.
    """
    held = error.__dict__.get("__notes__")
    kept = [each for each in held if not str(each).startswith(_PREFIX)] if held else []
    # Not by add_note, which sets an attribute: an exception's class may be frozen.
    error.__dict__["__notes__"] = [*kept, _PREFIX + note]
