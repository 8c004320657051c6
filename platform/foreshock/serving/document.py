"""The OpenAPI document: with the schemas of bodies that are read by hand, and how to send the token."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from foreshock.serving.auth import OPEN_PATHS
from foreshock.serving.schemas import component_schemas

__all__ = ["Api"]


class Api(FastAPI):
    """FastAPI, whose document has what its routes do not tell."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            components = document.setdefault("components", {})
            components["schemas"] = component_schemas() | components.get("schemas", {})
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"token": []}]
            for path in OPEN_PATHS & document["paths"].keys():
                for operation in document["paths"][path].values():
                    operation["security"] = []
            self.openapi_schema = document
        return self.openapi_schema
