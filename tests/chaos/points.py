"""The places at which the program can be ended (base/failpoint.h), and what has to be done so that each is reached.

`stores`: where it is. `needs`: what the run does besides sending: redrive, reload, purge, stop, stock, list, redact; bulk: Klaviyo takes few single events. `nth`: which time it strikes; later
than the first means in the middle of the work."""
from dataclasses import dataclass

ANY, SQLITE, REDIS, SPOOL = ("sqlite", "redis"), ("sqlite",), ("redis",), ("spool",)
ACCEPT, WRITER = ANY + SPOOL, SQLITE + SPOOL  # "spool": Redis is away while all is sent, and back when all is acknowledged


@dataclass(frozen=True)
class Point:
    name: str
    stores: tuple = ANY
    needs: str = ""
    nth: int = 1


POINTS = [
    Point("outside.meta", nth=3),  # by the destination, while its answer is awaited
    Point("outside.klaviyo", nth=3),
    Point("accept.verified", ACCEPT, nth=5),
    Point("accept.before_commit", ACCEPT, nth=5),
    Point("accept.after_commit", ACCEPT, nth=5),
    Point("http.answered.POST", ACCEPT, nth=5),
    Point("sqlite.accept.half", SQLITE, nth=5),
    Point("sqlite.claim.half", SQLITE, nth=5),
    Point("sqlite.finish.half", SQLITE, nth=3),
    Point("sqlite.aside.half", SQLITE),
    Point("sqlite.redrive.half", SQLITE, "redrive"),
    Point("sqlite.purge.half", SQLITE, "purge"),
    Point("sqlite.before_commit", WRITER, nth=8),
    Point("sqlite.after_commit", WRITER, nth=8),
    Point("sqlite.told", WRITER, nth=8),
    Point("spool.add.half", SPOOL, nth=5),
    Point("spool.added", SPOOL, nth=5),
    Point("spool.forward", SPOOL, nth=5),
    Point("spool.forwarded", SPOOL, nth=5),
    Point("spool.drop.half", SPOOL),
    Point("spool.dropped", SPOOL),
    Point("redis.accept.answered", REDIS, nth=5),
    Point("redis.claim.answered", REDIS, nth=8),
    Point("redis.commit.answered", REDIS, nth=8),
    Point("claim.before", nth=8),
    Point("claim.after", nth=5),
    Point("plan.before", nth=5),
    Point("record.before", nth=5),
    Point("record.after", nth=5),
    Point("retry.before"),
    Point("retry.after"),
    Point("hold.before"),
    Point("hold.after"),
    Point("aside.before"),
    Point("aside.after"),
    Point("finish.before", nth=3),
    Point("finish.after", nth=3),
    Point("send.meta", nth=3),
    Point("sent.meta", nth=3),
    Point("answered.meta", nth=3),
    Point("send.klaviyo.profile", nth=2),
    Point("answered.klaviyo.profile", nth=2),
    Point("send.klaviyo.event", nth=3),
    Point("sent.klaviyo.event", nth=3),
    Point("answered.klaviyo.event", nth=3),
    Point("send.klaviyo.bulk", needs="bulk"),
    Point("sent.klaviyo.bulk", needs="bulk"),
    Point("answered.klaviyo.bulk", needs="bulk"),
    Point("redrive.before", needs="redrive"),
    Point("redrive.after", needs="redrive"),
    Point("wait.joins", needs="stock", nth=20),
    Point("wait.answered", needs="stock"),  # 50 of 60 have their answer, and the queue does not know
    Point("part.recorded", needs="stock"),  # the queue is moved past the first 50
    Point("send.klaviyo.list", needs="list", nth=3),
    Point("sent.klaviyo.list", needs="list", nth=3),
    Point("answered.klaviyo.list", needs="list", nth=3),
    Point("privacy.page", needs="redact"),  # webhooks are looked through, values not yet
    Point("privacy.deletion", needs="redact"),
    Point("privacy.own", needs="redact"),
    Point("sqlite.erase.half", SQLITE, "redact", nth=2),
    Point("redis.erase.answered", REDIS, "redact", nth=2),
    Point("purge.before", needs="purge"),
    Point("purge.after", needs="purge"),
    Point("reload.before", needs="reload"),
    Point("reload.half", needs="reload"),
    Point("reload.after", needs="reload"),
    Point("release.before", needs="stop"),
    Point("release.after", needs="stop"),
    Point("stop.drained", needs="stop"),
    Point("stop.dispatched", needs="stop"),
]

# Where a process that is stopped for longer than its lease wakes up with work that somebody else has taken over.
STOPS = ["claim.after", "plan.before", "record.before", "record.after", "send.meta", "sent.meta", "answered.meta", "send.klaviyo.event",
         "sent.klaviyo.event", "answered.klaviyo.event", "sent.klaviyo.bulk", "answered.klaviyo.bulk", "finish.before", "finish.after"]

BY_NAME = {p.name: p for p in POINTS}
