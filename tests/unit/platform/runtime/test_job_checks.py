"""What a job file needs beside its own text."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from foreshock.notify import NOTIFIERS
from foreshock.runtime.job_checks import load_and_verify_job, load_job_for_run
from foreshock_models.errors import ConfigError

BASE = {"name": "j", "source": {"prometheus": "http://x"}, "queries": {"cpu": "up"}, "entity": ["instance"]}


def written(folder: Path, **more: object) -> Path:
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump({**BASE, **more}))
    return path


def test_each_unknown_notifier_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = written(tmp_path, notify=[{"type": "log"}, {"type": "alertmanger", "url": "http://x"}, {"type": "lgo"}])
    with pytest.raises(ConfigError) as caught:
        load_job_for_run(path)
    one, two = str(caught.value).splitlines()
    assert one.startswith(f"{path}: notify.1: no notifier 'alertmanger'; did you mean 'alertmanager'?")
    assert two.startswith(f"{path}: notify.2: no notifier 'lgo'; did you mean 'log'?")


def test_a_notifier_that_fails_in_its_own_way_is_named_without_its_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pager(config: object) -> None:
        raise KeyError("hunter2")

    monkeypatch.setitem(NOTIFIERS, "pager", pager)
    with pytest.raises(ConfigError, match=r"notify\.0: the notifier 'pager' cannot be made: KeyError$"):
        load_job_for_run(written(tmp_path, notify=[{"type": "pager"}]))


def test_files_that_a_job_names_must_be_there_but_its_windows_may_still_be_fetched(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    (tmp_path / "folder").mkdir()
    path = written(
        tmp_path,
        source={"prometheus": "http://x", "bearer_token_file": "token", "tls": {"ca_file": "ca.pem"}},
        notify=[
            {"type": "webhook", "url": "http://x/y", "basic_auth": {"username": "a", "password_file": "folder"}}
        ],
        labels="labels.csv",
    )
    with pytest.raises(ConfigError) as caught:
        load_and_verify_job(path)
    assert str(caught.value).splitlines() == [
        f"{path}: source.tls.ca_file: {tmp_path}/ca.pem: no such file",
        f"{path}: notify.0.basic_auth.password_file: {tmp_path}/folder: not a file that can be read",
        f"{path}: labels: {tmp_path}/labels.csv: no such file",
    ]
    assert load_job_for_run(path).name == "j", "a secret that comes later does not prevent a start"
    assert load_and_verify_job(written(tmp_path, source={"parquet": "later.parquet"})).name == "j"
