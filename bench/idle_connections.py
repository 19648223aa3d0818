#!/usr/bin/env python3
"""How long an honest webhook waits while others only hold connections: N silent ones, N that say one byte, N that dribble a head or a body,
N that replay a captured webhook, so that theirs are kept, and are silent or dribble then.
usage: bench/idle_connections.py BINARY [N...]        (default 300 1000 10000)"""
import json
import resource
import selectors
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/e2e"))
import service as program  # noqa: E402

resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


class Crowd(threading.Thread):
    """n connections that are opened anew as soon as they are closed."""

    def __init__(self, port, n, begins_with, then):
        super().__init__(daemon=True)
        self.port, self.n, self.begins_with, self.then = port, n, begins_with, then
        self.open, self.closed, self.ended = set(), 0, False
        self.selector = selectors.DefaultSelector()

    def connect(self):
        s = socket.socket()
        s.setblocking(False)
        s.bind((f"127.0.0.{2 + self.closed % 200}", 0))
        s.connect_ex(("127.0.0.1", self.port))
        self.open.add(s)
        self.selector.register(s, selectors.EVENT_READ | (selectors.EVENT_WRITE if self.begins_with else 0))

    def drop(self, s):
        self.selector.unregister(s)
        self.open.discard(s)
        s.close()
        self.closed += 1

    def run(self):
        last = time.monotonic()
        while not self.ended:
            for _ in range(min(200, self.n - len(self.open))):
                self.connect()
            for key, events in self.selector.select(0.02):
                s = key.fileobj
                try:
                    if events & selectors.EVENT_WRITE:
                        s.send(self.begins_with)
                        self.selector.modify(s, selectors.EVENT_READ)
                    if events & selectors.EVENT_READ and not s.recv(4096):
                        self.drop(s)
                except OSError:
                    self.drop(s)
            if self.then and time.monotonic() - last > 1:
                last = time.monotonic()
                for s in list(self.open):
                    try:
                        s.send(self.then)
                    except OSError:
                        pass
        for s in list(self.open):
            s.close()


def honest(service, seconds):
    waits, failures, end, n = [], 0, time.monotonic() + seconds, 0
    while time.monotonic() < end:
        begun = time.monotonic()
        n += 1
        try:
            status, _ = service.shopify("orders/create", program.order(int(time.time() * 1e6)))
            failures += status != 200
        except OSError:
            failures += 1
        waits.append(time.monotonic() - begun)
        time.sleep(0.05)
    waits.sort()
    return f"{len(waits):4} webhooks, {failures} not acknowledged, median {waits[len(waits) // 2] * 1000:7.1f} ms, worst {waits[-1] * 1000:8.1f} ms"


def captured():
    body = json.dumps(program.order(1)).encode()
    return (b"POST /hooks/acme/shopify HTTP/1.1\r\nHost: x\r\nX-Shopify-Topic: orders/create\r\nX-Shopify-Hmac-Sha256: "
            + program.sign_shopify(body).encode() + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def main():
    program.FIREORDER = sys.argv[1]
    kinds = {"silent": (b"", b""), "one byte": (b"P", b""), "slow head": (b"POST /hooks/acme/shopify HTTP/1.1\r\nX: ", b"x"),
             "slow body": (b"POST /hooks/acme/shopify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", b"x"),
             "kept, silent": (captured(), b""), "kept, slow head": (captured(), b"x")}
    with tempfile.TemporaryDirectory() as folder:
        service = program.Service(folder, "http://127.0.0.1:9", f"sqlite:{folder}/fireorder.db")
        print(f"{'nobody else':22} {honest(service, 3)}", flush=True)
        for n in [int(a) for a in sys.argv[2:]] or [300, 1000, 10000]:
            for kind, (first, then) in kinds.items():
                crowd = Crowd(service.port, n, first, then)
                crowd.start()
                time.sleep(2)
                result = honest(service, 15)
                crowd.ended = True
                crowd.join()
                print(f"{n:6} {kind:15} {result}, {crowd.closed} closed", flush=True)
                time.sleep(1)
        print(f"threads {len(list(Path(f'/proc/{service.process.pid}/task').iterdir()))}, "
              + next(line for line in Path(f"/proc/{service.process.pid}/status").read_text().splitlines() if line.startswith("VmHWM")))
        service.kill()


main()
