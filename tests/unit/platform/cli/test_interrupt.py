"""Ctrl-C while the command line is still being imported."""

from __future__ import annotations

import signal
import subprocess
import sys

INTERRUPTED = """
import importlib.abc, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it

class Interrupts(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "foreshock.cli.app":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
from foreshock.cli import main
main()
"""


def test_ctrl_c_during_imports_is_a_line_and_no_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "stopped\n")
