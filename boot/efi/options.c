/*
 * The loader's command line: see options.h. Called by main.c once; no state.
 */
#include "boot/efi/options.h"
#include "hv/lib/bytes.h"

/* Characters of `width` bytes each. */
struct text {
	const uint8_t *at;
	size_t left;
	unsigned width;
};

static unsigned char_at(const struct text *t, size_t i)
{
	return t->width == 2 ? get_le16(t->at + 2 * i) : t->at[i];
}

/* Cuts the text off at its NUL. False: there is none, or it is not clean. */
static bool trim(struct text *t)
{
	for (size_t i = 0; i < t->left; i++) {
		unsigned c = char_at(t, i);

		if (!c) {
			t->left = i;
			break;
		}
		if ((c < 0x20 && c != '\t') || c > 0x7e) {
			return false;
		}
	}
	return t->left;
}

/*
 * UEFI specification, "Load Options": attributes, the length of the path, a description that ends
 * with a NUL, the path, which ends with an end node, and then what is wanted here.
 */
static bool skip_boot_variable(const uint8_t **text, size_t *size)
{
	enum { PATH_LENGTH = 4, DESCRIPTION = 6, KNOWN = 0x1f0b };
	static const uint8_t end_node[] = {0x7f, 0xff, 4, 0};
	const uint8_t *p = *text;
	size_t at = DESCRIPTION, path;

	if (*size < DESCRIPTION || get_le32(p) & ~(uint32_t)KNOWN) {
		return false;
	}
	path = get_le16(p + PATH_LENGTH);
	while (*size - at >= 2 && get_le16(p + at)) {
		at += 2;
	}
	if (*size - at < 2 || path < sizeof(end_node) || path > *size - at - 2) {
		return false;
	}
	at += 2 + path;
	if (memcmp(p + at - sizeof(end_node), end_node, sizeof(end_node)) != 0) {
		return false;
	}
	*text += at;
	*size -= at;
	return true;
}

static struct text find_text(const uint8_t *p, size_t size)
{
	struct text wide, narrow;

	skip_boot_variable(&p, &size);
	wide = (struct text){p, size / 2, 2};
	narrow = (struct text){p, size, 1};
	if (trim(&wide)) {
		return wide;
	}
	/* One character is no word that anybody gives: it is the first of a wide text. */
	if (trim(&narrow) && narrow.left > 1) {
		return narrow;
	}
	return (struct text){p, 0, 1};
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

/* The next word, without a NUL; its whole length, which may be more than there is room for. */
static size_t next_word(struct text *t, char *word, size_t room)
{
	size_t n = 0, i = 0;

	while (i < t->left && (char_at(t, i) == ' ' || char_at(t, i) == '\t')) {
		i++;
	}
	for (; i < t->left && char_at(t, i) != ' ' && char_at(t, i) != '\t'; i++, n++) {
		if (n < room) {
			word[n] = (char)char_at(t, i);
		}
	}
	t->at += i * t->width;
	t->left -= i;
	return n;
}

bool options_parse(struct options *o, const void *text, size_t size, struct refusal *r)
{
	struct text t = {NULL, 0, 1};
	char word[MAX_CMDLINE];
	size_t n;

	memset(o, 0, sizeof(*o));
	if (text && size) {
		t = find_text(text, size);
		o->noise = !t.left && *(const uint8_t *)text;
	}
	for (bool first = true; (n = next_word(&t, word, sizeof(word))) != 0; first = false) {
		if (n > sizeof(word)) {
			return refuse(r, "a word of the load options is too long");
		}
		if (!(first && ends_in_efi(word, n)) && !take_word(o, word, n, r)) {
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
