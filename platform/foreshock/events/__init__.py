"""Events: the append-only record of what happened, which incidents, notifications and clients read."""
