/* Bids what it was told to cost, and does what it wins. */
#include "../../sdk/c/caxton_conversation.h"

CAXTON_CAPABILITIES("[\"bidding\"]")

static int32_t set_cost(const caxton_message *message) {
    caxton_str cost;
    double number;
    if (!caxton_json_get(message->content, "cost", &cost)
        || !caxton_json_to_number(cost, &number)) {
        caxton_str why = caxton_object_string("error", "expected a request with {\"cost\": n}");
        return caxton_settle(caxton_not_understood(message, why));
    }
    if (caxton_kv_set_bytes("cost", cost) < 0) return 1;
    caxton_text content = caxton_object();
    caxton_field_json(&content, "cost", cost);
    return caxton_settle(caxton_inform(message, caxton_object_end(&content)));
}

static int32_t bid(const caxton_message *message) {
    caxton_str cost;
    if (caxton_kv_get_bytes("cost", &cost) < 0) {
        caxton_log_text(CAXTON_INFO, "refusing: nobody has said what I cost");
        caxton_str why = caxton_object_string("reason", "nobody has said what I cost");
        return caxton_settle(caxton_refuse(message, why));
    }
    caxton_logf(CAXTON_INFO, "bidding %.*s", CAXTON_PRINT(cost));
    caxton_text content = caxton_object();
    caxton_field_json(&content, "cost", cost);
    return caxton_settle(caxton_propose(message, caxton_object_end(&content)));
}

static int32_t work(const caxton_message *message) {
    caxton_str task = caxton_s("null");
    caxton_json_get(message->content, "task", &task);
    caxton_logf(CAXTON_INFO, "won: doing %.*s", CAXTON_PRINT(task));
    caxton_text content = caxton_object();
    caxton_field_json(&content, "done", task);
    return caxton_settle(caxton_inform(message, caxton_object_end(&content)));
}

CAXTON_ON_MESSAGE(message) {
    if (caxton_act(message, "request")) return set_cost(message);
    if (caxton_act(message, "cfp")) return bid(message);
    if (caxton_act(message, "accept-proposal")) return work(message);
    if (caxton_act(message, "reject-proposal")) {
        caxton_log_text(CAXTON_INFO, "lost");
        return 0;
    }
    if (!caxton_wants_reply(message)) return 0;
    if (caxton_act(message, "cancel")) /* what was begun is done at once, so nothing is left to end */
        return caxton_settle(caxton_inform(message, (caxton_str){0, 0}));
    caxton_str why = caxton_object_string("error", "expected a request, cfp or cancel");
    return caxton_settle(caxton_not_understood(message, why));
}
