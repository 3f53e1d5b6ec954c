/*
 * The loader's command line: see options.h. Called by main.c once; no state.
 */
#include "boot/efi/options.h"
#include "hv/lib/bytes.h"

/* Characters of clean text, without its NUL; 0: none, or not text. */
static size_t text_length(const uint8_t *text, size_t size)
{
	size_t n = 0;

	for (; n < size / 2; n++) {
		uint16_t c = get_le16(text + 2 * n);

		if (!c) {
			break;
		}
		if ((c < 0x20 && c != '\t') || c > 0x7e) {
			return 0;
		}
	}
	return n;
}

static bool ends_in_efi(const char *word, size_t len)
{
	static const char end[] = ".efi";

	if (len < 4) {
		return false;
	}
	for (unsigned i = 0; i < 4; i++) {
		char c = word[len - 4 + i];

		if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != end[i]) {
			return false;
		}
	}
	return true;
}

static bool has_slash(const char *name, size_t len)
{
	while (len && name[len - 1] != '/' && name[len - 1] != '\\') {
		len--;
	}
	return len;
}

static bool take_config(struct options *o, const char *name, size_t len, struct refusal *r)
{
	if (!len || len >= sizeof(o->config) || has_slash(name, len)) {
		return refuse(r,
			      "the option config=%.*s names no file; give a name without its "
			      "directory, such as config=safe.conf",
			      len > 40 ? 40 : (int)len, name);
	}
	memcpy(o->config, name, len);
	o->config[len] = 0;
	return true;
}

static bool take_word(struct options *o, const char *word, size_t len, struct refusal *r)
{
	static const char config[] = "config=";
	size_t used = strlen(o->cmdline), key = sizeof(config) - 1;

	if (len >= key && memcmp(word, config, key) == 0) {
		return take_config(o, word + key, len - key, r);
	}
	if (used + 1 + len >= sizeof(o->cmdline)) {
		return refuse(r, "the load options are too long; at most %u bytes",
			      (unsigned)sizeof(o->cmdline) - 1);
	}
	if (used) {
		o->cmdline[used++] = ' ';
	}
	memcpy(o->cmdline + used, word, len);
	o->cmdline[used + len] = 0;
	return true;
}

bool options_parse(struct options *o, const void *text, size_t size, struct refusal *r)
{
	size_t left = text_length(text, size), words = 0;
	const uint8_t *p = text;

	memset(o, 0, sizeof(*o));
	while (left) {
		char word[MAX_CMDLINE];
		size_t n = 0;

		for (; left && (*p == ' ' || *p == '\t'); left--) {
			p += 2;
		}
		for (; left && *p != ' ' && *p != '\t'; left--, p += 2) {
			if (n == sizeof(word)) {
				return refuse(r, "a word of the load options is too long");
			}
			word[n++] = (char)*p;
		}
		if (n && !(words++ == 0 && ends_in_efi(word, n)) && !take_word(o, word, n, r)) {
			return false;
		}
	}
	return true;
}

static bool word_is(const char *word, size_t len, const char *wanted)
{
	return strlen(wanted) == len && memcmp(word, wanted, len) == 0;
}

bool options_keep_harmless(struct options *o)
{
	size_t to = 0, len;
	bool dropped = false;

	for (size_t at = 0; o->cmdline[at]; at += len + (o->cmdline[at + len] != 0)) {
		const char *word = o->cmdline + at;

		for (len = 0; word[len] && word[len] != ' '; len++) {
		}
		if (!word_is(word, len, "safe") && !word_is(word, len, "report")) {
			dropped = true;
			continue;
		}
		if (to) {
			o->cmdline[to++] = ' ';
		}
		memmove(o->cmdline + to, word, len);
		to += len;
	}
	o->cmdline[to] = 0;
	return dropped;
}
