"""Promotion policies: when a new model becomes the champion.

A policy with a criterion holds the newest rows of the history out, and compares the new model, the challenger, with
the champion on them (`comparison`). A policy without one compares nothing, and trains on the whole history.
"""

from __future__ import annotations

from dataclasses import dataclass

from foreshock_models.errors import ConfigError, allowed

__all__ = [
    "ALWAYS",
    "COMPARE_ONLY",
    "IF_BETTER",
    "IF_NOT_WORSE",
    "NEVER",
    "POLICIES",
    "Criterion",
    "PromotionPolicy",
    "find_policy",
]

STANDARD_ERRORS = 2.0
"""A gain within so many standard errors may be chance."""
TOLERATED_SHARE = 0.2
"""Share of the champion's lead over random scores that a model may lose and still not be worse."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """The gain in average precision that a challenger needs to win against the champion.

    Parameters
    ----------
    min_gain
        Above 0: the challenger must be better by this, and by more than chance gives. Below 0: it may be worse by
        this, for any two trainings differ, but by no more than `TOLERATED_SHARE` of the champion's lead over random
        scores.
    inject_beside_labels
        Evaluate on injected anomalies beside labelled ones, too: the few that people confirm in some days say
        little alone.
    """

    min_gain: float
    inject_beside_labels: bool = False

    def required_gain(self, champion: float, base_rate: float, standard_error: float) -> float:
        """Return the least gain with which a challenger wins.

        Parameters
        ----------
        champion
            Average precision of the champion.
        base_rate
            Average precision of random scores.
        standard_error
            Standard error of the gain.
        """
        if self.min_gain > 0:
            return max(self.min_gain, STANDARD_ERRORS * standard_error)
        return max(self.min_gain, -TOLERATED_SHARE * max(champion - base_rate, 0.0))


@dataclass(frozen=True, slots=True)
class PromotionPolicy:
    """When a new model becomes the champion; until then it is the challenger.

    Parameters
    ----------
    criterion
        What the challenger must reach in the comparison; None: nothing is compared.
    promotes
        False: the challenger stays one, whatever comes out; people promote it.
    """

    name: str
    criterion: Criterion | None
    promotes: bool = True

    def accepts(self, won: bool | None) -> bool:
        """Return True if a model becomes the champion; `won`: the comparison's result, None without one."""
        return self.promotes and won is not False


ALWAYS = PromotionPolicy("always", None)
"""Every new model is the champion at once: for a person who asks for a training."""
NEVER = PromotionPolicy("never", None, promotes=False)
"""Every new model is a challenger, and nothing is compared."""
IF_NOT_WORSE = PromotionPolicy("if_not_worse", Criterion(-0.02, inject_beside_labels=True))
"""A model of the same settings replaces an older one: for scheduled training."""
IF_BETTER = PromotionPolicy("if_better", Criterion(0.005))
"""A model of other settings must prove that they are better: for scheduled tuning."""
COMPARE_ONLY = PromotionPolicy("compare_only", Criterion(0.005), promotes=False)
"""The comparison is reported, and people decide."""

POLICIES = {policy.name: policy for policy in (ALWAYS, NEVER, IF_NOT_WORSE, IF_BETTER, COMPARE_ONLY)}


def find_policy(policy: PromotionPolicy | str) -> PromotionPolicy:
    """Return a policy by its name.

    Raises
    ------
    ConfigError
        No policy has that name.

    Examples
    --------
    >>> find_policy("if_better") is IF_BETTER
    True
    """
    if isinstance(policy, PromotionPolicy):
        return policy
    if policy not in POLICIES:
        raise ConfigError(f"no promotion policy {policy!r}; {allowed(policy, POLICIES)}")
    return POLICIES[policy]
