"""Sources that know where each of their records stands: files, and what can only be skipped."""

from seawall.errors import SourceChangedError, SourceError
from seawall.records import Malformed, RecordSource
from seawall.source.csv_source import CsvSource
from seawall.source.files import FilesSource
from seawall.source.json_lines import JsonLinesSource
from seawall.source.skipping import skip_forward

__all__ = [
    "CsvSource",
    "FilesSource",
    "JsonLinesSource",
    "Malformed",
    "RecordSource",
    "SourceChangedError",
    "SourceError",
    "skip_forward",
]
