/* Tells its subscribers each time its value changes, until they cancel. */
#include "../../sdk/c/caxton_conversation.h"

/* Kept: subscribers, the JSON list of the messages with which they subscribed. */

static caxton_str subscribers(void) {
    caxton_str list = caxton_s("[]");
    caxton_kv_get_bytes("subscribers", &list);
    return list;
}

/* The list without the subscription to which `message` belongs, and how many were taken out. */
static caxton_str others(const caxton_message *message, int *taken) {
    caxton_items items = caxton_items_of(subscribers());
    caxton_text rest = {0};
    caxton_str item;
    caxton_message subscriber;
    *taken = 0;
    while (caxton_next_item(&items, &item)) {
        if (caxton_read_message(item, &subscriber)
            && caxton_same(subscriber.conversation_id, message->conversation_id)
            && (caxton_same(subscriber.sender, message->sender) || caxton_is(message->sender, "ams"))) {
            ++*taken;
            continue;
        }
        caxton_put_byte(&rest, rest.len ? ',' : '[');
        caxton_put(&rest, item);
    }
    if (!rest.len) caxton_put_byte(&rest, '[');
    caxton_put_byte(&rest, ']');
    return caxton_result(&rest);
}

static int32_t add_subscriber(const caxton_message *message) {
    int known;
    caxton_str rest = others(message, &known);
    caxton_text list = {0};
    if (!caxton_is_lost(rest)) rest.len--; /* up to its ']' */
    caxton_put(&list, rest);
    if (rest.len > 1) caxton_put_byte(&list, ',');
    caxton_put(&list, message->json);
    caxton_put_byte(&list, ']');
    if (caxton_kv_set_bytes("subscribers", caxton_result(&list)) < 0) {
        caxton_str why = caxton_object_string("reason", "too many subscribers");
        return caxton_settle(caxton_refuse(message, why));
    }
    caxton_logf(CAXTON_INFO, "%.*s subscribes", CAXTON_PRINT(message->sender));
    return caxton_settle(caxton_agree(message, (caxton_str){0, 0}));
}

static int32_t remove_subscriber(const caxton_message *message) {
    int taken;
    caxton_str rest = others(message, &taken);
    if (!taken) {
        caxton_str why = caxton_object_string("error", "there is no such subscription");
        return caxton_settle(caxton_failure(message, why));
    }
    if (caxton_kv_set_bytes("subscribers", rest) < 0) return 1;
    caxton_logf(CAXTON_INFO, "%.*s cancels", CAXTON_PRINT(message->sender));
    return caxton_settle(caxton_inform(message, (caxton_str){0, 0}));
}

/* The subscriber, or the node for it, says that what it was told belongs to nothing: it is gone. */
static int32_t lose_subscriber(const caxton_message *message) {
    int taken;
    caxton_str rest = others(message, &taken);
    if (!taken) return 0;
    caxton_log_text(CAXTON_INFO, "a subscription is over");
    return caxton_kv_set_bytes("subscribers", rest) < 0;
}

static int32_t publish(const caxton_message *message) {
    caxton_str value, item;
    caxton_message subscriber;
    int told = 0;
    if (!caxton_json_get(message->content, "value", &value)) {
        caxton_str why = caxton_object_string("error", "expected a request with {\"value\": v}");
        return caxton_settle(caxton_not_understood(message, why));
    }
    caxton_text content = caxton_object();
    caxton_field_json(&content, "value", value);
    caxton_str news = caxton_object_end(&content);
    caxton_items items = caxton_items_of(subscribers());
    while (caxton_next_item(&items, &item)) {
        if (!caxton_read_message(item, &subscriber)) continue;
        if (caxton_settle(caxton_inform(&subscriber, news))) return 1;
        told++;
    }
    caxton_logf(CAXTON_INFO, "told %d that the value is %.*s", told, CAXTON_PRINT(value));
    return caxton_settle(caxton_inform(message, caxton_object_int("told", told)));
}

CAXTON_ON_MESSAGE(message) {
    if (caxton_act(message, "subscribe")) return add_subscriber(message);
    if (caxton_act(message, "cancel")) return remove_subscriber(message);
    if (caxton_act(message, "request")) return publish(message);
    if (caxton_act(message, "not-understood")) return lose_subscriber(message);
    if (!caxton_wants_reply(message)) return 0;
    caxton_str why = caxton_object_string("error", "expected a subscribe, cancel or request");
    return caxton_settle(caxton_not_understood(message, why));
}
