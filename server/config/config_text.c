// config_text.c: interpolation and the checks of single values.
#include "base/file.h"
#include "server/config/config_text.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_FILE_LIMIT ((size_t)16 << 10)
#define VALUE_LIMIT ((size_t)64 << 10)

// ---- characters

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Every character of s is a letter or digit or one of `more`; and there is at least one.
static bool only_word(struct sv s, const char *more) {
    for (size_t i = 0; i < s.n; i++)
        if (!is_letter(s.p[i]) && !is_digit(s.p[i]) && (s.p[i] == '\0' || !strchr(more, s.p[i])))
            return false;
    return s.n > 0;
}

bool is_digits(struct sv s) {
    for (size_t i = 0; i < s.n; i++)
        if (!is_digit(s.p[i]))
            return false;
    return s.n > 0;
}

bool is_line(struct sv s) {
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return true;
}

bool is_token(struct sv s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f)
            return false;
    return true;
}

// pattern: '9' any digit, everything else itself.
static bool has_form(struct sv s, const char *pattern) {
    size_t n = strlen(pattern);
    if (s.n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (pattern[i] == '9' ? !is_digit(s.p[i]) : s.p[i] != pattern[i])
            return false;
    return true;
}

// ---- single values

bool is_api_version(struct sv s) {
    struct sv major, minor;
    return s.n <= 16 && sv_starts(s, SV("v")) && sv_cut(sv_sub(s, 1, s.n), '.', &major, &minor) && is_digits(major) && is_digits(minor);
}

bool is_revision(struct sv s) {
    return has_form(s, "9999-99-99") || has_form(s, "9999-99-99.pre");
}

bool is_shop_name(struct sv s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= 'A' && s.p[i] <= 'Z')
            return false;
    return s.n <= 64 && only_word(s, "_-");
}

bool is_domain(struct sv s) {
    return s.n <= 253 && only_word(s, ".-") && memchr(s.p, '.', s.n) && s.p[0] != '.' && s.p[s.n - 1] != '.';
}

static bool is_port(struct sv s) {
    int64_t port;
    return is_digits(s) && s.n <= 5 && sv_i64(s, &port) && port <= 65535;
}

// Splits "host:port"; without a port *port is absent. "[v6]" keeps its brackets.
static void split_host(struct sv authority, struct sv *host, struct sv *port) {
    *host = authority;
    *port = SV_NONE;
    for (size_t i = authority.n; i > 0 && authority.p[i - 1] != ']'; i--)
        if (authority.p[i - 1] == ':') {
            *host = sv_sub(authority, 0, i - 1);
            *port = sv_sub(authority, i, authority.n);
            return;
        }
}

static bool is_host(struct sv host) {
    if (sv_starts(host, SV("[")) && sv_ends(host, SV("]")))
        return host.n > 2 && only_word(sv_sub(host, 1, host.n - 2), ":.");
    return host.n <= 253 && only_word(host, ".-");
}

bool is_address(struct sv s) {
    struct sv host, port;
    if (is_port(s))
        return true;
    split_host(s, &host, &port);
    return is_port(port) && (host.n == 0 || is_host(host));
}

// is_near: on this machine or in its private network, where a credential may go in clear. Only literal addresses and names that
// no resolver outside knows.
static bool is_near(struct sv host) {
    char text[16];
    unsigned char address[4];
    if (sv_is_nocase(host, "localhost") || sv_is(host, "[::1]"))
        return true;
    if (host.n == 0 || host.n >= sizeof text)
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    if (inet_pton(AF_INET, text, address) != 1)
        return !memchr(host.p, '.', host.n) && host.p[0] != '[';  // a name without dots: a neighbour, as in a compose file
    return address[0] == 127 || address[0] == 10 || (address[0] == 172 && (address[1] & 0xf0) == 16) || (address[0] == 192 && address[1] == 168);
}

// Takes scheme and authority off; *path is what is left ("" or "/...").
static bool cut_url(struct sv url, struct sv *path) {
    bool secure = sv_starts(url, SV("https://"));
    if (!secure && !sv_starts(url, SV("http://")))
        return false;
    struct sv rest = sv_sub(url, secure ? 8 : 7, url.n), host, port;
    const char *slash = rest.n > 0 ? memchr(rest.p, '/', rest.n) : NULL;
    size_t n = slash ? (size_t)(slash - rest.p) : rest.n;
    *path = sv_sub(rest, n, rest.n);
    split_host(sv_sub(rest, 0, n), &host, &port);
    return is_host(host) && (!port.p || is_port(port)) && (secure || is_near(host));
}

bool is_base_url(struct sv s) {
    struct sv path;
    return cut_url(s, &path) && (path.n == 0 || only_word(path, "/._~-"));
}

// "null" is what a browser says of a page in a sandbox, such as Shopify's for custom pixels.
bool is_origin(struct sv s) {
    struct sv path;
    return sv_is(s, "null") || (cut_url(s, &path) && path.n == 0);
}

bool cidr_parse(struct sv text, struct cidr *ret) {
    char address[INET6_ADDRSTRLEN];
    struct sv host, length;
    bool has_length = sv_cut(text, '/', &host, &length);
    if (host.n == 0 || host.n >= sizeof address || (has_length && (!is_digits(length) || length.n > 3)))
        return false;
    memcpy(address, host.p, host.n);
    address[host.n] = '\0';
    *ret = (struct cidr){.address = {[10] = 0xff, [11] = 0xff}};
    int64_t bits = 0, most = 32;
    if (inet_pton(AF_INET, address, ret->address + 12) != 1) {
        most = 128;
        if (inet_pton(AF_INET6, address, ret->address) != 1)
            return false;
    }
    if (!has_length)
        bits = most;
    else if (!sv_i64(length, &bits) || bits > most)
        return false;
    ret->bits = (unsigned)(bits + 128 - most);
    return true;
}

// ---- interpolation

static enum rc read_secret_file(struct arena *a, struct sv path, struct sv *ret, struct err *e) {
    if (path.n == 0)
        return err_set(e, RC_INVALID, "${file:} names no file");
    enum rc rc = file_read(a, arena_cstr(a, path), SECRET_FILE_LIMIT, ret, e);
    if (rc != RC_OK)
        return rc;
    if (sv_ends(*ret, SV("\n")))
        ret->n--;
    if (sv_ends(*ret, SV("\r")))
        ret->n--;
    if (memchr(ret->p, '\0', ret->n))
        return err_set(e, RC_INVALID, SV_FMT ": holds a NUL character, a text is expected", SV_ARG(path));
    return RC_OK;
}

static enum rc read_variable(struct arena *a, struct sv name, struct sv *ret, struct err *e) {
    if (!only_word(name, "_") || is_digit(name.p[0]))
        return err_set(e, RC_INVALID, "${...} must hold the name of an environment variable, or file: and a path");
    *ret = arena_dup(a, sv_of(getenv(arena_cstr(a, name))));
    if (!ret->p)
        return err_set(e, RC_NOT_FOUND, "the environment variable " SV_FMT " is not set", SV_ARG(name));
    return RC_OK;
}

// Appends text with its first ${...} replaced; *rest is what comes after it, empty at the end.
static enum rc replace_one(struct arena *a, struct buf *out, struct sv text, struct sv *rest, struct err *e) {
    const char *open = text.n > 0 ? memmem(text.p, text.n, "${", 2) : NULL;
    size_t before = open ? (size_t)(open - text.p) : text.n;
    struct sv name, value = SV_NONE;
    buf_put(out, sv_sub(text, 0, before));
    *rest = SV("");
    if (!open)
        return RC_OK;
    if (!sv_cut(sv_sub(text, before + 2, text.n), '}', &name, rest))
        return err_set(e, RC_INVALID, "${ without }");
    enum rc rc = sv_starts(name, SV("file:")) ? read_secret_file(a, sv_sub(name, 5, name.n), &value, e) : read_variable(a, name, &value, e);
    if (rc == RC_OK)
        buf_put(out, value);
    return rc;
}

enum rc interpolate(struct arena *a, struct sv text, struct sv *ret, struct err *e) {
    struct buf out;
    enum rc rc = RC_OK;
    buf_init(&out, VALUE_LIMIT);
    for (struct sv rest = text; rc == RC_OK && rest.n > 0;)
        rc = replace_one(a, &out, rest, &rest, e);
    if (rc == RC_OK && !buf_ok(&out))
        rc = err_set(e, RC_TOO_LARGE, "longer than %zu bytes", VALUE_LIMIT);
    if (rc == RC_OK)
        *ret = arena_dup(a, buf_sv(&out));
    buf_free(&out);
    return rc;
}
