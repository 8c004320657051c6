"""The README shows the last picture of the quickstart.

``python -m tests.e2e.notebooks.picture`` takes it from there.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "notebooks"
PICTURE = FOLDER / "images" / "timeline.png"


def last_picture(notebook: Path = FOLDER / "01_quickstart.ipynb") -> bytes:
    cells = json.loads(notebook.read_text())["cells"]
    found = [
        o["data"]["image/png"] for c in cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})
    ]
    return base64.b64decode("".join(found[-1]))


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_bytes(last_picture())
