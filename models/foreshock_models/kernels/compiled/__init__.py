"""Kernels compiled to machine code by numba."""

from __future__ import annotations

from foreshock_models.kernels.cache import use_cache

use_cache()  # before the modules of this package are imported, which decide where their code is kept
