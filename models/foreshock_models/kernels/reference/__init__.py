"""The kernels in plain NumPy and Python: the specification that the compiled ones are tested against."""
