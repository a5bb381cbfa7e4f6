/* Answers {"ping": n} with {"pong": n}. */
#include "../../sdk/c/caxton.h"

CAXTON_ON_MESSAGE(message) {
    caxton_str n;
    if (!caxton_wants_reply(message)) return 0;
    if (!caxton_is(message->performative, "request")
        || !caxton_json_get(message->content, "ping", &n)) {
        caxton_str why = caxton_object_string("error", "expected a request with {\"ping\": n}");
        return caxton_settle(caxton_reply(message, "not-understood", why));
    }
    caxton_log_text(CAXTON_INFO, "Received ping, sending pong back");
    caxton_text content = caxton_object();
    caxton_field_json(&content, "pong", n);
    return caxton_settle(caxton_reply(message, "inform", caxton_object_end(&content)));
}
