/* A tool that does whatever it is told, good or bad: `{"name": WHAT, "arguments": {"a": TEXT, "b": TEXT}}`.
 * Built by tests/guests/build.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static char line[1 << 20], what[64], a[4096], b[4096], out[8192];
static int id;

static void field(const char *key, char *into, size_t room) {
  char wanted[32];
  snprintf(wanted, sizeof wanted, "\"%s\":\"", key);
  const char *at = strstr(line, wanted);
  into[0] = 0;
  if (!at) return;
  at += strlen(wanted);
  size_t n = strcspn(at, "\"");
  if (n >= room) n = room - 1;
  memcpy(into, at, n);
  into[n] = 0;
}

static void say(const char *text) {
  printf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"%s\"}]}}\n", id, text);
}

static void result_of(bool is_good) {
  snprintf(out, sizeof out, "%s", is_good ? "ok" : strerror(errno));
  say(out);
}

static void read_it(void) {
  FILE *file = fopen(a, "r");
  if (!file) {
    result_of(false);
    return;
  }
  out[fread(out, 1, sizeof out - 1, file)] = 0;
  fclose(file);
  say(out);
}

static void write_it(const char *mode) {
  FILE *file = fopen(a, mode);
  result_of(file && fputs(b, file) >= 0 && !fclose(file));
}

static void list_it(void) {
  DIR *directory = opendir(a);
  struct dirent *entry;
  out[0] = 0;
  if (!directory) {
    result_of(false);
    return;
  }
  while ((entry = readdir(directory)))
    if (strlen(out) + strlen(entry->d_name) + 2 < sizeof out) strcat(strcat(out, entry->d_name), " ");
  closedir(directory);
  say(out);
}

static void environment(void) {
  out[0] = 0;
  for (char **at = environ; at && *at; at++) strcat(strcat(out, *at), " ");
  say(out);
}

static void bomb(void) {
  size_t held = 0;
  for (char *volatile block; (block = malloc(1 << 16)); held++) memset(block, 1, 1 << 16);
  snprintf(out, sizeof out, "%zu", held * 65536);
  say(out);
}

static void sleep_a_little(void) {
  struct timespec time = {atoi(a), atoi(b) * 1000000L};
  result_of(!nanosleep(&time, NULL));
}

static void call(void) {
  if (!strcmp(what, "echo")) say(a);
  else if (!strcmp(what, "read")) read_it();
  else if (!strcmp(what, "write")) write_it("w");
  else if (!strcmp(what, "append")) write_it("a");
  else if (!strcmp(what, "list")) list_it();
  else if (!strcmp(what, "mkdir")) result_of(!mkdir(a, 0777));
  else if (!strcmp(what, "remove")) result_of(!remove(a));
  else if (!strcmp(what, "rename")) result_of(!rename(a, b));
  else if (!strcmp(what, "stat")) { struct stat s; result_of(!stat(a, &s)); }
  else if (!strcmp(what, "truncate")) result_of(!truncate(a, atol(b)));
  else if (!strcmp(what, "link")) result_of(!symlink(a, b));
  else if (!strcmp(what, "open_many")) { int n = 0; while (fopen(a, "r")) n++; snprintf(out, sizeof out, "%d", n); say(out); }
  else if (!strcmp(what, "env")) environment();
  else if (!strcmp(what, "spin")) for (volatile int i = 0;; i++) {}
  else if (!strcmp(what, "spin_after")) { say("done"); fflush(stdout); for (volatile int i = 0;; i++) {} }
  else if (!strcmp(what, "bomb")) bomb();
  else if (!strcmp(what, "flood")) for (;;) fputs("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", stdout);
  else if (!strcmp(what, "chatter")) for (;;) puts("listen to me");
  else if (!strcmp(what, "noise")) { puts("log: hello\n\xff\xfe{\"jsonrpc\""); fputs("on stderr\n", stderr); say("heard"); }
  else if (!strcmp(what, "trap")) __builtin_trap();
  else if (!strcmp(what, "exit")) exit(3);
  else if (!strcmp(what, "sleep")) sleep_a_little();
  else if (!strcmp(what, "silent")) return;
  else if (!strcmp(what, "wrong_id")) { id += 1000; say("not yours"); id -= 1000; say("yours"); }
  else if (!strcmp(what, "bad_answer")) printf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"content\":7}}\n", id);
  else if (!strcmp(what, "bad_utf8")) say("\xff\xfe");
  else if (!strcmp(what, "deep")) {
    printf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"content\":[{\"x\":", id);
    for (int i = 0; i < 100000; i++) putchar('[');
    for (int i = 0; i < 100000; i++) putchar(']');
    puts("}]}}");
  }
  else if (!strcmp(what, "changed")) {
    for (int i = 0; i < 1000; i++) puts("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}");
    say("changed");
  }
  else if (!strcmp(what, "asks")) {
    puts("{\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"sampling/createMessage\",\"params\":{}}");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin)) say(strstr(line, "-32601") ? "refused" : "answered");
  }
  else printf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"error\":{\"code\":-32602,\"message\":\"no\"}}\n", id);
}

int main(void) {
  if (getenv("DIE_AT_START")) __builtin_trap();
  while (fgets(line, sizeof line, stdin)) {
    const char *number = strstr(line, "\"id\":");
    if (!number) continue;
    id = atoi(number + 5);
    if (strstr(line, "\"method\":\"initialize\""))
      printf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"protocolVersion\":\"%s\",\"capabilities\":{}}}\n", id,
             getenv("REVISION") ? getenv("REVISION") : "2025-06-18");
    else if (strstr(line, "\"method\":\"tools/list\""))
      printf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"tools\":[{\"name\":\"echo\",\"inputSchema\":{}}]%s}}\n", id,
             getenv("ENDLESS_LIST") ? ",\"nextCursor\":\"on\"" : "");
    else {
      field("name", what, sizeof what), field("a", a, sizeof a), field("b", b, sizeof b);
      call();
    }
    fflush(stdout);
  }
  return 0;
}
