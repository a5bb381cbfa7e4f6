// Does with the AssemblyScript SDK what each message asks for; sdk_probe.c is the same in C.
import { Json, Level, Message, kvSet, log } from "./caxton";
import {
  Conversation, acceptProposal, agree, answersCancel, failure, forget, inform, isDeadline, isEnded,
  keepMessage, notUnderstood, participantOf, propose, recallMessage, refuse, rejectProposal,
} from "./conversation";
export { caxton_alloc } from "./caxton";

function say(text: string): void {
  log(Level.Info, text);
}

function sayWhether(answer: bool): void {
  say(answer ? "yes" : "no");
}

function answer(message: Message, act: string, arg: Json): i32 {
  if (act == "agree") return agree(message, arg);
  if (act == "refuse") return refuse(message, arg);
  if (act == "inform") return inform(message, arg);
  if (act == "failure") return failure(message, arg);
  if (act == "not-understood") return notUnderstood(message, arg);
  if (act == "propose") return propose(message, arg);
  if (act == "accept-proposal") return acceptProposal(message, arg);
  if (act == "reject-proposal") return rejectProposal(message, arg);
  return -1;
}

function converse(message: Message, what: string, arg: Json, n: i64): i32 {
  const net = new Conversation();
  net.parent = message.conversationId;
  let result = 0;
  if (what == "start-request") result = net.startRequest("bob", arg, n);
  else if (what == "start-contract-net") result = net.startContractNet(["ann", 'b"ob'], arg, n);
  else if (what == "start-subscription") result = net.startSubscription("bob", arg);
  else {
    net.id = message.conversationId;
    net.protocol = message.protocol;
    net.participants = [message.sender];
    net.parent = "";
    return net.cancel();
  }
  say(net.id);
  return result;
}

export function handle_message(ptr: usize, len: i32): i32 {
  const message = Message.read(ptr, len);
  if (message == null) return 1;
  const told = message.content.get("do").text();
  const what = told == null ? "" : told;
  const arg = message.content.get("arg");
  if (what == "answer") {
    const act = message.content.get("act").text();
    return i32(answer(message, act == null ? "" : act, arg) < 0);
  }
  if (what == "number") {
    const number = arg.number();
    if (isNaN(number)) say("none");
    else {
      const bytes = new Uint8Array(8);
      store<f64>(bytes.dataStart, number);
      kvSet("number", bytes);
    }
  } else if (what == "items") {
    const items = arg.items();
    for (let i = 0; i < items.length; i++) say(items[i].toString());
  } else if (what == "answers-cancel") sayWhether(answersCancel(message));
  else if (what == "is-deadline") sayWhether(isDeadline(message));
  else if (what == "is-ended") sayWhether(isEnded(message));
  else if (what == "participant") say(participantOf(message));
  else if (what == "keep") return i32(keepMessage("asker", message.conversationId, message) < 0);
  else if (what == "recall") {
    const kept = recallMessage("asker", message.conversationId);
    if (kept == null) say("none");
    else return i32(inform(kept, arg) < 0);
  } else if (what == "forget") return i32(forget("asker", message.conversationId) < 0);
  else return i32(converse(message, what, arg, message.content.get("n").integer()) < 0);
  return 0;
}
