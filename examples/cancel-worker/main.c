/* Does what it is asked step by step, and stops when the request is cancelled. */
#include "../../sdk/c/caxton_conversation.h"

/* Kept of each job, under the id of its conversation: job (the request), done (steps), timer (its
 * id); and under the id of each timer: conversation. */

static caxton_str job_id(const caxton_message *message) {
    return message->conversation_id.len ? message->conversation_id : message->message_id;
}

static bool read_order(const caxton_message *job, int64_t *steps, int64_t *step_us) {
    *step_us = 1000000;
    caxton_json_int(job->content, "step_us", step_us);
    return caxton_json_int(job->content, "steps", steps) && *steps > 0;
}

static int32_t begin_step(caxton_str id, int64_t step_us) {
    int32_t timer = caxton_set_timer(step_us);
    if (timer < 0) return timer;
    int32_t result = caxton_keep_int("timer", id, timer);
    return result < 0 ? result : caxton_keep("conversation", caxton_int_text(timer), id);
}

static void forget(caxton_str id) {
    caxton_forget("job", id);
    caxton_forget("done", id);
    caxton_forget("timer", id);
}

static int32_t begin(const caxton_message *message) {
    caxton_str id = job_id(message), known;
    int64_t steps, step_us;
    if (!read_order(message, &steps, &step_us)) {
        caxton_str why = caxton_object_string(
            "error", "expected a request with {\"steps\": n, \"step_us\": n}");
        return caxton_settle(caxton_not_understood(message, why));
    }
    if (caxton_recall("job", id, &known) == 0) {
        caxton_str why = caxton_object_string("reason", "this conversation has a job already");
        return caxton_settle(caxton_refuse(message, why));
    }
    int32_t result = begin_step(id, step_us);
    if (result < 0)
        return caxton_settle(caxton_refuse(message, caxton_object_int("error", result)));
    if (caxton_keep_message("job", id, message) < 0 || caxton_keep_int("done", id, 0) < 0) return 1;
    caxton_logf(CAXTON_INFO, "%lld steps to do", (long long)steps);
    return caxton_settle(caxton_agree(message, (caxton_str){0, 0}));
}

CAXTON_ON_TIMER(timer) {
    caxton_str id;
    caxton_message job;
    int64_t steps = 0, step_us, done = 0;
    if (caxton_recall("conversation", caxton_int_text(timer), &id) < 0) return 0;
    caxton_forget("conversation", caxton_int_text(timer));
    if (caxton_recall_message("job", id, &job) < 0 || !read_order(&job, &steps, &step_us)) return 0;
    caxton_recall_int("done", id, &done);
    caxton_logf(CAXTON_INFO, "step %lld of %lld", (long long)++done, (long long)steps);
    if (done < steps)
        return begin_step(id, step_us) < 0 || caxton_keep_int("done", id, done) < 0;
    forget(id);
    return caxton_settle(caxton_inform(&job, caxton_object_int("done", done)));
}

static int32_t cancel(const caxton_message *message) {
    caxton_str id = job_id(message);
    caxton_message job;
    int64_t timer, done = 0;
    if (caxton_recall_message("job", id, &job) < 0 || !caxton_same(job.sender, message->sender)) {
        caxton_str why = caxton_object_string("error", "there is no such job, or not any more");
        return caxton_settle(caxton_failure(message, why));
    }
    caxton_recall_int("done", id, &done);
    if (caxton_recall_int("timer", id, &timer) == 0) {
        caxton_cancel_timer((int32_t)timer);
        caxton_forget("conversation", caxton_int_text(timer));
    }
    forget(id);
    caxton_logf(CAXTON_INFO, "cancelled; steps done: %lld", (long long)done);
    return caxton_settle(caxton_inform(message, caxton_object_int("done", done)));
}

CAXTON_ON_MESSAGE(message) {
    if (caxton_act(message, "request")) return begin(message);
    if (caxton_act(message, "cancel")) return cancel(message);
    if (!caxton_wants_reply(message)) return 0;
    caxton_str why = caxton_object_string("error", "expected a request or a cancel");
    return caxton_settle(caxton_not_understood(message, why));
}
