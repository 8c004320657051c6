"""HAProxy's configuration, as it is narrowed."""

from __future__ import annotations

import re

from foreshock.runtime._haproxy import narrowed


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
