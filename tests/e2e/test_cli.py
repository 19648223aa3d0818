"""The command line as a newcomer uses it."""
import base64
import json
import os
import re
import subprocess
import sys

import pytest

from service import ROOT, fireorder as run

FIXTURES = sorted(p.parent for p in (ROOT / "fixtures").rglob("request.json"))
VALIDATOR = ROOT.parent / "shared" / "tools" / "klaviyo" / "klaviyo_validate.py"


def name_of(folder):
    return str(folder.relative_to(ROOT / "fixtures"))


def test_there_are_fixtures_of_every_topic():
    topics = {"/".join(name_of(f).split("/")[:3]) for f in FIXTURES}
    assert topics >= {f"shopify/{t}" for t in ("orders/create", "orders/paid", "orders/cancelled", "orders/fulfilled", "checkouts/create",
                                               "checkouts/update", "carts/create", "carts/update", "refunds/create", "customers/create",
                                               "customers_email_marketing_consent/update", "customers_marketing_consent/update",
                                               "variants/in_stock", "inventory_levels/update")}
    assert topics >= {f"recharge/{t}" for t in ("charge/paid", "charge/failed", "subscription/created", "subscription/activated",
                                                "subscription/cancelled", "subscription/skipped", "subscription/updated")}
    names = {"/".join(name_of(f).split("/")[:2]) for f in FIXTURES}
    assert names >= {f"events/{n}" for n in ("product_viewed", "search", "lead", "sign_up", "add_to_cart", "checkout_started", "inventory_restocked",
                                             "became_at_risk", "repeat_purchase", "custom", "purchase", "refund", "cart_started", "order_cancelled",
                                             "order_fulfilled", "subscription_started", "renewal_charged", "renewal_failed", "skipped_order",
                                             "subscription_cancelled", "consent_revoked")}


def test_map_lays_the_shop_of_a_fixture_over_the_sample():
    for case, metric in (("placed_order", "Placed Order"), ("beside_native", "post_purchase_ready")):
        mapped = json.loads(run("map", ROOT / "fixtures/events/purchase" / case, "--json").stdout)
        body = next(s["request"]["body"] for s in mapped["events"][0]["steps"] if s["destination"] == "klaviyo.event")
        default = (ROOT / "mapping/default.yaml").read_text().splitlines()
        for key, line in (("on_fail", "on_fail: continue"), ("meta.event", "event: Purchase"), ("klaviyo.metric", "metric: Placed Order")):
            file, number = mapped["events"][0]["rule"][key].split(":")
            assert file == "default.yaml" and default[int(number) - 1].strip().startswith(line), key
        assert body["data"]["attributes"]["metric"]["data"]["attributes"]["name"] == metric


@pytest.mark.parametrize("folder", FIXTURES, ids=name_of)
def test_map_prints_bodies_that_both_destinations_take(folder, tmp_path):
    result = run("map", folder, "--json")
    assert result.returncode == 0, result.stderr
    mapped = json.loads(result.stdout)
    assert mapped["events"] or mapped.get("ignored")
    person = set()
    for e in mapped["events"]:
        user = e["event"].get("user", {})
        person |= {user[k] for k in ("email", "phone", "first_name", "last_name") if user.get(k)}
        for step in e["steps"]:
            if "request" not in step:
                assert step["skipped"]
                continue
            body = step["request"]["body"]
            assert body, "the body is JSON"
            if step["destination"] == "meta":
                text = json.dumps(body, ensure_ascii=False)
                for raw in person:
                    assert f'"{raw}"' not in text and f'"{raw.lower()}"' not in text
            elif VALIDATOR.exists():
                file = tmp_path / "body.json"
                file.write_text(json.dumps(body))
                path = step["request"]["url"].removeprefix("https://a.klaviyo.com")
                check = subprocess.run([sys.executable, str(VALIDATOR), "POST", path, str(file)], capture_output=True, text=True)
                assert check.returncode == 0, check.stdout


def test_demo_proves_the_order():
    result = run("demo", cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    summary = result.stdout.strip().splitlines()[-1]
    assert "14 webhooks, 11 events, 8 profiles brought up to date" in result.stdout
    assert re.search(r"\b0 order violations, 0 missing, 0 sent twice", summary), summary
    assert "refused, nothing stored" in result.stdout and "known already" in result.stdout and "500 x2" in result.stdout


def test_send_signs_and_posts(service, destinations):
    folder = ROOT / "fixtures/shopify/orders/create/with_fbp_fbc"
    result = run("send", folder, "--config", service.config, "--now", env=service.environment)
    assert result.returncode == 0 and '"accepted"' in result.stdout, result.stdout + result.stderr
    again = run("send", folder, "--config", service.config, "--url", f"http://127.0.0.1:{service.port}/", "--now", env=service.environment)
    assert again.returncode == 0 and '"duplicate"' in again.stdout
    destinations.wait_delivered(["ord_6240018501642_purchase"])


def test_check_names_every_fault(service, tmp_path):
    assert run("check", "--config", service.config, env=service.environment).returncode == 0
    bad = tmp_path / "bad.yaml"
    bad.write_text(service.config.read_text().replace("pixel_id", "pixle_id").replace("version: 1", "version: 1\nretentoin: 24h"))
    environment = {k: v for k, v in service.environment.items() if k != "KLAVIYO_API_KEY"}
    result = run("check", "--config", bad, env=environment)
    text = result.stdout + result.stderr
    assert result.returncode == 1
    for fault in ("bad.yaml:2", "retention", "pixel_id", "KLAVIYO_API_KEY"):
        assert fault in text, text
    assert "EAAtoken" not in text and "shpss_test" not in text


def test_help_and_misspelled_words():
    assert "serve" in run("--help").stdout
    for command in ("serve", "demo", "check", "send", "map", "sandbox"):
        result = run(command, "--help")
        assert result.returncode == 0 and "usage" in result.stdout, command
    wrong = run("sevre")
    assert wrong.returncode == 2 and "serve" in wrong.stderr


def test_secrets_and_people_are_in_no_log(service, destinations):
    for folder in FIXTURES:
        run("send", folder, "--config", service.config, "--now", env=service.environment)
    service.wait_drained()
    seen = service.log.read_text() + service.get("/metrics")[1]
    people = set(re.findall(r"[\w.+-]+@[\w.-]+", " ".join((f / "request.json").read_text() for f in FIXTURES)))
    for text in [*people, "EAAtoken", "pk_test", "shpss_test", "recharge_test"]:
        assert text not in seen, text


@pytest.mark.parametrize("setting, value, words", [("appendonly", "no", "appendonly"), ("appendfsync", "everysec", "appendfsync"),
                                                   ("maxmemory-policy", "allkeys-lru", "noeviction")])
def test_a_redis_that_may_lose_is_refused(tmp_path, redis, start, setting, value, words):
    subprocess.run(["redis-cli", "-p", str(redis.port), "config", "set", setting, value], check=True, capture_output=True)
    service = start(redis.url, wait=False)
    assert service.process.wait(20) == 1
    assert words in service.log.read_text()
    service.process = subprocess.Popen(["true"])
    service.process.wait()


def test_admin_token_guards_metrics(start):
    service = start(extra='admin_token: "s3cret"')
    assert service.get("/healthz")[0] == 200 and service.get("/readyz")[0] == 200
    assert service.get("/metrics")[0] == 401
    status, text = service.get("/metrics", {"Authorization": "Bearer s3cret"})
    assert status == 200 and "# TYPE fireorder_ack_seconds histogram" in text and "fireorder_gap_seconds" in text


@pytest.mark.parametrize("name", ["all.yaml", "fireorder.yaml"])
def test_shipped_configurations_are_good(name):
    secrets = {key: "x" for key in ("FIREORDER_ADMIN_TOKEN", "SHOPIFY_SECRET", "RECHARGE_SECRET", "META_ACCESS_TOKEN", "KLAVIYO_API_KEY",
                                    "EVENTS_SECRET", "CUSTOMER_SECRET")}
    more = {"FIREORDER_SEAL_KEY": base64.b64encode(b"k" * 32).decode(), "META_PIXEL_ID": "123", "SHOP_DOMAIN": "acme.myshopify.com"}
    done = run("check", "--config", ROOT / "deploy" / name, env={**os.environ, **secrets, **more})
    assert done.returncode == 0, done.stderr
