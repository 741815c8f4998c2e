"""What was done about failures, whether it helped, and what to do next."""

from seawall.actions.desk import ActionDesk
from seawall.actions.knowledge import KnowledgeBase, Symptoms
from seawall.actions.recommendation import RecoveryAction
from seawall.actions.store import ActionStore, Taken

__all__ = ["ActionDesk", "ActionStore", "KnowledgeBase", "RecoveryAction", "Symptoms", "Taken"]
