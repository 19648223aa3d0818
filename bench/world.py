"""The processes of a benchmark: started fresh for each measurement on free ports, watched through /proc, and ended by their own handle."""
import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-bench"
WORK = BUILD / "work"
PEERS = ROOT / "bench" / "peers"
FIXTURE = "fixtures/shopify/orders/create/with_fbp_fbc"
SECRET = "shopify-secret"
SEAL_KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
THREADS = 256  # of the webhook address of fireorder, and of bare civetweb


class Fault(Exception):
    """The traffic was not served as it has to be: no figure is worth anything then."""


def quiet(*command, cwd=ROOT):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def build():
    """The program as it is released, in a folder of its own."""
    quiet("cmake", "-G", "Ninja", "-S", ".", "-B", str(BUILD), "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DTESTS=OFF", "-DSANITIZE=OFF")
    quiet("cmake", "--build", str(BUILD), "--target", "fireorder", "bench")


def install_peers():
    if not shutil.which("npm"):
        sys.exit("bench/run: the peers need node and npm (20.18 or later); --without-peers leaves them out")
    if not (PEERS / "node_modules" / "fastify").exists():
        quiet("npm", "install", "--no-audit", "--no-fund", cwd=PEERS)


def free_port():
    """Below the range that outgoing connections take theirs from: with thousands of those a second one would soon be in the way."""
    while True:
        port = random.randrange(30000, 32700)  # and above those that the tests take
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.01)
    raise Fault(f"waited {seconds} s for {what}")


def accepts(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


class Process:
    def __init__(self, name, *command, **environment):
        WORK.mkdir(parents=True, exist_ok=True)
        self.log = WORK / f"{name}.log"
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=log, stderr=log, env={**os.environ, **environment})

    def cpu_s(self):
        """Of the threads that are there, to the nanosecond: the ticks of `stat` are a twentieth of what a thousand orders take."""
        return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{self.popen.pid}/task").glob("*/schedstat")) / 1e9

    def rss_mb(self):
        status = dict(line.split(":", 1) for line in Path(f"/proc/{self.popen.pid}/status").read_text().splitlines())
        return int(status["VmRSS"].split()[0]) / 1024

    def wait_port(self, port):
        wait_for(lambda: self.popen.poll() is not None or accepts(port), 30, f"port {port}")
        if self.popen.poll() is not None:
            raise Fault(f"{self.log} ended:\n{self.log.read_text()[-2000:]}")

    def stop(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(3)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


class Destination:
    """The fake Meta and Klaviyo (bench/destination.c): one for the whole run, and a second one where two shops are compared."""

    def __init__(self, name="destination"):
        self.port = free_port()
        self.process = Process(name, BUILD / "bench_destination", self.port)
        self.process.wait_port(self.port)

    def _ask(self, path, method="GET"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read()

    def set(self, **settings):
        self._ask("/set?" + "&".join(f"{k}={v}" for k, v in settings.items()), "POST")

    def fresh(self, **settings):
        self.set(**{"reset": 1, "mode": "ok", "meta_status": 0, "latency_ms": 0, "lanes": 0, "events_per_second": 0, "events_per_minute": 0,
                    "jobs_per_second": 0, "jobs_per_minute": 0, **settings})

    def stats(self, first=0, count=0):
        return json.loads(self._ask(f"/stats?first={first}&count={count}"))

    def times(self, first, count):
        return memoryview(self._ask(f"/times?first={first}&count={count}")).cast("q").tolist()

    def wait_both(self, count, seconds):
        """Until so many orders are at both. A stand-still of 15 s ends the wait: what is missing is told by check."""
        seen, since, end = -1, time.monotonic(), time.monotonic() + seconds
        while time.monotonic() < end:
            stats = self.stats()
            if stats["both"] >= count:
                return stats
            if stats["both"] != seen:
                seen, since = stats["both"], time.monotonic()
            elif time.monotonic() - since > 15:
                break
            time.sleep(0.02)
        return self.stats()

    def check(self, first, count, once=True):
        """Nothing lost, nothing out of order; with once, nothing twice either (where no answer was lost)."""
        stats = self.stats(first, count)
        wrong = {k: stats[k] for k in ("missing", "early", "out_of_lane", "strange", *(("meta_again", "klaviyo_again") if once else ())) if stats[k]}
        if wrong:
            raise Fault(f"of {count} orders: {wrong}")
        return stats

    def stop(self):
        self.process.stop()


def load(port, count, connections=64, expect=200, **options):
    """bench_load's result; a request that was not answered as expected is a fault."""
    command = [BUILD / "bench_load", "--port", port, "--fixture", FIXTURE, "--secret", SECRET, "--count", count, "--connections", connections, "--expect", expect]
    for name, value in options.items():
        command += [f"--{name}"] if value is True else [f"--{name}", value]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    if done.returncode or not done.stdout:
        raise Fault(f"not every order was answered {expect}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


class Redis:
    def __init__(self, fsync):
        self.port, folder = free_port(), WORK / "redis"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.process = Process("redis", "redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "yes",
                               "--appendfsync", fsync, "--maxmemory-policy", "noeviction")
        self.process.wait_port(self.port)


class Contender:
    """Something that takes orders: its processes, and the port at which it takes them."""

    def __init__(self):
        self.port, self.processes, self.redis = free_port(), [], None

    def cpu_s(self):
        return sum(p.cpu_s() for p in self.processes)

    def rss_mb(self):
        return sum(p.rss_mb() for p in self.processes)

    def stop(self):
        for p in reversed(self.processes):
            p.stop()

    def start_redis(self, fsync):
        self.redis = Redis(fsync)
        self.processes.append(self.redis.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Bare(Contender):
    def __init__(self):
        super().__init__()
        self.processes = [Process("bare", BUILD / "bench_bare", self.port, THREADS)]
        self.processes[0].wait_port(self.port)


def mapping(identify):
    """With on_fail: hold an outage of any length keeps the order Meta, Klaviyo. A lane's orders but its first are repeat purchases."""
    rule = f"{{ on_fail: hold, max_wait: 1h, klaviyo: {{ identify: {str(identify).lower()} }} }}"
    return f"version: 1\nrules:\n  purchase: {rule}\n  repeat_purchase: {rule}\n"


class Fireorder(Contender):
    """store: sqlite, everysec, always. profiles: also brings Klaviyo's profile up to date, a third request that no peer makes. others: where
    all shops but the first send. in_flight: requests that may be open. two_hosts: Klaviyo is another one than Meta, with connections of its own."""

    def __init__(self, destination, store="sqlite", shops=1, profiles=False, own_mapping=True, others=None, wait=True, in_flight=512, two_hosts=False):
        super().__init__()
        self.folder, self.destination, self.others, self.shops, self.admin = WORK / "fireorder", destination, others or destination, shops, free_port()
        self.in_flight, self.klaviyo_host = in_flight, "localhost" if two_hosts else "127.0.0.1"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        if store != "sqlite":
            self.start_redis(store)
        self.store = f"redis://127.0.0.1:{self.redis.port}/0" if self.redis else f"sqlite:{self.folder}/store.db"
        self.mapping = self.folder / "mapping.yaml" if own_mapping else "default"
        (self.folder / "mapping.yaml").write_text(mapping(identify=profiles))
        (self.folder / "fireorder.yaml").write_text(self._config(store == "everysec"))
        self.serve(wait)

    def _config(self, relaxed):
        names = ["acme"] if self.shops == 1 else [f"shop{i:03}" for i in range(self.shops)]
        lines = ["version: 1", f"listen: 127.0.0.1:{self.port}", f"admin: 127.0.0.1:{self.admin}", f'store: "{self.store}"', f"seal_key: {SEAL_KEY}",
                 f"in_flight: {self.in_flight}",
                 *(["durability: relaxed"] if relaxed else []), "shops:"]
        for name in names:
            port = (self.destination if name == names[0] else self.others).port
            lines += [f"  {name}:", f"    domain: {name}.myshopify.com", f"    shopify: {{ secrets: [{SECRET}] }}",
                      f'    meta: {{ pixel_id: "1234567890", access_token: EAAtoken, base_url: "http://127.0.0.1:{port}" }}',
                      f'    klaviyo: {{ api_key: pk_test, base_url: "http://{self.klaviyo_host}:{port}" }}', f'    mapping: "{self.mapping}"']
        return "\n".join(lines) + "\n"

    def serve(self, wait=True):
        self.main = Process("fireorder", BUILD / "fireorder", "serve", "--config", self.folder / "fireorder.yaml")
        self.processes.append(self.main)
        if wait:
            self.main.wait_port(self.port)

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


class Peer(Contender):
    """kind: inline, brief, or queue (BullMQ) with its worker; fsync is its Redis's."""

    def __init__(self, destination, kind, fsync="everysec", concurrency=50):
        super().__init__()
        environment = {"PORT": str(self.port), "DESTINATION": f"http://127.0.0.1:{destination.port}", "SECRET": SECRET, "CONCURRENCY": str(concurrency)}
        if kind == "queue":
            self.start_redis(fsync)
            environment["REDIS_PORT"] = str(self.redis.port)
            self.processes.append(Process("worker", "node", PEERS / "worker.js", **environment))
        self.processes.append(Process(kind, "node", PEERS / f"{kind}.js", **environment))
        self.processes[-1].wait_port(self.port)


def enough_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
