"""A client that keeps some connections busy with one request, and notes how long each answer took."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

__all__ = ["Answers", "load"]


@dataclass(frozen=True)
class Answers:
    """Answers a second, and quantiles of how long one took, seconds."""

    rate: float
    p50: float
    p95: float
    p99: float


def load(url: str, body: bytes, *, connections: int, seconds: float, headers: dict[str, str]) -> Answers:
    """Post `body` again and again on kept connections; any answer but 200 is an error."""
    parts = urlsplit(url)
    lines = {"Host": parts.netloc, "Content-Length": str(len(body)), **headers}
    head = f"POST {parts.path}{'?' + parts.query if parts.query else ''} HTTP/1.1\r\n"
    request = head.encode() + "".join(f"{k}: {v}\r\n" for k, v in lines.items()).encode() + b"\r\n" + body

    async def one(until: float) -> list[float]:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 26)
        took = []
        while time.perf_counter() < until:
            began = time.perf_counter()
            writer.write(request)
            await _answer(reader)
            took.append(time.perf_counter() - began)
        writer.close()
        return took

    async def all_() -> Answers:
        began = time.perf_counter()
        each = await asyncio.gather(*(one(began + seconds) for _ in range(connections)))
        took = np.concatenate([np.array(times) for times in each])
        return Answers(len(took) / (time.perf_counter() - began), *np.quantile(took, [0.5, 0.95, 0.99]).tolist())

    return asyncio.run(all_())


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if line)
    if b"content-length" in fields:
        body = await reader.readexactly(int(fields[b"content-length"]))
    else:
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise RuntimeError(f"{head.decode()}{body[:500].decode(errors='replace')}")
    return body
