// Answers every message with its own content.
import { Message, settle } from "./caxton";
export { caxton_alloc } from "./caxton";

export function handle_message(ptr: usize, len: i32): i32 {
  const message = Message.read(ptr, len);
  if (message == null) return 1;
  if (!message.wantsReply) return 0;
  return settle(message.reply("inform", message.content));
}
