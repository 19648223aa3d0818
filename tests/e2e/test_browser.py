"""context.js and the pixel of docs/pixel.md in a real Chromium, on a page that plays the storefront."""
import json
import re
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from service import ROOT, order, wait_for

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium here: apt-get install --no-install-recommends chromium")
TOKEN = "Z2NwLXVzLWVhc3QxOjAxSkE"

PAGE = """<!doctype html><title>acme</title>
<script>
function sleep(ms) { return new Promise(function (done) { setTimeout(done, ms); }); }
function add() { return fetch('/cart/add.js', { method: 'POST', body: '{}' }); }
function report(name) { return fetch('/report', { method: 'POST', body: JSON.stringify({ name: name, cookie: document.cookie, stored: localStorage.length + sessionStorage.length }) }); }
%(before)s
</script>
<script src="%(script)s" data-shop="acme" data-customer="7000081" defer></script>
<body><script>(async function () { %(scenario)s })();</script>
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
    """/cart.js, /cart/add.js and /cart/update.js as a shop has them, and one page; keeps what it was told."""

    def __init__(self, page):
        self.page, self.attributes, self.items, self.updates, self.reports = page, {}, 0, [], {}
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

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def visit(start, tmp_path):
    """visit(scenario, before, query, until): what a page did in the browser, once `until` holds."""
    open_ones = []

    def go(scenario, before=SHOPIFY, query="", until=lambda s: "end" in s.reports):
        storefront = Storefront("")
        open_ones.append(storefront)
        service = start(extra="trusted_proxies: [10.0.0.1/32]", shop_extra=f'    context: {{ origins: ["{storefront.origin}", "null"] }}')
        storefront.page = PAGE % {"before": before, "scenario": scenario, "script": f"http://127.0.0.1:{service.port}/context.js"}
        storefront.page = storefront.page.replace("FIREORDER", f"http://127.0.0.1:{service.port}")
        log = open(tmp_path / "chromium.log", "wb")
        browser = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
             "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path}/profile{len(open_ones)}",
             storefront.origin + "/" + query],
            stdout=log, stderr=log)
        try:
            wait_for(lambda: until(storefront), 60, "the page")
            time.sleep(0.3)  # whatever it should not do would have come by now
        finally:
            browser.terminate()
            browser.wait(20)
            log.close()
        return storefront, service

    yield go
    for storefront in open_ones:
        storefront.close()


def contexts(service):
    return {r: service.metric("fireorder_context_total", shop="acme", result=r) for r in ("stored", "denied")}


def buy(service, number):
    assert service.shopify("orders/create", order(number, note_attributes=[], cart_token=TOKEN, client_details=None, browser_ip=None))[0] == 200


def test_a_visitor_who_consents(visit, destinations):
    began = int(time.time() * 1000)
    shop, service = visit("""
        await sleep(1500); await report('undecided');
        await add(); await sleep(1500); await report('cart');
        answer = { marketing: 'yes', analytics: 'no' };
        await sleep(2500); await report('granted');
        await add(); await sleep(1500); await report('end');
        """, query="?utm_source=x&fbclid=IwAR0_click-81")
    for name in ("undecided", "cart"):
        assert shop.reports[name]["cookie"] == "" and shop.reports[name]["stored"] == 0
    cookies = dict(c.split("=", 1) for c in shop.reports["end"]["cookie"].split("; "))
    assert set(cookies) == {"_fbp", "_fbc"} and cookies == dict(c.split("=", 1) for c in shop.reports["granted"]["cookie"].split("; "))
    seen = int(re.fullmatch(r"fb\.1\.(\d{13})\.IwAR0_click-81", cookies["_fbc"]).group(1))
    assert re.fullmatch(r"fb\.1\.\d{13}\.\d{10}", cookies["_fbp"])
    assert shop.attributes == {**cookies, "_consent": "granted"} and len(shop.updates) == 1
    assert contexts(service) == {"stored": 1, "denied": 0}
    # first seen when the page was opened, not when the visitor consented, at least three seconds later
    assert began < seen < int(time.time() * 1000) - 4000
    buy(service, 81)
    destinations.wait(lambda d: d.of("ord_81_purchase", "meta"), what="the purchase")
    user = destinations.of("ord_81_purchase", "meta")[0].json["data"][0]["user_data"]
    assert (user["fbp"], user["fbc"]) == (cookies["_fbp"], cookies["_fbc"])
    assert user["client_ip_address"] == "127.0.0.1" and "Chrome" in user["client_user_agent"]
    service.wait_drained()


def test_a_visitor_who_declines(visit, destinations):
    shop, service = visit("""
        await add(); answer = { marketing: 'no', analytics: 'no' };
        await sleep(3000); await report('end');
        """, query="?fbclid=IwAR0_click-82")
    assert shop.reports["end"]["cookie"] == "" and shop.reports["end"]["stored"] == 0
    assert shop.attributes == {"_fbp": "", "_fbc": "", "_consent": "denied"} and contexts(service) == {"stored": 0, "denied": 1}
    buy(service, 82)
    service.wait_drained()
    assert not destinations.of("ord_82_purchase", "meta")


def test_consent_that_is_taken_back(visit, destinations):
    shop, service = visit("""
        answer = { marketing: 'yes', analytics: 'yes' };
        await add(); await sleep(2500); await report('granted');
        answer = { marketing: 'no', analytics: 'yes' };
        await sleep(2500); await report('end');
        """, query="?fbclid=IwAR0_click-83")
    assert "_fbp" in shop.reports["granted"]["cookie"] and shop.reports["end"]["cookie"] == ""
    assert shop.attributes == {"_fbp": "", "_fbc": "", "_consent": "denied"} and contexts(service) == {"stored": 1, "denied": 1}
    buy(service, 83)
    service.wait_drained()
    assert not destinations.of("ord_83_purchase", "meta")


ONETRUST = """
document.cookie = 'OptanonConsent=isGpcEnabled=0&groups=C0001%%3A1%%2CC0002%%3A1%%2CC0004%%3A%d;path=/';
"""


@pytest.mark.parametrize("before,scenario,consent", [
    (ONETRUST % 1, "document.cookie = 'OptanonAlertBoxClosed=2026-11-21T10:00:00Z;path=/';", "granted"),
    (ONETRUST % 0, "document.cookie = 'OptanonAlertBoxClosed=2026-11-21T10:00:00Z;path=/';", "denied"),
    (ONETRUST % 1, "", None),
    ("function gtag() { (window.dataLayer = window.dataLayer || []).push(arguments); } gtag('consent', 'default', { ad_storage: 'denied' });",
     "gtag('consent', 'update', { ad_storage: 'granted', analytics_storage: 'granted' });", "granted"),
    ("function gtag() { (window.dataLayer = window.dataLayer || []).push(arguments); } gtag('consent', 'default', { ad_storage: 'denied' });",
     "", None),
    (SHOPIFY + "answer.marketing = 'yes';" + ONETRUST % 0, "document.cookie = 'OptanonAlertBoxClosed=2026-11-21T10:00:00Z;path=/';", "denied"),
    ("", "", None),
], ids=["onetrust granted", "onetrust denied", "onetrust not answered", "google granted", "google default", "one denial outweighs", "no banner at all"])
def test_other_banners(visit, before, scenario, consent):
    shop, service = visit("await add();" + scenario + "await sleep(2500); await report('end');", before)
    assert shop.attributes.get("_consent") == consent
    assert contexts(service) == {"stored": consent == "granted", "denied": consent == "denied"}
    assert ("_fbp" in shop.reports["end"]["cookie"]) == (consent == "granted")


def test_where_nobody_has_to_be_asked(visit, destinations):
    shop, service = visit("free = true; await add(); await sleep(2500); await report('end');")
    assert set(shop.attributes) == {"_fbp", "_fbc"} and shop.attributes["_fbp"] and contexts(service) == {"stored": 1, "denied": 0}


# ---- the pixel, in the sandbox that Shopify gives it

PIXEL_WORLD = """
const jar = %s, store = {}, handlers = {};
const analytics = { subscribe(name, f) { handlers[name] = f; } };
const browser = { cookie: { get: async (n) => jar[n] || '' },
  localStorage: { getItem: async (n) => store[n] || null, setItem: async (n, v) => { store[n] = v; }, removeItem: async (n) => { delete store[n]; } } };
let collected;
const api = { customerPrivacy: { subscribe(name, f) { collected = f; } } };
const init = { customerPrivacy: { marketingAllowed: %s, saleOfDataAllowed: true }, data: { cart: { id: 'gid://shopify/Cart/%s' } } };
"""

PIXEL_EVENT = """
const place = { origin: 'https://acme.example', pathname: '/checkouts/1', search: '' };
const happens = (name, data) => handlers[name]({ name, data, timestamp: new Date().toISOString(),
  context: { document: { location: place }, navigator: { userAgent: navigator.userAgent } } });
(async () => { %s parent.postMessage('done', '*'); })();
"""


def pixel_page(allowed, scenario):
    code = re.search(r"```js\n(.*?)```", (ROOT / "docs" / "pixel.md").read_text(), re.S).group(1)
    code = code.replace("https://fireorder.example", "FIREORDER")
    jar = {"_fbp": "fb.1.1790000000000.1098115397", "_fbc": f"fb.1.{int(time.time() * 1000) - 5000}.click_84"}
    script = PIXEL_WORLD % (json.dumps(jar), json.dumps(allowed), TOKEN) + code + PIXEL_EVENT % scenario
    frame = json.dumps("<script>" + script + "</" + "script>").replace("</", "<\\/")
    return jar, f"""
        addEventListener('message', async function () {{ await sleep(1000); await report('end'); }});
        var frame = document.createElement('iframe'); frame.sandbox = 'allow-scripts allow-forms'; frame.srcdoc = {frame};
        document.body.appendChild(frame);"""


def test_the_pixel_of_the_manual(visit, destinations):
    jar, scenario = pixel_page(True, "await happens('product_viewed', {}); await happens('checkout_started', { checkout: { token: 'co84' } });")
    shop, service = visit(scenario, "")
    assert contexts(service) == {"stored": 2, "denied": 0}
    assert service.shopify("orders/create", order(84, note_attributes=[], checkout_token="co84", client_details=None, browser_ip=None))[0] == 200
    destinations.wait(lambda d: d.of("ord_84_purchase", "meta"), what="the purchase")
    user = destinations.of("ord_84_purchase", "meta")[0].json["data"][0]["user_data"]
    assert (user["fbp"], user["fbc"]) == (jar["_fbp"], jar["_fbc"]) and "Chrome" in user["client_user_agent"]
    service.wait_drained()


@pytest.mark.parametrize("allowed,scenario,expected", [
    (False, "await happens('checkout_started', { checkout: { token: 'co85' } });", {"stored": 0, "denied": 0}),
    (True, "await collected({ customerPrivacy: { marketingAllowed: false } }); await happens('checkout_started', { checkout: { token: 'co85' } });",
     {"stored": 0, "denied": 1}),
    (False, "await collected({ customerPrivacy: { marketingAllowed: true } }); await happens('checkout_completed', { checkout: { token: 'co85' } });",
     {"stored": 1, "denied": 0}),
], ids=["not answered", "denied", "granted"])
def test_the_pixel_and_consent(visit, allowed, scenario, expected):
    _, page = pixel_page(allowed, scenario)
    _, service = visit(page, "")
    assert contexts(service) == expected
