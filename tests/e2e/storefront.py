"""A page that plays the storefront, seen by a real Chromium: /cart.js, /cart/add.js and /cart/update.js as a shop has them.

A page can prove that something does not happen: settled() is over when context.js has looked twice more at everything it looks at, and
every request that was begun on the page, by whomever, has been answered and what waited for the answer has run. A scenario begins when
context.js has: it is deferred, and so comes before DOMContentLoaded."""
import json
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from service import wait_for

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium here: apt-get install --no-install-recommends chromium")
TOKEN = "Z2NwLXVzLWVhc3QxOjAxSkE"
CUSTOMER = 7000081

# `busy` counts what a page waits for; something is over only once what waited for it has run, which is before the next task.
# `failures` are requests that got no answer that the page may read, and answers that are no success: a page that lost one proves nothing.
WATCHED = """
var busy = 0, looks = 0, added = 0, failures = [];
function hold(promise) {
  busy++;
  function over() { setTimeout(function () { busy--; }); }
  promise.then(over, over);
  return promise;
}
(function (ask, every, Observer) {
  window.fetch = function (url) {
    return hold(ask.apply(window, arguments).then(function (answer) {
      if (!answer.ok) failures.push(url + ': ' + answer.status);
      var json = answer.json.bind(answer);
      answer.json = function () { return hold(json()); };
      return answer;
    }, function (e) {
      failures.push(url + ': ' + e);
      throw e;
    }));
  };
  window.setInterval = function (look, ms) { return every(function () { look(); looks++; }, ms); };
  window.PerformanceObserver = function (see) {
    return new Observer(function (list, observer) {
      see(list, observer);
      added += list.getEntries().filter(function (e) { return /\\/cart\\/add/.test(e.name); }).length;
    });
  };
})(window.fetch, window.setInterval, window.PerformanceObserver);
function until(condition) {
  return new Promise(function (done) { (function ask() { if (condition()) done(); else setTimeout(ask, 10); })(); });
}
function settled() {
  var from = looks;
  return until(function () { return looks >= from + 2 && !busy; });
}
"""

PAGE = """<!doctype html><title>acme</title>
<script>
%(watched)s
function add() {
  var before = added;
  return fetch('/cart/add.js', { method: 'POST', body: '{}' }).then(function () { return until(function () { return added > before; }); });
}
function report(name) {
  return fetch('/report', { method: 'POST', body: JSON.stringify({ name: name, cookie: document.cookie, stored: localStorage.length + sessionStorage.length,
    opened: performance.timeOrigin, at: Date.now(), agent: navigator.userAgent, failures: failures }) });
}
%(before)s
</script>
<script src="%(script)s" data-shop="acme" data-customer="%(customer)s"%(signature)s defer></script>
<body><script>addEventListener('DOMContentLoaded', async function () { %(scenario)s await report('end'); });</script>
"""

SHOPIFY = """
var answer = { marketing: '', analytics: '' }, free = false;
window.Shopify = { routes: { root: '/' }, loadFeatures: function (features, done) {
  setTimeout(function () {
    Shopify.customerPrivacy = { currentVisitorConsent: function () { return answer; }, marketingAllowed: function () { return answer.marketing === 'yes' || free; } };
    done();
  }, 50);
} };
"""


class Storefront:
    """Keeps what it was told: cart attributes, and what the page reports of itself."""

    def __init__(self):
        self.page, self.attributes, self.items, self.updates, self.reports = "", {}, 0, [], {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def answer(self, body, kind="application/json"):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def cart(self):
                self.answer(json.dumps({"token": TOKEN + "?key=0123", "item_count": outer.items, "attributes": outer.attributes}).encode())

            def do_GET(self):
                if self.path == "/cart.js":
                    self.cart()
                else:
                    self.answer(outer.page.encode(), "text/html; charset=utf-8")

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
                if self.path == "/cart/add.js":
                    outer.items += 1
                elif self.path == "/cart/update.js":
                    assert self.headers["Content-Type"] == "application/json"
                    outer.updates.append(body)
                    outer.attributes.update(body["attributes"])
                elif self.path == "/report":
                    outer.reports[body["name"]] = body
                self.cart()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def show(self, fireorder, before, scenario, signature=None):
        """Sets the page; FIREORDER in it is the service's address."""
        page = PAGE % {"watched": WATCHED, "before": before, "scenario": scenario, "script": "FIREORDER/context.js", "customer": CUSTOMER,
                       "signature": f' data-signature="{signature}"' if signature else ""}
        self.page = page.replace("FIREORDER", fireorder)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def browse(url, folder, until):
    """Opens the URL in a browser with a new profile in that folder, and closes it once until() holds."""
    folder.mkdir()
    with open(folder / "chromium.log", "wb") as log:
        browser = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
             "--disable-background-networking", "--disable-component-update", f"--user-data-dir={folder}/profile", url],
            stdout=log, stderr=log)
        try:
            wait_for(until, 60, "the page")
        finally:
            browser.terminate()
            browser.wait(20)
