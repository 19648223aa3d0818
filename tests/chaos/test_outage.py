"""The day without Meta, small: the whole of it is scripts/chaos --outage."""
import os

import outage

IN_FLIGHT = 512


def use_this_build():
    outage.use(os.path.dirname(os.environ.get("FIREORDER", "build-test/fireorder")))


def test_an_outage_of_meta():
    use_this_build()
    told = outage.run(2000, 1000, per_second=400, per_minute=24000, away=4, deadline=120, max_wait="1s")
    assert (told["order violations"], told["dead"], told["twice at Klaviyo"], told["twice at Meta"]) == (0, 0, 0, 0), told
    assert told["pending"] == 2000, told  # Meta's part of each was kept
    assert told["requests/s at Meta while it is away"] <= 25, told  # 10, and some that were on their way
    assert told["429"] <= 40, told
    assert told["files most"] <= told["files at the start"] + IN_FLIGHT + 8 and told["threads most"] <= told["threads at the start"] + 2, told


def test_who_is_held_does_not_ask_all_the_time():
    """Under on_fail: hold every order waits for Meta, at the head of its lane: they take turns, and go on with Meta's first answer."""
    use_this_build()
    told = outage.run(3000, 3000, per_second=400, per_minute=24000, away=4, deadline=120, max_wait="1h", on_fail="hold")
    assert (told["order violations"], told["dead"], told["twice at Klaviyo"], told["twice at Meta"]) == (0, 0, 0, 0), told
    assert told["pending"] == 3000, told
    assert told["requests/s at Meta while it is away"] <= 25, told
