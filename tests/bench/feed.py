"""The feed of events through the proxy of a running installation: many WebSockets from one process.

``python -m tests.bench.feed --url http://127.0.0.1:8700 --token-file api-token --clients 1000`` connects, opens an
incident again and again, and prints how long its message takes to reach the clients. Some of the clients read
nothing (``--stuck``): the others must not feel it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

SLOW = 5.0
"""Seconds after which a message counts as lost."""


async def listener(url: str, token: str, limit: asyncio.Semaphore) -> ClientConnection:
    async with limit:
        socket = await connect(url, open_timeout=60, ping_interval=None, max_queue=16)
        await socket.send(json.dumps({"token": token, "types": ["incident"]}))
        return socket


async def reading(socket: ClientConnection, arrived: dict[str, list[float]]) -> None:
    async for text in socket:
        found = json.loads(text)
        if found["type"] == "incident" and found["data"]["event"] == "opened":
            arrived.setdefault(found["data"]["title"], []).append(time.perf_counter())


async def run(options: argparse.Namespace) -> dict[str, Any]:
    token = options.token_file.read_text().strip()
    url = options.url.replace("http", "ws", 1) + "/ws/notifications"
    began, limit = time.perf_counter(), asyncio.Semaphore(50)
    sockets = await asyncio.gather(*(listener(url, token, limit) for _ in range(options.clients)))
    connected = time.perf_counter() - began
    arrived: dict[str, list[float]] = {}
    readers = [asyncio.create_task(reading(socket, arrived)) for socket in sockets[options.stuck :]]
    await asyncio.sleep(2)
    delays: list[float] = []
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=options.url, headers=headers, timeout=60) as client:
        for n in range(options.incidents):
            title = f"feed {n} {time.time_ns()}"
            sent = time.perf_counter()
            answer = await client.post("/incidents", json={"title": title, "severity": "info", "who": "bench"})
            answer.raise_for_status()
            until = sent + SLOW + 10
            while len(arrived.get(title, [])) < len(readers) and time.perf_counter() < until:
                await asyncio.sleep(0.05)
            delays += [at - sent for at in arrived.get(title, [])]
    for task in readers:
        task.cancel()
    for socket in sockets:
        socket.transport.abort()
    return {
        "clients": options.clients, "stuck": options.stuck, "connected in s": round(connected, 1),
        "messages": options.incidents * len(readers), "received": len(delays),
        "p50 s": round(float(np.quantile(delays, 0.5)), 2) if delays else None,
        "p99 s": round(float(np.quantile(delays, 0.99)), 2) if delays else None,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8700")
    parser.add_argument("--token-file", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--stuck", type=int, default=10)
    parser.add_argument("--incidents", type=int, default=10)
    print(json.dumps(asyncio.run(run(parser.parse_args()))))


if __name__ == "__main__":
    main()
