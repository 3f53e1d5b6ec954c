/*
 * A configuration from a text, for the tests of hv/config*.c.
 *
 * BASE is a guest with the required keys; tests add lines to it, so that line 5 is the first of
 * theirs.
 */
#pragma once

#include "hv/config.h"

#define BASE                                                                                       \
	"[guest a]\n"                                                                              \
	"cpus = 0\n"                                                                               \
	"memory = 16M\n"                                                                           \
	"kernel = k\n"
#define SECOND                                                                                     \
	"[guest b]\n"                                                                              \
	"cpus = 1\n"                                                                               \
	"memory = 16M\n"                                                                           \
	"kernel = k\n"

extern struct config c;
extern struct refusal why;
extern char text[1 << 21]; /* room for a text, and what put_text has taken */
extern size_t text_len;

/* As file t.conf. The text is copied to an allocation of its size. */
bool parse_bytes(const char *bytes, size_t len);
/* "": it was accepted; else the refusal. */
const char *parse(const char *s);
void put_text(void *ctx, const char *piece);
/* What config_dump says of c. */
const char *dump(void);

#define ACCEPTED(s)	    CHECK_STR(parse(s), "")
#define REFUSED(s, message) CHECK_STR(parse(s), "t.conf:" message)
