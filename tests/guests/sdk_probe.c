/* Does with the C SDK what each message asks for; sdk_probe.ts is the same in AssemblyScript. */
#include "../../sdk/c/caxton_conversation.h"

static void say(caxton_str text) {
    if (caxton_is_lost(text)) text = caxton_s("lost");
    caxton_log(CAXTON_INFO, text.ptr, text.len);
}

static void say_whether(bool answer) {
    say(caxton_s(answer ? "yes" : "no"));
}

static int32_t answer(const caxton_message *message, caxton_str act, caxton_str arg) {
    if (caxton_is(act, "agree")) return caxton_agree(message, arg);
    if (caxton_is(act, "refuse")) return caxton_refuse(message, arg);
    if (caxton_is(act, "inform")) return caxton_inform(message, arg);
    if (caxton_is(act, "failure")) return caxton_failure(message, arg);
    if (caxton_is(act, "not-understood")) return caxton_not_understood(message, arg);
    if (caxton_is(act, "propose")) return caxton_propose(message, arg);
    if (caxton_is(act, "accept-proposal")) return caxton_accept_proposal(message, arg);
    if (caxton_is(act, "reject-proposal")) return caxton_reject_proposal(message, arg);
    return CAXTON_INVALID;
}

static int32_t converse(const caxton_message *message, caxton_str what, caxton_str arg, int64_t n) {
    caxton_conversation net = {.parent = message->conversation_id};
    int32_t result;
    if (caxton_is(what, "start-request")) result = caxton_start_request(&net, caxton_s("bob"), arg, n);
    else if (caxton_is(what, "start-contract-net"))
        result = caxton_start_contract_net(&net, caxton_s("[\"ann\",\"b\\\"ob\"]"), arg, n);
    else if (caxton_is(what, "start-subscription"))
        result = caxton_start_subscription(&net, caxton_s("bob"), arg);
    else {
        net.id = message->conversation_id;
        net.protocol = message->protocol;
        net.participants = message->sender;
        net.parent = (caxton_str){0, 0};
        return caxton_cancel(&net);
    }
    say(net.id);
    return result;
}

CAXTON_ON_MESSAGE(message) {
    caxton_str what = {0}, act = {0}, arg = {0}, item;
    int64_t n = 0;
    double number;
    bool was_there;
    caxton_message kept;
    caxton_json_string(message->content, "do", &what);
    caxton_json_string(message->content, "act", &act);
    caxton_json_get(message->content, "arg", &arg);
    caxton_json_int(message->content, "n", &n);
    if (caxton_is(what, "answer")) return answer(message, act, arg) < 0;
    if (caxton_is(what, "number")) {
        if (caxton_json_number(message->content, "arg", &number)) caxton_kv_set("number", 6, &number, 8);
        else say(caxton_s("none"));
    } else if (caxton_is(what, "items")) {
        caxton_items items = caxton_items_of(arg);
        while (caxton_next_item(&items, &item)) say(item);
    } else if (caxton_is(what, "without")) {
        say(caxton_names_without(arg, caxton_s("ann"), &was_there));
        say_whether(was_there);
    } else if (caxton_is(what, "with")) say(caxton_names_with(arg, caxton_s("ann")));
    else if (caxton_is(what, "time")) say(caxton_time_text(n));
    else if (caxton_is(what, "answers-cancel")) say_whether(caxton_answers_cancel(message));
    else if (caxton_is(what, "is-deadline")) say_whether(caxton_is_deadline(message));
    else if (caxton_is(what, "is-ended")) say_whether(caxton_is_ended(message));
    else if (caxton_is(what, "participant")) say(caxton_participant(message));
    else if (caxton_is(what, "keep")) return caxton_keep_message("asker", message->conversation_id, message) < 0;
    else if (caxton_is(what, "recall")) {
        if (caxton_recall_message("asker", message->conversation_id, &kept) < 0) say(caxton_s("none"));
        else return caxton_inform(&kept, arg) < 0;
    } else if (caxton_is(what, "forget")) return caxton_forget("asker", message->conversation_id) < 0;
    else return converse(message, what, arg, n) < 0;
    return 0;
}
