/* Bids at an auction as long as the price is within its limit, and pays if it wins. */
#include "../../sdk/c/caxton_conversation.h"

static int32_t set_limit(const caxton_message *message, int64_t limit) {
    if (caxton_kv_set_int("limit", limit) < 0) return 1;
    return caxton_settle(caxton_inform(message, caxton_object_int("limit", limit)));
}

static bool is_within_limit(int64_t price) {
    int64_t limit;
    return caxton_kv_get_int("limit", &limit) == 0 && price <= limit;
}

static int32_t pay(const caxton_message *message, int64_t price) {
    if (!is_within_limit(price)) {
        caxton_str why = caxton_object_string("reason", "over my limit");
        return caxton_settle(caxton_refuse(message, why));
    }
    caxton_logf(CAXTON_INFO, "paying %lld", (long long)price);
    return caxton_settle(caxton_inform(message, caxton_object_int("paid", price)));
}

/* Silence is how FIPA's bidders say no. */
static int32_t bid(const caxton_message *message) {
    int64_t price;
    if (!caxton_json_int(message->content, "price", &price)) {
        caxton_str why = caxton_object_string("error", "expected a cfp with {\"price\": n}");
        return caxton_settle(caxton_not_understood(message, why));
    }
    if (!is_within_limit(price)) {
        caxton_logf(CAXTON_INFO, "%lld is too much", (long long)price);
        return 0;
    }
    caxton_logf(CAXTON_INFO, "bidding %lld", (long long)price);
    return caxton_settle(caxton_propose(message, caxton_object_int("price", price)));
}

CAXTON_ON_MESSAGE(message) {
    int64_t number;
    caxton_str winner;
    if (caxton_act(message, "cfp")) return bid(message);
    if (caxton_act(message, "accept-proposal")) caxton_log_text(CAXTON_INFO, "I have the highest bid");
    if (caxton_act(message, "inform") && caxton_json_string(message->content, "sold_to", &winner))
        caxton_logf(CAXTON_INFO, "%.*s has it", CAXTON_PRINT(winner));
    if (caxton_act(message, "accept-proposal") || caxton_act(message, "reject-proposal")) return 0;
    if (!caxton_wants_reply(message)) return 0;
    if (caxton_act(message, "cancel")) return caxton_settle(caxton_inform(message, (caxton_str){0, 0}));
    if (caxton_act(message, "request") && caxton_json_int(message->content, "pay", &number))
        return pay(message, number);
    if (caxton_act(message, "request") && caxton_json_int(message->content, "limit", &number))
        return set_limit(message, number);
    caxton_str why = caxton_object_string("error", "expected a request with {\"limit\": n}");
    return caxton_settle(caxton_not_understood(message, why));
}
