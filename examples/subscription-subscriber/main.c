/* Subscribes to what a publisher says, logs it, and cancels when it is told to. */
#include "../../sdk/c/caxton_conversation.h"

/* Kept, while it is subscribed: conversation and publisher. */

static int32_t subscribe(const caxton_message *message, caxton_str publisher) {
    caxton_str known;
    caxton_conversation subscription = {0};
    if (caxton_kv_get_bytes("conversation", &known) == 0) {
        caxton_str why = caxton_object_string("reason", "already subscribed");
        return caxton_settle(caxton_refuse(message, why));
    }
    int32_t result = caxton_start_subscription(
        &subscription, publisher, caxton_object_string("changes-of", "value"));
    if (result == CAXTON_WOULD_BLOCK || result == CAXTON_RATE_LIMITED) return 1;
    if (result < 0)
        return caxton_settle(caxton_refuse(message, caxton_object_int("error", result)));
    if (caxton_kv_set_bytes("conversation", subscription.id) < 0) return 1;
    if (caxton_kv_set_bytes("publisher", publisher) < 0) return 1;
    caxton_text content = caxton_object();
    caxton_field_string(&content, "conversation", subscription.id);
    return caxton_settle(caxton_inform(message, caxton_object_end(&content)));
}

static int32_t cancel(const caxton_message *message) {
    caxton_conversation subscription = {.protocol = caxton_s("fipa-subscribe")};
    if (caxton_kv_get_bytes("conversation", &subscription.id) < 0
        || caxton_kv_get_bytes("publisher", &subscription.participants) < 0) {
        caxton_str why = caxton_object_string("reason", "not subscribed");
        return caxton_settle(caxton_refuse(message, why));
    }
    if (caxton_settle(caxton_cancel(&subscription))) return 1;
    return caxton_settle(caxton_inform(message, caxton_object_string("cancelling", "value")));
}

static int32_t obey(const caxton_message *message) {
    caxton_str publisher;
    bool is_cancel = false;
    caxton_json_bool(message->content, "cancel", &is_cancel);
    if (is_cancel) return cancel(message);
    if (caxton_json_string(message->content, "subscribe", &publisher) && publisher.len)
        return subscribe(message, publisher);
    caxton_str why = caxton_object_string(
        "error", "expected a request with {\"subscribe\": name} or {\"cancel\": true}");
    return caxton_settle(caxton_not_understood(message, why));
}

static void end(const char *how) {
    caxton_kv_delete("conversation", sizeof "conversation" - 1);
    caxton_kv_delete("publisher", sizeof "publisher" - 1);
    caxton_log_text(CAXTON_INFO, how);
}

CAXTON_ON_MESSAGE(message) {
    caxton_str conversation = {0}, value = {0};
    if (caxton_act(message, "request")) return obey(message);
    bool is_ours = caxton_kv_get_bytes("conversation", &conversation) == 0
                && caxton_same(conversation, message->conversation_id);
    if (is_ours && caxton_act(message, "inform")) {
        caxton_json_get(message->content, "value", &value);
        if (caxton_answers_cancel(message)) end("the subscription is over");
        else caxton_logf(CAXTON_INFO, "the value is %.*s", CAXTON_PRINT(value));
        return 0;
    }
    if (is_ours && caxton_act(message, "agree")) {
        caxton_log_text(CAXTON_INFO, "subscribed");
        return 0;
    }
    if (is_ours && caxton_act(message, "failure") && caxton_answers_cancel(message)) {
        caxton_log_text(CAXTON_WARN, "could not cancel; the subscription goes on");
        return 0;
    }
    if (is_ours && (caxton_act(message, "refuse") || !caxton_wants_reply(message)))
        end("there is no subscription");
    else if (caxton_wants_reply(message) && !caxton_act(message, "refuse")) {
        caxton_str why = caxton_object_string("error", "expected a request");
        return caxton_settle(caxton_not_understood(message, why));
    }
    return 0;
}
