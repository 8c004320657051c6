"""The key of an entity: its labels as one string, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from foreshock_models.errors import DataError

__all__ = ["entity_key", "entity_labels"]


def entity_key(labels: Mapping[str, str]) -> str:
    r"""One string for an entity: the bare value of a single label, else ``a=x,b=y``.

    ``\`` escapes ``,`` and itself, and ``=`` in a name.

    >>> entity_key({"instance": "web-1:9100"})
    'web-1:9100'
    >>> entity_key({"namespace": "shop", "service.name": "cart=0"})
    'namespace=shop,service.name=cart=0'
    """
    if len(labels) == 1:
        return str(next(iter(labels.values())))
    return ",".join(f"{_escaped(k, '=')}={_escaped(str(v))}" for k, v in labels.items())


def _escaped(text: str, more: str = "") -> str:
    for char in ("\\", ",", *more):
        text = text.replace(char, f"\\{char}")
    return text


def entity_labels(key: str, names: Sequence[str]) -> dict[str, str]:
    """The labels of an entity: the inverse of `entity_key`, given the label names.

    Raises
    ------
    DataError
        It is not the key of an entity with these labels.
    """
    if len(names) == 1:
        return {names[0]: key}
    labels: dict[str, str] = {}
    name, part = None, ""
    escaped = False
    for char in [*key, ","]:
        if escaped:
            part, escaped = part + char, False
        elif char == "\\":
            escaped = True
        elif char == "=" and name is None:
            name, part = part, ""
        elif char == ",":
            if name is None:
                break  # not a label
            labels[name] = part
            name, part = None, ""
        else:
            part += char
    if tuple(labels) != tuple(names):
        raise DataError(f"{key!r} does not name an entity with the labels {', '.join(names)}")
    return labels
