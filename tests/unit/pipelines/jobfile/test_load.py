"""Whatever a job file holds: a job, or an error that names file and key."""

from __future__ import annotations

import json
import os
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile import Job, load_job, load_jobs, parse_job

DOCUMENT: dict[str, Any] = {
    "name": "j",
    "source": {"prometheus": "http://x:9090", "timeout": "5s", "query_offset": "1m"},
    "queries": {
        "cpu": {
            "query": "up", "direction": "up", "min_deviation": "5%", "valid_range": [0, 1], "unit": "s",
            "exhaustion": {"limit": "95%", "within": "24h", "probability": 0.8},
        }
    },
    "entity": ["instance"],
    "step": "60s",
    "history": "14d",
    "detectors": {"iforest": {"n_trees": 10}},
    "per_entity": False,
    "false_alerts": "1 per week",
    "schedule": {"score": "30s", "train": "0 3 * * *", "forecast": "1h", "train_on_drift": 0.2, "timezone": "UTC"},
    "alerts": {"for": "3 of 5", "resolve_after": "10m", "absent_after": "5m", "forget_after": "7d"},
    "notify": [{"type": "webhook", "url": "http://x/y"}],
    "write": {"url": "http://x/api/v1/write", "retain": "6h", "timeout": "5s"},
    "labels": "labels.csv",
    "forecast": {"horizon": "24h", "method": "arima", "level": 0.8, "history": "7d"},
    "workers": 1,
    "shards": 1,
    "events": [{"name": "sale", "start": "2026-03-01", "end": "2026-03-02"}],
    "seed": 1,
}  # fmt: skip
BASE = {key: DOCUMENT[key] for key in ("name", "source", "queries", "entity")}
ODD = [
    ".inf", "-.inf", ".nan", "9999999y", "1e999", "1.0e+300", "-1", "0", "0.0001ms", "99999999999999999999999999",
    "9" * 5000, "true", "[]", "{}", "[[[]]]", "''", "' '", '"\\0"', "2026-02-28", "1 of 99999999999999999999", "~x",
    "~nobody-of-this-name/x", "*/0 * * * *", "0 0 31 2 *", "\U0001f600",
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in items for found in [(*path, key), *places(item, (*path, key))]]


def with_value(path: tuple[Any, ...], value: Any) -> str:
    document = json.loads(json.dumps(DOCUMENT))
    target = document
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = "VALUE"
    return yaml.safe_dump(document, sort_keys=False).replace("VALUE", value)


def job_or_error(text: str) -> Job | None:
    began = time.perf_counter()
    try:
        return parse_job(text, name="j.yaml", base=Path("/tmp"), env={})
    except ConfigError as exc:
        assert all(line.startswith("j.yaml: ") for line in str(exc).splitlines())
        return None
    finally:
        assert time.perf_counter() - began < 1


def test_the_document_of_these_tests_is_a_job() -> None:
    assert job_or_error(yaml.safe_dump(DOCUMENT)) is not None


@pytest.mark.parametrize("path", places(DOCUMENT), ids=lambda path: ".".join(map(str, path)))
def test_any_key_may_be_left_empty_or_hold_anything(path: tuple[Any, ...]) -> None:
    for value in ["", *ODD]:
        job_or_error(with_value(path, value))


@pytest.mark.parametrize(
    "key", ["queries", "entity", "detectors", "schedule", "alerts", "notify", "events", "step"]
)
def test_a_key_left_empty_is_named(key: str) -> None:
    with pytest.raises(ConfigError, match=f"^j.yaml: {key}: is empty; write a value, or leave the key out$"):
        parse_job(with_value((key,), ""), name="j.yaml")


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=1000)
def test_any_bytes_are_a_job_or_an_error(data: bytes) -> None:
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"fuzz-{os.getpid()}.yaml"
    path.write_bytes(data)
    try:
        load_job(path, env={})
    except ConfigError as exc:
        assert all(line.startswith(f"{path}: ") for line in str(exc).split("\n")), "a line a mistake"
    finally:
        path.unlink()


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(places(DOCUMENT)), VALUES)
@settings(max_examples=600, deadline=1500)
def test_any_value_at_any_place_is_a_job_or_an_error(path: tuple[Any, ...], value: Any) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    target = document
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    job = job_or_error(yaml.safe_dump(document, allow_unicode=True))
    if job is not None:
        pickle.loads(pickle.dumps(job))
        job.model_dump_json()


def test_of_many_mistakes_the_first_are_told() -> None:
    events = [{"name": "", "start": "x", "end": "y"}] * 200
    with pytest.raises(ConfigError) as caught:
        parse_job(yaml.safe_dump({**BASE, "events": events}), name="j.yaml")
    assert len(str(caught.value).splitlines()) == 21
    assert str(caught.value).endswith("and 580 more mistakes")


def test_a_country_that_yaml_reads_as_false_is_explained() -> None:
    with pytest.raises(ConfigError, match="holidays: YAML reads a bare yes, no, on or off as true or false"):
        parse_job(yaml.safe_dump(BASE) + "holidays: NO\n")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("source", {"prometheus": "http://ada:hunter2@x:999999"}),
        ("source", {"prometheus": "http://x", "basic_auth": "ada:hunter2"}),
        ("source", {"prometheus": "http://x", "basic_auth": {"username": "a", "password": ["hunter2"]}}),
        ("source", {"prometheus": "http://x", "headers": {"X": ["hunter2"]}}),
        ("source", {"prometheus": "http://x", "proxy_url": "hunter2"}),
        ("write", {"url": "http://ada:hunter2@x"}),
        ("write", {"url": "http://x/write?token=hunter2", "retain": "x"}),
        ("write", "hunter2"),
        ("notify", [{"type": "webhook", "url": "ftp://ada:hunter2@x/y"}]),
        ("notify", [{"type": "webhook", "url": "http://ada:hunter2@[x"}]),
        ("notify", ["hunter2"]),
    ],
)
def test_no_error_shows_a_secret(key: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_job(yaml.safe_dump({**BASE, key: value}), name="j.yaml")
    assert f"j.yaml: {key}" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_neither_json_nor_the_text_of_a_job_shows_a_secret() -> None:
    document = {
        **BASE,
        "source": {
            "prometheus": "http://ada:hunter2@x:9090/p?token=hunter2",
            "headers": {"X-Key": "hunter2"},
        },
        "notify": [{"type": "webhook", "url": "https://hooks.example/services/hunter2"}],
        "write": {"url": "http://ada:hunter2@x/write", "basic_auth": {"username": "a", "password": "hunter2"}},
    }
    job = parse_job(yaml.safe_dump(document))
    for text in (job.model_dump_json(), repr(job), str(job), str(job.model_dump(mode="json"))):
        assert "hunter2" not in text
    assert json.loads(job.model_dump_json())["source"]["prometheus"] == "http://x:9090/p"
    assert pickle.loads(pickle.dumps(job)).source.prometheus == job.source.prometheus, "Ray gets the whole URL"


@pytest.mark.parametrize("kind", ["webhook", "alertmanager"])
@pytest.mark.parametrize(
    ("url", "says"),
    [
        (None, "needs a url"),
        ("x:9093", "scheme"),
        ("ftp://x", "scheme"),
        ("http://", "empty host"),
        ("", "empty"),
    ],
)
def test_a_notifier_that_speaks_http_needs_such_a_url(kind: str, url: str | None, says: str) -> None:
    with pytest.raises(ConfigError, match=f"notify.0: .*{says}"):
        parse_job(yaml.safe_dump({**BASE, "notify": [{"type": kind, "url": url}]}))


def test_paths_count_from_the_folder_of_the_file_and_links_stay(tmp_path: Path) -> None:
    (tmp_path / "token-1").write_text("x")
    (tmp_path / "token").symlink_to("token-1")
    source = {"prometheus": "http://x", "bearer_token_file": "token"}
    write = {"url": "http://x/y", "tls": {"ca_file": "../ca.pem"}}
    notify = [{"type": "webhook", "url": "http://x/y", "basic_auth": {"username": "a", "password_file": "p"}}]
    text = yaml.safe_dump({**BASE, "source": source, "write": write, "notify": notify, "labels": "l.csv"})
    (tmp_path / "job.yaml").write_text(text)
    job = load_job(tmp_path / "job.yaml")
    assert job.source.bearer_token_file == tmp_path / "token"
    assert job.write is not None and job.write.tls.ca_file == tmp_path.parent / "ca.pem"
    assert job.notify[0].basic_auth is not None and job.notify[0].basic_auth.password_file == tmp_path / "p"
    assert job.labels == tmp_path / "l.csv"


def test_the_mistakes_of_all_files_of_a_folder_are_told(tmp_path: Path) -> None:
    good = yaml.safe_dump(BASE)
    for name, text in {
        "a.yaml": good, "b.yaml": good, "c.yml": good + "sttep: 1\n", "d.yaml": "[", ".#d.yaml": "",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_jobs(tmp_path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert f"b.yaml: a job named 'j' is in {tmp_path}/a.yaml, too" in lines[0]
    assert "did you mean 'step'" in lines[1]
    assert "d.yaml: not valid YAML" in lines[2]


def test_a_history_of_too_many_steps_is_refused() -> None:
    with pytest.raises(ConfigError, match="more than 50,000,000 steps of 10ms; shorten it, or lengthen the step"):
        parse_job(yaml.safe_dump({**BASE, "step": "10ms", "history": "10d"}))


@pytest.mark.parametrize("label", ["service.name", "größe", "a b", "k8s.pod/name", "a=b,c"])
def test_an_entity_label_may_be_any_text(label: str) -> None:
    assert parse_job(yaml.safe_dump({**BASE, "entity": [label]})).entity == [label]


@pytest.mark.parametrize("label", ["", "a\nb", "a\0b", "x" * 300])
def test_but_not_empty_endless_or_of_control_characters(label: str) -> None:
    with pytest.raises(ConfigError, match=r"entity\.0"):
        parse_job(yaml.safe_dump({**BASE, "entity": [label]}))
