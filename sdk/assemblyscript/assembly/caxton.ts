/**
 * caxton.ts: write a Caxton agent in AssemblyScript 0.28. Guest interface, version 1.
 *
 * A whole agent:
 *
 *     import { Message, settle } from "./caxton";
 *     export { caxton_alloc } from "./caxton";
 *
 *     export function handle_message(ptr: usize, len: i32): i32 {
 *       const message = Message.read(ptr, len);
 *       if (message == null) return 1;
 *       if (!message.wantsReply) return 0;
 *       return settle(message.reply("inform", message.content));
 *     }
 *
 * A received message stays where the host wrote it, outside the garbage-collected heap. It, and every
 * `Json` taken from it, is valid until the handler returns; `toString()` makes a copy that lasts.
 *
 * JSON is read in place and not checked for validity: the host has done that before it delivers.
 * Nothing is read outside the given text even if it is not JSON at all.
 */

// ---- What the host offers ---------------------------------------------------------------------

@external("caxton", "send_message")
declare function send_message(ptr: usize, len: i32): i32;
@external("caxton", "log")
declare function host_log(level: i32, ptr: usize, len: i32): void;
@external("caxton", "now_us")
declare function now_us(): i64;
@external("caxton", "random")
declare function random(ptr: usize, len: i32): void;
@external("caxton", "set_timer")
declare function set_timer(delay_us: i64): i32;
@external("caxton", "cancel_timer")
declare function cancel_timer(id: i32): i32;
@external("caxton", "kv_get")
declare function kv_get(key: usize, key_len: i32): i32;
@external("caxton", "kv_set")
declare function kv_set(key: usize, key_len: i32, value: usize, value_len: i32): i32;
@external("caxton", "kv_delete")
declare function kv_delete(key: usize, key_len: i32): i32;
@external("caxton", "call_tool")
declare function call_tool(ptr: usize, len: i32): i32;
@external("caxton", "read_result")
declare function read_result(ptr: usize, len: i32): i32;
@external("caxton", "subscribe")
declare function host_subscribe(ptr: usize, len: i32): i32;
@external("caxton", "unsubscribe")
declare function host_unsubscribe(ptr: usize, len: i32): i32;

/** Every result below zero is one of these. */
export namespace Failure {
  export const INVALID: i32 = -1;
  export const UNKNOWN_RECEIVER: i32 = -2;
  export const WOULD_BLOCK: i32 = -3;
  export const TOO_LARGE: i32 = -4;
  export const NOT_PERMITTED: i32 = -5;
  export const RATE_LIMITED: i32 = -6;
  export const TIMED_OUT: i32 = -7;
  export const NOT_FOUND: i32 = -8;
  export const NOT_APPROVED: i32 = -9;
  export const UNAVAILABLE: i32 = -10;
  export const FAILED: i32 = -11;
  export const BUDGET_SPENT: i32 = -12;
  export const TOO_DEEP: i32 = -13;
}

export const enum Level { Trace, Debug, Info, Warn, Error }

// ---- Memory -----------------------------------------------------------------------------------

let regionStart: usize = 0;
let regionPages: i32 = 0;

/**
 * Where the host writes the next message. The region is made of pages of its own: the collector
 * neither sees nor moves it, and each message reuses it.
 *
 * @returns its address, or 0 when memory cannot grow
 */
export function caxton_alloc(size: i32): usize {
  let pages = i32((u64(u32(size)) + 0xffff) >> 16);
  if (pages == 0) pages = 1;
  if (pages <= regionPages) return regionStart;
  const end = i32(regionStart >> 16) + regionPages;
  if (regionPages > 0 && end == memory.size()) {
    if (memory.grow(pages - regionPages) < 0) return 0;
  } else {
    // The heap has grown behind the old region, which is lost: at least double, so that all lost
    // regions together are no larger than this one.
    if (pages < regionPages * 2) pages = regionPages * 2;
    const first = memory.grow(pages);
    if (first < 0) return 0;
    regionStart = usize(first) << 16;
  }
  regionPages = pages;
  return regionStart;
}

/** Takes the place of the `abort` that would be imported from the host otherwise. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  if (message != null) log(Level.Error, message);
  if (file != null) log(Level.Error, file + ":" + line.toString() + ":" + column.toString());
  unreachable();
}

/** Seeds Math.random from the host, so that a replay draws the same numbers. */
export function seed(): f64 {
  random(changetype<usize>(SEED), 8);
  // 52 random bits behind a fixed exponent: every value is an ordinary number, never NaN.
  return reinterpret<f64>(load<u64>(changetype<usize>(SEED)) >> 12 | 0x3ff0000000000000);
}
const SEED = new StaticArray<u8>(8);

// @ts-ignore: decorators are allowed on functions here
@inline
function utf8(text: string): ArrayBuffer {
  // Half a surrogate pair has no UTF-8; the host would refuse the whole message.
  return String.UTF8.encode(text, false, String.UTF8.ErrorMode.REPLACE);
}

// ---- Reading JSON -----------------------------------------------------------------------------

const QUOTE: u8 = 0x22, BACKSLASH: u8 = 0x5c, COMMA: u8 = 0x2c, COLON: u8 = 0x3a;
const OPEN_BRACE: u8 = 0x7b, CLOSE_BRACE: u8 = 0x7d, OPEN_BRACKET: u8 = 0x5b, CLOSE_BRACKET: u8 = 0x5d;

function isSpace(c: u8): bool {
  return c == 0x20 || c == 0x0a || c == 0x09 || c == 0x0d;
}

function skipSpace(p: usize, end: usize): usize {
  while (p < end && isSpace(load<u8>(p))) p++;
  return p;
}

/** From behind an opening quote to its closing quote, or 0. */
function stringEnd(p: usize, end: usize): usize {
  while (p < end) {
    const c = load<u8>(p);
    if (c == QUOTE) return p;
    p += c == BACKSLASH ? 2 : 1;
  }
  return 0;
}

/**
 * From the first byte of a value to behind its last, or 0. Counts brackets instead of recursing, so
 * that no depth of nesting can exhaust the stack.
 */
function valueEnd(start: usize, end: usize): usize {
  let p = start, depth = 0;
  while (p < end) {
    const c = load<u8>(p);
    if (c == QUOTE) {
      p = stringEnd(p + 1, end);
      if (p == 0) return 0;
      if (depth == 0) return p + 1;
    } else if (c == OPEN_BRACE || c == OPEN_BRACKET) {
      depth++;
    } else if (c == CLOSE_BRACE || c == CLOSE_BRACKET) {
      if (depth == 0) return p > start ? p : 0; // ends the object around a bare value
      if (--depth == 0) return p + 1;
    } else if (depth == 0 && (c == COMMA || isSpace(c))) {
      return p > start ? p : 0;
    }
    p++;
  }
  return depth != 0 || p == start ? 0 : p;
}

function hexUnit(text: string, at: i32): i32 {
  let unit = 0;
  if (at + 4 > text.length) return -1;
  for (let i = at; i < at + 4; i++) {
    const c = text.charCodeAt(i), letter = c | 0x20;
    if (c >= 0x30 && c <= 0x39) unit = unit << 4 | (c - 0x30);
    else if (letter >= 0x61 && letter <= 0x66) unit = unit << 4 | (letter - 0x57);
    else return -1;
  }
  return unit;
}

/** What stands between the quotes of a JSON string, or null if its escapes are wrong. */
function unescape(start: usize, end: usize): string | null {
  const text = String.UTF8.decodeUnsafe(start, end - start);
  let i = text.indexOf("\\");
  if (i < 0) return text;
  // Escapes name UTF-16 units, which is what strings are made of here, and never lengthen the text.
  const units = new StaticArray<u16>(text.length);
  memory.copy(changetype<usize>(units), changetype<usize>(text), usize(i) << 1);
  let n = i;
  while (i < text.length) {
    let unit = text.charCodeAt(i++);
    if (unit == BACKSLASH) {
      if (i == text.length) return null;
      unit = text.charCodeAt(i++);
      switch (unit) {
        case 0x6e: { unit = 0x0a; break; } // n
        case 0x74: { unit = 0x09; break; } // t
        case 0x72: { unit = 0x0d; break; } // r
        case 0x62: { unit = 0x08; break; } // b
        case 0x66: { unit = 0x0c; break; } // f
        case 0x22: case 0x5c: case 0x2f: break; // quote, backslash, slash
        case 0x75: { // u
          unit = hexUnit(text, i);
          if (unit < 0) return null;
          i += 4;
          break;
        }
        default: return null;
      }
    }
    unchecked(units[n++] = u16(unit));
  }
  return String.UTF16.decodeUnsafe(changetype<usize>(units), usize(n) << 1);
}

/** One JSON value as text: a part of a received message, or made by `JsonObject` or `Json.of`. */
export class Json {
  /** No value at all; leaves a field out where it is sent. */
  static readonly ABSENT: Json = new Json(0, 0, null);

  /** @param owner keeps the bytes alive, unless they are part of a received message */
  constructor(readonly ptr: usize, readonly len: i32, private readonly owner: ArrayBuffer | null) {}

  /** From JSON text, which is not checked. */
  static of(text: string): Json {
    const bytes = utf8(text);
    return new Json(changetype<usize>(bytes), bytes.byteLength, bytes);
  }

  /** A JSON string. */
  static quoted(text: string): Json {
    const bytes = new Bytes();
    bytes.quoted(text);
    return bytes.json();
  }

  get isAbsent(): bool {
    return this.len == 0;
  }

  /** The JSON text, as a copy that lasts. */
  toString(): string {
    return String.UTF8.decodeUnsafe(this.ptr, this.len);
  }

  /** What a JSON string stands for, or null if this is none. */
  text(): string | null {
    const end = this.ptr + this.len - 1;
    if (this.len < 2 || load<u8>(this.ptr) != QUOTE || load<u8>(end) != QUOTE) return null;
    return unescape(this.ptr + 1, end);
  }

  /** Whether this is a whole decimal number that fits; 1.0 and 1e3 do not count. */
  get isInteger(): bool {
    const negative = this.len > 0 && load<u8>(this.ptr) == 0x2d;
    if (this.len == i32(negative)) return false;
    const limit = u64(i64.MAX_VALUE) + u64(negative);
    let value: u64 = 0;
    for (let i = i32(negative); i < this.len; i++) {
      const digit = u64(load<u8>(this.ptr + i)) - 0x30;
      if (digit > 9 || value > (limit - digit) / 10) return false;
      value = value * 10 + digit;
    }
    return true;
  }

  /** The integer; `otherwise` if this is none. */
  integer(otherwise: i64 = 0): i64 {
    if (!this.isInteger) return otherwise;
    const negative = load<u8>(this.ptr) == 0x2d;
    let value: i64 = 0;
    for (let i = i32(negative); i < this.len; i++) value = value * 10 + (load<u8>(this.ptr + i) - 0x30);
    return negative ? -value : value;
  }

  /**
   * Any JSON number that a double can hold: up to 15 digits and 1e22 the nearest, beyond that within a
   * few units of the last place. NaN if this is none. To pass a number on, pass the Json on: that loses
   * nothing.
   *
   * Not by `parseFloat`, which gets 2.4999253426430715e+51 wrong by 13 places.
   */
  number(): f64 {
    const end = this.ptr + this.len, negative = this.len > 0 && load<u8>(this.ptr) == 0x2d;
    let p = this.ptr + usize(negative), digits: u64 = 0, power = 0, isFraction = false, any = false;
    for (; p < end; p++) {
      const c = load<u8>(p);
      if (c == 0x2e && !isFraction && any) { // a point, behind which a digit must follow
        isFraction = true;
        any = false;
        continue;
      }
      if (c < 0x30 || c > 0x39) break;
      any = true;
      if (digits < 100000000000000000) digits = digits * 10 + (c - 0x30);
      else power++; // more digits than these change nothing
      if (isFraction) power--;
    }
    if (!any) return NaN;
    if (p < end && (load<u8>(p) | 0x20) == 0x65) { // e
      const isSmall = ++p < end && load<u8>(p) == 0x2d;
      if (p < end && (isSmall || load<u8>(p) == 0x2b)) p++;
      if (p == end) return NaN;
      let exponent = 0;
      for (; p < end && load<u8>(p) >= 0x30 && load<u8>(p) <= 0x39; p++)
        if (exponent < 100000000) exponent = exponent * 10 + (load<u8>(p) - 0x30);
      power += isSmall ? -exponent : exponent;
    }
    if (p != end) return NaN;
    let value = f64(digits);
    power = power < -400 ? -400 : power > 400 ? 400 : power; // beyond all doubles
    while (power != 0 && value > 0) {
      const isUp = power > 0;
      let step: f64 = 1; // powers up to 1e22 are exact
      for (let i = 0; i < 22 && power != 0; i++) {
        step *= 10;
        power += isUp ? -1 : 1;
      }
      value = isUp ? value * step : value / step;
    }
    if (value == Infinity) return NaN;
    return negative ? -value : value;
  }

  get isTrue(): bool {
    return this.len == 4 && load<u32>(this.ptr) == 0x65757274; // "true", little-endian
  }

  /**
   * A field at the top level of this object, or `Json.ABSENT`. Of a repeated key the last counts, as
   * for the host's own decoder: two readings of one message would be a way round the host's checks.
   */
  get(name: string): Json {
    const fields = new Fields(this);
    let found = Json.ABSENT;
    while (fields.next())
      if (fields.key() == name) found = fields.value();
    return found;
  }

  /** The items of this list; empty if it is none. */
  items(): Json[] {
    const found: Json[] = [], end = this.ptr + this.len;
    let p = skipSpace(this.ptr, end);
    let isMore = p < end && load<u8>(p) == OPEN_BRACKET;
    while (isMore) {
      p = skipSpace(p + 1, end);
      const behind = valueEnd(p, end);
      if (behind == 0) break;
      found.push(this.part(p, behind));
      p = skipSpace(behind, end);
      isMore = p < end && load<u8>(p) == COMMA;
    }
    return found;
  }

  /** The value between two addresses inside this one. */
  part(start: usize, end: usize): Json {
    return new Json(start, i32(end - start), this.owner);
  }
}

/** Walks the fields of one object, without descending into it. */
class Fields {
  private at: usize;
  private end: usize;
  private keyStart: usize = 0;
  private keyEnd: usize = 0;
  private valueStart: usize = 0;
  private valueEnd: usize = 0;

  constructor(private readonly object: Json) {
    this.end = object.ptr + object.len;
    const p = skipSpace(object.ptr, this.end);
    this.at = p < this.end && load<u8>(p) == OPEN_BRACE ? p + 1 : 0;
  }

  /** False once the text turned out not to be an object. */
  get isSound(): bool {
    return this.at != 0;
  }

  next(): bool {
    const end = this.end;
    let p = this.at;
    if (p == 0) return false;
    p = skipSpace(p, end);
    if (p < end && load<u8>(p) == COMMA) p = skipSpace(p + 1, end);
    if (p < end && load<u8>(p) == CLOSE_BRACE) {
      this.at = p;
      return false;
    }
    this.at = 0;
    if (p >= end || load<u8>(p) != QUOTE) return false;
    this.keyStart = p + 1;
    p = stringEnd(p + 1, end);
    if (p == 0) return false;
    this.keyEnd = p;
    p = skipSpace(p + 1, end);
    if (p >= end || load<u8>(p) != COLON) return false;
    this.valueStart = skipSpace(p + 1, end);
    p = valueEnd(this.valueStart, end);
    if (p == 0) return false;
    this.valueEnd = p;
    this.at = p;
    return true;
  }

  key(): string | null {
    return unescape(this.keyStart, this.keyEnd);
  }

  value(): Json {
    return this.object.part(this.valueStart, this.valueEnd);
  }
}

// ---- Building JSON ----------------------------------------------------------------------------

/** Bytes that grow. */
class Bytes {
  private bytes: ArrayBuffer = new ArrayBuffer(256);
  len: i32 = 0;

  private room(more: i32): usize {
    if (more > this.bytes.byteLength - this.len) {
      const bigger = new ArrayBuffer(this.len * 2 + more + 256);
      memory.copy(changetype<usize>(bigger), changetype<usize>(this.bytes), this.len);
      this.bytes = bigger;
    }
    const at = changetype<usize>(this.bytes) + this.len;
    this.len += more;
    return at;
  }

  byte(value: u8): void {
    store<u8>(this.room(1), value);
  }

  copy(ptr: usize, len: i32): void {
    memory.copy(this.room(len), ptr, len);
  }

  /** Text without anything to escape. */
  plain(text: string): void {
    const bytes = utf8(text);
    this.copy(changetype<usize>(bytes), bytes.byteLength);
  }

  /** As a JSON string, quoted and escaped. */
  quoted(text: string): void {
    const bytes = utf8(text);
    this.byte(QUOTE);
    for (let i = 0; i < bytes.byteLength; i++) {
      const c = load<u8>(changetype<usize>(bytes) + i);
      if (c < 0x20) {
        this.plain(c < 0x10 ? "\\u000" : "\\u001");
        const low = c & 15;
        this.byte(low < 10 ? 0x30 + low : 0x57 + low);
        continue;
      }
      if (c == QUOTE || c == BACKSLASH) this.byte(BACKSLASH);
      this.byte(c);
    }
    this.byte(QUOTE);
  }

  json(): Json {
    return new Json(changetype<usize>(this.bytes), this.len, this.bytes);
  }
}

/** Builds an object: `new JsonObject().integer("count", 3).end()`. */
export class JsonObject {
  private bytes: Bytes = new Bytes();

  private name(name: string): Bytes {
    this.bytes.byte(this.bytes.len == 0 ? OPEN_BRACE : COMMA);
    this.bytes.quoted(name);
    this.bytes.byte(COLON);
    return this.bytes;
  }

  text(name: string, value: string): JsonObject {
    this.name(name).quoted(value);
    return this;
  }

  integer(name: string, value: i64): JsonObject {
    this.name(name).plain(value.toString());
    return this;
  }

  boolean(name: string, value: bool): JsonObject {
    this.name(name).plain(value ? "true" : "false");
    return this;
  }

  /** `Json.ABSENT` leaves the field out. */
  json(name: string, value: Json): JsonObject {
    if (!value.isAbsent) this.name(name).copy(value.ptr, value.len);
    return this;
  }

  end(): Json {
    if (this.bytes.len == 0) this.bytes.byte(OPEN_BRACE);
    this.bytes.byte(CLOSE_BRACE);
    return this.bytes.json();
  }
}

// ---- Messages ---------------------------------------------------------------------------------

/** One message, received or to be sent. Text fields that are absent are "". */
export class Message {
  /** All of it, as received; for fields without a name here, such as `attempt`. */
  json: Json = Json.ABSENT;
  /** Set by the host, as `sender` is; sending ignores both. */
  messageId: string = "";
  sender: string = "";
  /** Instead of a receiver: whoever offers it. */
  capability: string = "";
  /** Which of those that do. */
  routingStrategy: string = "";
  /** As `receiver`. */
  replyTo: string = "";
  language: string = "";
  encoding: string = "";
  ontology: string = "";
  protocol: string = "";
  conversationId: string = "";
  /** The conversation within which this one was begun. */
  parentConversation: string = "";
  replyWith: string = "";
  inReplyTo: string = "";
  replyBy: string = "";
  priority: Json = Json.ABSENT;
  ttlMs: Json = Json.ABSENT;

  /** @param receiver a name, "topic://name", or the JSON text of a list of them */
  constructor(public performative: string, public receiver: string, public content: Json) {}

  /** Reads what `handle_message` was given; null if it is no JSON object. */
  static read(ptr: usize, len: i32): Message | null {
    return Message.of(new Json(ptr, len, null));
  }

  /** Reads a message that was kept; null if it is no JSON object. */
  static of(json: Json): Message | null {
    const message = new Message("", "", Json.ABSENT);
    message.json = json;
    const fields = new Fields(json);
    while (fields.next()) message.take(fields.key(), fields.value());
    return fields.isSound ? message : null;
  }

  private take(key: string | null, value: Json): void {
    if (key == null) return;
    if (key == "content") this.content = value;
    else if (key == "performative") this.performative = textOf(value);
    else if (key == "sender") this.sender = textOf(value);
    else if (key == "receiver") this.receiver = namesOf(value);
    else if (key == "conversation_id") this.conversationId = textOf(value);
    else if (key == "message_id") this.messageId = textOf(value);
    else if (key == "reply_with") this.replyWith = textOf(value);
    else if (key == "in_reply_to") this.inReplyTo = textOf(value);
    else if (key == "reply_to") this.replyTo = namesOf(value);
    else if (key == "reply_by") this.replyBy = textOf(value);
    else if (key == "protocol") this.protocol = textOf(value);
    else if (key == "capability") this.capability = textOf(value);
    else if (key == "routing_strategy") this.routingStrategy = textOf(value);
    else if (key == "parent_conversation") this.parentConversation = textOf(value);
    else if (key == "language") this.language = textOf(value);
    else if (key == "encoding") this.encoding = textOf(value);
    else if (key == "ontology") this.ontology = textOf(value);
    else if (key == "priority") this.priority = value;
    else if (key == "ttl_ms") this.ttlMs = value;
  }

  /** Sends; 0 or a `Failure`. The performative and a receiver or a capability are needed. */
  send(): i32 {
    const out = new JsonObject();
    putText(out, "performative", this.performative);
    putNames(out, "receiver", this.receiver);
    putText(out, "capability", this.capability);
    putText(out, "routing_strategy", this.routingStrategy);
    putNames(out, "reply_to", this.replyTo);
    putText(out, "language", this.language);
    putText(out, "encoding", this.encoding);
    putText(out, "ontology", this.ontology);
    putText(out, "protocol", this.protocol);
    putText(out, "conversation_id", this.conversationId);
    putText(out, "parent_conversation", this.parentConversation);
    putText(out, "reply_with", this.replyWith);
    putText(out, "in_reply_to", this.inReplyTo);
    putText(out, "reply_by", this.replyBy);
    out.json("priority", this.priority).json("ttl_ms", this.ttlMs);
    // The largest comes last: whatever follows might have to copy it into a larger buffer.
    out.json("content", this.content);
    const json = out.end();
    return send_message(json.ptr, json.len);
  }

  /** The answer, for changes before it is sent. FIPA: it goes to `replyTo` if there is one. */
  answer(performative: string, content: Json): Message {
    const to = this.replyTo != "" ? this.replyTo : this.sender;
    const answer = new Message(performative, to, content);
    answer.protocol = this.protocol;
    answer.conversationId = this.conversationId;
    answer.inReplyTo = this.replyWith;
    return answer;
  }

  reply(performative: string, content: Json): i32 {
    return this.answer(performative, content).send();
  }

  /** False for what is itself an answer: two agents that answer each other's answers never stop. */
  get wantsReply(): bool {
    const act = this.performative;
    return act != "inform" && act != "failure" && act != "not-understood";
  }
}

function textOf(value: Json): string {
  const text = value.text();
  return text == null ? "" : text;
}

/** A name, or a list of names as its JSON text. */
function namesOf(value: Json): string {
  if (load<u8>(value.ptr) == OPEN_BRACKET) return value.toString();
  const name = textOf(value);
  // No name starts like this; taken for a list it would be sent on as JSON.
  return name.startsWith("[") ? "" : name;
}

function putText(out: JsonObject, name: string, value: string): void {
  if (value != "") out.text(name, value);
}

function putNames(out: JsonObject, name: string, value: string): void {
  if (value.startsWith("[")) out.json(name, Json.of(value));
  else putText(out, name, value);
}

/**
 * What a handler returns after its last send: 1 if a later attempt may succeed, so that the host
 * delivers the message again; 0, done, if it would only fail again, and then the log says so.
 */
export function settle(result: i32): i32 {
  if (result == Failure.WOULD_BLOCK || result == Failure.RATE_LIMITED) return 1;
  if (result < 0) log(Level.Warn, "could not send: error " + result.toString());
  return 0;
}

// ---- Log, clock, timers, topics ---------------------------------------------------------------

export function log(level: Level, text: string): void {
  const bytes = utf8(text);
  host_log(level, changetype<usize>(bytes), bytes.byteLength);
}

/** Wall clock, in microseconds since 1970. */
export function nowUs(): i64 {
  return now_us();
}

export function randomBytes(count: i32): Uint8Array {
  const bytes = new Uint8Array(count);
  random(bytes.dataStart, count);
  return bytes;
}

/** One-shot and durable. Returns the id that `handle_timer` gets, or a `Failure`. */
export function setTimer(delayUs: i64): i32 {
  return set_timer(delayUs);
}

export function cancelTimer(id: i32): i32 {
  return cancel_timer(id);
}

export function subscribe(topic: string): i32 {
  const bytes = utf8(topic);
  return host_subscribe(changetype<usize>(bytes), bytes.byteLength);
}

export function unsubscribe(topic: string): i32 {
  const bytes = utf8(topic);
  return host_unsubscribe(changetype<usize>(bytes), bytes.byteLength);
}

// ---- State and tools --------------------------------------------------------------------------

/** The bytes of the last kv_get or call_tool, whose result was `len`. */
function takeResult(len: i32): Uint8Array | null {
  if (len < 0) return null;
  const bytes = new Uint8Array(len);
  return read_result(bytes.dataStart, len) < 0 ? null : bytes;
}

/** Null if there is no such key. */
export function kvGet(key: string): Uint8Array | null {
  const bytes = utf8(key);
  return takeResult(kv_get(changetype<usize>(bytes), bytes.byteLength));
}

export function kvSet(key: string, value: Uint8Array): i32 {
  const bytes = utf8(key);
  return kv_set(changetype<usize>(bytes), bytes.byteLength, value.dataStart, value.length);
}

/** `Json.ABSENT` if there is no such key. The value must be JSON. */
export function kvGetJson(key: string): Json {
  const value = kvGet(key);
  return value == null ? Json.ABSENT : new Json(value.dataStart, value.length, value.buffer);
}

export function kvSetJson(key: string, value: Json): i32 {
  const bytes = utf8(key);
  return kv_set(changetype<usize>(bytes), bytes.byteLength, value.ptr, value.len);
}

/** Integers are kept as decimal text, so that people can read the store. */
export function kvGetInteger(key: string, otherwise: i64 = 0): i64 {
  return kvGetJson(key).integer(otherwise);
}

export function kvSetInteger(key: string, value: i64): i32 {
  return kvSet(key, Uint8Array.wrap(utf8(value.toString())));
}

export function kvDelete(key: string): i32 {
  const bytes = utf8(key);
  return kv_delete(changetype<usize>(bytes), bytes.byteLength);
}

/** Calls a tool and waits; other agents run meanwhile. Null if it failed. */
export function callTool(tool: string, toolArguments: Json): Json | null {
  const call = new JsonObject().text("tool", tool).json("arguments", toolArguments).end();
  const result = takeResult(call_tool(call.ptr, call.len));
  return result == null ? null : new Json(result.dataStart, result.length, result.buffer);
}

/** The body of `get_capabilities`: writes the names and returns the length needed. */
export function writeCapabilities(buffer: usize, len: i32, names: string[]): i32 {
  const bytes = new Bytes();
  for (let i = 0; i < names.length; i++) {
    bytes.byte(i == 0 ? OPEN_BRACKET : COMMA);
    bytes.quoted(names[i]);
  }
  if (names.length == 0) bytes.byte(OPEN_BRACKET);
  bytes.byte(CLOSE_BRACKET);
  const json = bytes.json();
  if (json.len <= len) memory.copy(buffer, json.ptr, json.len);
  return json.len;
}
