"""Error patterns: messages mined into templates, in constant memory, the same on every worker."""

from seawall.patterns.board import PatternBoard as PatternBoard
from seawall.patterns.miner import PatternMiner as PatternMiner
from seawall.patterns.pattern import ErrorPattern as ErrorPattern
from seawall.patterns.pattern import PatternStatus as PatternStatus
from seawall.patterns.pattern import Trend as Trend
from seawall.stack import stack_fingerprint as stack_fingerprint
