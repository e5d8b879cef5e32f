"""The settings of the tests that Hypothesis generates examples for."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.support.interrupt import LONG


def many_examples(count: int) -> settings:
    """Return the settings of a test with `count` examples.

    The short form has the same examples in each run, so that no test fails by chance. The long form
    has other examples in each run.
    """
    return settings(
        max_examples=count,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=not LONG,
    )
