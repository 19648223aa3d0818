"""Every string that a test sends is a canary: nobody may find it, in any form, outside of what the store has sealed.

The senders' side speaks through http.client, so that is where both are taken down: what was sent, and what was answered. At the end
of each test (conftest.py) all that the program left behind is searched: logs, answers, command lines, the files of SQLite and Redis.
"""
import base64
import hashlib
import http.client
import json
import os
import re
import subprocess
import tempfile
import urllib.parse
from pathlib import Path

TOKEN_SHOWN = 8  # characters of a checkout's token that logs show of an event's id; real ones have 32
SHORTEST = 7  # shorter ones are found anywhere

# Members whose text is no person's: names of things and of states, which reports, answers and logs may show.
PUBLIC = {"id", "event_id", "admin_graphql_api_id", "name", "time", "title", "sku", "currency", "type", "status", "state", "financial_status", "source_name", "opt_in_level",
          "kind", "experiment", "variant", "item_category", "topic", "marketing", "analytics", "list", "list_id", "product_type", "vendor",
          "experiment_id", "variant_id", "variation", "cancellation_reason", "opt_in_source", "method", "price", "total_price", "country_code",
          "country", "province_code", "reason", "purchase_item_type", "ecommerce", "origin", "jobs"}
SECRETS = ("SHOPIFY_SECRET", "RECHARGE_SECRET", "EVENTS_SECRET", "META_ACCESS_TOKEN", "KLAVIYO_API_KEY", "FIREORDER_SEAL_KEY")
PERSONAL_HEADERS = {"x-forwarded-for", "user-agent"}


def strings(node, key=""):
    """(member, text) of every string in a parsed body; in a list of {name, value} the value's member is called by its name."""
    if isinstance(node, dict):
        named = str(node.get("name", "")) if set(node) == {"name", "value"} else ""
        for k, v in node.items():
            yield from strings(v, named if named and k == "value" else k)
    elif isinstance(node, list):
        for v in node:
            yield from strings(v, key)
    elif isinstance(node, str):
        yield key, node


def is_moment(text):
    return re.match(r"\d{4}-\d\d-\d\d", text) is not None


def forms(text):
    """The forms in which it may be somewhere, each with its name."""
    found = {}
    for case, value in {"": text, "lower ": text.lower()}.items():
        raw = value.encode(errors="surrogatepass")
        found[case + "plain"] = raw
        found[case + "url"] = urllib.parse.quote(value, safe="", errors="surrogatepass").encode()
        found[case + "form"] = urllib.parse.quote_plus(value, errors="surrogatepass").encode()
        found[case + "json"] = json.dumps(value)[1:-1].encode()
        found[case + "json slash"] = json.dumps(value)[1:-1].replace("/", "\\/").encode()
        found[case + "hex"] = raw.hex().encode()
        found[case + "HEX"] = raw.hex().upper().encode()
        for shift in range(3):  # it may begin anywhere in what was encoded; the characters at the ends are its neighbours' too
            text64 = base64.b64encode(b"\0" * shift + raw)
            start, end = (0, 2, 3)[shift], len(text64.rstrip(b"=")) - (1 if (shift + len(raw)) % 3 else 0)
            found[f"{case}base64+{shift}"] = text64[start:end]
            found[f"{case}base64url+{shift}"] = text64[start:end].replace(b"+", b"-").replace(b"/", b"_")
        for name in ("md5", "sha1", "sha256"):
            digest = hashlib.new(name, raw).digest()
            found[f"{case}{name}"] = digest.hex().encode()
            found[f"{case}{name} upper"] = digest.hex().upper().encode()
            found[f"{case}{name} base64"] = base64.b64encode(digest).rstrip(b"=")
            found[f"{case}{name} raw"] = digest
    return {name: form for name, form in found.items() if form and not set(form) & {0, 10, 13}}


def search(canaries, files):
    """What of {text: where it comes from} is in one of the files: (text, form, file)."""
    names = {}
    for text in canaries:
        for name, form in forms(text).items():
            names.setdefault(form, (text, name))
    files = [str(f) for f in files]
    if not names or not files:
        return []
    with tempfile.NamedTemporaryFile() as patterns:
        patterns.write(b"\n".join(names) + b"\n")
        patterns.flush()
        # One pass over the files, however many canaries there are.
        done = subprocess.run(["grep", "-a", "-o", "-F", "-Z", "-H", "-f", patterns.name, "--", *files], capture_output=True,
                              env={**os.environ, "LC_ALL": "C"})
    if done.returncode > 1:
        raise AssertionError(done.stderr.decode())
    found = []
    for line in done.stdout.split(b"\n"):
        file, _, form = line.partition(b"\0")
        if form:
            found.append((*names[form], file.decode()))
    return sorted(set(found))


class Canaries:
    """What one test sent, and what it was answered."""

    def __init__(self):
        self.sent = {}
        self.answers = []
        self.spared = set()

    def add(self, text, where):
        if len(text) >= SHORTEST and not is_moment(text):
            self.sent.setdefault(text, where)

    def spare(self, *texts):
        """These may be seen: the test says why."""
        self.spared |= set(texts)

    def add_body(self, body):
        if isinstance(body, str):
            body = body.encode()
        try:
            for key, text in strings(json.loads(body)):
                if key not in PUBLIC and not (key.endswith("token") and len(text) <= TOKEN_SHOWN):
                    self.add(text, key)
        except (ValueError, TypeError, RecursionError):
            pass  # a broken body says nothing, or what it says has been sent before

    def add_headers(self, headers):
        for name, value in (headers or {}).items():
            if name.lower() in PERSONAL_HEADERS and value != "unknown":  # proxies write that where they know no address
                self.add(str(value), name)

    def add_service(self, service):
        for name in SECRETS:
            self.add(service.environment.get(name, ""), name)

    def found(self, folder):
        """What can be found of them in the answers and in the files below that folder."""
        answers = Path(folder) / "answers"
        answers.write_bytes(b"\n".join(self.answers))
        return search({t: w for t, w in self.sent.items() if t not in self.spared}, left_behind(folder))


def left_behind(folder):
    """The program's files, and those of its store; not its configuration, its key, and what the tests' own side writes."""
    for file in sorted(Path(folder).rglob("*")):
        parts = file.relative_to(folder).parts
        if file.is_file() and not parts[0].startswith(("browser", "given")) and file.suffix not in (".yaml", ".key"):
            yield file


class Tap:
    """Takes down what goes through http.client."""

    def __init__(self, canaries):
        self.canaries = canaries
        self.request, self.read = http.client.HTTPConnection.request, http.client.HTTPResponse.read

    def __enter__(self):
        tap = self

        def request(connection, method, url, body=None, headers={}, **more):  # noqa: B006 (as in http.client)
            tap.canaries.add_body(body)
            tap.canaries.add_headers(headers)
            return tap.request(connection, method, url, body=body, headers=headers, **more)

        def read(response, *size):
            data = tap.read(response, *size)
            tap.canaries.answers.append(data)
            return data

        http.client.HTTPConnection.request, http.client.HTTPResponse.read = request, read
        return self

    def __exit__(self, *_):
        http.client.HTTPConnection.request, http.client.HTTPResponse.read = self.request, self.read
