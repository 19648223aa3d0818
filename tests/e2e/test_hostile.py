"""Hostile HTTP, byte by byte, at the real program: each request has a clear status or a clean close and changes nothing, and an honest
webhook afterwards is acknowledged."""
import hashlib
import json
import os
import resource
import select
import socket
import time
from pathlib import Path

import pytest

from service import EVENTS_SECRET, RECHARGE_SECRET, charge, order, own_event, sign_shopify, sign_timestamped

BODY = json.dumps(order(70001)).encode()
N = len(BODY)
LINE = b"POST /hooks/acme/shopify HTTP/1.1\r\n"
SIGNED = b"Host: x\r\nX-Shopify-Topic: orders/create\r\nX-Shopify-Hmac-Sha256: " + sign_shopify(BODY).encode() + b"\r\n"
LENGTH = b"Content-Length: %d\r\n" % N
END = b"\r\n"
GOOD = LINE + SIGNED + LENGTH + END + BODY
CLOSE = b"Connection: close\r\n"


def request_of(number, more=b""):
    body = json.dumps(order(number)).encode()
    signed = SIGNED.replace(sign_shopify(BODY).encode(), sign_shopify(body).encode())
    return LINE + signed + b"Content-Length: %d\r\n" % len(body) + more + END + body


TLS_HELLO = bytes.fromhex("16030100a5010000a10303") + bytes(160)
COUNTS = ("fireorder_pending", "fireorder_dead", "fireorder_done", "fireorder_ignored")


def exchange(service, *pieces, pause=0.0, half_close=False, wait=20.0):
    """What comes back until the server closes; a reset counts as a close."""
    answer = b""
    with socket.create_connection(("127.0.0.1", service.port), wait) as s:
        try:
            for piece in pieces:
                s.sendall(piece)
                if pause and select.select([s], [], [], pause)[0]:
                    break
            if half_close:
                s.shutdown(socket.SHUT_WR)
            while chunk := s.recv(65536):
                answer += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
    return answer


def status_of(answer):
    return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def kept(service):
    """What the store has been given and what became of it: nothing hostile may change it."""
    return {line.rsplit(" ", 1)[0]: line.rsplit(" ", 1)[1] for line in service.get("/metrics")[1].splitlines()
            if line.startswith(COUNTS) or (line.startswith("fireorder_webhooks_total") and "rejected" not in line)}


_orders = iter(range(71000, 80000))


def assert_honest_is_acknowledged(service):
    assert service.shopify("orders/create", order(next(_orders))) == (200, "accepted")


# (name, bytes, the statuses that are right; 0: closed without a word)
REFUSED = [
    ("length and coding", LINE + SIGNED + LENGTH + b"Transfer-Encoding: chunked\r\n" + END + BODY, {400}),
    ("coding and length", LINE + SIGNED + b"Transfer-Encoding: chunked\r\n" + LENGTH + END + b"0\r\n\r\n" + GOOD, {400}),
    ("coding alone", LINE + SIGNED + b"Transfer-Encoding: chunked\r\n" + END + b"%x\r\n" % N + BODY + b"\r\n0\r\n\r\n", {400}),
    ("coding with a tab", LINE + SIGNED + b"Transfer-Encoding:\tchunked\r\n" + LENGTH + END + BODY, {400}),
    ("coding in capitals", LINE + SIGNED + b"TRANSFER-ENCODING: CHUNKED\r\n" + LENGTH + END + BODY, {400}),
    ("coding unknown", LINE + SIGNED + b"Transfer-Encoding: xchunked\r\n" + LENGTH + END + BODY, {400}),
    ("coding with a space before the colon", LINE + SIGNED + b"Transfer-Encoding : chunked\r\n" + LENGTH + END + BODY, {400}),
    ("chunk of a negative size", LINE + SIGNED + b"Transfer-Encoding: chunked\r\n" + END + b"8000000000000000\r\n", {400}),
    ("two lengths, same", LINE + SIGNED + LENGTH + LENGTH + END + BODY, {400}),
    ("two lengths, other", LINE + SIGNED + LENGTH + b"Content-Length: 0\r\n" + END + BODY, {400}),
    ("list of lengths", LINE + SIGNED + b"Content-Length: %d, %d\r\n" % (N, N) + END + BODY, {400}),
    ("length with a plus", LINE + SIGNED + b"Content-Length: +%d\r\n" % N + END + BODY, {400}),
    ("length with a minus", LINE + SIGNED + b"Content-Length: -%d\r\n" % N + END + BODY, {400}),
    ("length in hex", LINE + SIGNED + b"Content-Length: 0x%x\r\n" % N + END + BODY, {400}),
    ("length with a space inside", LINE + SIGNED + b"Content-Length: 1 2\r\n" + END + BODY, {400}),
    ("length with a fraction", LINE + SIGNED + b"Content-Length: %d.0\r\n" % N + END + BODY, {400}),
    ("length of 20 digits", LINE + SIGNED + b"Content-Length: 18446744073709551617\r\n" + END + BODY, {400}),
    ("length empty", LINE + SIGNED + b"Content-Length:\r\n" + END + BODY, {400}),
    ("space before the colon", LINE + SIGNED + b"Content-Length : %d\r\n" % N + END + BODY, {400}),
    ("no length", LINE + SIGNED + END + BODY, {411}),
    ("length folded away", LINE + SIGNED + b"X: y\r\n z\r\n" + LENGTH + END + BODY, {400}),
    ("coding folded away", LINE + SIGNED + LENGTH + b"X: y\r\n z\r\nTransfer-Encoding: chunked\r\n" + END + BODY, {400}),
    ("second length behind a line without a name", LINE + SIGNED + LENGTH + b": y\r\nContent-Length: 0\r\n" + END + BODY, {400}),
    ("LF at the end of the head", LINE + SIGNED + LENGTH + b"\n" + BODY, {400}),
    ("signature folded away", LINE + LENGTH + b"X: y\r\n z\r\n" + SIGNED + END + BODY, {400}),
    ("fold at the start", LINE + b" X: y\r\n" + SIGNED + LENGTH + END + BODY, {400}),
    ("LF alone", GOOD.replace(b"\r\n", b"\n"), {400}),
    ("LF within the head", LINE + SIGNED.replace(b"\r\n", b"\n", 1) + LENGTH + END + BODY, {400}),
    ("CR alone", LINE + SIGNED + b"X: a\rContent-Length: 5\r\n" + LENGTH + END + BODY, {400}),
    ("NUL in a header", LINE + SIGNED + b"X: a\x00b\r\n" + LENGTH + END + BODY, {400}),
    ("NUL in the path", LINE.replace(b"shopify", b"shop\x00ify") + SIGNED + LENGTH + END + BODY, {400}),
    ("high bytes in a header name", LINE + SIGNED + b"X\xff: a\r\n" + LENGTH + END + BODY, {400}),
    ("no colon", LINE + SIGNED + b"nonsense\r\n" + LENGTH + END + BODY, {400}),
    ("empty header name", LINE + SIGNED + b": x\r\n" + LENGTH + END + BODY, {400}),
    ("two hosts", LINE + b"Host: y\r\n" + SIGNED + LENGTH + END + BODY, {400}),
    ("two signatures", LINE + SIGNED + SIGNED.split(b"\r\n")[2] + b"\r\n" + LENGTH + END + BODY, {400}),
    ("two topics", LINE + SIGNED + b"x-shopify-topic: orders/paid\r\n" + LENGTH + END + BODY, {400}),
    ("absolute address", LINE.replace(b"/hooks", b"http://elsewhere/hooks") + SIGNED + LENGTH + END + BODY, {0, 400, 404}),
    ("CONNECT", b"CONNECT elsewhere:443 HTTP/1.1\r\n" + SIGNED + END, {0, 400, 404, 405}),
    ("asterisk", b"OPTIONS * HTTP/1.1\r\n" + SIGNED + END, {0, 400, 404}),
    ("path without a slash", LINE.replace(b"/hooks", b"hooks") + SIGNED + LENGTH + END + BODY, {400}),
    ("path with dots", LINE.replace(b"/hooks/acme", b"/hooks/../hooks/acme") + SIGNED + LENGTH + END + BODY, {401, 404}),
    ("path with %", LINE.replace(b"shopify", b"shopif%79") + SIGNED + LENGTH + END + BODY, {401}),
    ("path with %00", LINE.replace(b"shopify", b"shopify%00") + SIGNED + LENGTH + END + BODY, {401}),
    ("path twice as long as a head", b"POST /hooks/" + b"a" * 32000 + b" HTTP/1.1\r\n" + SIGNED + END, {0, 400}),
    ("1,000 headers", LINE + SIGNED + LENGTH + b"".join(b"X-%d: y\r\n" % i for i in range(1000)) + END + BODY, {400}),
    ("65 headers, the length last", LINE + SIGNED + b"".join(b"X-%d: y\r\n" % i for i in range(65)) + LENGTH + END + BODY, {400}),
    ("one header of 1 MB", LINE + SIGNED + b"X: " + b"y" * 1000000 + END + END, {0, 400}),
    ("head without an end", LINE + b"X: y\r\n" * 4000, {0, 400}),
    ("body over the limit", LINE + SIGNED + b"Content-Length: 104857600\r\n" + END + BODY, {413}),
    ("body over the limit, waiting for 100", LINE + SIGNED + b"Expect: 100-continue\r\nContent-Length: 104857600\r\n" + END, {413}),
    ("body shorter than it says", LINE + SIGNED + b"Content-Length: %d\r\n" % (N + 10) + END + BODY, {400, 401, 408}),
    ("body longer than it says", LINE + SIGNED + b"Content-Length: %d\r\n" % (N - 10) + END + BODY, {401}),
    ("HTTP/0.9", b"GET /hooks/acme/shopify\r\n\r\n", {400}),
    ("HTTP/2.0", GOOD.replace(b"HTTP/1.1", b"HTTP/2.0"), {400}),
    ("HTTP/1.1 misspelt", GOOD.replace(b"HTTP/1.1", b"HTTP/1.1x"), {400}),
    ("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), {0, 400}),
    ("TLS", TLS_HELLO, {0, 400}),
    ("blank lines alone", b"\r\n\r\n\r\n\r\n", {0, 400}),
    ("noise", bytes(range(256)) * 8, {0, 400}),
    ("GET", b"GET /hooks/acme/shopify HTTP/1.1\r\n" + SIGNED + END, {405}),
    ("made-up method", GOOD.replace(b"POST", b"GRAB"), {400, 405}),
    ("upgrade", LINE.replace(b"POST", b"GET") + SIGNED + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
     b"Sec-WebSocket-Key: x\r\n" + END, {405}),
    ("signature in hex", GOOD.replace(SIGNED.split(b": ")[-1], os.urandom(32).hex().encode() + b"\r\n"), {401}),
    ("signature with a blank inside", GOOD.replace(b"Sha256: ", b"Sha256: a "), {401}),
    ("signature with more behind it", GOOD.replace(b"=\r\nContent-Length", b"=A\r\nContent-Length"), {401}),
    ("signature without its padding", GOOD.replace(b"=\r\nContent-Length", b"\r\nContent-Length"), {401}),
    ("signature in two lines", GOOD.replace(b"Sha256: ", b"Sha256:\r\n "), {400}),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    from fakes import Destinations
    from service import Service
    destinations = Destinations()
    folder = tmp_path_factory.mktemp("hostile")
    service = Service(folder, destinations.url, f"sqlite:{folder}/fireorder.db")
    service.destinations = destinations
    yield service
    service.close()
    destinations.close()


def test_the_corpus_is_refused_and_changes_nothing(shared):
    assert_honest_is_acknowledged(shared)
    shared.wait_drained()
    before, wrong = kept(shared), []
    for name, request, right in REFUSED:
        answer = exchange(shared, request, half_close=name.startswith("body shorter"))
        if status_of(answer) not in right or answer.count(b"HTTP/1.1 ") > 1:
            wrong.append((name, answer[:120]))
    assert not wrong, "\n".join(map(str, wrong))
    assert kept(shared) == before
    assert_honest_is_acknowledged(shared)
    assert not shared.destinations.of("ord_70001_purchase")
    assert exchange(shared, GOOD.replace(END + BODY, CLOSE + END + BODY)).startswith(b"HTTP/1.1 200 OK\r\n")  # what all of these were made from


def test_the_corpus_behind_a_webhook_is_refused_too(shared):
    """On a connection that a webhook kept open, in one packet with it and apart."""
    assert_honest_is_acknowledged(shared)
    shared.wait_drained()
    wrong, good = [], request_of(70010)
    assert status_of(exchange(shared, request_of(70010, CLOSE))) == 200
    shared.wait_drained()
    before = kept(shared)
    for n, (name, request, right) in enumerate(REFUSED):
        pieces = [good + request] if n % 2 else [good, request]
        answer = exchange(shared, *pieces, half_close=name.startswith("body shorter"))
        first, last = answer[:answer.find(b"}") + 1], answer[answer.find(b"}") + 1:]
        if b"duplicate" not in first or status_of(last) not in right or last.count(b"HTTP/1.1 ") > 1:
            wrong.append((name, answer[:400]))
    assert not wrong, "\n".join(map(str, wrong))
    after = kept(shared)
    duplicates = [line for line in after if after[line] != before.get(line)]
    assert len(duplicates) == 1 and 'result="duplicate"' in duplicates[0], duplicates
    assert_honest_is_acknowledged(shared)


@pytest.mark.parametrize("name, pieces, statuses, most", [
    ("silent", [b""], {0, 408}, 16),
    ("half a head", [LINE + b"X: "], {0, 400, 408}, 16),
    ("one byte a second of a head", [LINE + b"X: ", *[b"y"] * 14], {0, 400, 408}, 16),
    ("one byte a second of a body", [LINE + SIGNED + LENGTH + END, *[b"{"] * 14], {408}, 16),
], ids=lambda v: v if isinstance(v, str) else "")
def test_the_slow_are_cut_off(shared, name, pieces, statuses, most):
    shared.wait_drained()
    before, begun = kept(shared), time.monotonic()
    answer = exchange(shared, *pieces, pause=0 if len(pieces) == 1 else 1, wait=most + 10)
    assert status_of(answer) in statuses
    assert time.monotonic() - begun < most
    assert kept(shared) == before
    assert_honest_is_acknowledged(shared)


def test_what_comes_behind_a_closing_request_is_not_one(shared):
    shared.wait_drained()
    answer = exchange(shared, request_of(70002, CLOSE) + request_of(70003))
    assert answer.count(b"HTTP/1.1 ") == 1 and status_of(answer) == 200
    shared.wait_drained()
    assert shared.destinations.of("ord_70002_purchase") and not shared.destinations.of("ord_70003_purchase")


# ---- kept connections

def talk(s, *pieces):
    """One answer on a connection that may stay open: its head and its body."""
    for piece in pieces:
        s.sendall(piece)
    answer = b""
    while b"\r\n\r\n" not in answer:
        assert (chunk := s.recv(1)), answer  # no more than this answer
        answer += chunk
    length = next((int(line[16:]) for line in answer.split(b"\r\n") if line.startswith(b"Content-Length: ")), 0)
    body = b""
    while len(body) < length:
        body += s.recv(length - len(body))
    return answer, body


def test_webhooks_come_over_one_connection(service, destinations):
    ids = [f"ord_{number}_purchase" for number in range(73000, 73020)]
    with socket.create_connection(("127.0.0.1", service.port), 10) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(73000, 73020):
            request = request_of(number, b"Connection: keep-alive\r\n" if number % 2 else b"")
            at = number % 20 * 40  # in two packets, cut where it comes
            answer, body = talk(s, request[:at], request[at:])
            assert status_of(answer) == 200 and b"accepted" in body and b"Connection" not in answer
        events = json.dumps([own_event("kept_1")]).encode()
        head = b"POST /events/acme HTTP/1.1\r\nHost: x\r\nX-Fireorder-Signature: %s\r\nContent-Length: %d\r\n\r\n"
        for expected in (b"accepted", b"duplicate"):
            answer, body = talk(s, head % (sign_timestamped(events, EVENTS_SECRET).encode(), len(events)) + events)
            assert status_of(answer) == 200 and expected in body and b"Connection" not in answer
    destinations.wait_delivered(ids + ["kept_1"])
    service.wait_drained()
    assert service.metric("fireorder_webhooks_total", result="accepted") == 21
    assert service.metric("fireorder_ack_seconds_count") == 22


@pytest.mark.parametrize("behind, status", [
    (GOOD.replace(b"Sha256: ", b"Sha256: x"), 401),
    (GOOD.replace(b"/acme/", b"/nobody/"), 401),
    (LINE + SIGNED + b"Content-Length: 8388609\r\n" + END, 413),
    (LINE + SIGNED + b"Content-Length: 8388609\r\nExpect: 100-continue\r\n" + END, 413),
    (LINE + SIGNED + END, 411),
    (LINE.replace(b"POST", b"HEAD") + END, 405),
    (b"GET /context.js HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    (b"POST /context/acme HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 401),
    (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 404),
], ids=lambda v: v if isinstance(v, int) else v[:24].decode())
def test_who_proves_nothing_ends_the_connection(shared, behind, status):
    shared.wait_drained()
    before = kept(shared)
    with socket.create_connection(("127.0.0.1", shared.port), 10) as s:
        answer, _ = talk(s, request_of(next(_orders)))
        assert status_of(answer) == 200 and b"Connection" not in answer
        s.sendall(behind + request_of(70004))
        rest = b""
        try:
            while chunk := s.recv(65536):
                rest += chunk
        except ConnectionResetError:
            pass
    assert status_of(rest) == status and rest.count(b"HTTP/1.1 ") == 1 and b"\r\nConnection: close\r\n" in rest
    shared.wait_drained()
    assert not shared.destinations.of("ord_70004_purchase")
    after = kept(shared)
    assert {line for line in after if after[line] != before.get(line)} <= {line for line in after if 'result="accepted"' in line or "done" in line}


def test_signed_requests_in_one_packet_are_each_themselves(shared):
    """What is hidden behind a signed request is worth what it would be alone."""
    shared.wait_drained()
    hidden = request_of(70012, CLOSE)
    answer = exchange(shared, request_of(70011) + request_of(70011) + hidden + request_of(70013))
    bodies = [part.split(b"\r\n\r\n")[1] for part in answer.split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [b'{"status":"accepted"}', b'{"status":"duplicate"}', b'{"status":"accepted"}']
    shared.wait_drained()
    assert shared.destinations.of("ord_70011_purchase") and shared.destinations.of("ord_70012_purchase")
    assert not shared.destinations.of("ord_70013_purchase")


def test_forms_that_are_odd_but_right(shared):
    def request(number, change):
        body = json.dumps(order(number)).encode()
        head = SIGNED.replace(sign_shopify(BODY).encode(), sign_shopify(body).encode()) + b"Content-Length: %d\r\n" % len(body)
        return change(LINE, head, body)
    odd = [
        lambda line, head, body: line + head.replace(b": ", b":") + END + body,
        lambda line, head, body: line + head.replace(b": ", b":    ").replace(b"\r\n", b"  \r\n") + END + body,
        lambda line, head, body: line + head.upper().replace(b"ORDERS/CREATE", b"orders/create")[:head.find(b"Sha256: ") + 8]
        + head[head.find(b"Sha256: ") + 8:] .replace(b"Content-Length", b"cONTENT-lENGTH") + END + body,
        lambda line, head, body: line.replace(b"1.1", b"1.0") + head + END + body,
        lambda line, head, body: b"\r\n" + line + head + END + body,
        lambda line, head, body: line.replace(b" HTTP", b"?a=b HTTP") + head + b"Connection: keep-alive\r\n" + END + body,
        lambda line, head, body: line + head + b"X-Empty:\r\n" + END + body,
    ]
    for i, change in enumerate(odd):
        answer = exchange(shared, request(70100 + i, change), half_close=True)
        assert status_of(answer) == 200 and b"accepted" in answer, (i, answer)
    body = json.dumps(order(70120)).encode()
    whole = request(70120, lambda line, head, body: line + head + b"Expect: 100-continue\r\n" + END)
    with socket.create_connection(("127.0.0.1", shared.port), 10) as s:
        s.sendall(whole)
        assert s.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(body)
        assert b" 200 " in s.recv(1000)
    assert status_of(exchange(shared, request(70121, lambda line, head, body: line + head + END + body), half_close=True)) == 200


def test_a_captured_pair_is_worth_one_delivery(start, destinations):
    service = start()
    body = json.dumps(order(70200)).encode()
    assert service.shopify("orders/create", body, delivery="a") == (200, "accepted")
    for n in range(20):
        assert service.shopify("orders/create", body, delivery=f"b{n}") == (200, "duplicate")
    # Nor is the topic signed: names that mean nothing here are one name.
    answers = [service.shopify(f"made/up_{n}", body, delivery=f"c{n}") for n in range(20)]
    assert answers == [(200, "ignored")] + [(200, "duplicate")] * 19
    service.wait_drained()
    assert [s.destination for s in destinations.of() if s.destination != "profile"] == ["meta", "klaviyo"]


def extended(secret_length, message, digest, suffix):
    """The length-extension of SHA-256: the digest of secret + message + padding + suffix, made without the secret."""
    k = [int(abs(p ** (1 / 3)) % 1 * 2 ** 32) for p in primes(64)]
    state = [int(digest[i:i + 8], 16) for i in range(0, 64, 8)]
    length = secret_length + len(message)
    padding = b"\x80" + b"\x00" * ((55 - length) % 64) + (length * 8).to_bytes(8, "big")
    length += len(padding)
    data = suffix + b"\x80" + b"\x00" * ((55 - length - len(suffix)) % 64) + ((length + len(suffix)) * 8).to_bytes(8, "big")
    turn = lambda x, n: (x >> n | x << (32 - n)) & 0xFFFFFFFF  # noqa: E731
    for at in range(0, len(data), 64):
        w = [int.from_bytes(data[at + i:at + i + 4], "big") for i in range(0, 64, 4)]
        for i in range(16, 64):
            s0 = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3
            s1 = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10
            w.append((w[i - 16] + s0 + w[i - 7] + s1) & 0xFFFFFFFF)
        a, b, c, d, e, f, g, h = state
        for i in range(64):
            t1 = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (e & f ^ ~e & g) + k[i] + w[i]
            t2 = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + (a & b ^ a & c ^ b & c)
            a, b, c, d, e, f, g, h = (t1 + t2) & 0xFFFFFFFF, a, b, c, (d + t1) & 0xFFFFFFFF, e, f, g
        state = [(x + y) & 0xFFFFFFFF for x, y in zip(state, (a, b, c, d, e, f, g, h))]
    return message + padding + suffix, "".join(f"{x:08x}" for x in state)


def primes(n):
    found = []
    candidate = 2
    while len(found) < n:
        if all(candidate % p for p in found):
            found.append(candidate)
        candidate += 1
    return found


def test_a_legacy_signature_cannot_be_extended(start, destinations):
    service = start()
    genuine = json.dumps(charge(70300)).encode()
    digest = hashlib.sha256(RECHARGE_SECRET.encode() + genuine).hexdigest()
    for suffix in (b"", b" ", b'{"charge":{"id":1}}', b"\n" * 64):
        forged, made = extended(len(RECHARGE_SECRET), genuine, digest, suffix)
        assert made == hashlib.sha256(RECHARGE_SECRET.encode() + forged).hexdigest()  # the forgery works: only its shape gives it away
        for topic in ("charge/paid", "made/up"):
            assert service.post(f"/hooks/acme/recharge/{topic}", forged, {"X-Recharge-Hmac-Sha256": made})[0] == 401
    assert service.metric("fireorder_dead") == 0 and service.metric("fireorder_pending") == 0
    assert service.post("/hooks/acme/recharge/charge/paid", genuine, {"X-Recharge-Hmac-Sha256": digest}) == (200, "accepted")


# ---- many connections

def allow_many_files():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))


def crowd(service, n, first=b""):
    sockets = []
    for _ in range(n):
        s = socket.create_connection(("127.0.0.1", service.port), 10)
        if first:
            s.sendall(first)
        sockets.append(s)
    return sockets


@pytest.mark.parametrize("first", [b"", b"P", LINE + SIGNED + LENGTH + END + b"{"], ids=["silent", "one byte", "half a body"])
def test_a_crowd_that_says_nothing_keeps_nobody_waiting(start, first):
    allow_many_files()
    service = start()
    sockets = crowd(service, 700, first)
    begun = time.monotonic()
    assert_honest_is_acknowledged(service)
    assert time.monotonic() - begun < 4  # 700 connections, 256 workers, 5 s each: it was 10 s
    for s in sockets:
        s.close()


def test_a_crowd_does_not_use_up_the_files(start):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        service = start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    limits = Path(f"/proc/{service.process.pid}/limits").read_text()
    assert int(next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3]) == min(hard, 8192)


def test_four_times_more_webhooks_than_workers(start):
    allow_many_files()
    service = start()
    requests = []
    for n in range(1024):
        body = json.dumps(order(72000 + n)).encode()
        head = SIGNED.replace(sign_shopify(BODY).encode(), sign_shopify(body).encode()) + b"Content-Length: %d\r\n" % len(body)
        requests.append((LINE + head + END, body))
    sockets = crowd(service, len(requests))
    for s, (head, body) in zip(sockets, requests):
        s.sendall(head + body)
    for s in sockets:
        s.settimeout(60)
        assert b" 200 " in s.recv(1000)
        s.close()
