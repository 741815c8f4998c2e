"""One worker's counts joined with what the fleet has: what is to be written."""

from collections.abc import Mapping, Sequence

from seawall.patterns.counter import others_of, resolved
from seawall.patterns.gathered import OTHER, Gathered
from seawall.patterns.known import KnownShape, Template
from seawall.patterns.ledger import Sampled
from seawall.patterns.miner import PatternMiner
from seawall.patterns.reading import render
from seawall.patterns.room import OTHERS
from seawall.patterns.row import PatternRow
from seawall.patterns.store import Flush, PatternSession, Sighting


async def flush_of(
    miner: PatternMiner,
    session: PatternSession,
    pending: Mapping[str, Gathered],
    values: Mapping[str, Sequence[Sampled]],
    *,
    full: bool,
) -> Flush:
    """What to write for the counts of one worker, whose miner knows all that the fleet does.

    Args:
        miner: the worker's.
        session: reads the patterns concerned.
        pending: what was counted.
        values: what was sampled.
        full: the fleet keeps no more shapes: new patterns go with the others.
    """
    flush = Flush(folded=_folded(miner))
    gathered = resolved(dict(pending), miner)
    if full:
        gathered = _with_the_others(gathered, miner)
    known = await session.rows({*gathered, *flush.folded, *flush.folded.values()})
    rows = _joined(known, flush.folded, miner)
    by_pattern = _by_pattern(values, miner)
    for pattern_id, counted in gathered.items():
        template = _template(miner, pattern_id)
        row = rows.get(pattern_id)
        if not counted.count:  # a failure that was counted before, and logged since
            if row is not None:
                row.sample(counted.sample_ids)
            continue
        if row is None:
            row = rows[pattern_id] = PatternRow(
                pattern_id=pattern_id,
                error_type=counted.error_type,
                template=template,
                first_seen=counted.first,
                last_seen=counted.last,
            )
        row.generalize(template)
        kind = row.add(counted, by_pattern.get(pattern_id, ()))
        if kind is not None:
            flush.sightings.append(_sighting(kind, row, counted))
        _count(flush, row, counted)
    flush.rows = list(rows.values())
    flush.shapes = _shapes(miner, gathered, full=full)
    return flush


def _shapes(
    miner: PatternMiner, gathered: Mapping[str, Gathered], *, full: bool
) -> list[KnownShape]:
    """What the fleet doesn't know yet; the shape that names a pattern always is kept."""
    shapes = {} if full else {shape.key: shape for shape in miner.untold()}
    for pattern_id, counted in gathered.items():
        if pattern_id not in shapes and int(pattern_id, 16) not in miner.learned:
            shapes[pattern_id] = miner.shape_of(pattern_id) or KnownShape(
                pattern_id, counted.error_type, OTHERS, None, absorbs=False, pattern_id=pattern_id
            )
    return list(shapes.values())


def _folded(miner: PatternMiner) -> dict[str, str]:
    """Patterns of the fleet that this worker knows to be others: shapes have joined."""
    folded: dict[str, str] = {}
    for pattern_id in {each.pattern_id for each in miner.learned.values()}:
        now = miner.resolve(pattern_id)
        if now is not None and now != pattern_id:
            folded[pattern_id] = now
    return folded


def _joined(
    known: dict[str, PatternRow], folded: Mapping[str, str], miner: PatternMiner
) -> dict[str, PatternRow]:
    """The patterns by their ids of now."""
    rows = {pattern_id: row for pattern_id, row in known.items() if pattern_id not in folded}
    for old_id, new_id in sorted(folded.items()):
        old = known.get(old_id)
        if old is None:
            continue
        old.pattern_id = new_id
        old.generalize(_template(miner, new_id))
        row = rows.get(new_id)
        if row is None:
            rows[new_id] = old
        else:
            row.generalize(old.template)
            row.take(old)
    return rows


def _template(miner: PatternMiner, pattern_id: str) -> Template:
    return miner.template_of(pattern_id) or Template(OTHERS, None)


def _with_the_others(gathered: dict[str, Gathered], miner: PatternMiner) -> dict[str, Gathered]:
    kept: dict[str, Gathered] = {}
    for pattern_id, counted in gathered.items():
        known = int(pattern_id, 16) in miner.learned
        wanted = pattern_id if known else others_of(counted.error_type)
        if wanted in kept:
            kept[wanted].take(counted)
        else:
            kept[wanted] = counted
    return kept


def _by_pattern(
    values: Mapping[str, Sequence[Sampled]], miner: PatternMiner
) -> dict[str, list[Sampled]]:
    found: dict[str, list[Sampled]] = {}
    for pattern_id, shapes in values.items():
        now = miner.resolve(pattern_id)
        if now is not None:
            found.setdefault(now, []).extend(shapes)
    return found


def _sighting(kind: str, row: PatternRow, counted: Gathered) -> Sighting:
    pipelines = counted.seen_in["pipelines"]
    return Sighting(
        kind,
        row.pattern_id,
        render(row.template.tokens, row.template.spaced or 0),
        row.error_type.value,
        counted.count,
        max(pipelines, key=lambda pipeline: (pipelines[pipeline], pipeline)),
    )


def _count(flush: Flush, row: PatternRow, counted: Gathered) -> None:
    kept = row.seen_in["pipelines"]
    for (pipeline, at), count in counted.buckets.items():
        key = (pipeline if pipeline in kept else OTHER, at, row.pattern_id)
        flush.counts[key] = flush.counts.get(key, 0) + count
