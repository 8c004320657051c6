"""Generate the reference pages from the code when MkDocs builds the site.

A page that is generated cannot contradict the program. `PAGES` names each page and the function that writes it;
`tests/docs` checks that every command, option, job key, setting, endpoint and metric has a description.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import typer

from foreshock_pipelines.jobfile.durations import format_duration

__all__ = ["PAGES", "on_files"]

ENCRYPTION_KEY = (
    "keys that seal secrets in the store: 32 bytes in base64, several with commas between, the newest first; or "
    "where such keys are: `file:/path`, `vault:path#key`; or `transit:NAME`, the key of Vault that wraps those in "
    "the file `encryption-keys` under `FORESHOCK_HOME`. Default: that file as it is, made on first use"
)
JWT_SECRET_KEY = (
    "secret that keys of access tokens are derived from, at least 32 characters; several with commas between: the "
    "first signs, all verify; or `file:/path`, `vault:path#key`. Default: keys in the store, made on first use"
)
VAULT = (
    "HashiCorp Vault or OpenBao, for `${vault:path#key}` in job files and the notifications file, and for "
    "`ENCRYPTION_KEY`."
)
CHANNEL_DEFAULTS = {
    "SLACK_WEBHOOK_URL": "webhook of Slack channels in the notifications file that name no `url` and no `token`",
    "EMAIL_SMTP_SERVER": "SMTP server of e-mail channels in the notifications file that name no `host`",
    "EMAIL_SMTP_PORT": "port of that server, unless the channel names one",
}
KINDS = {"counter", "gauge", "summary", "histogram"}


def on_files(files: Any, *, config: Any) -> Any:
    """Add the generated pages to those that MkDocs found in ``docs/``."""
    from mkdocs.structure.files import File

    for path, write in PAGES.items():
        files.append(File.generated(config, path, content=write()))
    return files


# -- command line ---------------------------------------------------------------------------------------
def cli_page() -> str:
    """Every command with its arguments, options and defaults."""
    root = command_line()
    lines = [
        "# Command line",
        "",
        "Exit codes: 0 done, 1 failed, 2 wrong usage (a wrong option, or a mistake in a job file or a setting). "
        "`--json` prints what a program can read.",
        "",
    ]
    for name, command in commands(root):
        lines += [f"## {name}", "", (command.help or "").strip().replace("\b", ""), ""]
        table = [parameter_row(p) for p in command.params if not hidden(p)]
        if table:
            lines += ["| argument or option | meaning | default |", "| --- | --- | --- |", *table, ""]
    return "\n".join(lines)


def command_line() -> Any:
    """The root command, with all sub-commands registered."""
    from foreshock.cli.app import _load_commands, app

    _load_commands()
    return typer.main.get_command(app)


def commands(command: Any, prefix: str = "foreshock") -> Iterator[tuple[str, Any]]:
    """Name and command of each leaf below `command`."""
    if hasattr(command, "commands"):  # a group
        for name in sorted(command.commands):
            yield from commands(command.commands[name], f"{prefix} {name}")
    else:
        yield prefix, command


def hidden(parameter: Any) -> bool:
    return bool(getattr(parameter, "hidden", False)) or parameter.name == "help"


def parameter_row(parameter: Any) -> str:
    option = parameter.param_type_name == "option"
    names = parameter.opts if option else [(parameter.name or "").upper()]
    help_text = cell(getattr(parameter, "help", None) or "")
    default = parameter.default
    shown = "" if default in (None, False, ()) or callable(default) or default is ... else f"`{cell(str(default))}`"
    return f"| {', '.join(f'`{name}`' for name in names)} | {help_text} | {shown} |"


# -- job file -------------------------------------------------------------------------------------------
def job_page() -> str:
    """Every key of a job file."""
    lines = [
        "# Job file",
        "",
        "`name`, `source`, `queries` and `entity` are required; every other key has a default. Unknown keys are "
        "refused. `foreshock config validate FILE` checks a file, `foreshock config schema` prints this page as a "
        "JSON Schema, for completion in an editor.",
        "",
    ]
    for title, model in job_schema().items():
        lines += [f"## {title}", "", model["description"], "", "| key | type | default | meaning |"]
        lines += ["| --- | --- | --- | --- |"]
        lines += [
            f"| `{key}` | {cell(key_type(value))} | {default_of(value, key in model['required'])} "
            f"| {cell(value.get('description', ''))} |"
            for key, value in model["keys"].items()
        ] + [""]
    return "\n".join(lines)


def job_schema() -> dict[str, dict[str, Any]]:
    """Title of each object in a job file to its description, keys and required keys."""
    from foreshock_pipelines.jobfile import Job

    return objects_of(Job.model_json_schema(by_alias=True), "job")


def objects_of(schema: dict[str, Any], root: str) -> dict[str, dict[str, Any]]:
    """Title of each object in a JSON Schema to its description, keys and required keys."""
    found = {root: schema, **schema.get("$defs", {})}
    return {
        title: {
            "description": first_paragraph(value.get("description", "")),
            "keys": {k: described(v, schema) for k, v in value["properties"].items()},
            "required": value.get("required", []),
        }
        for title, value in found.items()
        if "properties" in value
    }


def described(value: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """A key with the description of the object that it refers to, if it has none of its own."""
    done = dict(value)
    for option in [value, *value.get("allOf", []), *value.get("anyOf", [])]:
        if "description" not in done and "$ref" in option:
            target = schema["$defs"][option["$ref"].rpartition("/")[2]]
            done["description"] = first_paragraph(target.get("description", ""))
    return done


def key_type(value: Mapping[str, Any]) -> str:
    if "$ref" in value:
        return str(value["$ref"]).rpartition("/")[2]
    if "enum" in value or "const" in value:
        return ", ".join(map(str, value.get("enum", [value.get("const")])))
    for group in ("anyOf", "oneOf", "allOf"):
        if group in value:
            return " or ".join(dict.fromkeys(key_type(option) for option in value[group]))
    return str(value.get("type", "any"))


def default_of(value: Mapping[str, Any], required: bool) -> str:
    if required:
        return "required"
    default = value.get("default")
    return "" if default is None else f"`{cell(str(default))}`"


# -- notifications file -----------------------------------------------------------------------------------
def notifications_page() -> str:
    """Every key of the notifications file."""
    said = (
        "`FORESHOCK_NOTIFICATIONS` names the file. `channels`, `policies` and `route` are required. Unknown keys "
        "are refused; `foreshock notify check` checks it. A changed file is taken up while Foreshock runs."
    )
    return file_page("Notifications file", said, notifications_schema())


def single_sign_on_page() -> str:
    """Every key of the single sign-on file."""
    said = (
        "`FORESHOCK_OIDC` names the file. `issuer`, `client_id` and `roles` are required. Unknown keys are "
        "refused. A changed file is taken up at the next start."
    )
    return file_page("Single sign-on file", said, single_sign_on_schema())


def file_page(title: str, said: str, schema: dict[str, dict[str, Any]]) -> str:
    """Every key of a configuration file."""
    lines = [f"# {title}", "", said, ""]
    for part, model in schema.items():
        lines += [f"## {part}", "", model["description"], "", "| key | type | default | meaning |"]
        lines += ["| --- | --- | --- | --- |"]
        lines += [
            f"| `{key}` | {cell(key_type(value))} | {default_of(value, key in model['required'])} "
            f"| {cell(value.get('description', ''))} |"
            for key, value in model["keys"].items()
        ] + [""]
    return "\n".join(lines)


def notifications_schema() -> dict[str, dict[str, Any]]:
    """As `job_schema`, of the notifications file."""
    from foreshock.oncall.config import NotificationsConfig

    return objects_of(NotificationsConfig.model_json_schema(by_alias=True), "notifications file")


def single_sign_on_schema() -> dict[str, dict[str, Any]]:
    """As `job_schema`, of the single sign-on file."""
    from foreshock.identity.oidc import OidcConfig

    return objects_of(OidcConfig.model_json_schema(by_alias=True), "single sign-on file")


# -- HTTP -----------------------------------------------------------------------------------------------
def http_page() -> str:
    """Every endpoint, from the OpenAPI document."""
    lines = [
        "# HTTP API",
        "",
        "The running API serves this document at `/docs` and `/openapi.json`. Requests carry "
        "`Authorization: Bearer TOKEN`; errors are `application/problem+json` (RFC 9457).",
        "",
    ]
    for method, path, operation in endpoints():
        text = operation.get("description") or operation.get("summary", "")
        lines += [f"## {method} {path}", "", first_paragraph(text), ""]
        if operation.get("parameters"):
            lines += ["| parameter | in | meaning |", "| --- | --- | --- |"]
            lines += [
                f"| `{p['name']}` | {p['in']} | {cell(p.get('description', ''))} |" for p in operation["parameters"]
            ]
            lines += [""]
    return "\n".join(lines)


def endpoints() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and operation of each endpoint."""
    from foreshock.api.routes import api

    for path, operations in api().openapi()["paths"].items():
        for method, operation in operations.items():
            yield method.upper(), path, operation


# -- settings and metrics -------------------------------------------------------------------------------
def settings_page() -> str:
    """Every environment variable of an installation."""
    from foreshock.settings import Settings
    from foreshock_pipelines.jobfile.vault import VaultSettings

    lines = [
        "# Settings",
        "",
        "Settings of an installation come from the environment. Jobs have files of their own. Live ones can be "
        "changed while it runs: `foreshock config`.",
        "",
        "| variable | default | meaning |",
        "| --- | --- | --- |",
    ]
    lines += setting_rows(Settings, "FORESHOCK_")
    lines += [f"| `{name}` | | {text} |" for name, text in CHANNEL_DEFAULTS.items()]
    lines += [f"| `ENCRYPTION_KEY` | | {ENCRYPTION_KEY} |", f"| `JWT_SECRET_KEY` | | {JWT_SECRET_KEY} |"]
    lines += ["", "## Vault", "", VAULT, ""]
    lines += ["| variable | default | meaning |", "| --- | --- | --- |", *setting_rows(VaultSettings, "VAULT_")]
    return "\n".join([*lines, ""])


def setting_rows(settings: Any, prefix: str) -> list[str]:
    """Variable, default and meaning of each setting."""
    from foreshock.settings import LiveSettings

    rows = []
    for name, field in settings.model_fields.items():
        default = field.get_default(call_default_factory=False)
        if field.is_required() or field.default_factory or default is None:
            shown = ""
        else:
            shown = f"`{format_duration(default) if isinstance(default, timedelta) else default}`"
        alias = "` or `".join(getattr(field.validation_alias, "choices", [f"{prefix}{name.upper()}"]))
        live = ". Live." if prefix == "FORESHOCK_" and name in LiveSettings.model_fields else ""
        rows.append(f"| `{alias}` | {shown} | {cell(field.description or '')}{live} |")
    return rows


def metrics_page() -> str:
    """Every metric that `/metrics` exposes or remote write sends."""
    lines = [
        "# Metrics",
        "",
        "`/metrics` serves these in Prometheus' text format; counters have the suffix `_total`. With `write:` in a "
        "job file, scores and expected values are sent by remote write, too.",
        "",
        "| metric | type | meaning |",
        "| --- | --- | --- |",
        *(f"| `{name}` | {kind} | {cell(text)} |" for name, (kind, text) in sorted(metrics().items())),
        "",
    ]
    return "\n".join(lines)


def metrics() -> dict[str, tuple[str, str]]:
    """Name to type and help text of each metric, read from where the code declares it."""
    import foreshock

    found: dict[str, tuple[str, str]] = {}
    for file in sorted(Path(str(foreshock.__file__)).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            found.update(declared(node))
    return found


def declared(node: ast.AST) -> dict[str, tuple[str, str]]:
    """Metrics that a call of prometheus_client, or a table of names and help texts, declares."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
        called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        kind = called.removesuffix("MetricFamily").lower()
        texts = [a.value for a in node.args[:2] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if kind in KINDS and len(texts) == 2 and texts[0].startswith("foreshock_"):
            return {texts[0]: (kind, texts[1])}
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {
            k.value: ("gauge", v.value)
            for k, v in pairs
            if isinstance(k, ast.Constant) and isinstance(v, ast.Constant)
            and isinstance(k.value, str) and isinstance(v.value, str) and k.value.startswith("foreshock_")
        }  # fmt: skip
    return {}


# -- small parts ----------------------------------------------------------------------------------------
def cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def first_paragraph(text: str) -> str:
    return " ".join(text.strip().split("\n\n")[0].split())


PAGES: dict[str, Callable[[], str]] = {
    "reference/cli.md": cli_page,
    "reference/http.md": http_page,
    "reference/job-file.md": job_page,
    "reference/metrics.md": metrics_page,
    "reference/notifications-file.md": notifications_page,
    "reference/settings.md": settings_page,
    "reference/single-sign-on-file.md": single_sign_on_page,
}
