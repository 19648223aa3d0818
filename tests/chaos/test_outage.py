"""The day without Meta, small: the whole of it is scripts/chaos --outage."""
import os

import outage
import pytest


@pytest.mark.parametrize("store", ["sqlite", "always"])
def test_an_outage_of_meta(store):
    outage.use(os.path.dirname(os.environ.get("FIREORDER", "build-test/fireorder")))
    told = outage.run(2000, 1000, store, per_second=400, per_minute=24000, away=2, deadline=120, max_wait="1s")
    assert (told["order violations"], told["dead"], told["twice at Klaviyo"], told["twice at Meta"]) == (0, 0, 0, 0), told
    assert told["pending"] == 2000, told  # Meta's part of each was kept
    assert told["429"] <= 40, told
    assert told["files at the end"] <= told["files at the start"] + 4 and told["threads most"] <= told["threads at the start"] + 2, told
