"""Loading records by COPY, and finding the bad ones in a few statements whatever their number.

`loader` tries the plain COPY; when it fails, the batch goes into a temporary table without
constraints, `violations` asks there once per constraint which records break it, and the rest goes
on by INSERT … SELECT. `values` finds what can't even be sent, `isolate` is for what the catalog
doesn't tell (triggers, exclusion constraints, domains), one error at a time.

`upsert` is the same for records whose keys may be there already: `arbiter` finds the index that
decides, `unnest` and the temporary table (`stage`) bring many in at once, `entangled` finds those
that may meet each other, `one_by_one` loads these in their order.
"""
