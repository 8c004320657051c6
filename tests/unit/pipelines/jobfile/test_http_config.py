"""How to reach a server, as a job file says it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from foreshock_pipelines.jobfile import HttpConfig


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"bearer_token_file": "t", "basic_auth": {"username": "u", "password": "p"}}, "give one of"),
        ({"bearer_token_file": "t", "authorization": {"credentials": "c"}}, "give one of"),
        ({"bearer_token_file": "t", "headers": {"authorization": "c"}}, "give one of"),
        ({"authorization": {"type": "Basic", "credentials": "c"}}, "basic_auth"),
        ({"authorization": {}}, "exactly one of credentials and credentials_file"),
        ({"basic_auth": {"username": "a:b", "password": "p"}}, "colon"),
        ({"headers": {"X y": "z"}}, "cannot name a header"),
        ({"headers": {"Content-Length": "3"}}, "set by Foreshock itself"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "twice"),
        ({"proxy_url": "proxy:3128"}, "address of an HTTP proxy"),
        ({"proxy_url": "http://p:1", "proxy_from_environment": True}, "not both"),
        ({"tls": {"cert_file": "c"}}, "belong together"),
    ],
)
def test_what_cannot_be_meant_is_refused(config: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        HttpConfig.model_validate(config)


@pytest.mark.parametrize("value", ["two\nlines", "hunter2 ü", "hunter2\x00"])
def test_a_header_that_cannot_be_sent_is_refused_without_its_value(value: str) -> None:
    with pytest.raises(ValidationError, match="the value of 'X-Key' must be one line of ASCII text") as caught:
        HttpConfig.model_validate({"headers": {"X-Key": value}})
    assert value not in str(caught.value.errors()[0]["msg"])
