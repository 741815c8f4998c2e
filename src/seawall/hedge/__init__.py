"""A second attempt beside one that takes too long."""

from seawall.hedge.hedge import Hedge, hedge

__all__ = ["Hedge", "hedge"]
