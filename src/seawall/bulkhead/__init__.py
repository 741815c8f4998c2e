"""At most so many calls of a service at once."""

from seawall.bulkhead.bulkhead import Bulkhead, BulkheadSnapshot
from seawall.bulkhead.limit import AIMD, Gradient, Limit

__all__ = ["AIMD", "Bulkhead", "BulkheadSnapshot", "Gradient", "Limit"]
