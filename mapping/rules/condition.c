// condition.c: a small recursive-descent compiler. From loose to tight: or, and, not, comparison.
// How values compare: a number with a number, or with a text that is one, as decimals; texts byte by byte (so ISO times in order);
// true and false only with == and !=. What is absent equals only what is absent, and "". Lists and objects equal nothing.
#include "base/faults.h"
#include "mapping/rules/condition.h"
#include "mapping/rules/number.h"

#include <string.h>

#define DEPTH_MOST 16

enum comparison { EQUAL, NOT_EQUAL, LESS, LESS_OR_EQUAL, GREATER, GREATER_OR_EQUAL };

struct operand {
    const struct path *path;  // NULL: constant
    struct value constant;
};

struct condition {
    enum { ALL, ANY, NOT, COMPARES, IS_THERE } kind;
    struct condition *child, *next;  // ALL, ANY, NOT
    struct operand left, right;      // COMPARES; IS_THERE: left
    enum comparison comparison;
};

// ---- words of the text

enum token_kind { BEGINNING, END, WORD, QUOTED, COMPARISON, AND, OR, NOT_WORD, OPEN, CLOSE };

struct token {
    enum token_kind kind;
    struct sv text;                // as it stands there; QUOTED: what is between the quotes
    enum comparison comparison;
};

struct parser {
    struct arena *arena;
    struct sv rest;              // after the token at hand
    struct token before, token;  // the one at hand, and the one before it
    unsigned depth;
    struct err *e;
};

// Longer ones first. instead: how to write what other languages write so.
static const struct {
    const char *text, *instead;
    enum token_kind kind;
    enum comparison comparison;
} signs[] = {
    {"==", NULL, COMPARISON, EQUAL},
    {"!=", NULL, COMPARISON, NOT_EQUAL},
    {"<=", NULL, COMPARISON, LESS_OR_EQUAL},
    {">=", NULL, COMPARISON, GREATER_OR_EQUAL},
    {"<>", "!=", COMPARISON, NOT_EQUAL},
    {"&&", "and", AND, EQUAL},
    {"||", "or", OR, EQUAL},
    {"<", NULL, COMPARISON, LESS},
    {">", NULL, COMPARISON, GREATER},
    {"=", "==", COMPARISON, EQUAL},
    {"!", "not", NOT_WORD, EQUAL},
    {"(", NULL, OPEN, EQUAL},
    {")", NULL, CLOSE, EQUAL},
};

static const struct {
    const char *text;
    enum token_kind kind;
} words[] = {{"and", AND}, {"or", OR}, {"not", NOT_WORD}};

static bool is_word_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80 ||
           (c != '\0' && strchr("._-+$", c));
}

static enum rc read_sign(struct parser *p) {
    for (size_t i = 0; i < COUNTOF(signs); i++) {
        struct sv sign = sv_of(signs[i].text);
        if (!sv_starts(p->rest, sign))
            continue;
        if (signs[i].instead)
            return err_set(p->e, RC_INVALID, "`%s` is written `%s`", signs[i].text, signs[i].instead);
        p->token = (struct token){signs[i].kind, sign, signs[i].comparison};
        p->rest = sv_sub(p->rest, sign.n, p->rest.n);
        return RC_OK;
    }
    return err_set(p->e, RC_INVALID, "`%s` has no meaning here", shown_word(p->arena, sv_sub(p->rest, 0, 1)));
}

static enum rc read_quoted(struct parser *p) {
    char quote = p->rest.p[0];
    struct sv text, after;
    if (!sv_cut(sv_sub(p->rest, 1, p->rest.n), quote, &text, &after))
        return err_set(p->e, RC_INVALID, "a text that begins with %c has no end", quote);
    p->token = (struct token){QUOTED, text, EQUAL};
    p->rest = after;
    return RC_OK;
}

static const char *shown_token(struct arena *a, const struct token *token) {
    return token->kind == QUOTED ? "a text" : arena_fmt(a, "`%s`", shown_word(a, token->text)).p;
}

// Makes the next token the one at hand.
static enum rc advance(struct parser *p) {
    p->before = p->token;
    p->rest = sv_trim(p->rest);
    p->token = (struct token){END, SV(""), EQUAL};
    if (p->rest.n == 0)
        return RC_OK;
    if (p->rest.p[0] == '"' || p->rest.p[0] == '\'')
        return read_quoted(p);
    size_t n = 0;
    while (n < p->rest.n && is_word_char(p->rest.p[n]))
        n++;
    if (n == 0)
        return read_sign(p);
    p->token = (struct token){WORD, sv_sub(p->rest, 0, n), EQUAL};
    p->rest = sv_sub(p->rest, n, p->rest.n);
    for (size_t i = 0; i < COUNTOF(words); i++)
        if (sv_is(p->token.text, words[i].text))
            p->token.kind = words[i].kind;
    return RC_OK;
}

static enum rc expected(struct parser *p, const char *what) {
    bool begins = p->before.kind == BEGINNING, ends = p->token.kind == END;
    return err_set(p->e, RC_INVALID, "expected %s %s%s%s%s", what, begins ? "at the beginning" : "after ",
                   begins ? "" : shown_token(p->arena, &p->before), ends ? "" : ", found ", ends ? "" : shown_token(p->arena, &p->token));
}

// ---- grammar

static enum rc parse_any(struct parser *p, struct condition **ret);

static enum rc parse_word(struct parser *p, struct operand *ret) {
    struct sv text = p->token.text;
    bool truth = sv_is(text, "true");
    if (truth || sv_is(text, "false")) {
        ret->constant = (struct value){.kind = VALUE_BOOL, .truth = truth};
        return RC_OK;
    }
    if (!strchr("0123456789-+.", text.p[0]))
        return path_compile(p->arena, text, &ret->path, p->e);
    if (!number_valid(text))
        return err_set(p->e, RC_INVALID, "\"%s\" is no number: numbers are written 50, -3 or 12.95", shown_word(p->arena, text));
    ret->constant = (struct value){.kind = VALUE_NUMBER, .text = arena_dup(p->arena, text)};
    return RC_OK;
}

static enum rc parse_operand(struct parser *p, const char *what, struct operand *ret) {
    enum rc rc = RC_OK;
    *ret = (struct operand){0};
    if (p->token.kind == WORD)
        rc = parse_word(p, ret);
    else if (p->token.kind != QUOTED)
        return expected(p, what);
    else if (p->token.text.n > 0)
        ret->constant = (struct value){.kind = VALUE_TEXT, .text = arena_dup(p->arena, p->token.text)};
    return rc == RC_OK ? advance(p) : rc;
}

static enum rc parse_comparison(struct parser *p, struct condition **ret) {
    struct condition *c = ARENA_NEW(p->arena, struct condition);
    enum rc rc = parse_operand(p, "a path", &c->left);
    if (rc != RC_OK)
        return rc;
    *ret = c;
    if (p->token.kind != COMPARISON) {
        c->kind = IS_THERE;
        bool says_something = c->left.path || c->left.constant.kind == VALUE_BOOL;
        return says_something ? RC_OK : expected(p, "a comparison such as == or >=");
    }
    c->kind = COMPARES;
    c->comparison = p->token.comparison;
    if ((rc = advance(p)) != RC_OK || (rc = parse_operand(p, "a path, text or number", &c->right)) != RC_OK)
        return rc;
    if (p->token.kind == COMPARISON)
        return err_set(p->e, RC_INVALID, "a comparison has two sides: join a second one with `and`");
    return RC_OK;
}

static enum rc parse_brackets(struct parser *p, struct condition **ret) {
    enum rc rc;
    if ((rc = advance(p)) != RC_OK || (rc = parse_any(p, ret)) != RC_OK)
        return rc;
    if (p->token.kind == END)
        return err_set(p->e, RC_INVALID, "`(` without `)`");
    return p->token.kind == CLOSE ? advance(p) : expected(p, "`and`, `or` or `)`");
}

static enum rc parse_not(struct parser *p, struct condition **ret) {
    enum rc rc;
    if (p->token.kind != NOT_WORD && p->token.kind != OPEN)
        return parse_comparison(p, ret);
    if (++p->depth > DEPTH_MOST)
        return err_set(p->e, RC_INVALID, "`not` and brackets are nested deeper than %d levels", DEPTH_MOST);
    if (p->token.kind == OPEN) {
        rc = parse_brackets(p, ret);
    } else {
        struct condition *c = ARENA_NEW(p->arena, struct condition);
        c->kind = NOT;
        if ((rc = advance(p)) == RC_OK)
            rc = parse_not(p, &c->child);
        *ret = c;
    }
    p->depth--;
    return rc;
}

// One or more conditions with the same word between them. They are a list, not a tree: how many there are is not how deep they are nested.
static enum rc parse_chain(struct parser *p, enum token_kind word, struct condition **ret) {
    struct condition *chain = ARENA_NEW(p->arena, struct condition);
    chain->kind = word == AND ? ALL : ANY;
    for (struct condition **end = &chain->child;; end = &(*end)->next) {
        enum rc rc = word == OR ? parse_chain(p, AND, end) : parse_not(p, end);
        if (rc != RC_OK)
            return rc;
        if (p->token.kind != word) {
            *ret = chain->child->next ? chain : chain->child;
            return RC_OK;
        }
        if ((rc = advance(p)) != RC_OK)
            return rc;
    }
}

static enum rc parse_any(struct parser *p, struct condition **ret) {
    return parse_chain(p, OR, ret);
}

enum rc condition_compile(struct arena *a, struct sv text, const struct condition **ret, struct err *e) {
    struct parser p = {.arena = a, .rest = text, .e = e};
    struct condition *c = NULL;
    *ret = NULL;
    enum rc rc = advance(&p);
    if (rc != RC_OK || (rc = parse_any(&p, &c)) != RC_OK)
        return rc;
    if (p.token.kind == CLOSE)
        return err_set(e, RC_INVALID, "`)` without `(`");
    if (p.token.kind != END)
        return expected(&p, "`and` or `or`");
    *ret = c;
    return RC_OK;
}

// ---- asking

static struct value operand_value(const struct operand *o, const struct scope *s) {
    return o->path ? path_value(o->path, s) : o->constant;
}

static bool is_text(const struct value *v) {
    return v->kind == VALUE_TEXT || v->kind == VALUE_NUMBER;
}

static int compare_texts(struct sv a, struct sv b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int difference = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return difference ? difference : (a.n > b.n) - (a.n < b.n);
}

// Values between which there is an order; *ret is below, at or above 0.
static bool ordered(const struct value *a, const struct value *b, int *ret) {
    if (!is_text(a) || !is_text(b))
        return false;
    bool texts = a->kind == VALUE_TEXT && b->kind == VALUE_TEXT;
    if (!texts && (!number_valid(a->text) || !number_valid(b->text)))
        return false;
    *ret = texts ? compare_texts(a->text, b->text) : number_compare(a->text, b->text);
    return true;
}

static bool equal(const struct value *a, const struct value *b) {
    int order;
    if (ordered(a, b, &order))
        return order == 0;
    if (is_text(a) && is_text(b))
        return sv_eq(a->text, b->text);  // a number that is none, or with a text
    if (a->kind != b->kind)
        return false;
    return a->kind == VALUE_NONE || (a->kind == VALUE_BOOL && a->truth == b->truth);
}

static bool compares(const struct condition *c, const struct scope *s) {
    struct value left = operand_value(&c->left, s), right = operand_value(&c->right, s);
    int order;
    if (c->comparison == EQUAL || c->comparison == NOT_EQUAL)
        return equal(&left, &right) == (c->comparison == EQUAL);
    if (!ordered(&left, &right, &order))
        return false;
    switch (c->comparison) {
    case LESS: return order < 0;
    case LESS_OR_EQUAL: return order <= 0;
    case GREATER: return order > 0;
    default: return order >= 0;
    }
}

static bool is_there(const struct condition *c, const struct scope *s) {
    struct value v = operand_value(&c->left, s);
    return v.kind == VALUE_BOOL ? v.truth : v.kind != VALUE_NONE;
}

bool condition_holds(const struct condition *c, const struct scope *s) {
    if (!c)
        return true;
    switch (c->kind) {
    case NOT: return !condition_holds(c->child, s);
    case COMPARES: return compares(c, s);
    case IS_THERE: return is_there(c, s);
    default: break;
    }
    for (const struct condition *link = c->child; link; link = link->next)
        if (condition_holds(link, s) != (c->kind == ALL))
            return c->kind == ANY;
    return c->kind == ALL;
}
