"""The peer of the serving bench: PyOD behind FastAPI and uvicorn, as its user would write it."""

from __future__ import annotations

import os
from datetime import datetime

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel
from pyod.models.iforest import IForest


class Window(BaseModel):
    timestamps: list[datetime]
    values: dict[str, list[float | None]]


class Request(BaseModel):
    job: str
    windows: list[Window]


app = FastAPI()
model = IForest(random_state=0).fit(np.load(os.environ["BENCH_ROWS"]))


@app.get("/healthz")
def alive() -> str:
    return "ok"


@app.post("/score")
def score(body: Request) -> list[list[float]]:
    rows = [np.nan_to_num(np.array(list(w.values.values()), dtype=float).T) for w in body.windows]
    return [model.decision_function(r).tolist() for r in rows]
