/* A tool for agents: an MCP server on standard input and output, as a WASI command.
 *
 * It counts lines, words and bytes: of a text (`count`), or of a file in a directory that it was granted (`count_file`).
 * Built by examples/build-tools; any MCP server that builds for WASI preview 1 works the same way.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LINE (1 << 20)

static char line[MAX_LINE];
static char text[MAX_LINE];

struct counts {
  long lines, words, bytes;
  bool in_word;
};

static void count(struct counts *counts, const char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) {
    bool is_space = isspace((unsigned char)bytes[i]) != 0;
    counts->lines += bytes[i] == '\n';
    counts->words += !is_space && !counts->in_word;
    counts->in_word = !is_space;
  }
  counts->bytes += (long)length;
}

/* --- a little JSON: enough for what a host sends ------------------------------------------------------------- */

static const char *skip_space(const char *at) {
  while (isspace((unsigned char)*at)) at++;
  return at;
}

static const char *skip_string(const char *at) {
  for (at++; *at && *at != '"'; at++)
    if (*at == '\\' && at[1]) at++;
  return *at ? at + 1 : at;
}

static const char *skip_value(const char *at) {
  int depth = 0;
  for (at = skip_space(at); *at; ) {
    if (*at == '"') {
      at = skip_string(at);
    } else if (*at == '{' || *at == '[') {
      depth++, at++;
    } else if (*at == '}' || *at == ']') {
      if (depth-- == 0) return at;
      at++;
    } else if (*at == ',' && depth == 0) {
      return at;
    } else {
      at++;
      continue;
    }
    if (depth == 0) return at;
  }
  return at;
}

/* The value of `key` in the object at `at`; NULL if there is none. */
static const char *member(const char *at, const char *key) {
  size_t length = strlen(key);
  if (!at || *(at = skip_space(at)) != '{') return NULL;
  at = skip_space(at + 1);
  while (*at == '"') {
    const char *end = skip_string(at);
    bool found = (size_t)(end - at) == length + 2 && !memcmp(at + 1, key, length);
    at = skip_space(end);
    if (*at != ':') return NULL;
    at = skip_space(at + 1);
    if (found) return at;
    at = skip_space(skip_value(at));
    if (*at != ',') return NULL;
    at = skip_space(at + 1);
  }
  return NULL;
}

static size_t put_utf8(char *out, unsigned code) {
  if (code < 0x80) return out[0] = (char)code, 1;
  if (code < 0x800) return out[0] = (char)(0xC0 | code >> 6), out[1] = (char)(0x80 | (code & 63)), 2;
  out[0] = (char)(0xE0 | code >> 12), out[1] = (char)(0x80 | (code >> 6 & 63)), out[2] = (char)(0x80 | (code & 63));
  return 3;
}

/* The string at `at`, unescaped into `text`; its length, or -1 if there is no string. */
static long string_at(const char *at) {
  size_t length = 0;
  if (!at || *at != '"') return -1;
  for (at++; *at && *at != '"'; at++) {
    if (*at != '\\') {
      text[length++] = *at;
      continue;
    }
    switch (*++at) {
      case 'n': text[length++] = '\n'; break;
      case 't': text[length++] = '\t'; break;
      case 'r': text[length++] = '\r'; break;
      case 'b': text[length++] = '\b'; break;
      case 'f': text[length++] = '\f'; break;
      case 'u': {
        char digits[5] = {0};
        strncpy(digits, at + 1, 4);
        if (strlen(digits) < 4) return -1;
        length += put_utf8(text + length, (unsigned)strtoul(digits, NULL, 16));
        at += 4;
        break;
      }
      default: text[length++] = *at;
    }
  }
  text[length] = 0;
  return (long)length;
}

/* --- answers -------------------------------------------------------------------------------------------------- */

static const char *id;
static int id_length;

static void begin(void) { printf("{\"jsonrpc\":\"2.0\",\"id\":%.*s,", id_length, id); }

static void answer(const char *result) {
  begin();
  printf("\"result\":%s}\n", result);
}

static void refuse(int code, const char *why) {
  begin();
  printf("\"error\":{\"code\":%d,\"message\":\"%s\"}}\n", code, why);
}

static void tell(const struct counts *c) {
  begin();
  printf("\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"%ld lines, %ld words, %ld bytes\"}],"
         "\"structuredContent\":{\"lines\":%ld,\"words\":%ld,\"bytes\":%ld}}}\n",
         c->lines, c->words, c->bytes, c->lines, c->words, c->bytes);
}

static void fail(const char *why) {
  begin();
  printf("\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],\"isError\":true}}\n", why);
}

#define OUTPUT \
  "{\"type\":\"object\",\"properties\":{\"lines\":{\"type\":\"integer\"},\"words\":{\"type\":\"integer\"}," \
  "\"bytes\":{\"type\":\"integer\"}},\"required\":[\"lines\",\"words\",\"bytes\"]}"
#define INPUT(key) \
  "{\"type\":\"object\",\"properties\":{\"" key "\":{\"type\":\"string\"}},\"required\":[\"" key "\"]," \
  "\"additionalProperties\":false}"
#define TOOL(name, does, key) \
  "{\"name\":\"" name "\",\"description\":\"" does "\",\"inputSchema\":" INPUT(key) ",\"outputSchema\":" OUTPUT \
  ",\"annotations\":{\"readOnlyHint\":true,\"idempotentHint\":true}}"

static const char tools[] =
  "{\"tools\":[" TOOL("count", "Counts lines, words and bytes of a text.", "text") ","
  TOOL("count_file", "Counts lines, words and bytes of a file.", "path") "]}";

static void count_file(const char *path) {
  struct counts counts = {0};
  char part[4096];
  size_t got;
  FILE *file = fopen(path, "r");
  if (!file) {
    fail("there is no such file, or it may not be read");
    return;
  }
  while ((got = fread(part, 1, sizeof part, file)) > 0) count(&counts, part, got);
  fclose(file);
  tell(&counts);
}

static void call(const char *params) {
  const char *arguments = member(params, "arguments");
  if (string_at(member(params, "name")) < 0) {
    refuse(-32602, "a name is missing");
  } else if (!strcmp(text, "count")) {
    struct counts counts = {0};
    long length = string_at(member(arguments, "text"));
    if (length < 0) {
      refuse(-32602, "text is missing");
      return;
    }
    count(&counts, text, (size_t)length);
    tell(&counts);
  } else if (!strcmp(text, "count_file")) {
    if (string_at(member(arguments, "path")) < 0) refuse(-32602, "path is missing");
    else count_file(text);
  } else {
    refuse(-32601, "no such tool");
  }
}

int main(void) {
  while (fgets(line, sizeof line, stdin)) {
    const char *method = member(line, "method");
    id = member(line, "id");
    if (!id || string_at(method) < 0) continue; /* a notification */
    id_length = (int)(skip_value(id) - id);
    if (!strcmp(text, "initialize"))
      answer("{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},"
             "\"serverInfo\":{\"name\":\"word_count\",\"version\":\"1\"}}");
    else if (!strcmp(text, "tools/list")) answer(tools);
    else if (!strcmp(text, "tools/call")) call(member(line, "params"));
    else if (!strcmp(text, "ping")) answer("{}");
    else refuse(-32601, "not offered");
    fflush(stdout);
  }
  return 0;
}
