"""Notifiers by name, and those of other packages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.servers.faulty import Faulty

from foreshock.alerts.delivery import alert_deliverer
from foreshock.notify import check_notifier, make_notifier, notifier_ids
from foreshock.notify.outbox import EVERY, Outbox
from foreshock.store import open_store
from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile import NotifierConfig, parse_job

MADE = "class Made:\n    def __init__(self, config): pass\n"
PLUGINS = {
    "good": f"SENT = []\n{MADE}    def send(self, payload): SENT.append(payload)\n",
    "no_module": "import a_module_that_is_not_there\nclass Made: ...\n",
    "syntax": "class Made(:\n",
    "exits": "import sys\nsys.exit(3)\nclass Made: ...\n",
    "constructor": "class Made:\n    def __init__(self, config): raise ValueError('no token')\n",
    "no_name": "class Other: ...\n",
    "no_send": MADE,
    "wrong_batch": (
        f"{MADE}    batch = 'many'\n    repeat_every = 60\n"
        "    def send(self, payload): ...\n    def send_batch(self, payloads): ...\n"
    ),
}  # fmt: skip


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of others, installed: each notifier of `PLUGINS` in a module of its own."""
    info = tmp_path / "notifier_plugins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: notifier-plugins\nVersion: 1.0\n")
    lines = [f"{name} = plugin_{name}:Made" for name in PLUGINS]
    (info / "entry_points.txt").write_text("\n".join(["[foreshock.notifiers]", *lines, ""]))
    for name, text in PLUGINS.items():
        (tmp_path / f"plugin_{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in PLUGINS:
        sys.modules.pop(f"plugin_{name}", None)


def test_a_type_that_nobody_knows_is_named_with_the_nearest_word(plugins: Path) -> None:
    with pytest.raises(ConfigError, match=r"no notifier 'webhok'; did you mean 'webhook'\? Allowed: .*good"):
        check_notifier(NotifierConfig(type="webhok"))


def test_a_check_runs_no_code_of_a_plugin(plugins: Path) -> None:
    for name in PLUGINS:
        check_notifier(NotifierConfig(type=name))
    assert not any(name.startswith("plugin_") for name in sys.modules)


@pytest.mark.parametrize("name", ["no_module", "syntax", "constructor", "no_name"])
def test_a_plugin_that_cannot_be_used_is_named(plugins: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"the plugin '{name}' .plugin_{name}:Made. cannot be used"):
        make_notifier(NotifierConfig(type=name))


@pytest.mark.parametrize("name", sorted(PLUGINS.keys() - {"good"}))
def test_a_broken_plugin_stops_no_other_notifier(
    plugins: Path, name: str, faulty: Callable[..., Faulty], tmp_path: Path
) -> None:
    server = faulty()
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    base = "source: {prometheus: 'http://x:9090'}\nqueries: {x: up}\nentity: [instance]\n"
    jobs = [
        parse_job(f"name: j\n{base}notify: [{{type: {name}}}, {{type: good}}]\n"),
        parse_job(f"name: k\n{base}notify: [{{type: webhook, url: '{server.url}'}}]\n"),
    ]
    to = alert_deliverer(store, jobs)
    with store.begin() as c:
        for job in jobs:
            payload = {"id": "a", "event": "opened", "updated": "x", "job": job.name}
            Outbox(store).post(c, f"{job.name}/opened", f"{job.name}/{EVERY}", payload, 1)
    assert to.run(10_000) == 2
    assert len(sys.modules["plugin_good"].SENT) == len(server.bodies) == 1
    assert Outbox(store).undelivered() == 1
    store.close()


def test_an_id_outlives_a_new_password() -> None:
    urls = ("http://anna:old@chat/hook", "http://anna:new@chat/hook", "http://chat/hook")
    assert len({name for url in urls for name in notifier_ids("j", [NotifierConfig(type="webhook", url=url)])}) == 1


def test_notifiers_that_differ_in_type_url_or_number_have_their_own_ids() -> None:
    one = [NotifierConfig(type="webhook", url=url) for url in ("http://a", "http://b", "http://a")]
    named = notifier_ids("j", [*one, NotifierConfig(type="log"), NotifierConfig(type="p" * 300)])
    assert len(named) == 5
    assert all(name.startswith("j/") and len(name) < 80 for name in named)
