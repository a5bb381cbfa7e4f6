/* Asks a worker for something that takes long, and may change its mind. */
#include "../../sdk/c/caxton_conversation.h"

/* Kept, while a job is under way: conversation and worker. */

static int32_t ask(const caxton_message *message, caxton_str worker) {
    caxton_str known;
    caxton_conversation job = {.parent = message->conversation_id};
    if (caxton_kv_get_bytes("conversation", &known) == 0) {
        caxton_str why = caxton_object_string("reason", "a job is under way already");
        return caxton_settle(caxton_refuse(message, why));
    }
    int32_t result = caxton_start_request(&job, worker, message->content, 0);
    if (result == CAXTON_WOULD_BLOCK || result == CAXTON_RATE_LIMITED) return 1;
    if (result < 0)
        return caxton_settle(caxton_refuse(message, caxton_object_int("error", result)));
    if (caxton_kv_set_bytes("conversation", job.id) < 0) return 1;
    if (caxton_kv_set_bytes("worker", worker) < 0) return 1;
    caxton_text content = caxton_object();
    caxton_field_string(&content, "conversation", job.id);
    return caxton_settle(caxton_inform(message, caxton_object_end(&content)));
}

static int32_t cancel(const caxton_message *message) {
    caxton_conversation job = {.protocol = caxton_s("fipa-request")};
    if (caxton_kv_get_bytes("conversation", &job.id) < 0
        || caxton_kv_get_bytes("worker", &job.participants) < 0) {
        caxton_str why = caxton_object_string("reason", "no job is under way");
        return caxton_settle(caxton_refuse(message, why));
    }
    if (caxton_settle(caxton_cancel(&job))) return 1;
    caxton_text content = caxton_object();
    caxton_field_string(&content, "cancelling", job.id);
    return caxton_settle(caxton_inform(message, caxton_object_end(&content)));
}

static int32_t obey(const caxton_message *message) {
    caxton_str worker;
    bool is_cancel = false;
    caxton_json_bool(message->content, "cancel", &is_cancel);
    if (is_cancel) return cancel(message);
    if (caxton_json_string(message->content, "worker", &worker) && worker.len)
        return ask(message, worker);
    caxton_str why = caxton_object_string(
        "error", "expected a request with {\"worker\": name, \"steps\": n} or {\"cancel\": true}");
    return caxton_settle(caxton_not_understood(message, why));
}

/* A result may come although a cancel is on its way: then it is the end, and the cancel gets no
 * answer. */
static void log_answer(const caxton_message *message) {
    bool of_cancel = caxton_answers_cancel(message);
    caxton_logf(
        CAXTON_INFO, "%s: %.*s%s%.*s", of_cancel ? "cancel" : "job",
        CAXTON_PRINT(message->performative), message->content.len ? " " : "",
        CAXTON_PRINT(message->content));
    if (caxton_act(message, "agree")) return;
    if (of_cancel && !caxton_act(message, "inform")) return; /* it goes on */
    caxton_kv_delete("conversation", sizeof "conversation" - 1);
    caxton_kv_delete("worker", sizeof "worker" - 1);
}

CAXTON_ON_MESSAGE(message) {
    caxton_str conversation;
    if (caxton_act(message, "request")) return obey(message);
    bool is_answer = !caxton_wants_reply(message) || caxton_act(message, "agree")
                  || caxton_act(message, "refuse");
    if (is_answer) {
        if (caxton_kv_get_bytes("conversation", &conversation) == 0
            && caxton_same(conversation, message->conversation_id))
            log_answer(message);
        return 0;
    }
    caxton_str why = caxton_object_string("error", "expected a request");
    return caxton_settle(caxton_not_understood(message, why));
}
