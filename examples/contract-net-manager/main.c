/* Hands a task to whoever bids least. */
#include "../../sdk/c/caxton_conversation.h"

/* For the bids, and again for the work. */
static int64_t deadline_ms(const caxton_message *asker) {
    int64_t ms = 5000;
    caxton_json_int(asker->content, "deadline_ms", &ms);
    return ms;
}

/* Kept of each contract net, under the id of its conversation:
 *   asker    the request that it serves
 *   waiting  names of the bidders that have not answered; absent once the task is awarded
 *   best     the lowest bid so far, which has got no answer yet; after that, the one accepted */

static int32_t call_for_proposals(const caxton_message *message) {
    caxton_str task, bidders;
    bool is_complete = caxton_json_get(message->content, "task", &task)
                    && caxton_json_get(message->content, "bidders", &bidders);
    if (!is_complete || deadline_ms(message) <= 0 || !caxton_count_items(bidders)) {
        caxton_str why = caxton_object_string(
            "error", "expected a request with {\"task\": t, \"bidders\": [names], \"deadline_ms\": n}");
        return caxton_settle(caxton_not_understood(message, why));
    }
    caxton_conversation net = {.parent = message->conversation_id};
    caxton_text call = caxton_object();
    caxton_field_json(&call, "task", task);
    int32_t result = caxton_start_contract_net(
        &net, bidders, caxton_object_end(&call), deadline_ms(message));
    if (result == CAXTON_WOULD_BLOCK || result == CAXTON_RATE_LIMITED) return 1;
    if (result < 0)
        return caxton_settle(caxton_refuse(message, caxton_object_int("error", result)));
    if (caxton_keep_message("asker", net.id, message) < 0) return 1;
    if (caxton_keep("waiting", net.id, bidders) < 0) return 1;
    caxton_logf(CAXTON_INFO, "calling for proposals: %.*s", CAXTON_PRINT(task));
    return caxton_settle(caxton_agree(message, (caxton_str){0, 0}));
}

static void forget(caxton_str net) {
    caxton_forget("asker", net);
    caxton_forget("waiting", net);
    caxton_forget("best", net);
}

static int32_t tell_failure(caxton_str net, const char *why) {
    caxton_message asker;
    if (caxton_recall_message("asker", net, &asker) < 0) return 0;
    caxton_logf(CAXTON_INFO, "no result: %s", why);
    forget(net);
    return caxton_settle(caxton_failure(&asker, caxton_object_string("error", why)));
}

static int32_t award(caxton_str net) {
    caxton_message asker, best;
    caxton_str task;
    if (caxton_recall_message("asker", net, &asker) < 0) return 0;
    if (caxton_recall_message("best", net, &best) < 0) return tell_failure(net, "nobody bids");
    caxton_forget("waiting", net);
    caxton_logf(CAXTON_INFO, "%.*s has the task", CAXTON_PRINT(best.sender));
    caxton_text content = caxton_object();
    if (caxton_json_get(asker.content, "task", &task)) caxton_field_json(&content, "task", task);
    caxton_message accept = caxton_answer(&best, "accept-proposal", caxton_object_end(&content));
    accept.reply_with = caxton_fresh_id();
    accept.reply_by = caxton_reply_by_text(deadline_ms(&asker));
    return caxton_settle(caxton_send(accept));
}

/* Crosses a bidder off the list of those who have not answered; who was the last ends the round. */
static int32_t cross_off(const caxton_message *message) {
    caxton_str net = message->conversation_id, waiting;
    bool was_waiting;
    if (caxton_recall("waiting", net, &waiting) < 0) return 0;
    waiting = caxton_names_without(waiting, caxton_participant(message), &was_waiting);
    if (!was_waiting) return 0;
    if (caxton_is(waiting, "[]")) return award(net);
    return caxton_keep("waiting", net, waiting) < 0;
}

/* Of two bids the dearer is rejected at once: there is only one to keep, however many bid. */
static int32_t take_bid(const caxton_message *bid) {
    caxton_str net = bid->conversation_id, waiting;
    caxton_message best;
    double cost, lowest;
    int32_t result = 0;
    bool is_open = caxton_recall("waiting", net, &waiting) == 0;
    bool has_best = is_open && caxton_recall_message("best", net, &best) == 0
                 && caxton_json_number(best.content, "cost", &lowest);
    bool has_cost = caxton_json_number(bid->content, "cost", &cost);
    if (has_cost) {
        caxton_str text = {0};
        caxton_json_get(bid->content, "cost", &text);
        caxton_logf(
            CAXTON_INFO, "%.*s bids %.*s", CAXTON_PRINT(bid->sender), CAXTON_PRINT(text));
    }
    if (!is_open || !has_cost || (has_best && lowest <= cost)) {
        caxton_str why = caxton_object_string(
            "reason", !is_open ? "late" : !has_cost ? "no cost" : "dearer than another");
        result = caxton_reject_proposal(bid, why);
    } else {
        if (caxton_keep_message("best", net, bid) < 0) return 1;
        caxton_str why = caxton_object_string("reason", "dearer than another");
        if (has_best) result = caxton_reject_proposal(&best, why);
    }
    return caxton_settle(result) || cross_off(bid);
}

/* Refused, failed or did not understand. */
static int32_t lose_bidder(const caxton_message *message) {
    caxton_str net = message->conversation_id, name = caxton_participant(message), waiting;
    caxton_message best;
    bool is_open = caxton_recall("waiting", net, &waiting) == 0;
    bool is_best = caxton_recall_message("best", net, &best) == 0 && caxton_same(best.sender, name);
    caxton_logf(CAXTON_INFO, "%.*s: %.*s", CAXTON_PRINT(name), CAXTON_PRINT(message->performative));
    if (!is_best) return cross_off(message);
    if (!is_open) return tell_failure(net, "the winner did not do it");
    caxton_forget("best", net); /* it takes its bid back */
    return 0;
}

/* All that was not answered in time. */
static int32_t time_is_over(caxton_str net) {
    caxton_str waiting;
    if (caxton_recall("waiting", net, &waiting) == 0) return award(net);
    return tell_failure(net, "the winner said nothing in time");
}

static int32_t pass_result_on(const caxton_message *result) {
    caxton_str net = result->conversation_id, waiting, cost;
    caxton_message asker, best;
    if (caxton_recall("waiting", net, &waiting) == 0
        || caxton_recall_message("best", net, &best) < 0
        || !caxton_same(best.sender, result->sender)
        || caxton_recall_message("asker", net, &asker) < 0)
        return 0;
    caxton_text content = caxton_object();
    caxton_field_string(&content, "winner", best.sender);
    if (caxton_json_get(best.content, "cost", &cost)) caxton_field_json(&content, "cost", cost);
    if (result->content.len) caxton_field_json(&content, "result", result->content);
    caxton_logf(CAXTON_INFO, "%.*s has done it", CAXTON_PRINT(best.sender));
    int32_t sent = caxton_inform(&asker, caxton_object_end(&content));
    forget(net);
    return caxton_settle(sent);
}

CAXTON_ON_MESSAGE(message) {
    if (caxton_act(message, "request")) return call_for_proposals(message);
    if (caxton_act(message, "propose")) return take_bid(message);
    if (caxton_act(message, "inform")) return pass_result_on(message);
    if (caxton_is_deadline(message)) return time_is_over(message->conversation_id);
    if (caxton_is_ended(message))
        return tell_failure(message->conversation_id, "the conversation was ended");
    if (caxton_act(message, "refuse") || !caxton_wants_reply(message)) return lose_bidder(message);
    caxton_str why = caxton_object_string("error", "expected a request");
    return caxton_settle(caxton_not_understood(message, why));
}
