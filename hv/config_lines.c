/*
 * The configuration's lines: finds their ends and comments, and lets only text through.
 *
 * Called by config_parse.c. No line is longer than CONFIG_LINE, so hostile text costs nothing but
 * its reading. State: struct config_lines, the caller's.
 */
#include "hv/config_lines.h"

/* The length of the UTF-8 character at s, which is printable or a tab; 0: not text. (RFC 3629.) */
static unsigned char_length(const uint8_t *s, size_t left)
{
	uint8_t low = 0x80, high = 0xbf; /* what the second byte may be */
	unsigned n;

	if (s[0] < 0x80) {
		return s[0] == '\t' || (s[0] >= 0x20 && s[0] != 0x7f);
	}
	if (s[0] < 0xc2 || s[0] > 0xf4) {
		return 0;
	}
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	switch (s[0]) {
	case 0xc2: low = 0xa0; break;  /* 80-9f are control characters */
	case 0xe0: low = 0xa0; break;  /* fits into two bytes */
	case 0xed: high = 0x9f; break; /* surrogates */
	case 0xf0: low = 0x90; break;  /* fits into three bytes */
	case 0xf4: high = 0x8f; break; /* beyond U+10FFFF */
	}
	if (n > left || s[1] < low || s[1] > high) {
		return 0;
	}
	for (unsigned i = 2; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	return n;
}

/* Text up to the comment must be clean UTF-8; a comment may be in another encoding. */
static bool check_bytes(struct config_lines *l, const char *line_end)
{
	const char *s = l->line;

	while (s < line_end) {
		bool comment = s >= l->end;
		unsigned n = char_length((const uint8_t *)s, line_end - s);

		if (comment && (uint8_t)*s >= 0x80) {
			n = 1;
		}
		if (!n) {
			return LINE_REFUSE(l, s, "byte \\x%02x is not text; write plain UTF-8",
					   (uint8_t)*s);
		}
		s += n;
	}
	return true;
}

static const char *find_comment(const char *s, const char *end)
{
	bool quoted = false;

	for (; s < end; s++) {
		if (*s == '"') {
			quoted = !quoted;
		} else if (quoted && *s == '\\' && s + 1 < end) {
			s++;
		} else if (!quoted && *s == '#') {
			break;
		}
	}
	return s;
}

bool config_next_line(struct config_lines *l)
{
	const char *s = l->text;

	l->line = s;
	l->number++;
	while (s < l->text_end && *s != '\n') {
		if (s - l->line == CONFIG_LINE) {
			return LINE_REFUSE(l, s, "the line is too long; at most %u bytes",
					   CONFIG_LINE);
		}
		s++;
	}
	l->text = s < l->text_end ? s + 1 : s;
	if (s > l->line && s[-1] == '\r') {
		s--;
	}
	l->at = l->line;
	l->end = find_comment(l->line, s);
	if (!check_bytes(l, s)) {
		return false;
	}
	while (l->end > l->line && (l->end[-1] == ' ' || l->end[-1] == '\t')) {
		l->end--;
	}
	config_skip_blanks(l);
	return true;
}
