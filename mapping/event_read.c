// event_read.c: one table of members for each object of the schema; one walk that compares an object with its table.
#include "base/clock.h"
#include "base/faults.h"
#include "mapping/amount.h"
#include "mapping/consent.h"
#include "mapping/event_read.h"
#include "mapping/normalise.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define MEMBERS_MOST 20
#define IP_TEXT_MOST 45

struct reader {
    struct arena *a;
    struct event *event;
    struct event_faults *faults;
};

// Where in the document we are: "items[2].price" from the inside out.
struct place {
    const struct place *up;
    struct sv name;  // absent: an element of a list
    size_t index;
};

typedef bool check_fn(struct arena *a, struct sv text);
typedef void read_fn(struct reader *r, const struct place *at, const struct json *node);

struct member {
    const char *name;
    size_t offset;         // of a struct sv in what the object is read into; not used with read
    check_fn *check;       // NULL: any text
    const char *expected;  // what check asks for, as in "not <expected>"
    bool number_too;       // 12 as well as "12"
    read_fn *read;         // reads the value itself
};

struct table {
    const struct member *members;
    size_t n;
};
#define TABLE(members) (&(const struct table){members, COUNTOF(members)})

// ---- faults

static struct sv path_of(struct arena *a, const struct place *at) {
    if (!at)
        return SV("");
    struct sv up = path_of(a, at->up);
    if (!at->name.p)
        return arena_fmt(a, SV_FMT "[%zu]", SV_ARG(up), at->index);
    return arena_fmt(a, SV_FMT "%s%s", SV_ARG(up), up.n > 0 ? "." : "", shown_word(a, at->name));
}

void event_fault(struct arena *a, struct event_faults *faults, const char *fmt, ...) {
    struct err e;
    if (++faults->count > EVENT_FAULTS_MOST)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(e.text, sizeof e.text, fmt, args);
    va_end(args);
    faults->v[faults->count - 1] = arena_dup(a, sv_of(e.text));
}

static void wrong(struct reader *r, const struct place *at, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void wrong(struct reader *r, const struct place *at, const char *fmt, ...) {
    struct err e;
    if (r->faults->count >= EVENT_FAULTS_MOST) {
        r->faults->count++;
        return;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(e.text, sizeof e.text, fmt, args);
    va_end(args);
    struct sv path = path_of(r->a, at);
    event_fault(r->a, r->faults, SV_FMT "%s%s", SV_ARG(path), path.n > 0 ? ": " : "", e.text);
}

// ---- checks of single texts

static bool all_of(struct sv text, size_t most, bool (*fits)(char c)) {
    for (size_t i = 0; i < text.n; i++)
        if (!fits(text.p[i]))
            return false;
    return text.n > 0 && text.n <= most;
}

static bool printable(char c) {
    return c > ' ' && c < 0x7f;
}

static bool is_id(struct arena *a, struct sv text) {
    (void)a;
    return all_of(text, EVENT_ID_MOST, printable);
}

static bool is_name(struct arena *a, struct sv text) {
    (void)a;
    return event_name_valid(text);
}

static bool is_amount(struct arena *a, struct sv text) {
    (void)a;
    return amount_valid(text);
}

static bool is_whole(struct arena *a, struct sv text) {
    (void)a;
    return amount_is_whole(text);
}

static bool is_currency(struct arena *a, struct sv text) {
    return currency_upper(a, text).p != NULL;
}

static bool is_email(struct arena *a, struct sv text) {
    return normal_email(a, text).p != NULL;
}

static bool is_country(struct arena *a, struct sv text) {
    return normal_country(a, text).p != NULL;
}

static bool is_ip(struct arena *a, struct sv text) {
    unsigned char bytes[16];
    if (text.n > IP_TEXT_MOST)
        return false;
    const char *c = arena_cstr(a, text);
    return inet_pton(AF_INET, c, bytes) == 1 || inet_pton(AF_INET6, c, bytes) == 1;
}

static bool is_click_cookie(struct arena *a, struct sv text) {
    (void)a;
    return valid_fbp(text);
}

// ---- objects

static bool is_text(const struct json *node, bool number_too) {
    return node->type == JSON_STRING || (number_too && node->type == JSON_NUMBER);
}

// text_of: the value of a member that is a text; absent, with the fault noted, when it is not what is expected. "" is absent too.
static struct sv text_of(struct reader *r, const struct place *at, const struct member *m, const struct json *node) {
    if (!is_text(node, m->number_too))
        wrong(r, at, "not %s", m->expected ? m->expected : "a text");
    else if (node->text.n > EVENT_TEXT_MOST)
        wrong(r, at, "longer than 100 KB");
    else if (m->check && node->text.n > 0 && !m->check(r->a, node->text))
        wrong(r, at, "not %s", m->expected);
    else
        return sv_first(node->text, SV_NONE);
    return SV_NONE;
}

static void unknown(struct reader *r, const struct place *at, const struct table *t) {
    const char *names[MEMBERS_MOST];
    for (size_t i = 0; i < t->n; i++)
        names[i] = t->members[i].name;
    const char *near = nearest_word(at->name, names, t->n);
    if (near)
        wrong(r, at, "unknown; is %s meant?", near);
    else
        wrong(r, at, "unknown");
}

static size_t index_of(const struct table *t, struct sv name) {
    size_t i = 0;
    while (i < t->n && !sv_is(name, t->members[i].name))
        i++;
    return i;
}

// read_object: every member of node by its row of the table, texts into target.
static void read_object(struct reader *r, const struct place *at, const struct json *node, const struct table *t, void *target) {
    bool seen[MEMBERS_MOST] = {false};
    if (!json_is_object(node)) {
        wrong(r, at, "not an object");
        return;
    }
    JSON_EACH(value, node) {
        const struct place here = {at, value->key, 0};
        size_t i = index_of(t, value->key);
        if (i == t->n) {
            unknown(r, &here, t);
            continue;
        }
        const struct member *m = &t->members[i];
        if (seen[i])
            wrong(r, &here, "occurs twice");
        else if (value->type != JSON_NULL && m->read)
            m->read(r, &here, value);
        else if (value->type != JSON_NULL)
            *(struct sv *)(void *)((char *)target + m->offset) = text_of(r, &here, m, value);
        seen[i] = true;
    }
}

// ---- user

#define USER(field, ...) {.name = #field, .offset = offsetof(struct user, field), __VA_ARGS__}

static const struct member address_members[] = {
    USER(address1), USER(city), USER(region), USER(zip, .number_too = true, .expected = "a text"),
    USER(country, .check = is_country, .expected = "a country (two letters, such as DE)"),
};

static void read_address(struct reader *r, const struct place *at, const struct json *node) {
    read_object(r, at, node, TABLE(address_members), &r->event->user);
}

static const struct member user_members[] = {
    USER(email, .check = is_email, .expected = "an e-mail address"),
    USER(phone, .expected = "a text"),
    USER(external_id, .check = is_id, .number_too = true, .expected = "an id (at most 255 printable characters without a space)"),
    USER(first_name), USER(last_name), USER(locale),
    {.name = "address", .read = read_address},
    USER(ip, .check = is_ip, .expected = "an IP address"),
    USER(user_agent),
    USER(fbp, .check = is_click_cookie, .expected = "a _fbp cookie (fb.1.<ms>.<number>)"),
    USER(fbc, .check = is_click_cookie, .expected = "a _fbc cookie (fb.1.<ms>.<fbclid>)"),
};

static void read_user(struct reader *r, const struct place *at, const struct json *node) {
    read_object(r, at, node, TABLE(user_members), &r->event->user);
    const struct user *u = &r->event->user;
    const struct place phone = {at, SV("phone"), 0};
    if (u->phone.p && !normal_phone(r->a, u->phone, u->country).p)
        wrong(r, &phone, "not a phone number with its country code, such as +4915112345678");
}

// ---- items

#define ITEM(field, ...) {.name = #field, .offset = offsetof(struct item, field), __VA_ARGS__}
#define ANY_ID .check = is_id, .number_too = true, .expected = "an id (at most 255 printable characters without a space)"

static const struct member item_members[] = {
    ITEM(product_id, ANY_ID), ITEM(variant_id, ANY_ID), ITEM(inventory_item_id, ANY_ID), ITEM(sku), ITEM(title), ITEM(variant_title),
    ITEM(quantity, .check = is_whole, .number_too = true, .expected = "a whole number"),
    ITEM(price, .check = is_amount, .number_too = true, .expected = "an amount"),
    ITEM(url), ITEM(image_url), ITEM(category), ITEM(vendor),
};

static void read_items(struct reader *r, const struct place *at, const struct json *node) {
    if (!json_is_array(node)) {
        wrong(r, at, "not a list");
        return;
    }
    if (node->count > EVENT_LIST_MOST) {
        wrong(r, at, "%zu of them, %d is the most", node->count, EVENT_LIST_MOST);
        return;
    }
    struct event *e = r->event;
    e->items = ARENA_ARRAY(r->a, struct item, node->count);
    JSON_EACH(item, node) {
        const struct place here = {at, SV_NONE, e->item_count};
        read_object(r, &here, item, TABLE(item_members), &e->items[e->item_count++]);
    }
}

// ---- consent, experiment, purpose

static enum consent_state consent_state(struct reader *r, const struct place *at, const struct json *node) {
    if (sv_is(json_text(node), "granted"))
        return CONSENT_GRANTED;
    if (!sv_is(json_text(node), "denied"))
        wrong(r, at, "neither granted nor denied");
    return CONSENT_DENIED;
}

static void read_marketing(struct reader *r, const struct place *at, const struct json *node) {
    r->event->consent.marketing = consent_state(r, at, node);
}

static void read_analytics(struct reader *r, const struct place *at, const struct json *node) {
    r->event->consent.analytics = consent_state(r, at, node);
}

static void read_opt_out(struct reader *r, const struct place *at, const struct json *node) {
    r->event->consent.opt_out_of_sale = node->type == JSON_TRUE;
    if (node->type != JSON_TRUE && node->type != JSON_FALSE)
        wrong(r, at, "neither true nor false");
}

// A time without a zone could be any of 24 hours: it reads differently under another one. 0, with the fault noted, when it is none.
static int64_t moment(struct reader *r, const struct place *at, const struct json *node) {
    int64_t utc = 0, elsewhere = 0;
    bool valid = node->type == JSON_STRING && time_parse(node->text, 0, &utc) && time_parse(node->text, 60, &elsewhere);
    if (valid && utc == elsewhere)
        return utc;
    if (node->type != JSON_STRING || node->text.n > 0)
        wrong(r, at, "not a time with its zone, such as 2026-11-21T10:00:00Z");
    return 0;
}

static void read_consent_time(struct reader *r, const struct place *at, const struct json *node) {
    r->event->consent_at_ms = moment(r, at, node);
}

static const struct member consent_members[] = {
    {.name = "marketing", .read = read_marketing},
    {.name = "analytics", .read = read_analytics},
    {.name = "opt_out_of_sale", .read = read_opt_out},
    {.name = "at", .read = read_consent_time},
};

static void read_consent(struct reader *r, const struct place *at, const struct json *node) {
    read_object(r, at, node, TABLE(consent_members), NULL);
}

#define EVENT(member, field, ...) {.name = member, .offset = offsetof(struct event, field), __VA_ARGS__}

static const struct member experiment_members[] = {
    EVENT("id", experiment_id, ANY_ID), EVENT("variant", experiment_variant, .number_too = true, .expected = "a text"),
};

static void read_experiment(struct reader *r, const struct place *at, const struct json *node) {
    read_object(r, at, node, TABLE(experiment_members), r->event);
}

static void read_purpose(struct reader *r, const struct place *at, const struct json *node) {
    bool transactional = sv_is(json_text(node), "transactional");
    if (!transactional && !sv_is(json_text(node), "marketing"))
        wrong(r, at, "neither marketing nor transactional");
    r->event->purpose = transactional ? PURPOSE_TRANSACTIONAL : PURPOSE_MARKETING;
}

// ---- properties

// within_limits: the value of a property as Klaviyo takes it; depth counts the objects and lists around it.
static void within_limits(struct reader *r, const struct place *at, const struct json *node, size_t depth) {
    if (depth > EVENT_DEPTH_MOST) {
        wrong(r, at, "more than %d levels", EVENT_DEPTH_MOST);
        return;
    }
    if (node->text.n > EVENT_TEXT_MOST)
        wrong(r, at, "longer than 100 KB");
    if (json_is_array(node) && node->count > EVENT_LIST_MOST)
        wrong(r, at, "%zu of them, %d is the most", node->count, EVENT_LIST_MOST);
    size_t i = 0;
    JSON_EACH(value, node) {
        const struct place here = {at, value->key, i++};
        within_limits(r, &here, value, depth + 1);
    }
}

static bool occurred(const struct json *object, const struct json *member) {
    JSON_EACH(earlier, object) {
        if (earlier == member)
            return false;
        if (sv_eq(earlier->key, member->key))
            return true;
    }
    return false;
}

static void read_properties(struct reader *r, const struct place *at, const struct json *node) {
    if (!json_is_object(node)) {
        wrong(r, at, "not an object");
        return;
    }
    if (node->count > EVENT_PROPERTIES_MAX) {
        wrong(r, at, "%zu of them, %d is the most", node->count, EVENT_PROPERTIES_MAX);
        return;
    }
    JSON_EACH(value, node) {
        const struct place here = {at, value->key, 0};
        if (value->key.n == 0 || value->key.n > EVENT_ID_MOST)
            wrong(r, &here, "a property's name has 1 to %d bytes", EVENT_ID_MOST);
        if (occurred(node, value))
            wrong(r, &here, "occurs twice");
        within_limits(r, &here, value, 1);
        if (value->type != JSON_NULL)
            event_property_node(r->event, value->key, json_copy(r->a, value));
    }
}

// ---- the event

static bool is_empty(const struct json *node) {
    return node->type == JSON_STRING && node->text.n == 0;
}

static void read_name(struct reader *r, const struct place *at, const struct json *node) {
    struct sv name = json_text(node);
    if (is_empty(node))
        return;  // it is missing, which is said once
    if (node->type != JSON_STRING || !is_name(r->a, name)) {
        wrong(r, at, "not a name (1 to 64 of a-z, 0-9 and _)");
        return;
    }
    r->event->name = event_name_of(name);
    r->event->custom_name = r->event->name == EVENT_CUSTOM ? name : SV_NONE;
}

static void read_time(struct reader *r, const struct place *at, const struct json *node) {
    r->event->time_ms = moment(r, at, node);
}

static const struct member event_members[] = {
    EVENT("id", id, .check = is_id, .expected = "an id (1 to 255 printable characters without a space)"),
    {.name = "name", .read = read_name},
    {.name = "time", .read = read_time},
    EVENT("shop", shop), EVENT("source", source), EVENT("origin", origin, .check = is_name, .expected = "a word (1 to 64 of a-z, 0-9 and _)"),
    {.name = "purpose", .read = read_purpose},
    {.name = "user", .read = read_user},
    {.name = "consent", .read = read_consent},
    EVENT("value", value, .check = is_amount, .number_too = true, .expected = "an amount"),
    EVENT("currency", currency, .check = is_currency, .expected = "a currency (three letters, such as EUR)"),
    {.name = "items", .read = read_items},
    {.name = "properties", .read = read_properties},
    {.name = "experiment", .read = read_experiment},
};

_Static_assert(COUNTOF(event_members) <= MEMBERS_MOST && COUNTOF(item_members) <= MEMBERS_MOST && COUNTOF(user_members) <= MEMBERS_MOST,
               "read_object has room for them");

static void demand(struct reader *r, const struct json *node, const char *name) {
    const struct json *value = json_get(node, name);
    const struct place here = {NULL, sv_of(name), 0};
    if (!value || value->type == JSON_NULL || is_empty(value))
        wrong(r, &here, "missing");
}

void event_read(struct arena *a, const struct json *node, struct event *ret, struct event_faults *faults) {
    struct reader r = {a, ret, faults};
    *ret = (struct event){0};
    read_object(&r, NULL, node, TABLE(event_members), ret);
    if (!json_is_object(node))
        return;
    demand(&r, node, "id");
    demand(&r, node, "name");
    demand(&r, node, "time");
    ret->currency = currency_upper(a, ret->currency);
    const struct json *purpose = json_get(node, "purpose");
    if (!purpose || purpose->type == JSON_NULL)
        ret->purpose = purpose_of(ret->name);
    if (!consent_told(&ret->consent))
        ret->consent_at_ms = 0;
    else if (ret->consent_at_ms == 0)
        ret->consent_at_ms = ret->time_ms;
    const struct place user = {NULL, SV("user"), 0}, fbc = {&user, SV("fbc"), 0}, consent = {NULL, SV("consent"), 0}, at = {&consent, SV("at"), 0};
    if (ret->time_ms > 0 && ret->consent_at_ms > ret->time_ms)
        wrong(&r, &at, "later than the event");
    if (ret->user.fbc.p && ret->time_ms > 0 && !valid_fbc(ret->user.fbc, ret->time_ms))
        wrong(&r, &fbc, "younger than the event, or older by more than 90 days");
}

struct sv event_read_id(const struct json *node) {
    const struct json *id = json_get(node, "id");
    return id && id->type == JSON_STRING && is_id(NULL, id->text) ? id->text : SV_NONE;
}
