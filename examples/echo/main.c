/* Answers every message with its own content. */
#include "../../sdk/c/caxton.h"

CAXTON_ON_MESSAGE(message) {
    if (!caxton_wants_reply(message)) return 0;
    return caxton_settle(caxton_reply(message, "inform", message->content));
}
