"""Metrics for Prometheus, by its client. Needs the extra ``prometheus``."""

import contextlib
import functools
import gzip
import threading
from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

import anyio
import anyio.to_thread
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from seawall.events import Event
from seawall.instrumentation.asgi import App, Message, Receive, Send, is_other
from seawall.instrumentation.metric import Kind, Metric
from seawall.instrumentation.metrics import METRICS, OBSERVED, measurements, observed
from seawall.instrumentation.names import Names
from seawall.manager import ErrorRecoveryManager

_UNITS = {"s": "seconds", "1": "ratio", "By": "bytes"}
_ENDINGS = {Kind.COUNTER: "_total"}

_lock = threading.Lock()
_of_registry: "WeakKeyDictionary[CollectorRegistry, _Collection]" = WeakKeyDictionary()


def instrument(
    manager: ErrorRecoveryManager, registry: CollectorRegistry | None = None
) -> Callable[[], None]:
    """Count what ``manager`` does; the returned function ends it.

    Several managers may share a registry: they add to the same metrics. The same manager twice is
    counted once.

    Args:
        manager: started or not.
        registry: None: the client's default one.

    Raises:
        ValueError: the registry has metrics of these names that aren't ours.
    """
    registry = registry or REGISTRY
    with _lock:
        collection = _of_registry.get(registry)
        if collection is None:
            collection = _of_registry[registry] = _Collection(registry)
        collection.add(manager)

    is_on = True

    def undo() -> None:
        nonlocal is_on
        with _lock:
            if is_on and collection.remove(manager):
                del _of_registry[registry]
            is_on = False

    return undo


def metrics_app(manager: ErrorRecoveryManager, registry: CollectorRegistry | None = None) -> App:
    """``instrument``, and the ASGI app that Prometheus scrapes: ``app.mount("/metrics", …)``.

    Answers every path, in OpenMetrics and by gzip where the scraper takes them. The page is written
    in a thread, one at a time: a thousand label sets take half a second, and leases are renewed
    meanwhile.
    """
    instrument(manager, registry)
    shown = registry or REGISTRY
    one_at_a_time = anyio.CapacityLimiter(1)

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if await is_other(scope, receive, send):
            return
        wanted = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        encode, content_type = choose_encoder(wanted.get(b"accept", ""))
        zipped = "gzip" in wanted.get(b"accept-encoding", "")
        page = await anyio.to_thread.run_sync(
            functools.partial(_page, shown, encode, zipped=zipped), limiter=one_at_a_time
        )
        headers = [
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(page)).encode()),
            *([(b"content-encoding", b"gzip")] if zipped else []),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": page})

    return app


def _page(
    registry: CollectorRegistry, encode: Callable[[CollectorRegistry], bytes], *, zipped: bool
) -> bytes:
    page = encode(registry)
    return gzip.compress(page, compresslevel=1) if zipped else page


class _Collection(Collector):
    """Our metrics in one registry, and the managers that feed them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._names = Names()
        self._families: dict[Metric, Counter | Gauge | Histogram] = {}
        self._adders: dict[tuple[Metric, tuple[str, ...]], Callable[[float], None]] = {}
        # By identity: how often it was added, and what ends its listening.
        self._managers: dict[int, tuple[ErrorRecoveryManager, int, Callable[[], None]]] = {}
        try:
            for metric in METRICS:
                self._families[metric] = _family(metric, registry)
            registry.register(self)
        except ValueError:
            self._unregister()
            raise

    def add(self, manager: ErrorRecoveryManager) -> None:
        known = self._managers.get(id(manager))
        if known is None:
            listener = functools.partial(self._hear, manager.pipeline_id)
            self._managers[id(manager)] = (manager, 1, manager.bus.subscribe(listener))
        else:
            self._managers[id(manager)] = (manager, known[1] + 1, known[2])

    def remove(self, manager: ErrorRecoveryManager) -> bool:
        """Whether it was the last one; then the registry has our metrics no more."""
        _, times, unsubscribe = self._managers.pop(id(manager))
        if times > 1:
            self._managers[id(manager)] = (manager, times - 1, unsubscribe)
            return False
        unsubscribe()
        if self._managers:
            return False
        self._unregister()
        return True

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Names, so that registering asks for no values."""
        return [_observed_family(metric) for metric in OBSERVED]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """What is looked at when it is asked for."""
        managers = [manager for manager, *_ in tuple(self._managers.values())]
        for metric, values in observed(managers, self._names).items():
            family = _observed_family(metric)
            for labels, value in values.items():
                family.add_metric(labels, value)
            yield family

    def _hear(self, pipeline_id: str, event: Event) -> None:
        for metric, value, labels in measurements(event, pipeline_id):
            key = (metric, self._names.of(metric, labels))
            adder = self._adders.get(key)
            if adder is None:
                adder = self._adders[key] = _adder(self._families[metric], key[1])
            adder(value)

    def _unregister(self) -> None:
        for part in (*self._families.values(), self):
            with contextlib.suppress(KeyError):  # it wasn't there yet
                self._registry.unregister(part)


def exposed_name(metric: Metric) -> str:
    """The name that a scrape shows."""
    unit = _UNITS.get(metric.unit)
    return f"{_name(metric)}{f'_{unit}' if unit else ''}{_ENDINGS.get(metric.kind, '')}"


def _name(metric: Metric) -> str:
    return "seawall_" + metric.name.replace(".", "_")


def _family(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    unit = _UNITS.get(metric.unit, "")
    name = _name(metric)
    if metric.kind is Kind.COUNTER:
        return Counter(name, metric.help, metric.labels, unit=unit, registry=registry)
    if metric.kind is Kind.GAUGE:
        return Gauge(name, metric.help, metric.labels, unit=unit, registry=registry)
    return Histogram(
        name, metric.help, metric.labels, unit=unit, buckets=metric.buckets, registry=registry
    )


def _adder(family: Counter | Gauge | Histogram, labels: tuple[str, ...]) -> Callable[[float], None]:
    child = family.labels(*labels)
    if isinstance(child, Counter):
        return child.inc
    return child.set if isinstance(child, Gauge) else child.observe


def _observed_family(metric: Metric) -> GaugeMetricFamily:
    return GaugeMetricFamily(_name(metric), metric.help, labels=metric.labels)
