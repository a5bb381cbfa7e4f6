/* Sells something to whoever goes on bidding longest: an English auction. */
#include "../../sdk/c/caxton_conversation.h"

/* Kept of each auction, under the id of its conversation:
 *   asker    the request that it serves: {"item", "start", "step", "bidders", "round_ms"}
 *   price    of the last call
 *   call     the `reply_with` of the last call
 *   silent   names of those who were called and have not bid
 *   bid      names of those who have
 *   leader   the last bid that was accepted; for `price`, or for one step less
 *   timer    of the round; under its id in turn: auction
 * Once it is over, only asker and leader are left. */

static caxton_conversation auction_of(caxton_str id, caxton_str participants) {
    return (caxton_conversation){
        .id = id, .protocol = caxton_s("fipa-auction-english"), .participants = participants};
}

static int64_t number_of(const caxton_message *asker, const char *name, int64_t otherwise) {
    caxton_json_int(asker->content, name, &otherwise);
    return otherwise;
}

enum { PAY_MS = 60000 };

/* False if something failed that may succeed later. */
static bool call(const caxton_message *asker, caxton_str id, caxton_str bidders, int64_t price) {
    int64_t round_ms = number_of(asker, "round_ms", 1000);
    caxton_conversation auction = auction_of(id, bidders);
    caxton_message cfp =
        caxton_saying(&auction, "cfp", caxton_object_int("price", price), round_ms);
    int32_t timer = caxton_set_timer(round_ms * 1000);
    caxton_logf(CAXTON_INFO, "who bids %lld?", (long long)price);
    return timer > 0 && caxton_send(cfp) == 0
        && caxton_keep_int("price", id, price) == 0
        && caxton_keep("call", id, cfp.reply_with) == 0
        && caxton_keep("silent", id, bidders) == 0
        && caxton_keep("bid", id, caxton_s("[]")) == 0
        && caxton_keep_int("timer", id, timer) == 0
        && caxton_keep("auction", caxton_int_text(timer), id) == 0;
}

static int32_t open_auction(const caxton_message *message) {
    caxton_str item, bidders;
    int64_t start = number_of(message, "start", 1), round_ms = number_of(message, "round_ms", 1000);
    bool is_complete = caxton_json_get(message->content, "item", &item)
                    && caxton_json_get(message->content, "bidders", &bidders);
    if (!is_complete || !caxton_count_items(bidders) || start <= 0 || round_ms <= 0
        || round_ms > 86400000 || number_of(message, "step", 1) <= 0) {
        caxton_str why = caxton_object_string(
            "error", "expected a request with {\"item\": i, \"bidders\": [names], \"start\": n, "
                     "\"step\": n, \"round_ms\": n}");
        return caxton_settle(caxton_not_understood(message, why));
    }
    caxton_conversation auction = {.parent = message->conversation_id};
    caxton_text content = caxton_object();
    caxton_field_json(&content, "item", item);
    int32_t result = caxton_start(
        &auction, "fipa-auction-english", "inform", bidders, caxton_object_end(&content), 0);
    if (result == CAXTON_WOULD_BLOCK || result == CAXTON_RATE_LIMITED) return 1;
    if (result < 0)
        return caxton_settle(caxton_refuse(message, caxton_object_int("error", result)));
    caxton_logf(CAXTON_INFO, "for sale: %.*s", CAXTON_PRINT(item));
    if (caxton_keep_message("asker", auction.id, message) < 0) return 1;
    if (!call(message, auction.id, bidders, start)) return 1;
    return caxton_settle(caxton_agree(message, (caxton_str){0, 0}));
}

static void end_round(caxton_str id) {
    int64_t timer;
    if (caxton_recall_int("timer", id, &timer) < 0) return;
    caxton_cancel_timer((int32_t)timer);
    caxton_forget("auction", caxton_int_text(timer));
    caxton_forget("timer", id);
}

/* Tells everybody who has it, and asks that one to pay. */
static int32_t close_auction(const caxton_message *asker, caxton_str id) {
    caxton_str item = caxton_s("null"), bidders = {0}, price;
    caxton_message leader;
    caxton_text news = caxton_object();
    bool is_sold = caxton_recall_message("leader", id, &leader) == 0
                && caxton_json_get(leader.content, "price", &price);
    caxton_json_get(asker->content, "item", &item);
    caxton_json_get(asker->content, "bidders", &bidders);
    caxton_field_json(&news, "item", item);
    if (is_sold) {
        caxton_field_string(&news, "sold_to", leader.sender);
        caxton_field_json(&news, "price", price);
        caxton_logf(CAXTON_INFO, "sold to %.*s for %.*s", CAXTON_PRINT(leader.sender),
                    CAXTON_PRINT(price));
    } else caxton_log_text(CAXTON_INFO, "nobody wants it");
    caxton_conversation auction = auction_of(id, bidders);
    if (caxton_settle(
            caxton_send(caxton_saying(&auction, "inform", caxton_object_end(&news), 0))))
        return 1;
    static const char *const of_rounds[] = {"price", "call", "silent", "bid"};
    for (int i = 0; i < 4; i++) caxton_forget(of_rounds[i], id);
    if (!is_sold) {
        caxton_forget("asker", id);
        caxton_str why = caxton_object_string("error", "nobody wants it");
        return caxton_settle(caxton_failure(asker, why));
    }
    caxton_text bill = caxton_object();
    caxton_field_json(&bill, "pay", price);
    auction.participants = leader.sender;
    return caxton_settle(
        caxton_send(caxton_saying(&auction, "request", caxton_object_end(&bill), PAY_MS)));
}

/* Everybody has bid, or the time is over. Who was silent is out. */
static int32_t next_round(caxton_str id) {
    caxton_message asker;
    caxton_str bid = caxton_s("[]");
    int64_t price = 0;
    end_round(id);
    if (caxton_recall_message("asker", id, &asker) < 0) return 0;
    caxton_recall("bid", id, &bid);
    caxton_recall_int("price", id, &price);
    if (caxton_count_items(bid) < 2) return close_auction(&asker, id);
    return !call(&asker, id, bid, price + number_of(&asker, "step", 1));
}

CAXTON_ON_TIMER(timer) {
    caxton_str id;
    if (caxton_recall("auction", caxton_int_text(timer), &id) < 0) return 0;
    return next_round(id);
}

/* The first bid of a round is accepted. One for an earlier call is answered no more. */
static int32_t take_bid(const caxton_message *message) {
    caxton_str id = message->conversation_id, call_id, silent, bid;
    int64_t price, offered;
    bool was_silent;
    if (caxton_recall("call", id, &call_id) < 0 || !caxton_same(call_id, message->in_reply_to)
        || caxton_recall("silent", id, &silent) < 0 || caxton_recall("bid", id, &bid) < 0
        || caxton_recall_int("price", id, &price) < 0)
        return 0;
    silent = caxton_names_without(silent, message->sender, &was_silent);
    if (!was_silent) return 0;
    if (!caxton_json_int(message->content, "price", &offered) || offered != price) {
        caxton_str why = caxton_object_int("price", price);
        return caxton_settle(caxton_reject_proposal(message, why));
    }
    caxton_logf(CAXTON_INFO, "%.*s bids %lld", CAXTON_PRINT(message->sender), (long long)price);
    int32_t result;
    if (caxton_is(bid, "[]")) {
        if (caxton_keep_message("leader", id, message) < 0) return 1;
        result = caxton_accept_proposal(message, caxton_object_int("price", price));
    } else {
        caxton_str why = caxton_object_string("reason", "another was first");
        result = caxton_reject_proposal(message, why);
    }
    if (caxton_settle(result)) return 1;
    if (caxton_keep("silent", id, silent) < 0) return 1;
    if (caxton_keep("bid", id, caxton_names_with(bid, message->sender)) < 0) return 1;
    return caxton_is(silent, "[]") ? next_round(id) : 0;
}

/* The winner has paid, or will not, or was silent. */
static int32_t report(const caxton_message *message) {
    caxton_str id = message->conversation_id, price, call_id;
    caxton_message asker, leader;
    if (caxton_recall("call", id, &call_id) == 0 || caxton_recall_message("asker", id, &asker) < 0
        || caxton_recall_message("leader", id, &leader) < 0
        || !(caxton_same(leader.sender, caxton_participant(message))
             || caxton_is_deadline(message))
        || !caxton_json_get(leader.content, "price", &price))
        return 0;
    caxton_forget("asker", id);
    caxton_forget("leader", id);
    caxton_logf(CAXTON_INFO, "%.*s %s", CAXTON_PRINT(leader.sender),
                caxton_act(message, "inform") ? "has paid" : "does not pay");
    caxton_text content = caxton_object();
    if (caxton_act(message, "inform")) {
        caxton_field_string(&content, "sold_to", leader.sender);
        caxton_field_json(&content, "price", price);
        return caxton_settle(caxton_inform(&asker, caxton_object_end(&content)));
    }
    caxton_field_string(&content, "error", caxton_s("the winner does not pay"));
    caxton_field_string(&content, "winner", leader.sender);
    return caxton_settle(caxton_failure(&asker, caxton_object_end(&content)));
}

CAXTON_ON_MESSAGE(message) {
    if (caxton_act(message, "request")) return open_auction(message);
    if (caxton_act(message, "propose")) return take_bid(message);
    if (caxton_act(message, "refuse") || !caxton_wants_reply(message)) return report(message);
    if (caxton_act(message, "agree")) return 0;
    caxton_str why = caxton_object_string("error", "expected a request");
    return caxton_settle(caxton_not_understood(message, why));
}
