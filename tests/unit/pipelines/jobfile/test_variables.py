"""Variables of the environment in a job file."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile import parse_job
from foreshock_pipelines.jobfile.variables import expand


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("${A}", "1"),
        ("${B:-2}", "2"),
        ("${EMPTY:-2}", "2"),
        ("${EMPTY:-}", ""),
        ("${B:-$$}", "$"),
        ("$${A}", "${A}"),
        ("$$${A}", "$1"),
        ("$$$${A}", "$${A}"),
        ("$1 ${1} $A ${A-x} $", "$1 ${1} $A ${A-x} $"),
        ("${B:-${A}}", "${B:-1}"),
        ("${A", "${A"),
    ],
)
def test_names_in_braces_are_replaced_and_two_dollars_are_one(text: str, found: str) -> None:
    assert expand(text, {"A": "1", "EMPTY": ""}) == found


def test_a_group_of_label_replace_can_be_written() -> None:
    job = parse_job(
        "name: j\nsource: {prometheus: 'http://x'}\nentity: [i]\n"
        'queries: {x: \'label_replace(up, "i", "$${host}-$1", "j", "(?P<host>.*)")\'}\n',
        env={},
    )
    assert job.queries["x"].query == 'label_replace(up, "i", "${host}-$1", "j", "(?P<host>.*)")'


def test_what_a_variable_holds_is_not_looked_into() -> None:
    assert expand("${A}", {"A": "${A} $$"}) == "${A} $$"


def test_a_variable_that_is_not_set_is_named_with_its_key() -> None:
    with pytest.raises(ConfigError, match=r"^j.yaml: source.headers.0: \$\{TOKEN\} is not set; .*\$\$\{TOKEN\}"):
        expand({"source": {"headers": ["x ${TOKEN}"]}}, {}, "j.yaml")


def test_a_variable_that_is_not_utf8_is_refused_without_its_value() -> None:
    with pytest.raises(ConfigError, match=r"a: \$\{A\} is not UTF-8 text$"):
        expand({"a": "${A}"}, {"A": "hunter2\udcff"})


def test_replacing_is_bounded_in_time_and_size() -> None:
    began = time.perf_counter()
    assert len(expand("${A:-" * 100_000, {})) == 500_000
    with pytest.raises(ConfigError, match="more than 8 MiB"):
        expand(["${A}" * 10_000], {"A": "x" * 100_000})
    assert time.perf_counter() - began < 1


def test_a_file_stands_for_its_text_without_the_line_break_at_its_end(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(" a secret with $ and ${HOME}\n")
    found = expand({"header": f"Bearer ${{file:{file}}}!", "text": "$${file:/x}"}, {})
    assert found == {"header": "Bearer  a secret with $ and ${HOME}!", "text": "${file:/x}"}


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "no such file"), (b"", "is empty"), (b"\n", "is empty"), (b"\xffsecret", "not UTF-8"),
     (b"secret" * 20_000, "has more than")],
)  # fmt: skip
def test_a_file_that_holds_no_secret_is_refused_without_a_word_of_it(
    content: bytes | None, says: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"job: source: .*{says}") as raised:
        expand({"source": f"${{file:{file}}}"}, {})
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None or "secret" not in str(raised.value.__cause__)


@pytest.mark.parametrize("name", ["token", "./token", "../token"])
def test_a_file_is_named_by_its_whole_path(name: str) -> None:
    with pytest.raises(ConfigError, match="write the whole path"):
        expand({"source": f"${{file:{name}}}"}, {})


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        expand({"source": f"${{file:{tmp_path}}}"}, {})
