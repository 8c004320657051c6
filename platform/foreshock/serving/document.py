"""The OpenAPI document: with the schemas of bodies that are read by hand, and how to send the token."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from foreshock.serving.auth import OPEN_PATHS

__all__ = ["Api"]


class Api(FastAPI):
    """FastAPI, whose document has what its routes do not tell."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            components = document.setdefault("components", {})
            components["schemas"] = _referred(document) | components.get("schemas", {})
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"token": []}]
            for path in OPEN_PATHS & document["paths"].keys():
                for operation in document["paths"][path].values():
                    operation["security"] = []
            self.openapi_schema = document
        return self.openapi_schema


def _referred(document: dict[str, Any]) -> dict[str, Any]:
    """Take the ``$defs`` out of the schemas of bodies: in OpenAPI they have one common place."""
    found: dict[str, Any] = {}
    for operations in document["paths"].values():
        for operation in operations.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                found |= content["schema"].pop("$defs", {})
    return found
