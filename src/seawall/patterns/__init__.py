"""Error patterns: messages mined into templates, in constant memory, the same on every worker."""

from seawall.patterns.fingerprint import stack_fingerprint as stack_fingerprint
from seawall.patterns.miner import PatternMiner as PatternMiner
from seawall.patterns.pattern import ErrorPattern as ErrorPattern
