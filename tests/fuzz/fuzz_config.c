/*
 * The configuration parser on any bytes: make fuzz-config.
 *
 * Beyond what the sanitizers see: a refusal has words that are printable and name a place, and what
 * is accepted dumps to text that is accepted and dumps to the same text.
 */
#include "hv/config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than any configuration dumps to: 16 guests of 17 strings, of which each byte is escaped. */
enum { ROOM = 4 << 20 };

struct buffer {
	char text[ROOM];
	size_t len;
};

static struct config config;
static struct buffer first, second;

static void must(bool cond, const char *what, const char *text)
{
	if (!cond) {
		fprintf(stderr, "fuzz_config: %s: %s\n", what, text);
		abort();
	}
}

static void put_buffer(void *ctx, const char *text)
{
	struct buffer *b = ctx;
	size_t n = strlen(text);

	must(b->len + n < ROOM, "dump is too long", text);
	memcpy(b->text + b->len, text, n + 1);
	b->len += n;
}

static void dump(struct buffer *b)
{
	b->len = 0;
	config_dump(&config, put_buffer, b);
}

static void check_refusal(const struct refusal *why)
{
	must(strncmp(why->text, "f.conf:", 7) == 0, "no place", why->text);
	must(strstr(why->text, ": error: ") != NULL, "no error", why->text);
	for (const char *p = why->text; *p; p++) {
		must((unsigned char)*p >= 0x20 && *p != 0x7f, "not printable", why->text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct refusal why = {0};

	if (!config_parse(&config, "f.conf", data ? (const char *)data : "", size, &why)) {
		check_refusal(&why);
		return 0;
	}
	must(!why.text[0], "accepted with a refusal", why.text);
	dump(&first);
	must(config_parse(&config, "f.conf", first.text, first.len, &why), "dump refused",
	     why.text);
	dump(&second);
	must(first.len == second.len && memcmp(first.text, second.text, first.len) == 0,
	     "dump changed", first.text);
	return 0;
}
