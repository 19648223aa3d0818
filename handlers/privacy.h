// privacy.h: who asks to be told or forgotten, and whether a text is about them. Pure; looking through the store is the dispatcher's
// (server/dispatch/dispatch_privacy.c).
#ifndef HANDLERS_PRIVACY_H
#define HANDLERS_PRIVACY_H

#include "handlers/source.h"

enum privacy_kind { PRIVACY_TELL, PRIVACY_FORGET_CUSTOMER, PRIVACY_FORGET_SHOP };

struct privacy_request {
    enum privacy_kind kind;
    struct sv customer_id, email, phone;  // email and phone in their normal form
    const struct sv *orders;              // ids of the customer's
    size_t order_count;
};

// privacy_concerns: a webhook's body, or a value that is remembered. Somebody is meant who stands there with his e-mail address, his
// phone number or his id, or with one of his orders; of a shop everything is meant that can be about anybody.
bool privacy_concerns(struct arena *a, const struct privacy_request *request, struct sv text);

#endif
