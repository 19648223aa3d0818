"""Shopify, Recharge and a shop's own sender, as they really behave: they sign, wait five seconds for an answer, and try again until one
is 200. Shopify gives up after its first try and 8 more (in 4 hours), Recharge after 20 (in 48 hours). Their hours are pressed into conditions: the next
try comes when somebody could answer, and soon."""
import http.client
import time
import zlib
from dataclasses import dataclass, field

from service import wait_for

TRIES = {"shopify": 9, "recharge": 20, "events": 9}
TIMEOUT = 5


@dataclass
class Delivery:
    """One webhook on its way: what it has to become, and what its sender heard."""
    lane: str
    source: str
    topic: str
    body: dict
    expected: set = field(default_factory=set)  # (destination, event id)
    tries: list = field(default_factory=list)  # the status of each; 0: none came
    acknowledged: int = 0  # place in the destinations' sequence; 0: never
    answer: str = ""

    @property
    def delivery_id(self):
        return f"{self.topic}-{self.lane}-{self.body.get('id') or self.body.get('token') or zlib.crc32(repr(self.body).encode())}"


class Source:
    """Sends over whichever service `choose` gives; `sequence` says where in the common sequence something happened."""

    def __init__(self, choose, sequence, deadline=60):
        self.choose, self.sequence, self.deadline = choose, sequence, deadline

    def _try(self, d, service):
        try:
            if d.source == "shopify":
                return service.shopify(d.topic, d.body, d.delivery_id)
            if d.source == "recharge":
                return service.recharge(d.topic, d.body)
            status, answer = service.events(d.body)
            return status, answer["results"][0]["status"] if status == 200 else ""
        except (OSError, ValueError, http.client.HTTPException):
            return 0, ""

    def send(self, d):
        """True when it was acknowledged."""
        end, service = time.monotonic() + self.deadline, self.choose()
        while len(d.tries) < TRIES[d.source] and time.monotonic() < end:
            status, answer = self._try(d, service)
            d.tries.append(status)
            if status == 200:
                d.acknowledged, d.answer = self.sequence(), answer
                return True
            service = wait_for(self._ready, self.deadline, "somebody to answer the sender")
        return False

    def _ready(self):
        """One that could answer: whoever is away would use up in a second the tries of some hours."""
        service = self.choose()
        return service if service.get("/readyz")[0] == 200 else None

    def send_in_order(self, deliveries):
        """A sender's next webhook of the same person comes when it has heard of the one before."""
        for d in deliveries:
            self.send(d)
