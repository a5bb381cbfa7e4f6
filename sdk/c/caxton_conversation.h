/* caxton_conversation.h: FIPA conversations in a few words. Copy it beside caxton.h.
 *
 * To answer, say the act:
 *
 *     caxton_propose(message, caxton_object_int("cost", 30));
 *
 * To begin a conversation, start it; it gets an id that nobody else has:
 *
 *     caxton_conversation net = {0};
 *     caxton_start_contract_net(&net, caxton_s("[\"ann\",\"bob\"]"), task, 5000);
 *
 * Between two messages an agent knows only what it kept:
 *
 *     caxton_keep_message("asker", net.id, message);
 *
 * All of it is built from caxton.h: the same arena, the same results (0, or an error code). Who may
 * say what is in docs/reference/protocols.md; the node refuses the rest.
 */
#ifndef CAXTON_CONVERSATION_H
#define CAXTON_CONVERSATION_H

#include "caxton.h"

/* ---- Ids and times ------------------------------------------------------------------------ */

/* 24 hex digits, random: no other agent, replica or run has them. */
CAXTON_FN caxton_str caxton_fresh_id(void) {
    unsigned char bytes[12];
    char *id = caxton_scratch(2 * sizeof bytes);
    if (!id) return CAXTON_LOST;
    caxton_random(bytes, sizeof bytes);
    for (uint32_t i = 0; i < 2 * sizeof bytes; i++)
        id[i] = "0123456789abcdef"[bytes[i / 2] >> (i % 2 ? 0 : 4) & 15];
    return (caxton_str){id, 2 * sizeof bytes};
}

static inline caxton_str caxton_int_text(int64_t number) {
    caxton_text text = {0};
    caxton_put_int(&text, number);
    return caxton_result(&text);
}

static inline void caxton__put_digits(char *end, uint64_t number, uint32_t count) {
    for (; count; count--, number /= 10) *--end = (char)('0' + number % 10);
}

/* ISO 8601 in UTC, as `reply_by` wants it: 2031-05-17T09:30:00.123456Z. Lost if it is before 1970 or
 * after the year 9999. */
CAXTON_FN caxton_str caxton_time_text(int64_t us_since_1970) {
    uint64_t us = (uint64_t)us_since_1970, days = us / 86400000000u, rest = us % 86400000000u;
    uint32_t year = 1970, month = 0;
    if (days >= 2932897) return CAXTON_LOST; /* a negative time is such a large one */
    for (;; year++) {
        uint32_t in_year = 365 + ((year % 4 == 0 && year % 100 != 0) || year % 400 == 0);
        if (days < in_year) break;
        days -= in_year;
    }
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    for (;; month++) {
        uint32_t in_month = month == 1 ? 28 + is_leap : 30 + (0xad5u >> month & 1);
        if (days < in_month) break;
        days -= in_month;
    }
    char *text = caxton_scratch(27);
    if (!text) return CAXTON_LOST;
    __builtin_memcpy(text, "0000-00-00T00:00:00.000000Z", 27);
    caxton__put_digits(text + 4, year, 4);
    caxton__put_digits(text + 7, month + 1, 2);
    caxton__put_digits(text + 10, days + 1, 2);
    caxton__put_digits(text + 13, rest / 3600000000u, 2);
    caxton__put_digits(text + 16, rest / 60000000u % 60, 2);
    caxton__put_digits(text + 19, rest / 1000000u % 60, 2);
    caxton__put_digits(text + 26, rest % 1000000u, 6);
    return (caxton_str){text, 27};
}

static inline caxton_str caxton_reply_by_text(int64_t ms_from_now) {
    const int64_t limit_ms = 253402300800000; /* after the year 9999, and no overflow below */
    bool fits = ms_from_now > -limit_ms && ms_from_now < limit_ms;
    return fits ? caxton_time_text(caxton_now_us() + ms_from_now * 1000) : CAXTON_LOST;
}

/* ---- Lists of names ------------------------------------------------------------------------ */

/* JSON text, as it stands in `receiver`. */

/* Each occurrence of `name` is left out; "[]" if there was no other. */
CAXTON_FN caxton_str caxton_names_without(caxton_str names, caxton_str name, bool *was_there) {
    caxton_items items = caxton_items_of(names);
    caxton_text rest = {0};
    caxton_str item, text;
    *was_there = false;
    while (caxton_next_item(&items, &item)) {
        if (caxton_json_text(item, &text) && caxton_same(text, name)) {
            *was_there = true;
            continue;
        }
        caxton_put_byte(&rest, rest.len ? ',' : '[');
        caxton_put(&rest, item);
    }
    if (!rest.len) caxton_put_byte(&rest, '[');
    caxton_put_byte(&rest, ']');
    return caxton_result(&rest);
}

/* With `name` at the end. */
CAXTON_FN caxton_str caxton_names_with(caxton_str names, caxton_str name) {
    bool was_there;
    caxton_text longer = {0};
    names = caxton_names_without(names, name, &was_there);
    if (!caxton_is_lost(names)) names.len--; /* up to its ']' */
    caxton_put(&longer, names);
    if (names.len > 1) caxton_put_byte(&longer, ',');
    caxton_put_string(&longer, name);
    caxton_put_byte(&longer, ']');
    return caxton_result(&longer);
}

CAXTON_FN uint32_t caxton_count_items(caxton_str list) {
    caxton_items items = caxton_items_of(list);
    caxton_str item;
    uint32_t count = 0;
    while (caxton_next_item(&items, &item)) count++;
    return count;
}

/* ---- Answers ------------------------------------------------------------------------------ */

/* Each goes to `reply_to` or else the sender, in the same conversation and protocol, and refers to
 * the message by its `reply_with`. Content is JSON text; {0} leaves it out. */

static inline int32_t caxton_agree(const caxton_message *message, caxton_str content) {
    return caxton_reply(message, "agree", content);
}

static inline int32_t caxton_refuse(const caxton_message *message, caxton_str content) {
    return caxton_reply(message, "refuse", content);
}

static inline int32_t caxton_inform(const caxton_message *message, caxton_str content) {
    return caxton_reply(message, "inform", content);
}

static inline int32_t caxton_failure(const caxton_message *message, caxton_str content) {
    return caxton_reply(message, "failure", content);
}

static inline int32_t caxton_not_understood(const caxton_message *message, caxton_str content) {
    return caxton_reply(message, "not-understood", content);
}

/* An answer that wants one itself, and so has a `reply_with` of its own. */
CAXTON_FN int32_t caxton__reply_and_ask(
    const caxton_message *message, const char *performative, caxton_str content) {
    caxton_message answer = caxton_answer(message, performative, content);
    answer.reply_with = caxton_fresh_id();
    return caxton_send(answer);
}

static inline int32_t caxton_propose(const caxton_message *message, caxton_str content) {
    return caxton__reply_and_ask(message, "propose", content);
}

static inline int32_t caxton_accept_proposal(const caxton_message *message, caxton_str content) {
    return caxton__reply_and_ask(message, "accept-proposal", content);
}

static inline int32_t caxton_reject_proposal(const caxton_message *message, caxton_str content) {
    return caxton_reply(message, "reject-proposal", content);
}

/* ---- Conversations of one's own ------------------------------------------------------------ */

typedef struct {
    caxton_str id;           /* a fresh one if it is absent */
    caxton_str protocol;
    caxton_str participants; /* a name, or the JSON text of a list of names */
    caxton_str parent;       /* the conversation within which this one is begun, or absent */
} caxton_conversation;

/* A message to all participants; `deadline_ms` from now is its `reply_by`, 0 for none. */
CAXTON_FN caxton_message caxton_saying(
    const caxton_conversation *conversation, const char *performative, caxton_str content,
    int64_t deadline_ms) {
    caxton_message message = {
        .performative = caxton_s(performative),
        .receiver = conversation->participants,
        .content = content,
        .protocol = conversation->protocol,
        .conversation_id = conversation->id,
        .parent_conversation = conversation->parent,
        .reply_with = caxton_fresh_id(),
    };
    if (deadline_ms) message.reply_by = caxton_reply_by_text(deadline_ms);
    return message;
}

/* Begins `conversation` with any act of any protocol. Fills in id, protocol and participants. */
CAXTON_FN int32_t caxton_start(
    caxton_conversation *conversation, const char *protocol, const char *performative,
    caxton_str participants, caxton_str content, int64_t deadline_ms) {
    conversation->protocol = caxton_s(protocol);
    conversation->participants = participants;
    if (!conversation->id.len) conversation->id = caxton_fresh_id();
    return caxton_send(caxton_saying(conversation, performative, content, deadline_ms));
}

/* If nobody has answered by then, `failure` comes from the node: see caxton_is_deadline. */
static inline int32_t caxton_start_request(
    caxton_conversation *conversation, caxton_str participant, caxton_str content,
    int64_t deadline_ms) {
    return caxton_start(conversation, "fipa-request", "request", participant, content, deadline_ms);
}

/* A call for proposals; later ones are rejected by the node. */
static inline int32_t caxton_start_contract_net(
    caxton_conversation *conversation, caxton_str participants, caxton_str content,
    int64_t deadline_ms) {
    return caxton_start(
        conversation, "fipa-contract-net", "cfp", participants, content, deadline_ms);
}

/* To an agent, not to a topic: it informs each time that what the content describes changes, until
 * the conversation is cancelled. */
static inline int32_t caxton_start_subscription(
    caxton_conversation *conversation, caxton_str participant, caxton_str content) {
    return caxton_start(conversation, "fipa-subscribe", "subscribe", participant, content, 0);
}

/* "cancel-" and the conversation's id: so the answer to a cancel can be told from what crossed it. */
CAXTON_FN caxton_str caxton__cancel_id(caxton_str conversation_id) {
    caxton_text text = {0};
    caxton_put(&text, caxton_s("cancel-"));
    caxton_put(&text, conversation_id);
    return caxton_result(&text);
}

/* Asks the participants to end it: id, protocol and participants are needed. Each answers `inform`
 * or, if it cannot be ended, `failure`. */
CAXTON_FN int32_t caxton_cancel(const caxton_conversation *conversation) {
    caxton_message message = caxton_saying(conversation, "cancel", (caxton_str){0, 0}, 0);
    message.reply_with = caxton__cancel_id(conversation->id);
    return caxton_send(message);
}

static inline bool caxton_answers_cancel(const caxton_message *message) {
    return message->in_reply_to.len
        && caxton_same(message->in_reply_to, caxton__cancel_id(message->conversation_id));
}

static inline bool caxton_act(const caxton_message *message, const char *performative) {
    return caxton_is(message->performative, performative);
}

/* What the node says itself comes from "ams", with a code as "error" in the content. */
CAXTON_FN bool caxton__is_notice(const caxton_message *message, const char *error) {
    caxton_str found;
    return caxton_is(message->sender, "ams") && caxton_json_string(message->content, "error", &found)
        && caxton_is(found, error);
}

/* `reply_by` has passed; "silent" in the content lists who said nothing. */
static inline bool caxton_is_deadline(const caxton_message *message) {
    return caxton__is_notice(message, "DEADLINE_PASSED");
}

/* The node has ended the conversation, because nothing was said for too long. */
static inline bool caxton_is_ended(const caxton_message *message) {
    return caxton__is_notice(message, "CONVERSATION_ENDED");
}

/* Whose answer it is: the sender's, or that of the participant to whom nothing could be delivered,
 * for whom the node says `refuse` or `failure`. */
CAXTON_FN caxton_str caxton_participant(const caxton_message *message) {
    caxton_str receiver;
    bool is_for_another = caxton__is_notice(message, "MESSAGE_UNDELIVERABLE")
                       && caxton_json_string(message->content, "receiver", &receiver);
    return is_for_another ? receiver : message->sender;
}

/* ---- What an agent keeps of a conversation -------------------------------------------------- */

/* In the key-value store under "WHAT/ID", so it outlives restarts; forget it when it is over. The id
 * of a conversation is the initiator's choice: one of over 1 KiB is refused, with CAXTON_INVALID. */

CAXTON_FN caxton_str caxton__kept_key(const char *what, caxton_str id) {
    caxton_text key = {0};
    caxton_put(&key, caxton_s(what));
    caxton_put_byte(&key, '/');
    caxton_put(&key, id);
    return caxton_result(&key);
}

CAXTON_FN int32_t caxton_keep(const char *what, caxton_str id, caxton_str value) {
    unsigned char *top = caxton_arena_top;
    caxton_str key = caxton__kept_key(what, id);
    bool is_lost = caxton_is_lost(key) || caxton_is_lost(value);
    int32_t result =
        is_lost ? CAXTON_TOO_LARGE : caxton_kv_set(key.ptr, key.len, value.ptr, value.len);
    caxton_arena_top = top;
    return result;
}

/* 0, or an error such as CAXTON_NOT_FOUND; then `value` is as before. */
CAXTON_FN int32_t caxton_recall(const char *what, caxton_str id, caxton_str *value) {
    caxton_str key = caxton__kept_key(what, id);
    if (caxton_is_lost(key)) return CAXTON_TOO_LARGE;
    return caxton__take_result(caxton_kv_get(key.ptr, key.len), value);
}

CAXTON_FN int32_t caxton_forget(const char *what, caxton_str id) {
    unsigned char *top = caxton_arena_top;
    caxton_str key = caxton__kept_key(what, id);
    int32_t result =
        caxton_is_lost(key) ? CAXTON_TOO_LARGE : caxton_kv_delete(key.ptr, key.len);
    caxton_arena_top = top;
    return result;
}

/* As decimal text. */
CAXTON_FN int32_t caxton_keep_int(const char *what, caxton_str id, int64_t number) {
    unsigned char *top = caxton_arena_top;
    int32_t result = caxton_keep(what, id, caxton_int_text(number));
    caxton_arena_top = top;
    return result;
}

CAXTON_FN int32_t caxton_recall_int(const char *what, caxton_str id, int64_t *number) {
    unsigned char *top = caxton_arena_top;
    caxton_str value;
    int32_t result = caxton_recall(what, id, &value);
    if (result == 0 && !caxton_json_to_int(value, number)) result = CAXTON_INVALID;
    caxton_arena_top = top;
    return result;
}

/* A received message, to be answered later. */
static inline int32_t caxton_keep_message(
    const char *what, caxton_str id, const caxton_message *message) {
    return caxton_keep(what, id, message->json);
}

static inline int32_t caxton_recall_message(
    const char *what, caxton_str id, caxton_message *message) {
    caxton_str json;
    int32_t result = caxton_recall(what, id, &json);
    if (result < 0) return result;
    return caxton_read_message(json, message) ? 0 : CAXTON_INVALID;
}

#endif
