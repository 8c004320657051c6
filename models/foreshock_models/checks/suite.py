"""Running a suite of checks, and what checks share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["applicable", "nothing_unpickled", "raises", "run_checks"]


def applicable(check: Callable[..., None], skipped: Mapping[str, str], variant: str = "") -> str | None:
    """Return the reason why a class opted out of a check, or None.

    Parameters
    ----------
    skipped
        Name of a check, or ``name[variant]`` for one variant only, to the reason.
    """
    return skipped.get(check.__name__, skipped.get(f"{check.__name__}[{variant}]"))


def run_checks(
    checks: Mapping[str, Callable[..., None]], skipped: Mapping[str, str], variant: str, *args: Any
) -> None:
    """Run the checks that are not skipped.

    Raises
    ------
    AssertionError
        The first check that fails; its name is in the message.
    """
    for name, check in checks.items():
        if applicable(check, skipped, variant) is None:
            try:
                check(*args)
            except AssertionError as exc:
                raise AssertionError(f"{name}[{variant}]: {check.__doc__}\n{exc}") from exc


@contextmanager
def raises(error: type[Exception], *words: str) -> Iterator[None]:
    """Fail unless the block raises `error` with all these words in its message."""
    try:
        yield
    except error as exc:
        missing = [word for word in words if word not in str(exc)]
        assert not missing, f"the message of {error.__name__} lacks {missing[0]!r}: {exc}"
        return
    raise AssertionError(f"no {error.__name__} was raised")


@contextmanager
def nothing_unpickled() -> Iterator[None]:
    """Fail where anything that the block calls looks up a class or function that a pickle names.

    The first use adds an audit hook to the interpreter, which does nothing outside of such blocks.
    """
    if not _hooked:
        sys.addaudithook(_refuse)
        _hooked.append(True)
    _watching.append(True)
    try:
        yield
    finally:
        _watching.pop()


_hooked: list[bool] = []
_watching: list[bool] = []


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event.endswith(".find_class"):
        raise AssertionError(f"unpickled {arguments}")
