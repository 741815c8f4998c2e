"""Sinks other than the database: files that hold each record exactly once.

`file_sink` is what users hold. `writer` and `appending` do the work in a thread, with `disk` for
the system calls; `state` is what the checkpoint keeps of it, `layout` the files' names, `format`
records as bytes.
"""

from seawall.sink.file_sink import FileSink
from seawall.sink.format import CsvLine, json_line
from seawall.sink.layout import committed_files

__all__ = ["CsvLine", "FileSink", "committed_files", "json_line"]
