// Bids what it was told to cost, and does what it wins.
import { Json, JsonObject, Level, Message, kvGetJson, kvSetJson, log, settle, writeCapabilities } from "./caxton";
import { inform, notUnderstood, propose, refuse } from "./conversation";
export { caxton_alloc } from "./caxton";

function error(text: string): Json {
  return new JsonObject().text("error", text).end();
}

function setCost(message: Message): i32 {
  const cost = message.content.get("cost");
  if (isNaN(cost.number())) return settle(notUnderstood(message, error('expected a request with {"cost": n}')));
  if (kvSetJson("cost", cost) < 0) return 1;
  return settle(inform(message, new JsonObject().json("cost", cost).end()));
}

function bid(message: Message): i32 {
  const cost = kvGetJson("cost");
  if (cost.isAbsent) {
    log(Level.Info, "refusing: nobody has said what I cost");
    return settle(refuse(message, new JsonObject().text("reason", "nobody has said what I cost").end()));
  }
  log(Level.Info, "bidding " + cost.toString());
  return settle(propose(message, new JsonObject().json("cost", cost).end()));
}

function work(message: Message): i32 {
  const given = message.content.get("task");
  const task = given.isAbsent ? Json.of("null") : given;
  log(Level.Info, "won: doing " + task.toString());
  return settle(inform(message, new JsonObject().json("done", task).end()));
}

export function handle_message(ptr: usize, len: i32): i32 {
  const message = Message.read(ptr, len);
  if (message == null) return 1;
  const act = message.performative;
  if (act == "request") return setCost(message);
  if (act == "cfp") return bid(message);
  if (act == "accept-proposal") return work(message);
  if (act == "reject-proposal") {
    log(Level.Info, "lost");
    return 0;
  }
  if (!message.wantsReply) return 0;
  if (act == "cancel") return settle(inform(message)); // what was begun is done at once: nothing is left to end
  return settle(notUnderstood(message, error("expected a request, cfp or cancel")));
}

export function get_capabilities(buffer: usize, len: i32): i32 {
  return writeCapabilities(buffer, len, ["bidding"]);
}
