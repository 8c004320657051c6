"""Channels that tell people: one a file, each with the protocol of its receiver."""
