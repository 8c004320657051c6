from __future__ import annotations

import pytest

from foreshock import plot
from foreshock_models.errors import DataError


def test_a_panel_for_each_feature_and_one_for_the_score(windows, scores, incidents) -> None:
    figure = plot.timeline(windows, scores, events=incidents, units={"cpu": "share"})
    assert [axis.get_ylabel() for axis in figure.axes] == ["cpu\n[share]", *windows.features[1:], "score"]
    assert figure.axes[-1].get_xlabel() == "time (UTC)"
    assert incidents[0].entity in figure.get_suptitle()  # the one with the highest score


def test_rows_over_the_line_are_shaded_on_every_panel(windows, scores) -> None:
    figure = plot.timeline(windows, scores)
    assert all(len(axis.patches) == 1 for axis in figure.axes)
    assert {text.get_text() for text in figure.legends[0].texts} == {
        "observed", "over the line", "score", "alert line",
    }  # fmt: skip


def test_an_explanation_adds_a_panel_with_the_features_that_drove_the_score(
    windows, scores, explanation, expectation
) -> None:
    figure = plot.timeline(windows, scores, explanation=explanation, expectation=expectation)
    axis = figure.axes[-1]
    assert "driven by" in axis.get_ylabel()
    assert axis.get_legend().texts[0].get_text() == "cpu"
    assert "cpu" not in {text.get_text() for text in figure.legends[0].texts}


def test_a_known_incident_outside_the_rows_is_not_drawn(windows, scores, incidents) -> None:
    figure = plot.timeline(windows.between(end=incidents[0].start), events=incidents, entity=incidents[0].entity)
    assert all("known incident" not in axis.get_legend_handles_labels()[1] for axis in figure.axes)


def test_an_unknown_entity_or_feature_is_named(windows) -> None:
    with pytest.raises(DataError, match="did you mean 'host-01'"):
        plot.timeline(windows, entity="host-1")
    with pytest.raises(DataError, match="did you mean 'cpu'"):
        plot.timeline(windows, features=["cpus"])


def test_the_alert_line_stays_to_be_seen_under_a_score_far_over_it(windows, scores) -> None:
    from dataclasses import replace

    axis = plot.timeline(windows, replace(scores, score=scores.score * 20)).axes[-1]
    bottom, line, top = (axis.transData.transform((0, y))[1] for y in (axis.get_ylim()[0], 1.0, axis.get_ylim()[1]))
    assert (line - bottom) / (top - bottom) > 0.15
    assert 1 in axis.get_yticks()
