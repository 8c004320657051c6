"""Pictures of incidents for messages."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from foreshock.incidents.picture import TimelinePictures


def size(png: bytes | None) -> tuple[int, int]:
    assert png is not None and png.startswith(b"\x89PNG")
    with Image.open(io.BytesIO(png)) as image:
        return image.size


def test_each_node_has_a_lane_up_to_a_limit_and_odd_names_are_drawn(house: Any) -> None:
    pictures = TimelinePictures(house.store, "default")
    house.alert("db", severity="critical")
    house.alert("web", 2, node="web-$x_{1}$ " + "long " * 20)
    house.end("db", minute=5)
    house.gather()
    incident = house.incidents.list().incidents[-1].id
    first = size(pictures.draw(incident))
    for i in range(60):
        house.alert(f"n{i}", 1, node=f"n{i}")
    house.gather()
    many = max(house.incidents.list().incidents, key=lambda each: each.alerts)
    width, height = size(pictures.draw(many.id))
    assert width == first[0]
    assert first[1] < height < 800


def test_an_incident_without_alerts_has_no_picture(house: Any) -> None:
    made = house.people.create("by hand", who="anna", now_ms=5)
    assert TimelinePictures(house.store, "default").draw(made.id) is None
    assert TimelinePictures(house.store, "default").draw("gone") is None
