/*
 * The configuration's text: [sections] and keys. Lines are config_lines.c's, values
 * config_value.c's, the table config.c's.
 *
 * config_parse is called at boot with the module mullion.conf, by the host tool and by the fuzz
 * target. State: one struct parser on the stack.
 */
#include "hv/config_lines.h"
#include "hv/lib/string.h"

enum { SHOWN_MOST = 40 }; /* bytes of a word that a message shows */

struct parser {
	struct config *c;
	struct config_lines in;
	const struct config_section *section; /* NULL before the first header */
	void *base;			      /* the section's struct in *c */
	struct config_place header;
	uint32_t seen[CONFIG_KEYS]; /* the line of each key of the section, 0: not there */
};

#define PARSE_REFUSE(p, where, ...) LINE_REFUSE(&(p)->in, where, __VA_ARGS__)

static bool in_word(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' ||
	       c == '_' || c == '.';
}

static size_t take_word(struct parser *p)
{
	const char *from = p->in.at;

	while (p->in.at < p->in.end && in_word(*p->in.at)) {
		p->in.at++;
	}
	return p->in.at - from;
}

static int shown(size_t n)
{
	return n > SHOWN_MOST ? SHOWN_MOST : (int)n;
}

/* --- words that are nearly right --- */

static char fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c == '_' ? '-' : c;
}

/* Edits (insert, remove, change a character) between two words, up to case; both are short. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	uint8_t row[24]; /* row[j]: from the part of a that was seen to the first j of b */

	if (a_len >= sizeof(row) || b_len >= sizeof(row)) {
		return UINT32_MAX;
	}
	for (size_t j = 0; j <= b_len; j++) {
		row[j] = (uint8_t)j;
	}
	for (size_t i = 0; i < a_len; i++) {
		uint8_t diagonal = row[0];

		row[0]++;
		for (size_t j = 0; j < b_len; j++) {
			unsigned change = diagonal + (fold(a[i]) != fold(b[j]));
			unsigned gap = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1u;

			diagonal = row[j + 1];
			row[j + 1] = (uint8_t)(change < gap ? change : gap);
		}
	}
	return row[b_len];
}

struct nearest {
	const char *name; /* NULL: nothing is near */
	unsigned edits;
};

static void nearest_try(struct nearest *n, const char *name, const char *word, size_t len)
{
	unsigned edits = distance(word, len, name, strlen(name));

	if (edits <= (len < 4 ? 1 : 2) && (!n->name || edits < n->edits)) {
		*n = (struct nearest){name, edits};
	}
}

static bool same(const char *name, const char *word, size_t len)
{
	return strlen(name) == len && memcmp(name, word, len) == 0;
}

/* --- sections --- */

static unsigned key_index(const struct config_section *s, const char *word, size_t len)
{
	unsigned i = 0;

	while (i < s->keys && !same(s->key[i].name, word, len)) {
		i++;
	}
	return i;
}

static bool set_fallback(struct parser *p, const struct config_key *k)
{
	struct config_value v = {.at = k->fallback,
				 .end = k->fallback + strlen(k->fallback),
				 .line = k->fallback,
				 .key = k,
				 .config = p->c,
				 .why = p->in.why};

	return config_value_read(&v, p->base);
}

static bool section_end(struct parser *p)
{
	const struct config_section *s = p->section;

	for (unsigned i = 0; s && i < s->keys; i++) {
		const struct config_key *k = &s->key[i];

		if (!p->seen[i]) {
			if (k->required) {
				return config_refuse(p->in.why, p->c, p->header,
						     "'%s' is missing; every [%s] needs it",
						     k->name, s->name);
			}
			if (k->fallback && !set_fallback(p, k)) {
				return false;
			}
		} else if (k->with && !p->seen[key_index(s, k->with, strlen(k->with))]) {
			return config_refuse(
				p->in.why, p->c,
				*(struct config_place *)config_field(p->base, k->place),
				"'%s' needs '%s' too; write both or none", k->name, k->with);
		}
	}
	return true;
}

static void section_begin(struct parser *p, const struct config_section *s, void *base)
{
	p->section = s;
	p->base = base;
	memset(p->seen, 0, sizeof(p->seen));
}

/* A section that has no name: `present` and `place` are in its struct. */
static bool begin_single(struct parser *p, const struct config_section *s, void *base,
			 bool *present, struct config_place *place)
{
	if (*present) {
		return config_refuse(p->in.why, p->c, p->header,
				     "[%s] appears twice; the first is on line %u", s->name,
				     place->line);
	}
	*present = true;
	*place = p->header;
	section_begin(p, s, base);
	return true;
}

static bool begin_guest(struct parser *p, const struct config_section *s, const char *name,
			size_t len)
{
	struct config_guest *g;

	if (!len) {
		return PARSE_REFUSE(p, name, "the guest needs a name; write [guest NAME]");
	}
	if (len >= MAX_NAME) {
		return PARSE_REFUSE(p, name, "the name is too long; at most %u bytes",
				    MAX_NAME - 1);
	}
	for (unsigned i = 0; i < p->c->guests; i++) {
		if (same(p->c->guest[i].name, name, len)) {
			return PARSE_REFUSE(p, name,
					    "guest '%s' appears twice; the first is on line %u",
					    p->c->guest[i].name, p->c->guest[i].place.line);
		}
	}
	if (p->c->guests == MAX_GUESTS) {
		return config_refuse(p->in.why, p->c, p->header, "too many guests; at most %u",
				     MAX_GUESTS);
	}
	g = &p->c->guest[p->c->guests++];
	memcpy(g->name, name, len);
	g->place = p->header;
	section_begin(p, s, g);
	return true;
}

static bool unknown_section(struct parser *p, const char *word, size_t len)
{
	struct nearest near = {0};

	for (unsigned i = 0; i < CONFIG_SECTIONS; i++) {
		nearest_try(&near, config_section[i].name, word, len);
	}
	if (near.name) {
		return PARSE_REFUSE(p, word, "unknown section '%.*s'; did you mean '%s'?",
				    shown(len), word, near.name);
	}
	return PARSE_REFUSE(p, word,
			    "unknown section '%.*s'; there are [system], [boot] and [guest NAME]",
			    shown(len), word);
}

/* "[word name]", of which the '[' is next. */
static bool parse_header(struct parser *p)
{
	const struct config_section *s = NULL;
	const char *word, *name;
	size_t len, name_len;

	if (!section_end(p)) {
		return false;
	}
	p->header = config_line_place(&p->in, p->in.at);
	p->in.at++;
	config_skip_blanks(&p->in);
	word = p->in.at;
	len = take_word(p);
	for (unsigned i = 0; i < CONFIG_SECTIONS; i++) {
		if (same(config_section[i].name, word, len)) {
			s = &config_section[i];
		}
	}
	if (!s) {
		return unknown_section(p, word, len);
	}
	config_skip_blanks(&p->in);
	name = p->in.at;
	name_len = s->named ? take_word(p) : 0;
	config_skip_blanks(&p->in);
	if (p->in.at == p->in.end) {
		return PARSE_REFUSE(p, p->in.at, "']' is missing; write [system] or [guest NAME]");
	}
	if (*p->in.at != ']') {
		return PARSE_REFUSE(p, p->in.at,
				    "']' expected here; names are letters, digits, - _ .");
	}
	p->in.at++;
	config_skip_blanks(&p->in);
	if (p->in.at != p->in.end) {
		return PARSE_REFUSE(p, p->in.at,
				    "text after ']'; keys stand on lines of their own");
	}
	switch (s - config_section) {
	case SECTION_SYSTEM:
		return begin_single(p, s, &p->c->system, &p->c->system.present,
				    &p->c->system.place);
	case SECTION_BOOT:
		return begin_single(p, s, &p->c->boot, &p->c->boot.present, &p->c->boot.place);
	default: return begin_guest(p, s, name, name_len);
	}
}

/* --- keys --- */

static bool unknown_key(struct parser *p, const char *word, size_t len)
{
	struct nearest near = {0};

	for (unsigned i = 0; i < CONFIG_SECTIONS; i++) {
		const struct config_section *s = &config_section[i];

		if (s != p->section && key_index(s, word, len) < s->keys) {
			return PARSE_REFUSE(p, word,
					    "'%.*s' does not belong here; it is a key of [%s]",
					    shown(len), word, s->name);
		}
	}
	for (unsigned i = 0; i < p->section->keys; i++) {
		nearest_try(&near, p->section->key[i].name, word, len);
	}
	if (near.name) {
		return PARSE_REFUSE(p, word, "unknown key '%.*s'; did you mean '%s'?", shown(len),
				    word, near.name);
	}
	return PARSE_REFUSE(p, word, "unknown key '%.*s'; docs/config.md lists the keys of [%s]",
			    shown(len), word, p->section->name);
}

/* "key = value" */
static bool parse_key(struct parser *p)
{
	const char *word = p->in.at;
	size_t len = take_word(p);
	const struct config_key *k;
	struct config_value v;
	struct config_how how;
	unsigned i;

	if (!len) {
		return PARSE_REFUSE(
			p, word, "expected a key; lines are [section], key = value, or # comment");
	}
	if (!p->section) {
		return PARSE_REFUSE(p, word,
				    "'%.*s' is in no section; begin with [system] or [guest NAME]",
				    shown(len), word);
	}
	i = key_index(p->section, word, len);
	if (i == p->section->keys) {
		return unknown_key(p, word, len);
	}
	k = &p->section->key[i];
	if (p->seen[i] && !k->multiple) {
		return PARSE_REFUSE(p, word, "'%s' appears twice; the first is on line %u", k->name,
				    p->seen[i]);
	}
	p->seen[i] = p->in.number;
	config_skip_blanks(&p->in);
	if (p->in.at == p->in.end || *p->in.at != '=') {
		return PARSE_REFUSE(p, p->in.at, "'=' expected; write %s = value", k->name);
	}
	p->in.at++;
	config_skip_blanks(&p->in);
	if (p->in.at == p->in.end) {
		return PARSE_REFUSE(p, p->in.at, "'%s' has no value; %s", k->name,
				    config_key_how(&how, k));
	}
	v = (struct config_value){p->in.at, p->in.end, p->in.line, p->in.number,
				  k,	    p->c,      p->in.why};
	return config_value_read(&v, p->base);
}

static bool parse_lines(struct parser *p)
{
	while (p->in.text < p->in.text_end) {
		if (!config_next_line(&p->in)) {
			return false;
		}
		if (p->in.at == p->in.end) {
			continue;
		}
		if (!(*p->in.at == '[' ? parse_header(p) : parse_key(p))) {
			return false;
		}
	}
	return section_end(p);
}

/* The name for messages; of a long one the end, which tells more. */
static void set_file_name(struct config *c, const char *file)
{
	size_t len = strlen(file);

	if (len >= sizeof(c->file)) {
		file += len - (sizeof(c->file) - 1);
		len = sizeof(c->file) - 1;
	}
	memcpy(c->file, file, len);
}

/* Some editors' "Unicode", which begins with a byte order mark. */
static bool is_utf16(const char *text, size_t len)
{
	return len >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0);
}

bool config_parse(struct config *c, const char *file, const char *text, size_t len,
		  struct refusal *r)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";
	struct config_lines in = {.config = c, .why = r, .text = text, .text_end = text + len};
	struct parser p = {.c = c};

	memset(c, 0, sizeof(*c));
	set_file_name(c, file);
	if (len >= 3 && memcmp(text, byte_order_mark, 3) == 0) {
		in.text += 3;
	}
	if (is_utf16(text, len)) {
		return config_refuse(r, c, (struct config_place){1, 1},
				     "this is text in UTF-16; save it as UTF-8");
	}
	p.in = in;
	if (!parse_lines(&p)) {
		return false;
	}
	if (!c->system.present) {
		section_begin(&p, &config_section[SECTION_SYSTEM], &c->system);
		if (!section_end(&p)) {
			return false;
		}
	}
	if (!c->guests && !c->boot.config.name[0]) {
		return config_refuse(r, c, (struct config_place){p.in.number ? p.in.number : 1, 1},
				     "there is no guest; add a section [guest NAME]");
	}
	return config_check(c, r);
}
