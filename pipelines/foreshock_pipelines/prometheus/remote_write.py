"""Samples into Prometheus, by remote write: protobuf and snappy over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit, urlunsplit

import cramjam
import numpy as np
from numpy.typing import ArrayLike, NDArray

from foreshock_models.errors import HttpError, WriteError
from foreshock_pipelines.http_client import HttpClient, retried, shown
from foreshock_pipelines.jobfile import WriteConfig
from foreshock_pipelines.prometheus.labels import legacy_names
from foreshock_pipelines.prometheus.messages import WriteRequest
from foreshock_pipelines.prometheus.promql import is_plain

__all__ = ["RemoteWriter", "TimeSeries", "Written", "encode"]

BATCH = 10_000
"""Samples in one request, about; receivers limit its size."""
SPLITS = 32
"""Requests that may be spent on finding what a receiver refuses of a batch."""
REFUSED = {400, 413, 422}
"""Status codes of a request that is itself at fault; a part of it may be taken."""
HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """Samples of one series, in time order.

    Attributes
    ----------
    labels : with ``__name__``
    timestamps : ``(n,)`` ms since the epoch
    values : ``(n,)``; NaN is a gap and is not written
    """

    labels: Mapping[str, str]
    timestamps: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, name: str, labels: Mapping[str, str], timestamps: ArrayLike, values: ArrayLike) -> TimeSeries:
        """A series of a metric, without its gaps."""
        times, numbers = np.asarray(timestamps, dtype=np.int64), np.asarray(values, dtype=np.float64)
        there = ~np.isnan(numbers)
        return cls({"__name__": name, **labels}, times[there], numbers[there])

    def __len__(self) -> int:
        return len(self.timestamps)


@dataclass(frozen=True, slots=True)
class Written:
    """Counts of samples that a receiver took and refused (too old, out of order), and what it reported."""

    samples: int = 0
    refused: int = 0
    reason: str = ""

    def __add__(self, other: Written) -> Written:
        return Written(self.samples + other.samples, self.refused + other.refused, self.reason or other.reason)


def encode(series: Iterable[TimeSeries]) -> bytes:
    """A remote write request of these series, compressed."""
    request = WriteRequest()
    for one in series:
        message = request.timeseries.add()
        for name in sorted(one.labels):  # the protocol asks for this order
            if one.labels[name]:  # to Prometheus an empty label is none
                message.labels.add(name=name, value=one.labels[name])
        for time_ms, value in zip(one.timestamps.tolist(), one.values.tolist(), strict=True):
            message.samples.add(value=value, timestamp=time_ms)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


class RemoteWriter:
    """Writes to one receiver.

    Examples
    --------
    >>> from foreshock_pipelines.jobfile import WriteConfig
    >>> writer = RemoteWriter(WriteConfig(url="http://localhost:9090/api/v1/write"))
    >>> one = TimeSeries.of("foreshock_anomaly_score", {"instance": "web-1"}, [1767225600000], [0.3])
    >>> writer.write([one])  # doctest: +SKIP
    Written(samples=1, refused=0, reason='')
    """

    def __init__(self, config: WriteConfig) -> None:
        self.config = config
        self.http = HttpClient(config)
        self._legacy: bool | None = None

    @property
    def shown(self) -> str:
        """The URL without user, password and query."""
        return shown(self.config.url)

    def write(self, series: Sequence[TimeSeries], *, tries: int = 1) -> Written:
        """Write samples in batches, each tried up to `tries` times with growing pauses (see `retried`).

        A receiver that refuses one sample, because it is too old or out of order, refuses the whole request: it is
        then split, so that only what is refused is lost.

        Raises
        ------
        WriteError
            The receiver is down, too slow or does not let us in; to write the same again is harmless.
        """
        done = Written()
        if not all(is_plain(name) for one in series for name in one.labels) and self._only_legacy_names():
            series = [replace(one, labels=legacy_names(one.labels)) for one in series]
        for batch in _batches([one for one in series if len(one)]):
            done += self._write(batch, [SPLITS], tries)
        return done

    def close(self) -> None:
        self.http.close()

    def _only_legacy_names(self) -> bool:
        """True for a Prometheus 2, which drops series with other label names, and says that it took them."""
        if self._legacy is None:
            parts = urlsplit(self.config.url)
            path = parts.path.rpartition("/api/v1/write")[0] + "/api/v1/status/buildinfo"
            try:
                answer = self.http.request(
                    "GET", urlunsplit(parts._replace(path=path, query="")),
                    timeout=self.config.timeout.total_seconds(), read_only=True,
                )  # fmt: skip
            except HttpError:
                return False  # the write says what is wrong; it is asked again
            # VictoriaMetrics says that it is a Prometheus 2, but not which Go made it
            found = re.search(r'"version":"(\d+)\.', answer.text[:1000])
            self._legacy = found is not None and int(found[1]) < 3 and '"goVersion"' in answer.text[:1000]
        return self._legacy

    def _write(self, series: Sequence[TimeSeries], budget: list[int], tries: int) -> Written:
        reason = self._send(encode(series), tries)
        count = sum(map(len, series))
        if reason is None:
            return Written(count)
        budget[0] -= 1
        if budget[0] <= 0 or count == 1:
            return Written(0, count, reason)
        first, second = _halves(series)
        return self._write(first, budget, tries) + self._write(second, budget, tries)

    def _send(self, body: bytes, tries: int) -> str | None:
        """None if it was taken, else why it was refused."""
        try:
            retried(lambda: self._post(body), retries=tries - 1)
        except HttpError as exc:
            if exc.status in REFUSED:
                return exc.server_message
            hint = "; a Prometheus must be started with --web.enable-remote-write-receiver"
            raise WriteError(f"{self.shown}: not written: {exc}{hint if exc.status == 404 else ''}") from exc
        return None

    def _post(self, body: bytes) -> None:
        seconds = self.config.timeout.total_seconds()
        self.http.request("POST", self.config.url, body=body, headers=HEADERS, timeout=seconds)


def _batches(series: Sequence[TimeSeries]) -> Iterator[list[TimeSeries]]:
    """Requests in the order of time: once a receiver has newer samples, it takes none that are much older."""
    for stretch in _stretches(series):
        batch: list[TimeSeries] = []
        size = 0
        for one in stretch:
            if size + len(one) > BATCH and batch:
                yield batch
                batch, size = [], 0
            batch.append(one)
            size += len(one)
        yield batch


def _stretches(series: Sequence[TimeSeries]) -> Iterator[list[TimeSeries]]:
    """The same samples by time, of about `BATCH` samples each; those of one time stay together."""
    if not series:
        return
    edges = np.unique(np.sort(np.concatenate([one.timestamps for one in series]))[::BATCH])
    at = [np.append(np.searchsorted(one.timestamps, edges), len(one)).tolist() for one in series]
    for k in range(len(edges)):
        parts = [_cut(one, slice(cuts[k], cuts[k + 1])) for one, cuts in zip(series, at, strict=True)]
        yield [part for part in parts if len(part)]


def _halves(series: Sequence[TimeSeries]) -> tuple[Sequence[TimeSeries], Sequence[TimeSeries]]:
    """By series; one series by time, the older half first."""
    if len(series) > 1:
        middle = len(series) // 2
        return series[:middle], series[middle:]
    middle = len(series[0]) // 2
    return [_cut(series[0], slice(None, middle))], [_cut(series[0], slice(middle, None))]


def _cut(series: TimeSeries, part: slice) -> TimeSeries:
    return TimeSeries(series.labels, series.timestamps[part], series.values[part])
