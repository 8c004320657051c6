"""Check suites that every detector and every forecaster passes, built in or of another package.

>>> from foreshock_models.checks import check_detector
>>> from foreshock_models.detectors import Subspace
>>> check_detector(Subspace(window=16), n_features=[1])

A class opts out of a check that is invalid for it with a reason, in its method ``skipped_checks``.
`detector_checks` and `forecaster_checks` return the single checks, to parametrise tests over them.
"""

from __future__ import annotations

from foreshock_models.checks.detectors import DetectorUnderCheck, check_detector, detector_checks
from foreshock_models.checks.forecasters import check_forecaster, forecaster_checks

__all__ = ["DetectorUnderCheck", "check_detector", "check_forecaster", "detector_checks", "forecaster_checks"]
