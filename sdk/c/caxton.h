/* caxton.h: write a Caxton agent in C. Guest interface, version 1.
 *
 * Copy this file beside your agent and compile, without any libc:
 *
 *     python -m ziglang cc -target wasm32-freestanding -ffreestanding -nostdlib -O2 -g0 \
 *         -Wl,--no-entry -Wl,-z,stack-size=16384 -o agent.wasm main.c
 *
 * A whole agent:
 *
 *     #include "caxton.h"
 *
 *     CAXTON_ON_MESSAGE(message) {
 *         if (!caxton_wants_reply(message)) return 0;
 *         return caxton_settle(caxton_reply(message, "inform", message->content));
 *     }
 *
 * Memory: everything above `__heap_base` is one arena. It is emptied whenever the host calls the
 * agent, so whatever the functions below return, and every message, is valid until your handler
 * returns; copy what must last into a static variable or the key-value store. Do not link a malloc
 * beside it, unless you define CAXTON_ARENA_BYTES (see there).
 *
 * JSON is read in place and not checked for validity: the host has done that before it delivers.
 * Nothing is read outside the given text even if it is not JSON at all.
 */
#ifndef CAXTON_H
#define CAXTON_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#error "caxton.h is C11; compile the agent as C"
#endif

/* ---- What the host offers ----------------------------------------------------------------- */

#define CAXTON_IMPORT(name) __attribute__((import_module("caxton"), import_name(name)))
#define CAXTON_EXPORT(name) __attribute__((export_name(name)))

/* The larger functions below: out of line, or an agent gets three times as big. */
#define CAXTON_FN static __attribute__((noinline, unused))

/* Every result below zero is one of these. */
enum {
    CAXTON_INVALID = -1,          /* not a message, or a pointer outside memory */
    CAXTON_UNKNOWN_RECEIVER = -2, /* no such agent */
    CAXTON_WOULD_BLOCK = -3,      /* the receiver's mailbox is full: try later */
    CAXTON_TOO_LARGE = -4,
    CAXTON_NOT_PERMITTED = -5,
    CAXTON_RATE_LIMITED = -6, /* try later */
    CAXTON_TIMED_OUT = -7,
    CAXTON_NOT_FOUND = -8,
    CAXTON_NOT_APPROVED = -9,  /* a tool that is new or changed, or a call that a person did not allow */
    CAXTON_UNAVAILABLE = -10,  /* a tool that does not run: try later */
    CAXTON_FAILED = -11,       /* a tool that broke its protocol or its promise */
    CAXTON_BUDGET_SPENT = -12, /* of calls of tools */
    CAXTON_TOO_DEEP = -13,     /* agents that call each other as tools */
};

enum { CAXTON_TRACE, CAXTON_DEBUG, CAXTON_INFO, CAXTON_WARN, CAXTON_ERROR };

/* The raw imports. A module imports only those that it uses. */
CAXTON_IMPORT("send_message") int32_t caxton_send_message(const void *json, uint32_t len);
CAXTON_IMPORT("log") void caxton_log(int32_t level, const void *text, uint32_t len);
CAXTON_IMPORT("now_us") int64_t caxton_now_us(void);
CAXTON_IMPORT("random") void caxton_random(void *bytes, uint32_t len);
/* One-shot and durable; the result is the id that the timer handler gets. */
CAXTON_IMPORT("set_timer") int32_t caxton_set_timer(int64_t delay_us);
CAXTON_IMPORT("cancel_timer") int32_t caxton_cancel_timer(int32_t id);
/* kv_get and call_tool return a length; read_result then copies that many bytes. */
CAXTON_IMPORT("kv_get") int32_t caxton_kv_get(const void *key, uint32_t key_len);
CAXTON_IMPORT("kv_set")
int32_t caxton_kv_set(const void *key, uint32_t key_len, const void *value, uint32_t value_len);
CAXTON_IMPORT("kv_delete") int32_t caxton_kv_delete(const void *key, uint32_t key_len);
CAXTON_IMPORT("call_tool") int32_t caxton_call_tool(const void *json, uint32_t len);
CAXTON_IMPORT("read_result") int32_t caxton_read_result(void *bytes, uint32_t len);
CAXTON_IMPORT("subscribe") int32_t caxton_subscribe(const void *topic, uint32_t len);
CAXTON_IMPORT("unsubscribe") int32_t caxton_unsubscribe(const void *topic, uint32_t len);

/* ---- Text --------------------------------------------------------------------------------- */

/* UTF-8, not ended by a NUL. Absent is {0, 0}. */
typedef struct {
    const char *ptr;
    uint32_t len;
} caxton_str;

/* Text for which there was no memory. Whatever is built from it is lost too, and sending it fails
 * with CAXTON_TOO_LARGE: so only the end needs a check. */
#define CAXTON_LOST (caxton_str){0, UINT32_MAX}

static inline bool caxton_is_lost(caxton_str text) { return !text.ptr && text.len; }

static inline caxton_str caxton_s(const char *text) {
    /* For a literal the compiler knows the length; the loop is for the rest (there is no strlen). */
    size_t len = 0;
    if (__builtin_constant_p(__builtin_strlen(text))) len = __builtin_strlen(text);
    else
        while (text[len]) len++;
    return (caxton_str){text, (uint32_t)len};
}

/* Out of line functions that are called often take pointer and length apart: a struct argument goes
 * through memory. */
CAXTON_FN bool caxton__same(const char *a, uint32_t a_len, const char *b, uint32_t b_len) {
    if (a_len != b_len) return false;
    for (uint32_t i = 0; i < a_len; i++)
        if (a[i] != b[i]) return false;
    return true;
}

static inline bool caxton_same(caxton_str a, caxton_str b) {
    return caxton__same(a.ptr, a.len, b.ptr, b.len);
}

static inline bool caxton_is(caxton_str text, const char *expected) {
    return caxton_same(text, caxton_s(expected));
}

/* ---- Arena -------------------------------------------------------------------------------- */

/* A libc has a malloc of its own, which takes the memory above `__heap_base` too. With one, define
 * CAXTON_ARENA_BYTES: the arena is then a static array of that size. 4 MiB hold a message of 1 MiB,
 * the largest there is, with its answer; untouched pages cost nothing. */
#if defined(__wasi__) && !defined(CAXTON_ARENA_BYTES)
#define CAXTON_ARENA_BYTES (4u << 20)
#endif

/* Weak, so that several files of one agent may include this header and share one arena. */
#ifdef CAXTON_ARENA_BYTES
__attribute__((weak, aligned(8))) unsigned char caxton_arena[CAXTON_ARENA_BYTES];
__attribute__((weak)) unsigned char *caxton_arena_top = caxton_arena;
#else
extern unsigned char __heap_base; /* from the linker: the first byte behind statics and stack */
__attribute__((weak)) unsigned char *caxton_arena_top = &__heap_base;
#endif

static inline void caxton_reset(void) {
#ifdef CAXTON_ARENA_BYTES
    caxton_arena_top = caxton_arena;
#else
    caxton_arena_top = (unsigned char *)(((uintptr_t)&__heap_base + 7) & ~(uintptr_t)7);
#endif
}

/* Room for `size` bytes until the handler returns, or 0 when memory cannot grow. */
CAXTON_FN void *caxton_scratch(uint32_t size) {
    /* 64 bits, because a memory of 4 GiB has a size that 32 bits do not hold. */
    uint64_t start = (uintptr_t)caxton_arena_top;
    uint64_t end = start + (((uint64_t)size + 7) & ~(uint64_t)7);
#ifdef CAXTON_ARENA_BYTES
    if (end > (uint64_t)(uintptr_t)caxton_arena + CAXTON_ARENA_BYTES) return 0;
#else
    uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
    if (end > have) {
        if (end > UINT32_MAX) return 0;
        size_t pages = (size_t)((end - have + 0xffff) >> 16);
        if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) return 0;
    }
#endif
    caxton_arena_top = (unsigned char *)(uintptr_t)end;
    return (void *)(uintptr_t)start;
}

/* The host asks for room before it calls, and calls one handler at a time: all else is garbage. */
__attribute__((weak)) CAXTON_EXPORT("caxton_alloc") void *caxton_alloc(uint32_t size) {
    caxton_reset();
    return caxton_scratch(size);
}

/* ---- Reading JSON ------------------------------------------------------------------------- */

/* Non-zero where a byte of `word` is `byte`; the lowest marked one is exact. */
static inline uint64_t caxton__has(uint64_t word, uint8_t byte) {
    const uint64_t ones = 0x0101010101010101u;
    word ^= ones * byte;
    return (word - ones) & ~word & (ones << 7);
}

/* From behind an opening quote to its closing quote, or 0. Eight bytes at a time, because strings
 * are most of a message. */
CAXTON_FN const char *caxton__string_end(const char *p, const char *end, bool *escaped) {
    while (end - p >= 8) {
        uint64_t word;
        __builtin_memcpy(&word, p, 8);
        uint64_t hit = caxton__has(word, '"') | caxton__has(word, '\\');
        if (!hit) {
            p += 8;
            continue;
        }
        p += __builtin_ctzll(hit) >> 3;
        if (*p == '"') return p;
        *escaped = true;
        p += 2;
    }
    while (p < end && *p != '"') {
        *escaped |= *p == '\\';
        p += *p == '\\' ? 2 : 1;
    }
    return p < end ? p : 0;
}

static inline const char *caxton__skip_space(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) p++;
    return p;
}

/* From the first byte of a value to behind its last, or 0. Counts brackets instead of recursing, so
 * that no depth of nesting can exhaust the stack. */
CAXTON_FN const char *caxton__value_end(const char *p, const char *end) {
    const uint64_t spaces = 0x2020202020202020u; /* `| ' '` makes '[' a '{' and ']' a '}' */
    const char *start = p;
    uint32_t depth = 0;
    bool escaped = false;
    if (p < end && *p != '"' && (*p | ' ') != '{') {
        while (p < end && *p > ' ' && *p != ',' && (*p | ' ') != '}') p++;
        return p > start ? p : 0;
    }
    while (p < end) {
        if (end - p >= 8) {
            uint64_t word;
            __builtin_memcpy(&word, p, 8);
            uint64_t hit = caxton__has(word, '"') | caxton__has(word | spaces, '{')
                         | caxton__has(word | spaces, '}');
            p += hit ? __builtin_ctzll(hit) >> 3 : 8;
            if (!hit) continue;
        }
        char c = *p++;
        if (c == '"') {
            if (!(p = caxton__string_end(p, end, &escaped))) return 0;
            p++;
        } else if ((c | ' ') == '{') depth++;
        else if ((c | ' ') == '}') depth--;
        else continue;
        if (!depth) return p;
    }
    return 0;
}

/* The bytes that a JSON string (with its quotes) stands for. False if it is none. */
CAXTON_FN bool caxton_json_text(caxton_str json, caxton_str *text) {
    if (json.len < 2 || json.ptr[0] != '"') return false;
    const char *p = json.ptr + 1, *end = json.ptr + json.len - 1;
    uint32_t plain = 0;
    while (p + plain < end && p[plain] != '\\') plain++;
    if (p + plain == end) {
        *text = (caxton_str){p, plain};
        return true;
    }
    char *out = caxton_scratch((uint32_t)(end - p)), *o = out; /* decoding never makes it longer */
    if (!out) {
        *text = CAXTON_LOST;
        return false;
    }
    while (p < end) {
        if (*p != '\\') {
            *o++ = *p++;
            continue;
        }
        if (++p == end) return false;
        char c = *p++;
        switch (c) {
        case 'n': c = '\n'; break;
        case 't': c = '\t'; break;
        case 'r': c = '\r'; break;
        case 'b': c = '\b'; break;
        case 'f': c = '\f'; break;
        case '"': case '\\': case '/': break;
        case 'u': {
            uint32_t point = 0;
            for (int half = 0; half < 2; half++) {
                uint32_t unit = 0;
                if (end - p < 4) return false;
                for (int i = 0; i < 4; i++) {
                    uint32_t h = (unsigned char)*p++, l = h | 32;
                    if (h - '0' < 10) unit = unit << 4 | (h - '0');
                    else if (l - 'a' < 6) unit = unit << 4 | (l - 'a' + 10);
                    else return false;
                }
                if (half && unit - 0xdc00 < 0x400) {
                    point = 0x10000 + ((point - 0xd800) << 10) + (unit - 0xdc00);
                    break;
                }
                if (half) { /* no second half came: leave what came to the next round */
                    p -= 6;
                    break;
                }
                point = unit;
                if (unit - 0xd800 >= 0x400 || end - p < 6 || p[0] != '\\' || p[1] != 'u') break;
                p += 2;
            }
            if (point - 0xd800 < 0x800) point = 0xfffd; /* half a pair stands for no character */
            if (point < 0x80) {
                *o++ = (char)point;
                continue;
            }
            if (point < 0x800) *o++ = (char)(0xc0 | point >> 6);
            else {
                if (point < 0x10000) *o++ = (char)(0xe0 | point >> 12);
                else {
                    *o++ = (char)(0xf0 | point >> 18);
                    *o++ = (char)(0x80 | (point >> 12 & 63));
                }
                *o++ = (char)(0x80 | (point >> 6 & 63));
            }
            *o++ = (char)(0x80 | (point & 63));
            continue;
        }
        default: return false;
        }
        *o++ = c;
    }
    *text = (caxton_str){out, (uint32_t)(o - out)};
    return true;
}

/* Whole decimal numbers that fit; 1.0 and 1e3 do not count. */
CAXTON_FN bool caxton_json_to_int(caxton_str json, int64_t *number) {
    bool negative = json.len && json.ptr[0] == '-';
    uint64_t value = 0, limit = (uint64_t)INT64_MAX + negative;
    if (json.len == negative) return false;
    for (uint32_t i = negative; i < json.len; i++) {
        uint64_t digit = (unsigned char)json.ptr[i] - (uint64_t)'0';
        if (digit > 9 || value > (limit - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *number = (int64_t)(negative ? -value : value);
    return true;
}

/* Any JSON number that a double can hold: up to 15 digits and 1e22 the nearest, beyond that within a
 * few units of the last place. To pass a number on, pass its text on: that loses nothing. */
CAXTON_FN bool caxton_json_to_number(caxton_str json, double *number) {
    const char *p = json.ptr, *end = p + json.len;
    uint64_t digits = 0;
    int32_t power = 0, exponent = 0;
    bool negative = p < end && *p == '-', is_fraction = false, any = false;
    for (p += negative; p < end; p++) {
        uint32_t digit = (unsigned char)*p - (uint32_t)'0';
        if (digit > 9) {
            if (*p != '.' || is_fraction || !any) break;
            is_fraction = true;
            any = false; /* a digit must follow */
            continue;
        }
        any = true;
        bool fits = digits < 100000000000000000u; /* more digits than these change nothing */
        if (fits) digits = digits * 10 + digit;
        power += (is_fraction ? -1 : 0) + (fits ? 0 : 1);
    }
    if (!any) return false;
    if (p < end && (*p | ' ') == 'e') {
        bool is_small = ++p < end && *p == '-';
        p += p < end && (*p == '-' || *p == '+');
        if (p == end) return false;
        for (; p < end && (unsigned char)*p - (uint32_t)'0' <= 9; p++)
            if (exponent < 100000000) exponent = exponent * 10 + (*p - '0');
        if (is_small) exponent = -exponent;
    }
    if (p != end) return false;
    double value = (double)digits;
    power += exponent;
    if (power < -400) power = -400; /* beyond all doubles */
    if (power > 400) power = 400;
    while (power && value > 0) {
        double step = 1; /* powers up to 1e22 are exact */
        bool is_up = power > 0;
        for (int i = 0; i < 22 && power; i++, power += is_up ? -1 : 1) step *= 10;
        value = is_up ? value * step : value / step;
    }
    *number = negative ? -value : value;
    return value <= 1.7976931348623157e308;
}

/* Walks the fields of one object, without descending into it:
 *
 *     caxton_fields fields = caxton_fields_of(message->content);
 *     caxton_str key, value;
 *     while (caxton_next_field(&fields, &key, &value)) ...
 */
typedef struct {
    const char *at, *end; /* `at` is 0 once the text turned out not to be an object */
} caxton_fields;

static inline caxton_fields caxton_fields_of(caxton_str object) {
    const char *end = object.ptr + object.len;
    const char *p = object.ptr ? caxton__skip_space(object.ptr, end) : end;
    return (caxton_fields){p < end && *p == '{' ? p + 1 : 0, end};
}

/* The next key, decoded, and its value as JSON text. False at the end. */
CAXTON_FN bool caxton_next_field(caxton_fields *fields, caxton_str *key, caxton_str *value) {
    const char *p = fields->at, *end = fields->end, *start;
    bool escaped = false;
    if (!p) return false;
    p = caxton__skip_space(p, end);
    if (p < end && *p == ',') p = caxton__skip_space(p + 1, end);
    if (p < end && *p == '}') {
        fields->at = p;
        return false;
    }
    fields->at = 0;
    if (p >= end || *p != '"') return false;
    start = p;
    if (!(p = caxton__string_end(p + 1, end, &escaped))) return false;
    *key = (caxton_str){start + 1, (uint32_t)(p - start - 1)};
    if (escaped && !caxton_json_text((caxton_str){start, key->len + 2}, key)) return false;
    p = caxton__skip_space(p + 1, end);
    if (p >= end || *p != ':') return false;
    start = caxton__skip_space(p + 1, end);
    if (!(p = caxton__value_end(start, end))) return false;
    *value = (caxton_str){start, (uint32_t)(p - start)};
    fields->at = p;
    return true;
}

/* The JSON text of a field at the top level of `object`. Of a repeated key the last counts, as for
 * the host's own decoder: two readings of one message would be a way round the host's checks. */
CAXTON_FN bool caxton_json_get(caxton_str object, const char *name, caxton_str *value) {
    caxton_fields fields = caxton_fields_of(object);
    caxton_str key, found, wanted = caxton_s(name);
    bool is_found = false;
    while (caxton_next_field(&fields, &key, &found))
        if (caxton_same(key, wanted)) {
            *value = found;
            is_found = true;
        }
    return is_found;
}

static inline bool caxton_json_string(caxton_str object, const char *name, caxton_str *text) {
    caxton_str value;
    return caxton_json_get(object, name, &value) && caxton_json_text(value, text);
}

static inline bool caxton_json_int(caxton_str object, const char *name, int64_t *number) {
    caxton_str value;
    return caxton_json_get(object, name, &value) && caxton_json_to_int(value, number);
}

static inline bool caxton_json_number(caxton_str object, const char *name, double *number) {
    caxton_str value;
    return caxton_json_get(object, name, &value) && caxton_json_to_number(value, number);
}

static inline bool caxton_json_bool(caxton_str object, const char *name, bool *answer) {
    caxton_str value;
    if (!caxton_json_get(object, name, &value)) return false;
    *answer = caxton_is(value, "true");
    return *answer || caxton_is(value, "false");
}

/* Walks the items of one list:
 *
 *     caxton_items items = caxton_items_of(list);
 *     caxton_str item;
 *     while (caxton_next_item(&items, &item)) ...
 */
typedef struct {
    const char *at, *end; /* `at` is 0 once the text turned out not to be a list */
} caxton_items;

static inline caxton_items caxton_items_of(caxton_str list) {
    const char *end = list.ptr + list.len;
    const char *p = list.ptr ? caxton__skip_space(list.ptr, end) : end;
    return (caxton_items){p < end && *p == '[' ? p + 1 : 0, end};
}

/* The next item as JSON text. False at the end. */
CAXTON_FN bool caxton_next_item(caxton_items *items, caxton_str *item) {
    const char *p = items->at, *end = items->end;
    if (!p) return false;
    p = caxton__skip_space(p, end);
    if (p < end && *p == ',') p = caxton__skip_space(p + 1, end);
    if (p < end && *p == ']') {
        items->at = p;
        return false;
    }
    items->at = caxton__value_end(p, end);
    if (!items->at) return false;
    *item = (caxton_str){p, (uint32_t)(items->at - p)};
    return true;
}

/* ---- Building text and JSON --------------------------------------------------------------- */

/* Growing text in the arena; start with {0}. `failed` stays set once memory ran out. */
typedef struct {
    char *ptr;
    uint32_t len, room;
    bool failed;
} caxton_text;

CAXTON_FN bool caxton__make_room(caxton_text *text, uint32_t more) {
    if (more <= text->room - text->len) return true;
    /* Twice as much, so that a text built beside another one is copied seldom. */
    uint64_t room = 2 * ((uint64_t)text->len + more) + 64;
    if (text->failed || room > UINT32_MAX) return !(text->failed = true);
    if (text->ptr && (unsigned char *)text->ptr + text->room == caxton_arena_top) {
        /* Ours is the newest piece of the arena: lengthen it, nothing moves. */
        uint32_t extra = (more + 64 + 7) & ~7u;
        if (extra < more || !caxton_scratch(extra)) return !(text->failed = true);
        text->room += extra;
        return true;
    }
    char *moved = caxton_scratch((uint32_t)room & ~7u);
    if (!moved) return !(text->failed = true);
    if (text->len) __builtin_memcpy(moved, text->ptr, text->len);
    text->ptr = moved;
    text->room = (uint32_t)room & ~7u;
    return true;
}

CAXTON_FN void caxton__put(caxton_text *text, const char *piece, uint32_t len) {
    if (!len) return;
    if (!piece) text->failed = true;
    if (text->failed || !caxton__make_room(text, len)) return;
    char *out = text->ptr + text->len;
    text->len += len;
    if (len >= 32) __builtin_memcpy(out, piece, len);
    else
        for (uint32_t i = 0; i < len; i++) out[i] = piece[i]; /* memory.copy starts slowly */
}

/* As it is. */
static inline void caxton_put(caxton_text *text, caxton_str piece) {
    caxton__put(text, piece.ptr, piece.len);
}

static inline void caxton_put_byte(caxton_text *text, char byte) {
    if (text->len < text->room || caxton__make_room(text, 1)) text->ptr[text->len++] = byte;
}

CAXTON_FN void caxton_put_int(caxton_text *text, int64_t number) {
    char digits[20], *p = digits + sizeof digits;
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do {
        *--p = (char)('0' + rest % 10);
    } while (rest /= 10);
    if (number < 0) *--p = '-';
    caxton_put(text, (caxton_str){p, (uint32_t)(digits + sizeof digits - p)});
}

/* As a JSON string, quoted and escaped. */
CAXTON_FN void caxton_put_string(caxton_text *text, caxton_str piece) {
    if (caxton_is_lost(piece)) text->failed = true;
    if (text->failed || !caxton__make_room(text, piece.len)) return;
    caxton_put_byte(text, '"');
    for (uint32_t i = 0; i < piece.len; i++) {
        unsigned char c = (unsigned char)piece.ptr[i];
        if (c < ' ') {
            caxton_put(text, caxton_s("\\u00"));
            caxton_put_byte(text, (char)('0' + (c >> 4)));
            c = (unsigned char)"0123456789abcdef"[c & 15];
        } else if (c == '"' || c == '\\') caxton_put_byte(text, '\\');
        caxton_put_byte(text, (char)c);
    }
    caxton_put_byte(text, '"');
}

/* What was built; lost if memory ran out. */
static inline caxton_str caxton_result(const caxton_text *text) {
    return text->failed ? CAXTON_LOST : (caxton_str){text->ptr, text->len};
}

/* An object, field by field:
 *
 *     caxton_text json = caxton_object();
 *     caxton_field_int(&json, "count", 3);
 *     caxton_str content = caxton_object_end(&json);
 */
static inline caxton_text caxton_object(void) {
    caxton_text text = {0};
    caxton_put_byte(&text, '{');
    return text;
}

/* Starts a field; the caller puts its value. */
CAXTON_FN void caxton_field(caxton_text *text, const char *name) {
    if (text->len && text->ptr[text->len - 1] != '{') caxton_put_byte(text, ',');
    caxton_put_string(text, caxton_s(name));
    caxton_put_byte(text, ':');
}

static inline void caxton_field_string(caxton_text *text, const char *name, caxton_str value) {
    caxton_field(text, name);
    caxton_put_string(text, value);
}

static inline void caxton_field_int(caxton_text *text, const char *name, int64_t value) {
    caxton_field(text, name);
    caxton_put_int(text, value);
}

/* `json` must be JSON: a part of a message, or built here. */
static inline void caxton_field_json(caxton_text *text, const char *name, caxton_str json) {
    caxton_field(text, name);
    caxton_put(text, json);
}

static inline caxton_str caxton_object_end(caxton_text *text) {
    caxton_put_byte(text, '}');
    return caxton_result(text);
}

/* {"name": value}, the content of most small messages. */
static inline caxton_str caxton_object_int(const char *name, int64_t value) {
    caxton_text text = caxton_object();
    caxton_field_int(&text, name, value);
    return caxton_object_end(&text);
}

CAXTON_FN caxton_str caxton_object_string(const char *name, const char *value) {
    caxton_text text = caxton_object();
    caxton_field_string(&text, name, caxton_s(value));
    return caxton_object_end(&text);
}

/* ---- Log ---------------------------------------------------------------------------------- */

static inline void caxton_log_text(int32_t level, const char *text) {
    caxton_str s = caxton_s(text);
    caxton_log(level, s.ptr, s.len);
}

/* For "%.*s": caxton_logf(CAXTON_INFO, "from %.*s", CAXTON_PRINT(message->sender)); */
#define CAXTON_PRINT(text) (int)(text).len, (text).ptr

static inline bool caxton__starts(const char *text, const char *with) {
    while (*with)
        if (*text++ != *with++) return false;
    return true;
}

/* The part of printf that a log line needs: %d, %lld, %s, %.*s and %%. Anything else is printed as
 * it stands. */
__attribute__((format(printf, 2, 3)))
CAXTON_FN void caxton_logf(int32_t level, const char *format, ...) {
    unsigned char *top = caxton_arena_top;
    caxton_text line = {0};
    va_list args;
    va_start(args, format);
    for (const char *p = format; *p;) {
        caxton_str piece = {p, 1};
        if (caxton__starts(p, "%d")) {
            caxton_put_int(&line, va_arg(args, int));
            p += 2;
        } else if (caxton__starts(p, "%lld")) {
            caxton_put_int(&line, va_arg(args, long long));
            p += 4;
        } else if (caxton__starts(p, "%s")) {
            caxton_put(&line, caxton_s(va_arg(args, const char *)));
            p += 2;
        } else if (caxton__starts(p, "%.*s")) {
            piece.len = (uint32_t)va_arg(args, int);
            piece.ptr = va_arg(args, const char *);
            caxton_put(&line, piece);
            p += 4;
        } else {
            caxton_put(&line, piece);
            p += caxton__starts(p, "%%") ? 2 : 1;
        }
    }
    va_end(args);
    caxton_str text = caxton_result(&line);
    if (text.ptr) caxton_log(level, text.ptr, text.len);
    caxton_arena_top = top;
}

/* ---- Messages ----------------------------------------------------------------------------- */

/* One message, received or to be sent. Fields that are absent are {0, 0}. The rest of a received
 * one, such as `attempt`, is in `json`: caxton_json_int(message->json, "attempt", &n). */
typedef struct {
    caxton_str json; /* all of it, as received */

    /* Set by the host; sending ignores them. */
    caxton_str message_id, sender;

    caxton_str performative;
    caxton_str receiver;         /* a name, "topic://name", or the JSON text of a list of them */
    caxton_str capability;       /* instead of a receiver: whoever offers it */
    caxton_str routing_strategy; /* which of those that do */
    caxton_str reply_to;         /* as receiver */
    caxton_str content;          /* JSON text */
    caxton_str language, encoding, ontology, protocol;
    caxton_str conversation_id, parent_conversation, reply_with, in_reply_to, reply_by;
    caxton_str priority, ttl_ms; /* JSON text */
} caxton_message;

enum { CAXTON__TEXT, CAXTON__NAMES, CAXTON__JSON };

static const struct {
    const char *name;
    uint8_t len, kind;
    uint16_t offset;
} caxton__message_fields[] = {
#define CAXTON__FIELD(name, kind) {#name, sizeof #name - 1, kind, offsetof(caxton_message, name)}
    CAXTON__FIELD(message_id, CAXTON__TEXT),
    CAXTON__FIELD(sender, CAXTON__TEXT),
    CAXTON__FIELD(performative, CAXTON__TEXT), /* the first that sending writes */
    CAXTON__FIELD(receiver, CAXTON__NAMES),
    CAXTON__FIELD(capability, CAXTON__TEXT),
    CAXTON__FIELD(routing_strategy, CAXTON__TEXT),
    CAXTON__FIELD(reply_to, CAXTON__NAMES),
    CAXTON__FIELD(content, CAXTON__JSON),
    CAXTON__FIELD(language, CAXTON__TEXT),
    CAXTON__FIELD(encoding, CAXTON__TEXT),
    CAXTON__FIELD(ontology, CAXTON__TEXT),
    CAXTON__FIELD(protocol, CAXTON__TEXT),
    CAXTON__FIELD(conversation_id, CAXTON__TEXT),
    CAXTON__FIELD(parent_conversation, CAXTON__TEXT),
    CAXTON__FIELD(reply_with, CAXTON__TEXT),
    CAXTON__FIELD(in_reply_to, CAXTON__TEXT),
    CAXTON__FIELD(reply_by, CAXTON__TEXT),
    CAXTON__FIELD(priority, CAXTON__JSON),
    CAXTON__FIELD(ttl_ms, CAXTON__JSON),
#undef CAXTON__FIELD
};
enum {
    CAXTON__FIRST_SENT = 2,
    CAXTON__FIELD_COUNT = sizeof caxton__message_fields / sizeof caxton__message_fields[0],
};

/* Reads a received message. False if it is no JSON object. */
CAXTON_FN bool caxton_read_message(caxton_str json, caxton_message *message) {
    caxton_fields fields = caxton_fields_of(json);
    caxton_str key, value;
    *message = (caxton_message){.json = json};
    while (caxton_next_field(&fields, &key, &value)) {
        for (uint32_t i = 0; i < CAXTON__FIELD_COUNT; i++) {
            if (key.len != caxton__message_fields[i].len) continue;
            if (!caxton_same(key, (caxton_str){caxton__message_fields[i].name, key.len})) continue;
            caxton_str *field = (caxton_str *)((char *)message + caxton__message_fields[i].offset);
            uint8_t kind = caxton__message_fields[i].kind;
            *field = (caxton_str){0, 0};
            if (kind == CAXTON__JSON || (kind == CAXTON__NAMES && value.ptr[0] == '[')) {
                *field = value;
            } else if (caxton_json_text(value, field) && kind == CAXTON__NAMES && field->len
                       && field->ptr[0] == '[') {
                /* No name starts like this; taken for a list it would be sent on as JSON. */
                *field = (caxton_str){0, 0};
            }
            break;
        }
    }
    return fields.at != 0;
}

/* Sends; 0 or an error code. The performative and a receiver or a capability are needed.
 *
 *     caxton_send((caxton_message){.performative = caxton_s("request"), .receiver = caxton_s("pong"),
 *                                  .content = caxton_object_int("ping", 1)});
 */
CAXTON_FN int32_t caxton_send(caxton_message message) {
    unsigned char *top = caxton_arena_top;
    caxton_text text = caxton_object();
    for (uint32_t i = CAXTON__FIRST_SENT; i < CAXTON__FIELD_COUNT; i++) {
        caxton_str *field = (caxton_str *)((char *)&message + caxton__message_fields[i].offset);
        uint8_t kind = caxton__message_fields[i].kind;
        if (!field->ptr && !field->len) continue;
        bool is_list = kind == CAXTON__NAMES && field->ptr && field->len && field->ptr[0] == '[';
        caxton_field(&text, caxton__message_fields[i].name);
        if (kind == CAXTON__JSON || is_list) caxton_put(&text, *field);
        else caxton_put_string(&text, *field);
    }
    caxton_str json = caxton_object_end(&text);
    int32_t result = json.ptr ? caxton_send_message(json.ptr, json.len) : CAXTON_TOO_LARGE;
    caxton_arena_top = top; /* sending in a loop must not fill the arena */
    return result;
}

/* The answer to a message, for changes before it is sent. FIPA: to `reply_to` if there is one. */
static inline caxton_message caxton_answer(
    const caxton_message *message, const char *performative, caxton_str content) {
    return (caxton_message){
        .performative = caxton_s(performative),
        .receiver = message->reply_to.len ? message->reply_to : message->sender,
        .content = content,
        .protocol = message->protocol,
        .conversation_id = message->conversation_id,
        .in_reply_to = message->reply_with,
    };
}

CAXTON_FN int32_t caxton_reply(
    const caxton_message *message, const char *performative, caxton_str content) {
    return caxton_send(caxton_answer(message, performative, content));
}

/* False for what is itself an answer: two agents that answer each other's answers never stop. */
CAXTON_FN bool caxton_wants_reply(const caxton_message *message) {
    return !caxton_is(message->performative, "inform") && !caxton_is(message->performative, "failure")
        && !caxton_is(message->performative, "not-understood");
}

/* What a handler returns after its last send: 1 if a later attempt may succeed, so that the host
 * delivers the message again; 0, done, if it would only fail again, and then the log says so. */
static inline int32_t caxton_settle(int32_t result) {
    if (result == CAXTON_WOULD_BLOCK || result == CAXTON_RATE_LIMITED) return 1;
    if (result < 0) {
        char text[] = "could not send: error -?";
        text[sizeof text - 2] = (char)('0' - result); /* -1 to -8 */
        caxton_log(CAXTON_WARN, text, sizeof text - 1);
    }
    return 0;
}

/* ---- State and tools ---------------------------------------------------------------------- */

/* The bytes of the last kv_get or call_tool, whose result was `len`. */
static inline int32_t caxton__take_result(int32_t len, caxton_str *value) {
    if (len < 0) return len;
    char *bytes = caxton_scratch((uint32_t)len);
    if (!bytes) return CAXTON_TOO_LARGE;
    int32_t copied = caxton_read_result(bytes, (uint32_t)len);
    if (copied < 0) return copied;
    *value = (caxton_str){bytes, (uint32_t)len};
    return 0;
}

/* 0, or an error such as CAXTON_NOT_FOUND; then `value` is as before. */
static inline int32_t caxton_kv_get_bytes(const char *key, caxton_str *value) {
    caxton_str k = caxton_s(key);
    return caxton__take_result(caxton_kv_get(k.ptr, k.len), value);
}

static inline int32_t caxton_kv_set_bytes(const char *key, caxton_str value) {
    caxton_str k = caxton_s(key);
    if (caxton_is_lost(value)) return CAXTON_TOO_LARGE;
    return caxton_kv_set(k.ptr, k.len, value.ptr, value.len);
}

/* Integers are kept as decimal text, so that people can read the store. */
CAXTON_FN int32_t caxton_kv_get_int(const char *key, int64_t *number) {
    unsigned char *top = caxton_arena_top;
    caxton_str value;
    int32_t result = caxton_kv_get_bytes(key, &value);
    if (result == 0 && !caxton_json_to_int(value, number)) result = CAXTON_INVALID;
    caxton_arena_top = top;
    return result;
}

CAXTON_FN int32_t caxton_kv_set_int(const char *key, int64_t number) {
    unsigned char *top = caxton_arena_top;
    caxton_text text = {0};
    caxton_put_int(&text, number);
    int32_t result = caxton_kv_set_bytes(key, caxton_result(&text));
    caxton_arena_top = top;
    return result;
}

/* Calls a tool and waits; other agents run meanwhile. `arguments` is a JSON object. */
static inline int32_t caxton_call(const char *tool, caxton_str arguments, caxton_str *result) {
    caxton_text text = caxton_object();
    caxton_field_string(&text, "tool", caxton_s(tool));
    caxton_field_json(&text, "arguments", arguments);
    caxton_str json = caxton_object_end(&text);
    if (!json.ptr) return CAXTON_TOO_LARGE;
    return caxton__take_result(caxton_call_tool(json.ptr, json.len), result);
}

/* ---- What the agent offers ---------------------------------------------------------------- */

/* Each is followed by a body, as a function is. A result of 0 means done; any other makes the host
 * repeat the message or the timer. */

#define CAXTON_ON_MESSAGE(message)                                                              \
    static int32_t caxton__on_message(const caxton_message *);                                  \
    CAXTON_EXPORT("handle_message") int32_t handle_message(const char *ptr, uint32_t len) {     \
        caxton_message received;                                                                \
        if (!caxton_read_message((caxton_str){ptr, len}, &received)) return 1;                  \
        return caxton__on_message(&received);                                                   \
    }                                                                                           \
    static int32_t caxton__on_message(const caxton_message *message)

#define CAXTON_ON_TIMER(id)                                                                     \
    static int32_t caxton__on_timer(int32_t);                                                   \
    CAXTON_EXPORT("handle_timer") int32_t handle_timer(int32_t timer) {                         \
        caxton_reset();                                                                         \
        return caxton__on_timer(timer);                                                         \
    }                                                                                           \
    static int32_t caxton__on_timer(__attribute__((unused)) int32_t id)

#define CAXTON_ON_INIT()                                                                        \
    static int32_t caxton__on_init(void);                                                       \
    CAXTON_EXPORT("agent_init") int32_t agent_init(void) {                                      \
        caxton_reset();                                                                         \
        return caxton__on_init();                                                               \
    }                                                                                           \
    static int32_t caxton__on_init(void)

#define CAXTON_ON_SHUTDOWN()                                                                    \
    static void caxton__on_shutdown(void);                                                      \
    CAXTON_EXPORT("agent_shutdown") void agent_shutdown(void) {                                 \
        caxton_reset();                                                                         \
        caxton__on_shutdown();                                                                  \
    }                                                                                           \
    static void caxton__on_shutdown(void)

/* A JSON array as a string literal: CAXTON_CAPABILITIES("[\"counting\"]") */
#define CAXTON_CAPABILITIES(json)                                                               \
    CAXTON_EXPORT("get_capabilities") uint32_t get_capabilities(char *buffer, uint32_t len) {   \
        if (len >= sizeof json - 1) __builtin_memcpy(buffer, json, sizeof json - 1);            \
        return sizeof json - 1;                                                                 \
    }

#endif
