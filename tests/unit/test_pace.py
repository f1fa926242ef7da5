"""Features of source models within the seconds that a ranking may use."""

from __future__ import annotations

import pytest

from headstart.errors import RunError
from headstart.workflow.pace import START, Pace


def test_nothing_is_refused_without_a_limit():
    pace = Pace()
    pace.note(10.0, 100.0)
    pace.afford(1e9)


def test_what_no_longer_fits_is_refused_with_its_seconds():
    pace = Pace(lambda: 10.0)
    pace.afford(1e9)  # nothing is known yet
    pace.note(100.0, START + 5.0)
    assert pace.predict(100.0) == START + 5.0
    assert pace.fits(160.0) and not pace.fits(170.0)
    with pytest.raises(RunError, match="take 52 s, and 10 s are left"):
        pace.afford(1000.0)


def test_an_engines_start_is_not_taken_for_work():
    pace = Pace(lambda: 10.0)
    pace.note(1.0, START + 0.05)
    assert pace.predict(10.0) < 2 * START + 1.0


def test_features_from_the_cache_say_nothing_of_the_next():
    pace = Pace(lambda: 10.0)
    pace.note(0.0, 3.0)
    assert pace.predict(5.0) == 0.0
