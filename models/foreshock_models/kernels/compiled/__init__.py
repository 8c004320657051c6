"""Kernels compiled to machine code by numba."""
