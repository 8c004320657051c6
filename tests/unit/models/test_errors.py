from __future__ import annotations

from foreshock_models.errors import SourceUnavailable, allowed


def test_notebooks_show_the_text_of_an_error_and_say_where_the_rest_is() -> None:
    first, second = SourceUnavailable("http://localhost:9090: no answer")._render_traceback_()
    assert first == "SourceUnavailable: http://localhost:9090: no answer"
    assert "traceback.print_last()" in second


def test_a_message_stays_short_however_long_the_word_and_the_list_are() -> None:
    assert allowed("x" * 10_000_000, ["iforest", "lstm"]) == "Allowed: iforest, lstm"
    text = allowed("host-1", [f"host-{i:05}" for i in range(10_000)])
    assert text.endswith("host-00049 and 9950 more")
