"""Machine-code kernels, each with a plain NumPy reference beside it.

``compiled/`` holds functions that numba compiles to machine code, one subject a file. ``reference/`` holds the same
functions under the same names in plain NumPy and Python: slow, short, and independent of the compiled ones. A test
of each pair compares both on random input. Where they disagree, the reference is right.

``layout`` names the fields of the records that kernels read and write. It needs no compiler.

Kernels take and return arrays only. They know no panel, no detector and no state object, and they import nothing of
this package outside of ``kernels``. Everything under ``compiled/`` is kept on disk by numba, keyed by what these
files say (`foreshock_models.kernels.cache`).
"""
