"""What a disk does to the SQLite store and to the spool: it fills up, it fails. (Power cuts, failing syncs and cut logs: tests/unit/test_store_disk.c.)"""
import os
import resource
import subprocess

import pytest

import service
from fakes import Answer
from service import Service, order, wait_for


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of its own, of 24 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no small file system can be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


BALLAST = 18_000_000


def send_until_refused(to, note, most=1000):
    """Webhooks with incompressible notes; the numbers of those that were taken."""
    taken = []
    for n in range(1, most):
        status, _ = to.shopify("orders/create", order(n, email=f"p{n}@klaviyo-demo.com", note=os.urandom(note).hex()), f"d{n}")
        if status != 200:
            assert status == 503
            return taken
        taken.append(n)
    raise AssertionError("nothing was refused")


def events(numbers):
    return [f"ord_{n}_purchase" for n in numbers]


def test_full_disk(start, destinations, small_disk):
    ballast = small_disk / "ballast"
    running = start(f"sqlite:{small_disk}/fireorder.db")
    destinations.always["meta"] = Answer(503, b"")
    ballast.write_bytes(bytes(BALLAST))
    taken = send_until_refused(running, 200_000)
    assert len(taken) > 5
    running.logged("disk is full")
    assert running.get("/healthz")[0] == 200
    ballast.unlink()
    wait_for(lambda: running.shopify("orders/create", order(5000), "d5000")[0] == 200, what="room for a webhook")
    assert running.process.poll() is None  # it went on by itself
    destinations.always.clear()
    destinations.wait_delivered(events(taken + [5000]), deadline=60)
    running.wait_drained()
    assert running.metric("fireorder_dead") == 0


def test_full_disk_of_the_spool(start, redis, destinations, small_disk):
    running = start(redis.url, extra=f"spool: {small_disk}/spool.db")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(BALLAST))
    redis.kill()
    taken = send_until_refused(running, 200_000)
    assert len(taken) > 5
    wait_for(lambda: running.get("/readyz")[0] == 503, what="a spool that takes not even a small one")
    ballast.unlink()
    assert running.shopify("orders/create", order(5000), "d5000") == (200, "accepted")
    assert running.get("/readyz")[0] == 200
    redis.start()
    destinations.wait_delivered(events(taken + [5000]), deadline=60)
    running.wait_drained()
    assert running.metric("fireorder_spooled") == 0


@pytest.fixture
def limited(tmp_path, monkeypatch):
    """A write beyond a limit fails in what is started (EFBIG, an I/O error to SQLite) instead of ending it."""
    script = tmp_path / "limited"
    script.write_text(f"#!/bin/sh\ntrap '' XFSZ\nexec {service.FIREORDER} \"$@\"\n")
    script.chmod(0o755)
    monkeypatch.setattr(service, "FIREORDER", str(script))


def test_a_disk_that_fails_ends_the_process(limited, destinations, tmp_path):
    """Nothing more is promised on a handle that has failed; the next process, which a supervisor starts, reads what there really is."""
    program = Service(tmp_path / "service", destinations.url, f"sqlite:{tmp_path}/fireorder.db")
    destinations.always["meta"] = Answer(503, b"")
    taken = list(range(1, 21))
    for n in taken:
        assert program.shopify("orders/create", order(n, email=f"p{n}@klaviyo-demo.com"), f"d{n}")[0] == 200
    # Less than the log has already: whatever is written next, at its end or from its beginning again, soon comes there.
    resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
    for n in range(21, 60):
        status = 0
        try:
            status, _ = program.shopify("orders/create", order(n, email=f"p{n}@klaviyo-demo.com"), f"d{n}")
        except OSError:
            pass
        if status != 200:
            break
        taken.append(n)
    assert program.process.wait(30) == 1
    assert "the disk failed" in program.log.read_text()
    destinations.always.clear()
    program.start()
    destinations.wait_delivered(events(taken), deadline=60)
    for n in taken:
        assert program.shopify("orders/create", order(n, email=f"p{n}@klaviyo-demo.com"), f"d{n}") == (200, "duplicate")
    program.wait_drained()
    program.close()


def test_a_second_process_is_refused(start, destinations, tmp_path):
    running = start(f"sqlite:{tmp_path}/fireorder.db")
    other = Service(tmp_path / "other", destinations.url, f"sqlite:{tmp_path}/fireorder.db", autostart=False)
    other.start(wait=False)
    assert other.process.wait(20) == 1
    assert "another process has it open" in other.log.read_text()
    assert running.shopify("orders/create", order(1), "d1") == (200, "accepted")
    destinations.wait_delivered(events([1]))
