"""The day without Meta, small: the whole of it is scripts/chaos --outage."""
import os

import outage

IN_FLIGHT = 512


def test_an_outage_of_meta():
    outage.use(os.path.dirname(os.environ.get("FIREORDER", "build-test/fireorder")))
    told = outage.run(2000, 1000, per_second=400, per_minute=24000, away=4, deadline=120, max_wait="1s")
    assert (told["order violations"], told["dead"], told["twice at Klaviyo"], told["twice at Meta"]) == (0, 0, 0, 0), told
    assert told["pending"] == 2000, told  # Meta's part of each was kept
    assert told["requests/s at Meta while it is away"] <= 25, told  # 10, and some that were on their way
    assert told["429"] <= 40, told
    assert told["files most"] <= told["files at the start"] + IN_FLIGHT + 8 and told["threads most"] <= told["threads at the start"] + 2, told
