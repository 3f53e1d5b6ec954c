/*
 * A configuration from a text: see config_rig.h.
 */
#include "tests/fake/config_rig.h"
#include <stdlib.h>
#include <string.h>

struct config c;
struct refusal why;
char text[1 << 21];
size_t text_len;

bool parse_bytes(const char *bytes, size_t len)
{
	/* An exact allocation: the sanitizer sees a read beyond the text. */
	char *copy = malloc(len ? len : 1);
	bool ok;

	memcpy(copy, bytes, len);
	why.text[0] = '\0';
	ok = config_parse(&c, "t.conf", copy, len, &why);
	free(copy);
	return ok;
}

const char *parse(const char *s)
{
	return parse_bytes(s, strlen(s)) ? "" : why.text;
}

void put_text(void *ctx, const char *piece)
{
	size_t n = strlen(piece);

	(void)ctx;
	memcpy(text + text_len, piece, n + 1);
	text_len += n;
}

const char *dump(void)
{
	text_len = 0;
	text[0] = '\0';
	config_dump(&c, put_text, NULL);
	return text;
}
