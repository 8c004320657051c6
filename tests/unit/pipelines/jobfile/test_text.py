"""Job files that are not what they should be, read in bounded time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile import load_job
from foreshock_pipelines.jobfile.text import MAX_BYTES

GOOD = "name: j\nsource: {prometheus: 'http://x:9090'}\nqueries: {x: 'up{site=\"Zürich\"}'}\nentity: [instance]\n"


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.write_bytes(GOOD.encode("latin-1")), "line 3, queries: the byte 0xfc is not UTF-8"),
        (lambda path: path.write_bytes(GOOD.encode("utf-16")), "line 1: the byte 0xff is not UTF-8"),
        (lambda path: path.write_bytes(os.urandom(3000) + b"\xff"), "is not UTF-8"),
        (lambda path: path.write_bytes(b"name: j\nsource:\n  parquet: a\0b\n"), "line 3, source.parquet: a"),
        (lambda path: path.write_bytes(b"\x7fELF\x02\x01\x01\0\0"), "control character"),
        (Path.mkdir, "it is a folder"),
        (os.mkfifo, "it is a named pipe"),
        (listening, "cannot read the job file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
        (lambda path: path.symlink_to(path), "cannot read the job file"),
        (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 100 << 20), "larger than 1024 KiB"),
        (lambda path: path.write_text(GOOD + "# " + "x" * MAX_BYTES), "larger than 1024 KiB"),
        (lambda path: None, "No such file"),
    ],
    ids=[
        "latin-1", "utf-16", "random", "nul", "program", "folder", "pipe", "socket", "endless", "loop", "sparse",
        "grown", "absent",
    ],
)  # fmt: skip
def test_what_is_no_text_file_is_one_error_in_less_than_a_second(
    tmp_path: Path, make: Callable[[Path], object], says: str
) -> None:
    path = tmp_path / "job.yaml"
    make(path)
    began = time.perf_counter()
    with pytest.raises(ConfigError) as caught:
        load_job(path)
    assert time.perf_counter() - began < 1
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_with_a_nul_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the job file"):
        load_job(tmp_path / "a\0b.yaml")


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert load_job(path).name == "j"


def test_a_file_is_read_as_utf8_whatever_the_locale(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(GOOD, encoding="utf-8")
    code = "import sys; from foreshock_pipelines.jobfile import load_job; print(ascii(load_job(sys.argv[1])))"
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, env=env)
    assert "Z\\xfcrich" in done.stdout, done.stderr
