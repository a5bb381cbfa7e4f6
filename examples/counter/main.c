/* Keeps a number that outlives restarts. */
#include "../../sdk/c/caxton.h"

CAXTON_CAPABILITIES("[\"counting\"]")

static int32_t add(int64_t amount, int64_t *count) {
    *count = 0;
    int32_t result = caxton_kv_get_int("count", count);
    if (result < 0 && result != CAXTON_NOT_FOUND) return result;
    if (amount == 0) return 0;
    if (__builtin_add_overflow(*count, amount, count)) return CAXTON_TOO_LARGE;
    return caxton_kv_set_int("count", *count);
}

CAXTON_ON_TIMER(id) {
    int64_t count;
    if (add(1, &count) < 0) return 1;
    caxton_log_text(CAXTON_INFO, "tick");
    return 0;
}

CAXTON_ON_MESSAGE(message) {
    int64_t amount = 0, delay_us = 0, count;
    bool get = false;
    if (!caxton_wants_reply(message)) return 0;
    bool has_amount = caxton_json_int(message->content, "add", &amount);
    bool has_delay = caxton_json_int(message->content, "tick_us", &delay_us);
    caxton_json_bool(message->content, "get", &get);
    if (!caxton_is(message->performative, "request") || !(has_amount || has_delay || get)) {
        caxton_str why = caxton_object_string(
            "error", "expected a request with {\"add\": k}, {\"get\": true} or {\"tick_us\": n}");
        return caxton_settle(caxton_reply(message, "not-understood", why));
    }
    int32_t result = has_delay ? caxton_set_timer(delay_us) : 0;
    if (result >= 0) result = add(amount, &count);
    if (result < 0)
        return caxton_settle(caxton_reply(message, "failure", caxton_object_int("error", result)));
    return caxton_settle(caxton_reply(message, "inform", caxton_object_int("count", count)));
}
