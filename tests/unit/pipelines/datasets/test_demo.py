from __future__ import annotations

import numpy as np

from foreshock_pipelines.datasets.demo import FEATURES, demo_fleet


def test_one_seed_gives_one_fleet() -> None:
    first, incidents = demo_fleet(hosts=3, days=1, seed=5)
    again, same = demo_fleet(hosts=3, days=1, seed=5)
    other, _ = demo_fleet(hosts=3, days=1, seed=6)
    assert first == again
    assert incidents == same
    assert first != other


def test_the_fleet_has_gaps_and_a_host_that_died() -> None:
    panel = demo_fleet(hosts=4, days=2)[0].to_panel()
    blocks = [panel.values[rows] for _, rows in panel]
    assert all(0 < np.isnan(block).mean() < 0.05 for block in blocks[:-1])
    assert np.isnan(blocks[-1][len(blocks[-1]) // 2 :]).all()


def test_each_incident_changes_the_feature_that_caused_it() -> None:
    windows, incidents = demo_fleet(hosts=8, days=3, incidents=6)
    calm = demo_fleet(hosts=8, days=3, incidents=0)[0]
    assert {cause for incident in incidents for cause in incident.causes} == set(FEATURES)
    for incident in incidents:
        hit, quiet = (
            w.select([incident.entity]).between(incident.start, incident.end).to_pandas() for w in (windows, calm)
        )
        for cause in incident.causes:
            assert not np.allclose(hit[cause], quiet[cause], equal_nan=True)


def test_incidents_stay_in_the_last_hours_and_on_living_hosts() -> None:
    windows, incidents = demo_fleet(hosts=10, days=2, incidents=8, incident_hours=6)
    assert len(incidents) == 8
    for incident in incidents:
        assert (windows.end - incident.start).total_seconds() <= 6 * 3600
        assert incident.entity != "host-10"
