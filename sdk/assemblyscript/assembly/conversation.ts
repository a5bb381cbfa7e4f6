/**
 * conversation.ts: FIPA conversations in a few words, for use with caxton.ts.
 *
 * To answer, say the act:
 *
 *     propose(message, new JsonObject().integer("cost", 30).end());
 *
 * To begin a conversation, start it; it gets an id that nobody else has:
 *
 *     const net = new Conversation();
 *     net.startContractNet(["ann", "bob"], task, 5000);
 *
 * Between two messages an agent knows only what it kept:
 *
 *     keepMessage("asker", net.id, message);
 *
 * Results are those of `Message.send`: 0, or a `Failure`. Who may say what is in
 * docs/reference/protocols.md; the node refuses the rest.
 */

import { Json, Message, kvDelete, kvGetJson, kvSetJson, nowUs, randomBytes } from "./caxton";

// ---- Ids and times ----------------------------------------------------------------------------

/** 24 hex digits, random: no other agent, replica or run has them. */
export function freshId(): string {
  const bytes = randomBytes(12);
  let id = "";
  for (let i = 0; i < bytes.length; i++) id += u32(bytes[i]).toString(16).padStart(2, "0");
  return id;
}

/** ISO 8601 in UTC, as `reply_by` wants it; up to the year 9999. */
export function replyByText(msFromNow: i64): string {
  return new Date((nowUs() + 999) / 1000 + msFromNow).toISOString();
}

// ---- Answers ----------------------------------------------------------------------------------

// Each goes to `replyTo` or else the sender, in the same conversation and protocol, and refers to the
// message by its `replyWith`. `Json.ABSENT` leaves the content out.

export function agree(message: Message, content: Json = Json.ABSENT): i32 {
  return message.reply("agree", content);
}

export function refuse(message: Message, content: Json = Json.ABSENT): i32 {
  return message.reply("refuse", content);
}

export function inform(message: Message, content: Json = Json.ABSENT): i32 {
  return message.reply("inform", content);
}

export function failure(message: Message, content: Json = Json.ABSENT): i32 {
  return message.reply("failure", content);
}

export function notUnderstood(message: Message, content: Json = Json.ABSENT): i32 {
  return message.reply("not-understood", content);
}

/** An answer that wants one itself, and so has a `replyWith` of its own. */
function replyAndAsk(message: Message, performative: string, content: Json): i32 {
  const answer = message.answer(performative, content);
  answer.replyWith = freshId();
  return answer.send();
}

export function propose(message: Message, content: Json = Json.ABSENT): i32 {
  return replyAndAsk(message, "propose", content);
}

export function acceptProposal(message: Message, content: Json = Json.ABSENT): i32 {
  return replyAndAsk(message, "accept-proposal", content);
}

export function rejectProposal(message: Message, content: Json = Json.ABSENT): i32 {
  return message.reply("reject-proposal", content);
}

// ---- Conversations of one's own ----------------------------------------------------------------

/** One that this agent began. */
export class Conversation {
  /** A fresh one, unless it is set before the start. */
  id: string = "";
  protocol: string = "";
  participants: string[] = [];
  /** The conversation within which this one is begun, or "". */
  parent: string = "";

  /** A message to all participants; `deadlineMs` from now is its `replyBy`, 0 for none. */
  saying(performative: string, content: Json, deadlineMs: i64 = 0): Message {
    const to = this.participants.length == 1 ? this.participants[0] : namesJson(this.participants);
    const message = new Message(performative, to, content);
    message.protocol = this.protocol;
    message.conversationId = this.id;
    message.parentConversation = this.parent;
    message.replyWith = freshId();
    if (deadlineMs != 0) message.replyBy = replyByText(deadlineMs);
    return message;
  }

  /** Begins it with any act of any protocol. */
  start(protocol: string, performative: string, participants: string[], content: Json, deadlineMs: i64 = 0): i32 {
    this.protocol = protocol;
    this.participants = participants;
    if (this.id == "") this.id = freshId();
    return this.saying(performative, content, deadlineMs).send();
  }

  /** If nobody has answered by then, `failure` comes from the node: see `isDeadline`. */
  startRequest(participant: string, content: Json, deadlineMs: i64 = 0): i32 {
    return this.start("fipa-request", "request", [participant], content, deadlineMs);
  }

  /** A call for proposals; later ones are rejected by the node. */
  startContractNet(participants: string[], content: Json, deadlineMs: i64): i32 {
    return this.start("fipa-contract-net", "cfp", participants, content, deadlineMs);
  }

  /**
   * To an agent, not to a topic: it informs each time that what the content describes changes, until
   * the conversation is cancelled.
   */
  startSubscription(participant: string, content: Json): i32 {
    return this.start("fipa-subscribe", "subscribe", [participant], content);
  }

  /** Asks the participants to end it. Each answers `inform` or, if it cannot be ended, `failure`. */
  cancel(): i32 {
    const message = this.saying("cancel", Json.ABSENT);
    message.replyWith = cancelId(this.id);
    return message.send();
  }
}

function namesJson(names: string[]): string {
  let text = "[";
  for (let i = 0; i < names.length; i++) text += (i == 0 ? "" : ",") + Json.quoted(names[i]).toString();
  return text + "]";
}

/** The conversation's own: so the answer to a cancel can be told from what crossed it. */
function cancelId(conversationId: string): string {
  return "cancel-" + conversationId;
}

export function answersCancel(message: Message): bool {
  return message.inReplyTo != "" && message.inReplyTo == cancelId(message.conversationId);
}

/** What the node says itself comes from "ams", with a code as "error" in the content. */
function isNotice(message: Message, error: string): bool {
  return message.sender == "ams" && message.content.get("error").text() == error;
}

/** `replyBy` has passed; "silent" in the content lists who said nothing. */
export function isDeadline(message: Message): bool {
  return isNotice(message, "DEADLINE_PASSED");
}

/** The node has ended the conversation, because nothing was said for too long. */
export function isEnded(message: Message): bool {
  return isNotice(message, "CONVERSATION_ENDED");
}

/**
 * Whose answer it is: the sender's, or that of the participant to whom nothing could be delivered, for
 * whom the node says `refuse` or `failure`.
 */
export function participantOf(message: Message): string {
  if (!isNotice(message, "MESSAGE_UNDELIVERABLE")) return message.sender;
  const receiver = message.content.get("receiver").text();
  return receiver == null ? message.sender : receiver;
}

// ---- What an agent keeps of a conversation ------------------------------------------------------

// In the key-value store under "WHAT/ID", so it outlives restarts; forget it when it is over. The id of
// a conversation is the initiator's choice: one of over 1 KiB is refused, with `Failure.INVALID`.

export function keep(what: string, id: string, value: Json): i32 {
  return kvSetJson(what + "/" + id, value);
}

/** `Json.ABSENT` if there is nothing. */
export function recall(what: string, id: string): Json {
  return kvGetJson(what + "/" + id);
}

export function forget(what: string, id: string): i32 {
  return kvDelete(what + "/" + id);
}

/** A received message, to be answered later. */
export function keepMessage(what: string, id: string, message: Message): i32 {
  return keep(what, id, message.json);
}

/** Null if there is none. */
export function recallMessage(what: string, id: string): Message | null {
  const json = recall(what, id);
  return json.isAbsent ? null : Message.of(json);
}
