"""context.js and the pixel of docs/pixel.md in a real Chromium, on a page that plays the storefront."""
import hashlib
import hmac
import json
import re
import time

import pytest

from service import ROOT, order
from storefront import CUSTOMER, SHOPIFY, TOKEN, WATCHED, needs_chromium

pytestmark = needs_chromium


def contexts(service):
    return {r: service.metric("fireorder_context_total", shop="acme", result=r) for r in ("stored", "denied")}


def told(attributes):
    """The cart's attributes, with both answers."""
    return {**attributes, "_consent": json.loads(attributes["_consent"])} if "_consent" in attributes else attributes


def buy(service, number):
    assert service.shopify("orders/create", order(number, note_attributes=[], cart_token=TOKEN, client_details=None, browser_ip=None))[0] == 200


def test_a_visitor_who_consents(visit, destinations):
    shop, service = visit("""
        await settled(); await report('undecided');
        await add(); await settled(); await report('cart');
        answer = { marketing: 'yes', analytics: 'no' };
        await settled(); await report('granted');
        await add(); await settled();
        """, query="?utm_source=x&fbclid=IwAR0_click-81")
    for name in ("undecided", "cart"):
        assert shop.reports[name]["cookie"] == "" and shop.reports[name]["stored"] == 0
    cookies = dict(c.split("=", 1) for c in shop.reports["end"]["cookie"].split("; "))
    assert set(cookies) == {"_fbp", "_fbc"} and cookies == dict(c.split("=", 1) for c in shop.reports["granted"]["cookie"].split("; "))
    seen = int(re.fullmatch(r"fb\.1\.(\d{13})\.IwAR0_click-81", cookies["_fbc"]).group(1))
    assert re.fullmatch(r"fb\.1\.\d{13}\.\d{10}", cookies["_fbp"])
    assert told(shop.attributes) == {**cookies, "_consent": {"marketing": "granted", "analytics": "denied"}} and len(shop.updates) == 1
    assert contexts(service) == {"stored": 1, "denied": 0}
    # first seen when the page was opened, not when the visitor consented
    assert shop.reports["end"]["opened"] - 1 < seen < shop.reports["undecided"]["at"]
    buy(service, 81)
    destinations.wait(lambda d: d.of("ord_81_purchase", "meta"), what="the purchase")
    user = destinations.of("ord_81_purchase", "meta")[0].json["data"][0]["user_data"]
    assert (user["fbp"], user["fbc"]) == (cookies["_fbp"], cookies["_fbc"])
    assert user["client_ip_address"] == "127.0.0.1" and "Chrome" in user["client_user_agent"]
    service.wait_drained()


def test_a_visitor_who_declines(visit, destinations):
    shop, service = visit("""
        await add(); answer = { marketing: 'no', analytics: 'no' };
        await settled();
        """, query="?fbclid=IwAR0_click-82")
    assert shop.reports["end"]["cookie"] == "" and shop.reports["end"]["stored"] == 0
    assert told(shop.attributes) == {"_fbp": "", "_fbc": "", "_consent": {"marketing": "denied", "analytics": "denied"}}
    assert contexts(service) == {"stored": 0, "denied": 1}
    buy(service, 82)
    service.wait_drained()
    assert not destinations.of("ord_82_purchase", "meta")


def test_consent_that_is_taken_back(visit, destinations):
    shop, service = visit("""
        answer = { marketing: 'yes', analytics: 'yes' };
        await add(); await settled(); await report('granted');
        answer = { marketing: 'no', analytics: 'yes' };
        await settled();
        """, query="?fbclid=IwAR0_click-83")
    assert "_fbp" in shop.reports["granted"]["cookie"] and shop.reports["end"]["cookie"] == ""
    assert told(shop.attributes) == {"_fbp": "", "_fbc": "", "_consent": {"marketing": "denied", "analytics": "granted"}}
    assert contexts(service) == {"stored": 1, "denied": 1}
    buy(service, 83)
    service.wait_drained()
    assert not destinations.of("ord_83_purchase", "meta")


def test_analytics_that_are_taken_back(visit, destinations):
    """Where Meta is asked by analytics: the cart's attributes and the context both tell of it."""
    shop, service = visit("""
        answer = { marketing: 'yes', analytics: 'yes' };
        await add(); await settled(); await report('granted');
        answer = { marketing: 'yes', analytics: 'no' };
        await settled();
        """, shop_extra="    consent: { meta: { purpose: analytics } }")
    assert len(shop.updates) == 2 and json.loads(shop.updates[0]["attributes"]["_consent"]) == {"marketing": "granted", "analytics": "granted"}
    assert told(shop.attributes)["_consent"] == {"marketing": "granted", "analytics": "denied"} and shop.attributes["_fbp"]
    assert contexts(service) == {"stored": 2, "denied": 0}
    buy(service, 87)  # by the context
    assert service.shopify("orders/create", order(88, cart_token="another", customer=None, note_attributes=[
        {"name": "_consent", "value": shop.attributes["_consent"]}]))[0] == 200  # by the attribute
    service.wait_drained()
    assert not destinations.of("ord_87_purchase", "meta") and not destinations.of("ord_88_purchase", "meta")
    destinations.wait_delivered(["ord_87_purchase", "ord_88_purchase"], ["klaviyo"])


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
    shop, service = visit(scenario + "await add(); await settled();", before)
    assert told(shop.attributes).get("_consent", {}).get("marketing") == consent
    assert contexts(service) == {"stored": consent == "granted", "denied": consent == "denied"}
    assert ("_fbp" in shop.reports["end"]["cookie"]) == (consent == "granted")


def test_where_nobody_has_to_be_asked(visit, destinations):
    shop, service = visit("free = true; await add(); await settled();")
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
(async () => { %s await until(() => !busy); parent.postMessage(failures, '*'); })();
"""


def pixel_page(allowed, scenario):
    code = re.search(r"```js\n(.*?)```", (ROOT / "docs" / "pixel.md").read_text(), re.S).group(1)
    code = code.replace("https://fireorder.example", "FIREORDER")
    jar = {"_fbp": "fb.1.1790000000000.1098115397", "_fbc": f"fb.1.{int(time.time() * 1000) - 5000}.click_84"}
    script = WATCHED + PIXEL_WORLD % (json.dumps(jar), json.dumps(allowed), TOKEN) + code + PIXEL_EVENT % scenario
    frame = json.dumps("<script>" + script + "</" + "script>").replace("</", "<\\/")
    return jar, f"""
        var done = new Promise(function (ready) {{ addEventListener('message', function (of_frame) {{ failures = of_frame.data; ready(); }}); }});
        var frame = document.createElement('iframe'); frame.sandbox = 'allow-scripts allow-forms'; frame.srcdoc = {frame};
        document.body.appendChild(frame);
        await done;"""


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
    (True, "await collected({ customerPrivacy: { marketingAllowed: false, analyticsProcessingAllowed: true } }); await happens('checkout_started', { checkout: { token: 'co85' } });",
     {"stored": 0, "denied": 1}),
    (False, "await collected({ customerPrivacy: { marketingAllowed: true, analyticsProcessingAllowed: true } }); await happens('checkout_completed', { checkout: { token: 'co85' } });",
     {"stored": 1, "denied": 0}),
], ids=["not answered", "denied", "granted"])
def test_the_pixel_and_consent(visit, allowed, scenario, expected):
    _, page = pixel_page(allowed, scenario)
    _, service = visit(page, "")
    assert contexts(service) == expected


@pytest.mark.parametrize("analytics", [True, False])
def test_the_pixel_tells_of_analytics(visit, destinations, analytics):
    """Where Meta is asked by analytics. What was answered on one page counts on the next, whose pixel has heard nothing."""
    _, page = pixel_page(False, """
        await collected({ customerPrivacy: { marketingAllowed: true, analyticsProcessingAllowed: %s } }); told = undefined;
        await happens('checkout_started', { checkout: { token: 'co89' } });""" % json.dumps(analytics))
    _, service = visit(page, "", shop_extra="    consent: { meta: { purpose: analytics } }")
    assert contexts(service) == {"stored": 1, "denied": 0}
    assert service.shopify("orders/create", order(89, note_attributes=[], checkout_token="co89"))[0] == 200
    destinations.wait_delivered(["ord_89_purchase"], ["klaviyo"])
    service.wait_drained()
    assert bool(destinations.of("ord_89_purchase", "meta")) == analytics


# ---- a customer whom the theme vouches for

@pytest.mark.parametrize("secret,counted,believed", [("theme-secret", "stored", True), ("another", "stored_unsigned", False), (None, "stored_unsigned", False)])
def test_a_customer_that_the_theme_signed(visit, destinations, secret, counted, believed):
    """A later order of the customer from another cart, where silence is a denial: only a permission that is believed lets it go to Meta."""
    signature = secret and hmac.new(secret.encode(), str(CUSTOMER).encode(), hashlib.sha256).hexdigest()
    shop, service = visit("answer = { marketing: 'yes', analytics: 'yes' }; await add(); await settled();", signature=signature,
                          context=', customer_secret: "${CUSTOMER_SECRET}"', environment={"CUSTOMER_SECRET": "theme-secret"},
                          shop_extra="    consent: { meta: { unknown: deny } }")
    assert service.metric("fireorder_context_total", result=counted) == 1
    assert service.shopify("orders/create", order(81, note_attributes=[], cart_token="another", client_details=None, browser_ip=None))[0] == 200
    destinations.wait_delivered(["ord_81_purchase"], ["klaviyo"])
    service.wait_drained()
    sent = destinations.of("ord_81_purchase", "meta")
    assert bool(sent) == believed
    if sent:
        user = sent[0].json["data"][0]["user_data"]
        assert f"_fbp={user['fbp']}" in shop.reports["end"]["cookie"] and "client_ip_address" not in user
    buy(service, 86)  # under the cart's token the same visit counts in any case
    destinations.wait(lambda d: d.of("ord_86_purchase", "meta"), what="the purchase")
    service.wait_drained()
