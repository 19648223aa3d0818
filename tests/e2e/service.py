"""The real program as a process, a private redis-server, and the senders' side: signing and posting."""
import base64
import hashlib
import hmac
import http.client
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIREORDER = os.environ.get("FIREORDER", str(ROOT / "build-test" / "fireorder"))
SHOPIFY_SECRET = "shpss_test"
RECHARGE_SECRET = "recharge_test"
EVENTS_SECRET = "events_test"
SEAL_KEY = base64.b64encode(b"k" * 32).decode()
_counter = itertools.count(1)


_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = itertools.count(int(time.time() * 10) % 1000)
REFUSED = 10080  # by every browser: the one "bad port" of the Fetch standard that is among these


def free_port():
    """A port that nobody listens on, below those that outgoing connections take; each worker has a thousand of its own."""
    for n in _ports:
        port = 10000 + _worker % 20 * 1000 + n % 1000
        if port == REFUSED:
            continue
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def wait_for(condition, deadline=20.0, what="the condition"):
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"waited {deadline} s for {what}")


def assert_clean(text):
    """No sanitizer found anything: a leak at the end, a bad access, undefined behaviour."""
    assert "Sanitizer" not in text and "runtime error" not in text, text[-6000:]


def fireorder(*words, **more):
    """One command, to its end."""
    done = subprocess.run([FIREORDER, *map(str, words)], capture_output=True, text=True, timeout=120, **more)
    assert_clean(done.stderr)
    return done


class Redis:
    def __init__(self, folder, *settings):
        self.folder, self.port, self.settings = Path(folder), free_port(), settings
        self.process = None
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        self.spawn()
        wait_for(self.answers, what="redis-server")

    def spawn(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "", "--appendonly", "yes",
             "--appendfsync", "always", "--maxmemory-policy", "noeviction", *self.settings],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, restore_signals=False)  # a file that is too large is an error, not its end

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                s.sendall(b"PING\r\n")
                return s.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def tell(self, *words):
        """One command; its answer as text, number, list or None. An error is the text it has, such as "BUSY Redis is ..."."""
        return tell(self.port, *words)

    def kill(self):
        self.process.kill()
        self.process.wait()

    close = kill


def tell(port, *words):
    with socket.create_connection(("127.0.0.1", port), 30) as s, s.makefile("rb") as answers:
        words = [str(w).encode() for w in words]
        s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return _reply(answers)


def _reply(answers):
    line = answers.readline()
    if not line.endswith(b"\r\n"):
        raise OSError("the connection ended within an answer")
    kind, rest = line[:1], line[1:-2].decode()
    if kind in b"+-":
        return rest
    n = int(rest)
    if kind == b":":
        return n
    if n < 0:
        return None
    return [_reply(answers) for _ in range(n)] if kind == b"*" else answers.read(n + 2)[:-2].decode()


class Sentinel:
    """One of several that watch `mymaster`; two have to agree that it is gone."""

    def __init__(self, folder, master_port):
        folder = Path(folder)
        folder.mkdir()
        self.port = free_port()
        file = folder / "sentinel.conf"
        file.write_text(f"""port {self.port}
bind 127.0.0.1
dir {folder}
sentinel monitor mymaster 127.0.0.1 {master_port} 2
sentinel down-after-milliseconds mymaster 1000
sentinel failover-timeout mymaster 5000
""")
        self.process = subprocess.Popen(["redis-server", str(file), "--sentinel"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def knows(self, replicas, sentinels):
        try:
            answer = tell(self.port, "SENTINEL", "MASTER", "mymaster")
        except OSError:
            return False
        about = dict(zip(answer[::2], answer[1::2]))
        return about.get("num-slaves") == str(replicas) and about.get("num-other-sentinels") == str(sentinels - 1)

    def master_port(self):
        return int(tell(self.port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")[1])

    def close(self):
        self.process.kill()
        self.process.wait()


class Service:
    """`fireorder serve` with a configuration of its own. kill() and start() keep ports and store."""

    def __init__(self, folder, destinations_url, store, extra="", shop_extra="", environment=None, wait=True, autostart=True):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.admin = free_port(), free_port()
        self.config = self.folder / "fireorder.yaml"
        self.log = self.folder / "serve.log"
        self.environment = {**os.environ, "SHOPIFY_SECRET": SHOPIFY_SECRET, "RECHARGE_SECRET": RECHARGE_SECRET,
                            "EVENTS_SECRET": EVENTS_SECRET,
                            "META_ACCESS_TOKEN": "EAAtoken", "KLAVIYO_API_KEY": "pk_test", "FIREORDER_SEAL_KEY": SEAL_KEY,
                            **(environment or {})}
        self.write_config(destinations_url, store, extra, shop_extra)
        self.process = None
        self.sender = "127.0.0.1"  # the address from which the senders post
        if autostart:
            self.start(wait)

    def write_config(self, destinations_url, store, extra="", shop_extra=""):
        self.config.write_text(f"""version: 1
listen: 127.0.0.1:{self.port}
admin: 127.0.0.1:{self.admin}
store: "{store}"
seal_key: ${{FIREORDER_SEAL_KEY}}
{extra}
shops:
  acme:
    domain: acme.myshopify.com
    shopify: {{ secrets: ["${{SHOPIFY_SECRET}}"] }}
    recharge: {{ secrets: ["${{RECHARGE_SECRET}}"] }}
    events: {{ secrets: ["${{EVENTS_SECRET}}"] }}
    meta: {{ pixel_id: "1234567890", access_token: "${{META_ACCESS_TOKEN}}", base_url: "{destinations_url}" }}
    klaviyo: {{ api_key: "${{KLAVIYO_API_KEY}}", base_url: "{destinations_url}" }}
{shop_extra}
""")

    def configure(self, account, more):
        """Adds keys to those of meta or klaviyo; before the start, or a reload."""
        text = self.config.read_text()
        self.config.write_text(text.replace(f"    {account}: {{ ", f"    {account}: {{ {more}, "))

    def start(self, wait=True, **environment):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([FIREORDER, "serve", "--config", str(self.config)], stdout=log, stderr=log,
                                            env={**self.environment, **environment})
        if wait:
            wait_for(lambda: self.process.poll() is not None or self.get("/readyz")[0] == 200, what="readyz")
            assert self.process.poll() is None, self.log.read_text()

    def get(self, path, headers=None, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        try:
            connection.request("POST" if body else "GET", path, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def jobs(self, *states):
        """What the service says it holds, each job once; None when it does not answer."""
        found = {}
        for state in states or ("pending", "done", "dead", "ignored"):
            after = ""
            while after is not None:
                status, text = self.get(f"/events?shop=acme&state={state}&after={after}")
                if status != 200:
                    return None
                page = json.loads(text)
                found.update({job["job"]: job for job in page["events"]})
                after = page.get("next")
        return found

    def redrive(self, ids):
        status, text = self.get("/redrive", body=json.dumps({"shop": "acme", "jobs": list(ids)}))
        return [result["status"] for result in json.loads(text)["results"]] if status == 200 else None

    def metric(self, name, **labels):
        """Sum of all series of that name that carry these labels; None when the service does not tell."""
        status, text = self.get("/metrics")
        if status != 200:
            return None
        total = 0.0
        for line in text.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            series, value = line.rsplit(" ", 1)
            if series.split("{")[0] == name and all(f'{k}="{v}"' in series for k, v in labels.items()):
                total += float(value)
        return total

    def wait_drained(self, deadline=60.0):
        wait_for(lambda: self.metric("fireorder_pending") == 0, deadline, "an empty store")

    def logged(self, pattern, deadline=20.0):
        """Waits until the log says so: what is durable is told a moment later. The match."""
        return wait_for(lambda: re.search(pattern, self.log.read_text(), re.M), deadline, f"{pattern!r} in the log")

    def survey(self):
        """Asks for all that it tells, for whoever reads the answers (canary.py)."""
        if self.process is None or self.process.poll() is not None:
            return
        (self.folder / "cmdline").write_bytes(Path(f"/proc/{self.process.pid}/cmdline").read_bytes())
        for path in ("/metrics", "/report?since=7d&shop=acme", *(f"/events?shop=acme&state={s}" for s in ("pending", "done", "dead", "ignored"))):
            self.get(path)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, deadline=20):
        """It ends as it should: in time, with status 0, and everything freed where the build looks for that."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"SIGTERM did not end the service:\n{self.log.read_text()[-4000:]}")
        assert status == 0, f"exit status {status}:\n{self.log.read_text()[-6000:]}"

    def close(self):
        if self.process.poll() is None:
            self.stop()
        assert_clean(self.log.read_text())

    # The senders' side.

    def post_text(self, path, body, headers, timeout=20):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout, source_address=(self.sender, 0))
        try:
            connection.request("POST", path, body=body, headers=headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def post(self, path, body, headers, timeout=20):
        status, text = self.post_text(path, body, headers, timeout)
        return status, (json.loads(text).get("status") if text.startswith("{") else text)

    def post_json(self, path, body, headers, timeout=60):
        status, text = self.post_text(path, body, headers, timeout)
        return status, json.loads(text)

    def events(self, body, at=None, secret=EVENTS_SECRET, shop="acme"):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.post_json(f"/events/{shop}", raw, {"X-Fireorder-Signature": sign_timestamped(raw, secret, at), "Content-Type": "application/json"})

    def shopify(self, topic, body, delivery=None, secret=SHOPIFY_SECRET, shop="acme", **headers):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        all_headers = {"X-Shopify-Topic": topic, "X-Shopify-Hmac-Sha256": sign_shopify(raw, secret), "Content-Type": "application/json",
                       "X-Shopify-Webhook-Id": delivery or f"delivery-{os.getpid()}-{next(_counter)}",
                       "X-Shopify-Shop-Domain": "acme.myshopify.com", **{k.replace("_", "-"): v for k, v in headers.items()}}
        return self.post(f"/hooks/{shop}/shopify", raw, {k: v for k, v in all_headers.items() if v is not None})

    def recharge(self, topic, body, timestamped=True, legacy=True, at=None, secret=RECHARGE_SECRET):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if timestamped:
            headers["X-Recharge-Webhook-Signature"] = sign_timestamped(raw, secret, at)
        if legacy:
            headers["X-Recharge-Hmac-Sha256"] = hashlib.sha256(secret.encode() + raw).hexdigest()
        return self.post(f"/hooks/acme/recharge/{topic}", raw, headers)


def sign_shopify(raw, secret=SHOPIFY_SECRET):
    return base64.b64encode(hmac.new(secret.encode(), raw, hashlib.sha256).digest()).decode()


def sign_timestamped(raw, secret, at=None):
    t = str(int(at if at is not None else time.time()))
    return f"t={t},v1={hmac.new(secret.encode(), t.encode() + b'.' + raw, hashlib.sha256).hexdigest()}"


# Webhooks as small as they may be; the recorded ones are in fixtures/.

def now(offset=0):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset))


def order(number, email="ava@klaviyo-demo.com", **more):
    return {"id": number, "admin_graphql_api_id": f"gid://shopify/Order/{number}", "name": f"#{number}", "email": email, "currency": "USD",
            "total_price": "129.95", "financial_status": "paid", "source_name": "web", "created_at": now(), "processed_at": now(), "test": False,
            "customer": {"id": number + 7_000_000, "email": email, "first_name": "Ava", "last_name": "Roth"},
            "billing_address": {"country_code": "US", "city": "Austin", "zip": "78701", "province_code": "TX"},
            "line_items": [{"id": 1, "product_id": 632910392, "variant_id": 808950810, "sku": "SKU-481", "title": "Serum", "quantity": 1,
                            "price": "129.95"}],
            "note_attributes": [{"name": "_fbp", "value": "fb.1.1760000000000.1098115397"}], **more}


def own_event(event_id, name="search", email="ava@klaviyo-demo.com", **more):
    return {"id": event_id, "name": name, "time": now(), "user": {"email": email}, **more}


def checkout(token, email="ava@klaviyo-demo.com", **more):
    return {"token": token, "cart_token": None, "email": email, "currency": "USD", "total_price": "129.95", "created_at": now(), "updated_at": now(),
            "abandoned_checkout_url": f"https://acme.example/checkouts/{token}", "completed_at": None,
            "billing_address": {"country_code": "US"}, "shipping_address": [],
            "line_items": [{"key": "a", "variant_id": 808950810, "product_id": 632910392, "title": "Serum", "quantity": 1, "price": "129.95"}], **more}


def charge(number, shopify_order=None, kind="recurring", email="ava@klaviyo-demo.com", customer=5001):
    return {"charge": {"id": number, "type": kind, "status": "success", "currency": "USD", "total_price": "29.20", "processed_at": now(),
                       "created_at": now(-86400), "external_order_id": {"ecommerce": str(shopify_order) if shopify_order else None},
                       "customer": {"id": number + 1000, "email": email, "external_customer_id": {"ecommerce": str(customer)}},
                       "billing_address": {"country_code": "US", "first_name": "Ava", "last_name": "Roth"},
                       "line_items": [{"purchase_item_id": 1, "title": "Serum", "quantity": 1, "unit_price": "29.20",
                                       "external_variant_id": {"ecommerce": "808950810"}}]}}
