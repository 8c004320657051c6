"""What is shown of an error of a notifier."""

from __future__ import annotations

from typing import Any

import pytest

from foreshock.notify.secrets import LONGEST, masked
from foreshock_pipelines.jobfile import NotifierConfig


def config(**more: Any) -> NotifierConfig:
    return NotifierConfig.model_validate({"type": "webhook", "url": "http://chat/", **more})


@pytest.mark.parametrize(
    ("more", "secret"),
    [
        ({"url": "http://anna:hunter2@chat/"}, "hunter2"),
        ({"url": "http://anna:h%40nter2@chat/"}, "h@nter2"),
        ({"url": "http://chat/?token=opensesame"}, "opensesame"),
        ({"url": "http://chat/services/T0/B0/abc"}, "/services/T0/B0/abc"),
        ({"url": "http://chat/hooks/0123456789abcdef/x"}, "0123456789abcdef"),
        ({"headers": {"X-Key": "opensesame"}}, "opensesame"),
        ({"basic_auth": {"username": "anna", "password": "hunter2"}}, "hunter2"),
        ({"authorization": {"credentials": "opensesame"}}, "opensesame"),
        ({"proxy_url": "http://anna:hunter2@proxy:3128"}, "http://anna:hunter2@proxy:3128"),
    ],
)
def test_a_secret_is_masked(more: dict[str, Any], secret: str) -> None:
    shown = masked(f"ValueError: cannot post {secret!s}: no answer", config(**more))
    assert secret not in shown
    assert shown == "ValueError: cannot post ***: no answer"


def test_the_text_is_one_printable_line_of_limited_length() -> None:
    shown = masked("a\nb\x1b[31m\x00" + "c" * 10_000, config())
    assert shown.startswith("a b [31m ccc")
    assert shown.isprintable()
    assert len(shown) == LONGEST


def test_a_url_that_is_none_is_masked_whole() -> None:
    assert masked("no URL: http://[hunter2", config(type="pager", url="http://[hunter2")) == "no URL: ***"
