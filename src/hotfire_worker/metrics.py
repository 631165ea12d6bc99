"""`context.metrics`: each metric becomes a line of the log, as TorchServe writes it."""

import socket
import sys
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

_COUNTER, _GAUGE = "COUNTER", "GAUGE"
_UNITS = {
    "ms": "Milliseconds",
    "s": "Seconds",
    "percent": "Percent",
    "count": "Count",
    "MB": "Megabytes",
    "GB": "Gigabytes",
    "kB": "Kilobytes",
    "B": "Bytes",
    "": "unit",
}
_Pair = Tuple[str, str]


class Metric:
    """One metric, of which every new value is told."""

    def __init__(self, name: str, unit: str, dimension_names: Sequence[str], kind: str) -> None:
        self.metric_name, self.metric_type = name, kind
        self.unit = _UNITS.get(unit, unit)
        self.dimension_names = list(dimension_names)

    def add_or_update(self, value: float, dimension_values: Sequence[str] = (), request_id: str = "") -> None:
        """Tell a value; what a counter cannot take is told as an error, and harms nothing."""
        why = ""
        if len(dimension_values) != len(self.dimension_names):
            why = f"{len(dimension_values)} values for the dimensions {self.dimension_names}"
        elif self.metric_type == _COUNTER and value < 0:
            why = "a counter does not go down"
        if why:
            sys.stdout.write(f"[METRICS]Failed to update {self.metric_name} with {value}: {why}\n")
            return
        dimensions = ",".join(f"{name}:{told}" for name, told in zip(self.dimension_names, dimension_values))  # noqa: B905
        origin = f"#type:{self.metric_type}|#hostname:{socket.gethostname()},{int(time.time())}"
        end = "," + request_id if request_id else ""
        sys.stdout.write(f"[METRICS]{self.metric_name}.{self.unit}:{value}|#{dimensions}|{origin}{end}\n")


class Metrics:
    """The metrics of a worker. A unit or a value that TorchServe does not take is refused here too."""

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name
        self.request_ids: Optional[Dict[int, str]] = None
        self.cache: Dict[str, Dict[str, Metric]] = {}

    def add_counter(self, name: str, value: float, idx: Any = None, dimensions: Sequence[Any] = ()) -> None:
        """Count something."""
        self._add(name, value, "count", idx, dimensions, _COUNTER)

    def add_time(
        self,
        name: str,
        value: float,
        idx: Any = None,
        unit: str = "ms",
        dimensions: Sequence[Any] = (),
        metric_type: Any = _GAUGE,
    ) -> None:
        """A duration in `ms` or `s`."""
        if unit not in ("ms", "s"):
            raise ValueError("the unit for a timed metric should be one of ['ms', 's']")
        self._add(name, value, unit, idx, dimensions, metric_type)

    def add_size(
        self,
        name: str,
        value: float,
        idx: Any = None,
        unit: str = "MB",
        dimensions: Sequence[Any] = (),
        metric_type: Any = _GAUGE,
    ) -> None:
        """A size in `B`, `kB`, `MB` or `GB`."""
        if unit not in ("B", "kB", "MB", "GB"):
            raise ValueError("The unit for size based metric is one of ['MB','kB', 'GB', 'B']")
        self._add(name, value, unit, idx, dimensions, metric_type)

    def add_percent(
        self,
        name: str,
        value: float,
        idx: Any = None,
        dimensions: Sequence[Any] = (),
        metric_type: Any = _GAUGE,
    ) -> None:
        """A share in percent."""
        self._add(name, value, "percent", idx, dimensions, metric_type)

    def add_error(self, name: str, value: float, dimensions: Sequence[Any] = ()) -> None:
        """Something that went wrong; `value` is a number, as TorchServe wants it."""
        self._tell(name, value, "", None, [*_pairs(dimensions), ("Level", "Error")], _COUNTER)

    def add_metric(
        self,
        name: str,
        value: float,
        unit: str,
        idx: Any = None,
        dimensions: Sequence[Any] = (),
        metric_type: Any = _COUNTER,
    ) -> None:
        """Any metric."""
        self._add(name, value, unit, idx, dimensions, metric_type)

    def add_metric_to_cache(
        self,
        metric_name: str,
        unit: str,
        dimension_names: Sequence[str] = (),
        metric_type: Any = _COUNTER,
    ) -> Metric:
        """Make a metric, whose values are then told by `add_or_update`."""
        kind = _kind(metric_type)
        metric = Metric(metric_name, unit, dimension_names, kind)
        self.cache.setdefault(kind, {})[metric_name] = metric
        return metric

    def get_metric(self, metric_name: str, metric_type: Any = _COUNTER) -> Metric:
        """A metric that was made; KeyError if there is none."""
        return self.cache[_kind(metric_type)][metric_name]

    def _add(
        self, name: str, value: float, unit: str, idx: Any, dimensions: Sequence[Any], kind: Any
    ) -> None:
        pairs = [*_pairs(dimensions), ("ModelName", self.model_name), ("Level", "Model")]
        self._tell(name, value, unit, idx, pairs, _kind(kind))

    def _tell(self, name: str, value: float, unit: str, idx: Any, pairs: List[_Pair], kind: str) -> None:
        known = self.cache.get(kind, {}).get(name)
        metric = known or self.add_metric_to_cache(name, unit, [key for key, _ in pairs], kind)
        ids = self.request_ids or {}
        request_id = ids[idx] if idx in ids else ",".join(ids.values())
        metric.add_or_update(value, [told for _, told in pairs], request_id)


def _pairs(dimensions: Sequence[Any]) -> List[_Pair]:
    return [(dimension.name, dimension.value) for dimension in dimensions or ()]


def _kind(metric_type: Any) -> str:
    """The name of a metric's kind, whether it is given by TorchServe's enumeration or by its name."""
    return str(getattr(metric_type, "name", metric_type)).upper()
