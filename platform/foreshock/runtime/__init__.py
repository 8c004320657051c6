"""How an installation is put together: home, ports, the Ray cluster, and what ends with it."""
