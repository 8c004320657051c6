from __future__ import annotations

import numpy as np

from foreshock_pipelines.datasets.demo import FEATURES, demo_calls, demo_fleet


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


def test_a_cascade_spreads_along_the_calls_and_leaves_the_rest_of_the_fleet_as_it_is() -> None:
    plain, before = demo_fleet(hosts=12, days=2, incidents=4, seed=3)
    windows, planted = demo_fleet(hosts=12, days=2, incidents=4, seed=3, cascades=2)
    cascades = [incident for incident in planted if incident.followers]
    assert len(cascades) == 2 and [i for i in planted if not i.followers] == before
    calls = demo_calls(12)
    touched = set()
    for cascade in cascades:
        store, caller, front = cascade.entity, *cascade.followers
        assert store in calls[caller] and caller in calls[front]
        touched |= {store, caller, front}
    same = [name for name in plain.entities if name not in touched]
    assert windows.select(same).table.equals(plain.select(same).table)
    assert not windows.select(sorted(touched)).table.equals(plain.select(sorted(touched)).table)
