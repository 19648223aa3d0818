"""The tables: the goals with what was reached, then every figure."""
import datetime
import json
import os
import platform
import re
import subprocess
from pathlib import Path

from measures import IN_FLIGHT, IN_FLIGHT_MOST
from world import PEERS, ROOT

AT_LEAST, AT_MOST = ">=", "<="


def _goals(t):
    """Number, what, value, and what it is to be."""
    r, m = t.ratio, t.median
    flow, flow_most = m("drain 100 ms events/s"), m(f"drain 100 ms, {IN_FLIGHT_MOST:,} events/s")
    return [
        (1, "acknowledged, SQLite FULL / bare civetweb", r("fireorder sqlite acks/s", "bare acks/s"), AT_LEAST, 0.30),
        (1, "... each on a connection of its own, both sides", r("fireorder sqlite closing acks/s", "bare closing acks/s"), AT_LEAST, 0.30),
        (1, "acknowledged, Redis everysec / bare", r("fireorder everysec acks/s", "bare acks/s"), AT_LEAST, 0.25),
        (1, "acknowledged, Redis always / bare", r("fireorder always acks/s", "bare acks/s"), AT_LEAST, 0.20),
        (1, "bad signature, 401 / bare, each on a connection of its own", r("fireorder 401 closing acks/s", "bare closing acks/s"), AT_LEAST, 0.65),
        (1, "acknowledged while delivering / BullMQ", r("sat. fireorder acks/s", "sat. queue acks/s"), AT_LEAST, 5),
        (1, "acknowledged while delivering / Fastify in-request", r("sat. fireorder acks/s", "sat. inline acks/s"), AT_LEAST, 3.5),
        (1, "ack p99 at 200/s, ms", m("fireorder 0 ms, p99 ms"), AT_MOST, 2),
        (1, "ack p99 at 200/s, destinations 100 ms / 0 ms", r("fireorder 100 ms, p99 ms", "fireorder 0 ms, p99 ms"), AT_MOST, 1.5),
        (1, "ack p99 at saturation, ms", m("fireorder sqlite p99 ms"), AT_MOST, 12),
        (1, "connections that starve, 4 x more than threads", m("starved of 4x"), AT_MOST, 0),
        (2, "delivered / BullMQ", r("sat. fireorder delivered/s", "sat. queue delivered/s"), AT_LEAST, 3.5),
        (2, "delivered / Fastify in-request", r("sat. fireorder delivered/s", "sat. inline delivered/s"), AT_LEAST, 2.2),
        (2, "delivered / the articles' handler", r("sat. fireorder delivered/s", "sat. brief delivered/s"), AT_LEAST, 10),
        (2, f"delivered, destinations 100 ms / ({IN_FLIGHT} slots / 0.2 s)", flow and flow / (IN_FLIGHT / 0.2), AT_LEAST, 0.93),
        (2, f"delivered, destinations 100 ms / ({IN_FLIGHT_MOST:,} slots / 0.2 s)", flow_most and flow_most / (IN_FLIGHT_MOST / 0.2), AT_LEAST, 0.93),
        (3, "CPU per event / BullMQ", r("sat. fireorder CPU s/1000", "sat. queue CPU s/1000"), AT_MOST, 0.23),
        (3, "CPU per event / Fastify in-request", r("sat. fireorder CPU s/1000", "sat. inline CPU s/1000"), AT_MOST, 0.6),
        (3, "RSS with 20,000 pending, MB", m("RSS 20,000 pending, destinations down, MB"), AT_MOST, 50),
        (3, "RSS with 100,000 pending, MB", m("100,000 pending: RSS MB"), AT_MOST, 50),
        (3, "RSS with 1,000,000 pending, MB", m("1,000,000 pending: RSS MB"), AT_MOST, 50),
        (3, "start to first durable 200, ms", m("start to first durable 200, ms"), AT_MOST, 30),
        (3, "release binary, stripped, MB", m("binary stripped, MB"), AT_MOST, 1),
        (3, "image, MB", m("image, MB"), AT_MOST, 100),
        (4, "CPU to accept, 100,000 / 1,000 pending", r("100,000 pending: accept, us CPU", "1,000 pending: accept, us CPU"), AT_MOST, 1.1),
        (4, "CPU of an order, 100,000 / 1,000 pending", r("100,000 pending: an order, us CPU", "1,000 pending: an order, us CPU"), AT_MOST, 1.1),
        (4, "CPU of an order, 1,000,000 / 1,000 pending", r("1,000,000 pending: an order, us CPU", "1,000 pending: an order, us CPU"), AT_MOST, 1.1),
        (4, "CPU of an order, 10,000 lanes / 1 lane", r("10,000 lanes: an order, us CPU", "1 lanes: an order, us CPU"), AT_MOST, 1.1),
        (4, "CPU of an order, 1 lane / 10,000 lanes", r("1 lanes: an order, us CPU", "10,000 lanes: an order, us CPU"), AT_MOST, 1.1),
        (4, "CPU of an order, 100,000 / 10,000 lanes", r("100,000 lanes: an order, us CPU", "10,000 lanes: an order, us CPU"), AT_MOST, 1.1),
        (4, "CPU of an order, 200 shops / 1 shop", r("200 shops: an order, us CPU", "1 shops: an order, us CPU"), AT_MOST, 1.1),
        (4, "ack to Meta beside a hot lane / alone, p50", r("ack to Meta beside a hot lane, p50 ms", "ack to Meta alone, p50 ms"), AT_MOST, 1.1),
        *((4, f"ack to Meta beside a shop with {count} {then} / before, p50",
           r(f"ack to Meta in a shop beside {count} that {then}, p50 ms", f"ack to Meta in a shop beside one with {count} to come, p50 ms"), AT_MOST, 1.1)
          for count in ("100,000", "1,000,000") for then in ("wait", "are delivered")),
        (5, "100,000 that waited drained, s", m("drained in s") if m("backlog") == 100_000 else None, AT_MOST, 60),
        (5, "drained / what Klaviyo's limit alone takes", r("drained in s", "the limit alone would take s"), AT_MOST, 1.1),
        (5, "answers 429 for each order of the backlog", r("429 answers", "backlog"), AT_MOST, 0.01),
    ]


def _number(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _distance(value, kind, goal):
    if (value >= goal) if kind == AT_LEAST else (value <= goal):
        return "met"
    if goal == 0:
        return f"{_number(value)} too many"
    return f"{_number(goal / value if kind == AT_LEAST else value / goal)} x away"


def tables(t):
    lines = ["", "| goal | what | reached | wanted | |", "|---|---|---|---|---|"]
    for number, what, value, kind, goal in _goals(t):
        if value is not None:
            lines.append(f"| {number} | {what} | {_number(value)} | {kind} {_number(goal)} | {_distance(value, kind, goal)} |")
    lines += ["", "Figures: median [least - most] of the rounds.", "", "| what | median | range |", "|---|---|---|"]
    for name, values in t.series.items():
        spread = f"{_number(min(values))} - {_number(max(values))}" if len(values) > 1 else ""
        lines.append(f"| {name} | {_number(t.median(name))} | {spread} |")
    return "\n".join(lines) + "\n"


def _first(pattern, text):
    found = re.search(pattern, text, re.M)
    return found.group(1).strip() if found else "unknown"


def _version(*command):
    try:
        return (subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.splitlines() or ["unknown"])[0].strip()
    except OSError:
        return "none"


def _package(name):
    return _version("dpkg-query", "--show", "--showformat=${Version}\n", name)


def header(args):
    peers = json.loads((PEERS / "package.json").read_text())["dependencies"]
    libraries = {p: _package(p) for p in ("libcivetweb-dev", "libcurl4-openssl-dev", "libssl-dev", "libsqlite3-dev", "libhiredis-dev", "redis-server")}
    mode = "quick: one round and little traffic, an impression, no result" if args.quick else f"{args.rounds} rounds, both sides in turn"
    return "\n".join([
        "# Results of bench/run", "",
        f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC, {mode}; load average at the start {os.getloadavg()[0]:.2f}"
        f"{' (the machine was not ours alone)' if os.getloadavg()[0] > 0.5 else ''}.", "",
        f"- machine: {os.cpu_count()} x {_first(r'^model name.*: (.*)', Path('/proc/cpuinfo').read_text())}, "
        f"{int(_first(r'^MemTotal: *([0-9]+)', Path('/proc/meminfo').read_text())) >> 20} GiB, Linux {platform.release()}; "
        "client, service, Redis and destinations share it",
        f"- fireorder {_version('git', 'describe', '--always', '--dirty')}, {_version('cc', '--version')}, RelWithDebInfo",
        "- " + ", ".join(f"{p} {v}" for p, v in libraries.items()),
        f"- node {_version('node', '--version')}, " + ", ".join(f"{p} {v}" for p, v in peers.items()),
        "- traffic: orders/create of 10.8 KB, each its own order and person; 64 connections unless said, kept but for those that are called closing; plain HTTP", ""])
