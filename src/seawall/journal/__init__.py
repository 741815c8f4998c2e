"""The outage journal: durable rows on this machine's disk while PostgreSQL can't be reached."""

from seawall.journal.folder import JournalFolder
from seawall.journal.journal import Journal
from seawall.journal.replay import Replayed, ReplayStore, replay

__all__ = ["Journal", "JournalFolder", "ReplayStore", "Replayed", "replay"]
