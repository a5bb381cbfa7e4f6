/* Passes a message on to the next agent of a ring until its hops are used up. */
#include "../../sdk/c/caxton.h"

/* The i of "ring-<i>". */
static bool ring_index(caxton_str name, int64_t *index) {
    const caxton_str prefix = caxton_s("ring-");
    if (name.len <= prefix.len) return false;
    if (!caxton_same((caxton_str){name.ptr, prefix.len}, prefix)) return false;
    return caxton_json_to_int((caxton_str){name.ptr + prefix.len, name.len - prefix.len}, index);
}

CAXTON_ON_MESSAGE(message) {
    caxton_fields fields = caxton_fields_of(message->content);
    caxton_str key, value, hops_text = {0};
    int64_t hops = 0, size = 0, index;
    while (caxton_next_field(&fields, &key, &value)) {
        if (caxton_is(key, "hops") && caxton_json_to_int(value, &hops)) hops_text = value;
        else if (caxton_is(key, "ring")) caxton_json_to_int(value, &size);
    }
    if (!caxton_is(message->performative, "inform") || hops <= 0 || size <= 0) return 0;
    if (!ring_index(message->receiver, &index)) return 0;

    /* The content goes on as it came, except for the digits of "hops": whatever else is in it is
     * neither looked at nor rebuilt. */
    const char *start = message->content.ptr, *behind = hops_text.ptr + hops_text.len;
    caxton_text next = {0}, json = {0};
    caxton_put(&next, caxton_s("ring-"));
    caxton_put_int(&next, (index % size + 1) % size);
    json = caxton_object();
    caxton_field_string(&json, "performative", caxton_s("inform"));
    caxton_field_string(&json, "receiver", caxton_result(&next));
    if (message->conversation_id.ptr)
        caxton_field_string(&json, "conversation_id", message->conversation_id);
    caxton_field(&json, "content");
    caxton_put(&json, (caxton_str){start, (uint32_t)(hops_text.ptr - start)});
    caxton_put_int(&json, hops - 1);
    caxton_put(&json, (caxton_str){behind, (uint32_t)(start + message->content.len - behind)});
    caxton_str text = caxton_object_end(&json);
    return caxton_settle(text.ptr ? caxton_send_message(text.ptr, text.len) : CAXTON_TOO_LARGE);
}
