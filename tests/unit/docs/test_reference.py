"""Everything that a user can set, call or read is documented."""

from __future__ import annotations

from types import ModuleType

from prometheus_client.parser import text_string_to_metric_families


def test_every_job_key_has_a_description(hooks: ModuleType) -> None:
    keys = {
        f"{title}.{key}": value.get("description")
        for title, model in hooks.job_schema().items()
        for key, value in model["keys"].items()
    }
    assert len(keys) > 50
    assert [key for key, text in keys.items() if not text] == []


def test_every_key_of_the_notifications_file_has_a_description(hooks: ModuleType) -> None:
    keys = {
        f"{title}.{key}": value.get("description")
        for title, model in hooks.notifications_schema().items()
        for key, value in model["keys"].items()
    }
    assert {"notifications file.channels", "EmailChannel.host", "Route.match", "Rotation.every"} <= set(keys)
    without = [key for key, text in keys.items() if not text and not key.endswith(".type")]
    assert without == []


def test_every_key_of_the_single_sign_on_file_has_a_description(hooks: ModuleType) -> None:
    keys = {
        f"{title}.{key}": value.get("description")
        for title, model in hooks.single_sign_on_schema().items()
        for key, value in model["keys"].items()
    }
    assert {"single sign-on file.issuer", "GroupRule.role"} <= set(keys)
    assert [key for key, text in keys.items() if not text] == []


def test_every_command_and_option_has_a_help_text(hooks: ModuleType) -> None:
    commands = dict(hooks.commands(hooks.command_line()))
    assert {"foreshock train", "foreshock up", "foreshock alerts list"} <= set(commands)
    missing = [name for name, command in commands.items() if not (command.help or "").strip()]
    missing += [
        f"{name} {parameter.name}"
        for name, command in commands.items()
        for parameter in command.params
        if not hooks.hidden(parameter) and not getattr(parameter, "help", None)
    ]
    assert missing == []


def test_every_endpoint_and_its_parameters_have_a_description(hooks: ModuleType) -> None:
    found = list(hooks.endpoints())
    assert ("POST", "/ai/score") in {(method, path) for method, path, _ in found}
    missing = [f"{method} {path}" for method, path, operation in found if not operation.get("description")]
    missing += [
        f"{method} {path} {parameter['name']}"
        for method, path, operation in found
        for parameter in operation.get("parameters", [])
        if not parameter.get("description")
    ]
    assert missing == []


def test_every_setting_has_a_description() -> None:
    from foreshock.settings import Settings
    from foreshock_pipelines.jobfile.vault import VaultSettings

    fields = {**Settings.model_fields, **{f"vault {name}": f for name, f in VaultSettings.model_fields.items()}}
    assert [name for name, field in fields.items() if not field.description] == []


def test_every_metric_that_the_control_loop_exposes_is_in_the_reference(hooks: ModuleType) -> None:
    from datetime import UTC, datetime

    from foreshock.runtime.metrics import ControlLoopMetrics

    exposed = text_string_to_metric_families(ControlLoopMetrics().exposition(datetime.now(UTC)))
    names = {family.name for family in exposed}
    assert names
    assert names <= set(hooks.metrics())


def test_the_pages_name_what_they_document(hooks: ModuleType) -> None:
    pages = {path: write() for path, write in hooks.PAGES.items()}
    assert "`FORESHOCK_HOME`" in pages["reference/settings.md"]
    assert "`JWT_SECRET_KEY`" in pages["reference/settings.md"]
    assert "`VAULT_ADDR`" in pages["reference/settings.md"]
    assert "| `VAULT_KEEP` | `1d` |" in pages["reference/settings.md"]
    assert "lowest level that is logged. Live. |" in pages["reference/settings.md"]
    assert "`ENCRYPTION_KEY`" in pages["reference/settings.md"]
    assert "## foreshock train" in pages["reference/cli.md"]
    assert "`false_alerts`" in pages["reference/job-file.md"]
    assert "## POST /ai/score" in pages["reference/http.md"]
    assert "`foreshock_anomaly_score`" in pages["reference/metrics.md"]
    assert "`foreshock_seconds_to_exhaustion_lower`" in pages["reference/metrics.md"]
