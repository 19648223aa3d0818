#include "server/report/report_table.h"

#include "server/report/ledger.h"

// A number as it stands in the answer; a share of nothing is a dash.
static struct sv number(const struct json *node, const char *path) {
    return sv_first(json_str(node, path), SV("-"));
}

static void cell(struct buf *out, struct sv text, int width) {
    buf_fmt(out, "%*s" SV_FMT, text.n < (size_t)width ? width - (int)text.n : 1, "", SV_ARG(text));
}

static void write_events(const struct json *shop, struct buf *out) {
    const struct json *events = json_get(shop, "meta_events");
    buf_fmt(out, "  %-30s%8s%8s", "Meta event", "meant", "sent");
    for (size_t i = 0; i < IDENTIFIER_COUNT; i++)
        buf_fmt(out, "%*s", i == ID_EXTERNAL_ID ? 13 : 7, identifier_text((enum identifier)i));
    buf_fmt(out, "%10s%9s\n", "identity", "behind");
    JSON_EACH(e, events) {
        struct sv name = json_str(e, "event");
        const struct json *percent = json_get(e, "identity_percent");
        buf_fmt(out, "  " SV_FMT "%*s", SV_ARG(name), name.n < 30 ? 30 - (int)name.n : 1, "");
        cell(out, number(e, "meant"), 8);
        cell(out, number(e, "sent"), 8);
        for (size_t i = 0; i < IDENTIFIER_COUNT; i++)
            cell(out, sv_first(json_text(json_get(percent, identifier_text((enum identifier)i))), SV("-")), i == ID_EXTERNAL_ID ? 13 : 7);
        cell(out, number(e, "identity"), 10);
        cell(out, number(e, "behind_purchase"), 9);
        buf_puts(out, "\n");
    }
    if (!events || events->count == 0)
        buf_puts(out, "  none\n");
    buf_puts(out, "    Of the events that Meta took, the share in % that carried each identifier; identity is the mean of the six,\n"
                  "    behind is how many points less than Purchase. What was meant for Meta and not sent is in --json with the reason.\n\n");
}

// One figure: a pattern in which each % stands for the next of the paths, and what it means.
struct figure {
    const char *name, *pattern, *paths[6], *meaning;
};

static const struct figure figures[] = {
    {"fbc of Purchase", "%% of all (% of %), %% where a click was seen (% of %)",
     {"purchase_fbc.percent", "purchase_fbc.with_fbc", "purchase_fbc.sent", "purchase_fbc.click_percent", "purchase_fbc.with_click_and_fbc",
      "purchase_fbc.with_click"},
     "Purchases with Meta's click id. The first share depends on how many buyers come from ads; the second should be near 100."},
    {"consent declined", "%% (% of %), and %% unknown where that is not enough (%)",
     {"consent.declined_percent", "consent.declined", "consent.meant", "consent.unknown_percent", "consent.unknown"},
     "Events that were meant for Meta and not sent, because the buyer said no or opted out of sale, or nobody asked."},
    {"double sending", "%% of orders told by two senders (% of %), %% sent to Meta twice (%)",
     {"double_sending.told_by_two_percent", "double_sending.told_by_two", "double_sending.orders", "double_sending.sent_twice_percent",
      "double_sending.sent_twice"},
     "Told by two: two sources report the same order, and it is sent once. Sent twice should be 0."},
    {"Meta to Klaviyo", "p50 % ms, p95 % ms, longest % ms (% events); Klaviyo first: %",
     {"gap_ms.p50", "gap_ms.p95", "gap_ms.max", "gap_ms.events", "gap_ms.klaviyo_first"},
     "From Meta's recorded answer to Klaviyo's request. Klaviyo first: Meta was not reached while the event's rule was patient."},
};

// "%%" is the next path and a sign of percent.
static void write_figure(const struct json *shop, const struct figure *f, struct buf *out) {
    size_t next = 0;
    buf_fmt(out, "  %-18s", f->name);
    for (const char *p = f->pattern; *p; p++) {
        if (*p != '%') {
            buf_putc(out, *p);
            continue;
        }
        buf_put(out, number(shop, f->paths[next++]));
        if (p[1] == '%') {
            buf_puts(out, " %");
            p++;
        }
    }
    buf_fmt(out, "\n    %s\n\n", f->meaning);
}

void report_table(const struct json *shop, struct buf *out) {
    buf_fmt(out, "%s" SV_FMT ", from " SV_FMT " to " SV_FMT "\n\n", out->n > 0 ? "\n" : "", SV_ARG(json_str(shop, "shop")),
            SV_ARG(json_str(shop, "since")), SV_ARG(json_str(shop, "until")));
    write_events(shop, out);
    for (size_t i = 0; i < COUNTOF(figures); i++)
        write_figure(shop, &figures[i], out);
    JSON_EACH(warning, json_get(shop, "warnings"))
        buf_fmt(out, "  ! " SV_FMT "\n", SV_ARG(json_text(warning)));
    if (!json_get(shop, "warnings") || json_get(shop, "warnings")->count == 0)
        buf_puts(out, "  No threshold is crossed.\n");
}
