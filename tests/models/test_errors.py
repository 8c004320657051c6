from __future__ import annotations

from foreshock_models.errors import SourceUnavailable


def test_notebooks_show_the_text_of_an_error_and_say_where_the_rest_is() -> None:
    first, second = SourceUnavailable("http://localhost:9090: no answer")._render_traceback_()
    assert first == "SourceUnavailable: http://localhost:9090: no answer"
    assert "traceback.print_last()" in second
