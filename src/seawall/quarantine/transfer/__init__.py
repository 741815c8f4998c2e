"""Quarantined records to files and back: JSONL, which loses nothing, and CSV for people."""

from seawall.quarantine.transfer.exporting import export
from seawall.quarantine.transfer.importing import ImportReport, import_from
from seawall.quarantine.transfer.line import Line
from seawall.quarantine.transfer.store import Edited, Held, TransferStore

__all__ = ["Edited", "Held", "ImportReport", "Line", "TransferStore", "export", "import_from"]
