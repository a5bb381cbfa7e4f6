/* An agent for proofs: does what a message says, and counts in its state how often it did so.
 *
 * Content: {"t": token, "fate": …, "kids": n, "to": "next|the one after it"}. Key of the state: the token.
 * Fates: ok; third (fails until its third attempt); fail (always); trap (traps on its first attempt); crash (always);
 * timer (counts "TOKEN@" when a timer fires); spin (computes for some slices). What fails does all its effects before.
 */
#include "../../sdk/c/caxton.h"

CAXTON_ON_INIT() {
    caxton_str topic = caxton_s("news/*");
    return caxton_subscribe(topic.ptr, topic.len);
}

static int32_t count(caxton_str key) {
    caxton_text number = {0};
    int64_t times = 0;
    caxton_str value;
    int32_t length = caxton_kv_get(key.ptr, key.len);
    if (length >= 0) {
        char *digits = caxton_scratch((uint32_t)length);
        if (!digits) return -1;
        caxton_read_result(digits, (uint32_t)length);
        if (!caxton_json_to_int((caxton_str){digits, (uint32_t)length}, &times)) return -1;
    }
    caxton_put_int(&number, times + 1);
    value = caxton_result(&number);
    return caxton_kv_set(key.ptr, key.len, value.ptr, value.len);
}

static caxton_str timer_key(int32_t id) {
    caxton_text key = {0};
    caxton_put(&key, caxton_s("timer:"));
    caxton_put_int(&key, id);
    return caxton_result(&key);
}

CAXTON_ON_TIMER(id) {
    caxton_str key = timer_key(id);
    caxton_text fired = {0};
    int32_t length = caxton_kv_get(key.ptr, key.len);
    if (length < 0) return 1;
    char *token = caxton_scratch((uint32_t)length);
    if (!token) return 1;
    caxton_read_result(token, (uint32_t)length);
    caxton_put(&fired, (caxton_str){token, (uint32_t)length});
    caxton_put(&fired, caxton_s("@"));
    if (caxton_kv_delete(key.ptr, key.len) < 0) return 1;
    return count(caxton_result(&fired)) < 0;
}

/* The kids of a message are called TOKEN.0, TOKEN.1, … and go to the first name in `to`, with the rest of it. */
static int32_t send_kids(const caxton_message *message, caxton_str token, int64_t kids, caxton_str to) {
    uint32_t first = 0;
    while (first < to.len && to.ptr[first] != '|') first++;
    for (int64_t n = 0; n < kids; n++) {
        caxton_text name = {0}, content, json;
        caxton_put(&name, token);
        caxton_put(&name, caxton_s("."));
        caxton_put_int(&name, n);
        content = caxton_object();
        caxton_field_string(&content, "t", caxton_result(&name));
        caxton_field_string(&content, "fate", caxton_s("ok"));
        if (first < to.len) {
            caxton_field_int(&content, "kids", 1);
            caxton_field_string(&content, "to", (caxton_str){to.ptr + first + 1, to.len - first - 1});
        }
        json = caxton_object();
        caxton_field_string(&json, "performative", caxton_s("inform"));
        caxton_field_string(&json, "receiver", (caxton_str){to.ptr, first});
        caxton_field_json(&json, "content", caxton_object_end(&content));
        caxton_str text = caxton_object_end(&json);
        int32_t result = text.ptr ? caxton_send_message(text.ptr, text.len) : CAXTON_TOO_LARGE;
        if (result < 0) return result;
    }
    (void)message;
    return 0;
}

CAXTON_ON_MESSAGE(message) {
    caxton_str token = {0}, fate = {0}, to = {0};
    int64_t attempt = 1, kids = 0;
    if (!caxton_json_string(message->content, "t", &token)) return 0;
    caxton_json_string(message->content, "fate", &fate);
    caxton_json_string(message->content, "to", &to);
    caxton_json_int(message->content, "kids", &kids);
    caxton_json_int(message->json, "attempt", &attempt);

    if (count(token) < 0 || send_kids(message, token, kids, to) < 0) return 1;
    if (caxton_is(fate, "timer")) {
        int32_t id = caxton_set_timer(2000);
        if (id < 0) return 1;
        caxton_str key = timer_key(id);
        if (caxton_kv_set(key.ptr, key.len, token.ptr, token.len) < 0) return 1;
    }
    if (caxton_wants_reply(message) && caxton_is(message->performative, "request")
        && caxton_reply(message, "inform", message->content) < 0) return 1;
    if (caxton_is(fate, "fail") || (caxton_is(fate, "third") && attempt < 3)) return 1;
    if (caxton_is(fate, "crash") || (caxton_is(fate, "trap") && attempt < 2)) __builtin_trap();
    if (caxton_is(fate, "spin"))
        for (volatile int32_t left = 4000000; left > 0; left--) {}
    return 0;
}
