"""Meta and Klaviyo as the tests need them: one journal, one sequence over both, and answers that can be scripted."""
import json
import random
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Seen:
    """One request at a destination. `came` and `answered` share one sequence over both destinations."""
    destination: str
    event_id: str
    name: str
    body: bytes
    headers: dict
    path: str
    came: int
    at: float
    answered: int = 0
    status: int = 0  # 0: no answer that could be understood
    answered_at: float = 0.0
    how: str = ""  # what was wrong with the answer, "" for nothing
    bulk: int = 0  # of an event that came with others: the number of that request; body is then as if it had come alone

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def essence(self):
        """What is said however it comes: in bulk a person is identified and not described."""
        attributes = self.json["data"]["attributes"]
        person = attributes["profile"]["data"]["attributes"]
        attributes["profile"] = {key: person[key] for key in ("email", "phone_number", "external_id") if key in person}
        return json.dumps(attributes, sort_keys=True).encode()

    @property
    def taken(self):
        return self.answered > 0 and not self.how


@dataclass
class Answer:
    status: int = 200
    body: bytes | None = None
    headers: dict = field(default_factory=dict)
    delay: float = 0.0
    reset: str = ""  # "before": close unread; "after": read, then close without an answer
    manner: str = ""  # a key of MANNERS
    bad: str = ""  # why a 200 does not say that it was taken

    @property
    def whole(self):
        """Whoever asked has this answer in full."""
        return not self.reset and self.manner in ("", "slowly")

    @property
    def wrong(self):
        """What is wrong with it; "": it was taken."""
        return self.reset or (self.manner if not self.whole else "") or self.bad or ("" if 200 <= self.status < 300 else str(self.status))


def good(destination):
    if destination == "meta":
        return Answer(200, b'{"events_received":1,"messages":[],"fbtrace_id":"fake"}')
    if destination == "profile":
        return Answer(200, b'{"data":{"type":"profile","id":"01FAKE"}}')
    return Answer(202, b"")


def variants(requests):
    """How many different bodies there were for one event at one destination."""
    alone, bulk = {s.body for s in requests if not s.bulk}, {s.body for s in requests if s.bulk}
    return max(len(alone), len(bulk), len({s.essence for s in requests}) if alone and bulk else 0)


def meta_error(code, subcode=None, status=400, transient=False):
    error = {"message": "fake", "type": "OAuthException", "code": code, "is_transient": transient, "fbtrace_id": "fake"}
    if subcode:
        error["error_subcode"] = subcode
    return Answer(status, json.dumps({"error": error}).encode())


def klaviyo_error(status, code="invalid", pointer=None, **headers):
    source = {"source": {"pointer": pointer}} if pointer else {}
    return Answer(status, json.dumps({"errors": [{"id": "x", "status": status, "code": code, "title": "t", "detail": "d", **source}]}).encode(),
                  {k.replace("_", "-"): str(v) for k, v in headers.items()})


def has_hung_up(connection):
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def send_hang(connection, payload):
    """No answer; ends when the other side gives up."""
    connection.settimeout(60)
    try:
        connection.recv(1)
    except OSError:
        pass


def send_trickle(connection, payload):
    """A byte a second, for as long as somebody listens."""
    for byte in payload:
        connection.sendall(bytes([byte]))
        time.sleep(1)


def send_half(connection, payload):
    connection.sendall(payload[:len(payload) // 2])


def send_in_head(connection, payload):
    connection.sendall(payload[:20])


def send_longer(connection, payload):
    """Says that it is longer than it is, and closes."""
    head, _, body = payload.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    connection.sendall(b"\r\n".join(lines) + b"\r\nContent-Length: %d\r\n\r\n" % (len(body) + 100) + body)


def send_slowly(connection, payload):
    """In two pieces, in time."""
    connection.sendall(payload[:30])
    time.sleep(0.05)
    connection.sendall(payload[30:])


MANNERS = {"hang": send_hang, "trickle": send_trickle, "half": send_half, "in_head": send_in_head, "longer": send_longer, "slowly": send_slowly}


class Destinations:
    """Both fakes on one port. Klaviyo's events are "klaviyo", its profile imports "profile", its subscription jobs "list"; these two
    are known by e-mail or phone instead of an event id. `answer_with(destination, event_id, n)` may be replaced: n counts the tries of that event.
    Of a request with many events each is seen as "klaviyo"; its one answer is that of "bulk", with no event id, unless refuse_bulk(groups) gives one."""

    def __init__(self):
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.seen = []
        self.sequence = 0
        self.disturbances = []  # (sequence, what): kills, stops and the like, told by whoever did them
        self.observe = None  # called with each Seen as it comes, without the lock
        self.tries = {}
        self.taken = set()  # (destination, event_id) that got an answer in the 200s
        self.script = {}  # (destination, event_id or "*") -> list of Answers, used up one by one
        self.always = {}  # destination -> Answer or None
        self.answer_with = self._scripted
        self.bulk = []  # bodies of the requests with many events
        self.refuse_bulk = lambda groups: None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args):
                pass

            def do_POST(self):
                outer._post(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 1024

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def _next(self):
        self.sequence += 1
        return self.sequence

    def _scripted(self, destination, event_id, n):
        for key in ((destination, event_id), (destination, "*")):
            if self.script.get(key):
                return self.script[key].pop(0)
        return self.always.get(destination) or good(destination)

    def _identify(self, path, body):
        data = json.loads(body)
        if path == "/api/profile-import":
            return "profile", data["data"]["attributes"].get("email", ""), "profile-import"
        if path.startswith("/api/profile-subscription-bulk-"):
            profile = data["data"]["attributes"]["profiles"]["data"][0]["attributes"]
            return "list", profile.get("email") or profile.get("phone_number", ""), data["data"]["type"]
        if path == "/api/data-privacy-deletion-jobs":
            return "deletion", data["data"]["attributes"]["profile"]["data"]["attributes"].get("email", ""), data["data"]["type"]
        if path.startswith("/api/"):
            attributes = data["data"]["attributes"]
            return "klaviyo", attributes.get("unique_id", ""), attributes["metric"]["data"]["attributes"]["name"]
        event = data["data"][0]
        return "meta", event.get("event_id", ""), event["event_name"]

    def note(self, what):
        with self.lock:
            self.disturbances.append((self._next(), what))

    def _see(self, request, body):
        """What came, and the answer to it."""
        def one(destination, event_id, name, body, bulk=0):
            self.seen.append(Seen(destination, event_id, name, body, dict(request.headers), request.path, self._next(), time.time(), bulk=bulk))
            self.tries[destination, event_id] = self.tries.get((destination, event_id), 0) + 1
            return self.seen[-1]

        if request.path != "/api/event-bulk-create-jobs":
            seen = one(*self._identify(request.path, body), body)
            return [seen], self.answer_with(seen.destination, seen.event_id, self.tries[seen.destination, seen.event_id])
        groups = json.loads(body)["data"]["attributes"]["events-bulk-create"]["data"]
        self.bulk.append(body)
        alone = [({**event["attributes"], "profile": group["attributes"]["profile"]}) for group in groups for event in group["attributes"]["events"]["data"]]
        all_of_it = [one("klaviyo", a["unique_id"], a["metric"]["data"]["attributes"]["name"],
                         json.dumps({"data": {"type": "event", "attributes": a}}).encode(), len(self.bulk)) for a in alone]
        return all_of_it, self.refuse_bulk(groups) or self.answer_with("bulk", "", len(self.bulk))

    def _post(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        with self.lock:
            all_of_it, answer = self._see(request, body)
            self.changed.notify_all()
        for seen in all_of_it if self.observe else ():
            self.observe(seen)
        if answer.delay:
            time.sleep(answer.delay)
        gave_up = has_hung_up(request.connection)
        with self.lock:
            for seen in all_of_it:
                seen.status = answer.status if answer.whole else 0
                seen.how = answer.wrong or ("nobody waited for it" if gave_up else "")
                seen.answered = self._next()
                seen.answered_at = time.time()
                if not seen.how:
                    self.taken.add((seen.destination, seen.event_id))
            self.changed.notify_all()
        if answer.reset:
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            request.close_connection = True
            request.connection.close()
            return
        payload = answer.body if answer.body is not None else good(all_of_it[0].destination).body
        lines = [f"HTTP/1.1 {answer.status} Status"] + [f"{key}: {value}" for key, value in answer.headers.items()]
        whole = ("\r\n".join(lines) + f"\r\nContent-Length: {len(payload)}\r\n\r\n").encode() + payload
        if not answer.manner:
            request.connection.sendall(whole)
            return
        MANNERS[answer.manner](request.connection, whole)
        if answer.manner != "slowly":
            request.close_connection = True

    # What the tests ask.

    def of(self, event_id=None, destination=None, ok=False):
        with self.lock:
            return [s for s in self.seen if (event_id is None or s.event_id == event_id)
                    and (destination is None or s.destination == destination) and (not ok or s.taken)]

    def wait(self, condition, deadline=20.0, what="the condition"):
        """Waits until condition(self) holds; looks again after each request or answer."""
        end = time.monotonic() + deadline
        while True:
            if condition(self):
                return
            with self.changed:
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"waited {deadline} s for {what}; seen: {[(s.destination, s.event_id, s.status) for s in self.seen][-20:]}")
                self.changed.wait(min(left, 0.25))

    def wait_delivered(self, event_ids, destinations=("meta", "klaviyo"), deadline=30.0):
        self.wait_taken({(d, e) for e in event_ids for d in destinations}, deadline)

    def wait_taken(self, wanted, deadline=30.0):
        self.wait(lambda s: wanted <= s.taken, deadline, f"{len(wanted)} deliveries")


def random_failures(destinations, share, seed, slowest=0.05):
    """A seeded share of all requests fails in a way that may be tried again; delays are shuffled."""
    dice = random.Random(seed)

    def answer(destination, event_id, n):
        delay = dice.uniform(0, slowest)
        if dice.random() >= share or n > 6:
            result = good(destination)
        elif destination == "meta":
            result = dice.choice([Answer(500, b"oops"), Answer(503, b""), meta_error(2, status=500, transient=True), Answer(reset="after")])
        else:
            result = dice.choice([Answer(500, b"oops"), Answer(503, b""), Answer(502, b"<html>"), Answer(reset="after")])
        return Answer(result.status, result.body, result.headers, delay, result.reset)

    destinations.answer_with = answer


def check_invariants(destinations, wanted, lanes=()):
    """Nothing of `wanted`, (destination, event_id), is lost; same id same bytes; order within each event and within each lane."""
    with destinations.lock:
        seen = list(destinations.seen)
    bodies, came, answered, taken = {}, {}, {}, {}
    for s in seen:
        if s.destination in ("profile", "list"):
            continue
        key = s.destination, s.event_id
        bodies.setdefault(key, []).append(s)
        came.setdefault(key, s.came)
        if s.answered:
            answered.setdefault(key, s.answered)
        if s.taken:
            taken.setdefault(key, s.answered)
    for key, requests in bodies.items():
        assert variants(requests) == 1, f"{key}: {variants(requests)} different bodies under one id"
    assert not wanted - taken.keys(), f"lost: {wanted - taken.keys()}"
    assert not bodies.keys() - wanted, f"nobody asked for {bodies.keys() - wanted}"
    for destination, event in wanted:
        if destination == "klaviyo" and ("meta", event) in wanted:
            assert answered["meta", event] < came["klaviyo", event], f"{event}: Klaviyo was asked before Meta had answered"
    for lane in lanes:
        times = [taken["klaviyo", event] for event in lane]
        assert times == sorted(times), f"lane out of order: {list(zip(lane, times))}"
