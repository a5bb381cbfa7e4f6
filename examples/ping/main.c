/* Sends a ping to the agent "pong" every second. */
#include "../../sdk/c/caxton.h"

enum { INTERVAL_US = 1000000 };

/* Sends ping number n + 1; the number sent so far is kept, so that counting goes on after a restart. */
static int32_t send_ping(int64_t *sent) {
    int64_t n = 0;
    int32_t result = caxton_kv_get_int("sent", &n);
    if (result < 0 && result != CAXTON_NOT_FOUND) return result;
    *sent = n;

    caxton_text label = {0};
    caxton_put(&label, caxton_s("ping-"));
    caxton_put_int(&label, n + 1);
    result = caxton_send((caxton_message){
        .performative = caxton_s("request"),
        .receiver = caxton_s("pong"),
        .content = caxton_object_int("ping", n + 1),
        .conversation_id = caxton_s("ping-pong"),
        .reply_with = caxton_result(&label),
    });
    if (result < 0) return result;
    caxton_log_text(CAXTON_INFO, "Sending ping to pong");
    *sent = n + 1;
    return caxton_kv_set_int("sent", n + 1);
}

/* One warning for each kind of trouble, not one a second. */
static void report(int32_t result) {
    static int32_t reported;
    if (result == reported) return;
    reported = result;
    if (result == CAXTON_UNKNOWN_RECEIVER)
        caxton_log_text(CAXTON_WARN, "pong is not deployed yet; trying again");
    else if (result < 0)
        caxton_logf(CAXTON_WARN, "could not send a ping (error %d); trying again", result);
}

/* Timers outlive a restart, and agent_init runs again: without cancelling, each restart would add
 * one more timer. */
static int32_t set_the_timer(void) {
    int64_t old;
    if (caxton_kv_get_int("timer", &old) == 0) caxton_cancel_timer((int32_t)old);
    int32_t id = caxton_set_timer(INTERVAL_US);
    return id < 0 || caxton_kv_set_int("timer", id) < 0;
}

CAXTON_ON_INIT() {
    return set_the_timer();
}

CAXTON_ON_TIMER(id) {
    int64_t sent;
    report(send_ping(&sent));
    return set_the_timer();
}

CAXTON_ON_MESSAGE(message) {
    if (caxton_is(message->performative, "inform") && caxton_is(message->sender, "pong"))
        caxton_log_text(CAXTON_INFO, "Received pong");
    if (!caxton_wants_reply(message)) return 0;
    if (!caxton_is(message->performative, "request")) {
        caxton_str why = caxton_object_string("error", "expected a request");
        return caxton_settle(caxton_reply(message, "not-understood", why));
    }
    int64_t sent = 0;
    int32_t result = send_ping(&sent);
    report(result);
    if (result < 0) {
        caxton_str why = caxton_object_int("error", result);
        return caxton_settle(caxton_reply(message, "failure", why));
    }
    return caxton_settle(caxton_reply(message, "inform", caxton_object_int("sent", sent)));
}
