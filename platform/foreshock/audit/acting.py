"""The actor of an act: known to the audit log without being handed through every call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["SYSTEM", "Actor", "act_as", "acting", "current_actor"]


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, a token, a user of this machine, or Foreshock itself.

    Attributes
    ----------
    kind : ``person``, ``token``, ``local`` (a user of the operating system) or ``system``
    address : of the client, if it came over the network
    """

    who: str
    kind: str = "system"
    address: str = ""


SYSTEM = Actor("foreshock")
_actor: ContextVar[Actor] = ContextVar("foreshock_actor", default=SYSTEM)


def current_actor() -> Actor:
    """Return who acts in this task or thread."""
    return _actor.get()


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Act as somebody while the block runs."""
    before = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(before)


def act_as(actor: Actor) -> None:
    """Act as somebody from now on, in this task or process."""
    _actor.set(actor)
