/*
 * Values of the configuration: from text to a field, by the key's type.
 *
 * Called by config_parse.c for one `key = value` at a time, and for the defaults. The text holds no
 * control characters. Each reader leaves v->at behind what it took. No state.
 */
#include "hv/config_table.h"
#include "hv/lib/string.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(struct config_value *v)
{
	while (v->at < v->end && is_blank(*v->at)) {
		v->at++;
	}
}

static bool next_is(const struct config_value *v, char c)
{
	return v->at < v->end && *v->at == c;
}

static struct config_place place_of(const struct config_value *v, const char *at)
{
	if (!v->number) {
		return (struct config_place){0, 0};
	}
	return (struct config_place){v->number, (uint32_t)(at - v->line) + 1};
}

#define VALUE_REFUSE(v, where, ...)                                                                \
	config_refuse((v)->why, (v)->config, place_of(v, where), __VA_ARGS__)

/* The bytes of the word at `at` that a message shows: not too many, and no half UTF-8 character. */
static int shown(const struct config_value *v, const char *at)
{
	enum { MOST = 40 };
	int n = 0;

	while (at + n < v->end && n <= MOST && !is_blank(at[n]) &&
	       !(v->key->room && at[n] == ',')) {
		n++;
	}
	if (n > MOST) {
		for (n = MOST; n && ((uint8_t)at[n] & 0xc0) == 0x80; n--) {
		}
	}
	return n;
}

static bool malformed(struct config_value *v, const char *at)
{
	const struct config_type_text *t = &config_type_text[v->key->type];
	int n = shown(v, at);

	if (!n) {
		return VALUE_REFUSE(v, at, "expected %s; %s", t->what, t->how);
	}
	return VALUE_REFUSE(v, at, "'%.*s' is not %s; %s", n, at, t->what, t->how);
}

static bool out_of_range(struct config_value *v, const char *at)
{
	const struct config_key *k = v->key;
	unsigned long long min = k->min, max = k->max;
	struct config_size low, high;

	if (k->type == TYPE_SIZE) {
		return VALUE_REFUSE(v, at, "'%.*s' is out of range; %s to %s", shown(v, at), at,
				    config_size_text(&low, min), config_size_text(&high, max));
	}
	if (k->type == TYPE_CPUS) {
		return VALUE_REFUSE(v, at, "'%.*s' is out of range; %llu to %llu", shown(v, at), at,
				    min, max);
	}
	return VALUE_REFUSE(v, at, "'%.*s' is out of range; 0x%llx to 0x%llx", shown(v, at), at,
			    min, max);
}

static bool in_range(const struct config_value *v, uint64_t n)
{
	return n >= v->key->min && n <= v->key->max;
}

/* Digits of a base, at most `most`. What does not fit into 64 bits becomes the largest number. */
static bool take_digits(struct config_value *v, unsigned base, unsigned most, uint64_t *out)
{
	const char *from = v->at;
	uint64_t n = 0;

	for (; v->at < v->end && most--; v->at++) {
		char c = *v->at;
		unsigned d;

		if (c >= '0' && c <= '9') {
			d = c - '0';
		} else if (base == 16 && (c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
			d = (c | 0x20) - 'a' + 10;
		} else {
			break;
		}
		n = n > (UINT64_MAX - d) / base ? UINT64_MAX : n * base + d;
	}
	*out = n;
	return v->at > from;
}

static bool take_number(struct config_value *v, uint64_t *out)
{
	unsigned base = 10;

	if (v->end - v->at > 2 && v->at[0] == '0' && (v->at[1] | 0x20) == 'x') {
		v->at += 2;
		base = 16;
	}
	return take_digits(v, base, UINT32_MAX, out);
}

/* A number with K, M or G; what does not fit becomes the largest number. */
static bool take_size(struct config_value *v, uint64_t *out)
{
	static const char unit[] = "kmg";
	uint64_t n;

	if (!take_number(v, &n)) {
		return false;
	}
	for (unsigned i = 0; unit[i] && v->at < v->end; i++) {
		if ((*v->at | 0x20) == unit[i]) {
			unsigned shift = 10 * (i + 1);

			n = n > UINT64_MAX >> shift ? UINT64_MAX : n << shift;
			v->at++;
			break;
		}
	}
	*out = n;
	return true;
}

/* Takes a word of letters, digits and dashes if it is exactly `word`. */
static bool take_word(struct config_value *v, const char *word)
{
	size_t n = strlen(word), left = v->end - v->at;

	if (left < n || memcmp(v->at, word, n) != 0) {
		return false;
	}
	if (left > n && !is_blank(v->at[n]) && v->at[n] != ',') {
		return false;
	}
	v->at += n;
	return true;
}

static bool read_word(struct config_value *v, unsigned *out)
{
	for (unsigned i = 0; v->key->words[i]; i++) {
		if (take_word(v, v->key->words[i])) {
			*out = i;
			return true;
		}
	}
	return malformed(v, v->at);
}

static bool read_yes(struct config_value *v, bool *out)
{
	*out = take_word(v, "yes");
	return *out || take_word(v, "no") || malformed(v, v->at);
}

static bool read_number(struct config_value *v, uint64_t *out)
{
	const char *from = v->at;

	if (!take_number(v, out)) {
		return malformed(v, from);
	}
	return in_range(v, *out) || out_of_range(v, from);
}

static bool read_port(struct config_value *v, uint16_t *out)
{
	uint64_t n;

	if (!read_number(v, &n)) {
		return false;
	}
	*out = (uint16_t)n;
	return true;
}

static bool read_size(struct config_value *v, uint64_t *out)
{
	const char *from = v->at;

	if (!take_size(v, out)) {
		return malformed(v, from);
	}
	if (!in_range(v, *out)) {
		return out_of_range(v, from);
	}
	if (*out & PAGE_MASK) {
		return VALUE_REFUSE(v, from, "'%.*s' is not a multiple of 4K; memory is in pages",
				    shown(v, from), from);
	}
	return true;
}

/* The next free place of a list. */
static bool take_room(struct config_value *v, const char *at, unsigned *count, unsigned *index)
{
	if (*count >= v->key->room) {
		return VALUE_REFUSE(v, at, "too many values; '%s' holds at most %u", v->key->name,
				    v->key->room);
	}
	*index = (*count)++;
	return true;
}

static bool read_cpus(struct config_value *v, uint16_t *cpu, unsigned *count)
{
	const char *from = v->at;
	uint64_t first, last;
	unsigned at;

	if (!take_number(v, &first)) {
		return malformed(v, from);
	}
	last = first;
	if (next_is(v, '-')) {
		v->at++;
		if (!take_number(v, &last)) {
			return malformed(v, from);
		}
	}
	if (!in_range(v, first) || !in_range(v, last)) {
		return out_of_range(v, from);
	}
	if (last < first) {
		return VALUE_REFUSE(v, from, "the range ends before it begins; write %llu-%llu",
				    (unsigned long long)last, (unsigned long long)first);
	}
	for (uint64_t n = first; n <= last; n++) {
		for (unsigned i = 0; i < *count; i++) {
			if (cpu[i] == n) {
				return VALUE_REFUSE(v, from, "CPU %u is listed twice; list it once",
						    cpu[i]);
			}
		}
		if (!take_room(v, from, count, &at)) {
			return false;
		}
		cpu[at] = (uint16_t)n;
	}
	return true;
}

/* first-last, both included, or first+size; of ports also one alone. */
static bool take_range(struct config_value *v, uint64_t *first, uint64_t *last)
{
	uint64_t size;

	if (!take_number(v, first)) {
		return false;
	}
	*last = *first;
	if (next_is(v, '-')) {
		v->at++;
		return take_number(v, last);
	}
	if (next_is(v, '+')) {
		v->at++;
		if (!take_size(v, &size) || !size) {
			return false;
		}
		*last = size - 1 > UINT64_MAX - *first ? UINT64_MAX : *first + size - 1;
		return true;
	}
	return v->key->type == TYPE_PORTS;
}

static bool read_range(struct config_value *v, struct config_range *range, unsigned *count)
{
	const char *from = v->at;
	uint64_t first, last;
	unsigned at;

	if (!take_range(v, &first, &last)) {
		return malformed(v, from);
	}
	if (!in_range(v, first) || !in_range(v, last)) {
		return out_of_range(v, from);
	}
	if (last < first) {
		return VALUE_REFUSE(v, from,
				    "the range ends before it begins; both ends belong to it");
	}
	if (v->key->type == TYPE_MMIO && ((first | (last + 1)) & PAGE_MASK)) {
		return VALUE_REFUSE(v, from,
				    "'%.*s' is not whole pages; begin and size must be "
				    "multiples of 4K",
				    shown(v, from), from);
	}
	if (!take_room(v, from, count, &at)) {
		return false;
	}
	range[at] = (struct config_range){first, last - first + 1, place_of(v, from)};
	return true;
}

static bool read_pci(struct config_value *v, struct config_pci *pci, unsigned *count)
{
	const char *from = v->at;
	uint64_t bus, device, function;
	unsigned at;

	if (!take_digits(v, 16, 2, &bus) || !next_is(v, ':')) {
		return malformed(v, from);
	}
	v->at++;
	if (!take_digits(v, 16, 2, &device) || !next_is(v, '.')) {
		return malformed(v, from);
	}
	v->at++;
	if (!take_digits(v, 16, 1, &function) || device > 31 || function > 7) {
		return malformed(v, from);
	}
	if (!take_room(v, from, count, &at)) {
		return false;
	}
	pci[at] = (struct config_pci){(uint8_t)bus, (uint8_t)device, (uint8_t)function,
				      place_of(v, from)};
	return true;
}

static bool add_console_port(struct config_value *v, const char *from, struct config_console *c,
			     uint16_t port)
{
	unsigned at;

	for (unsigned i = 0; i < c->ports; i++) {
		if (c->port[i] == port) {
			return VALUE_REFUSE(v, from, "'%.*s' is listed twice; list it once",
					    shown(v, from), from);
		}
	}
	if (!take_room(v, from, &c->ports, &at)) {
		return false;
	}
	c->port[at] = port;
	return true;
}

static bool read_console(struct config_value *v, struct config_console *c)
{
	static const char *const com[] = {"com1", "com2", "com3", "com4"};
	const char *from = v->at;
	uint16_t port;

	if (c->none || (c->ports + c->framebuffer && take_word(v, "none"))) {
		return VALUE_REFUSE(v, from, "'none' stands alone; remove it or the others");
	}
	if (take_word(v, "none")) {
		c->none = true;
		return true;
	}
	if (take_word(v, "framebuffer")) {
		if (c->framebuffer) {
			return VALUE_REFUSE(v, from, "'framebuffer' is listed twice; list it once");
		}
		c->framebuffer = true;
		return true;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(com); i++) {
		if (take_word(v, com[i])) {
			return add_console_port(v, from, c, config_serial_port(SERIAL_COM1 + i));
		}
	}
	return read_port(v, &port) && add_console_port(v, from, c, port);
}

/*
 * Takes the quotes off a value that is in quotes. A quote inside a value that is not is refused,
 * since a reader could not tell what it does.
 */
static bool unquote(struct config_value *v, bool *quoted)
{
	const char *p = v->at + 1;

	*quoted = next_is(v, '"');
	if (!*quoted) {
		for (p = v->at; p < v->end; p++) {
			if (*p == '"') {
				return VALUE_REFUSE(v, p,
						    "a quote inside the value; put the whole "
						    "value in quotes and write \\\" here");
			}
		}
		return true;
	}
	for (; p < v->end && *p != '"'; p++) {
		if (*p != '\\' || p + 1 == v->end) {
			continue;
		}
		p++;
		if (*p != '"' && *p != '\\') {
			return VALUE_REFUSE(v, p - 1,
					    "unknown escape; in quotes write \\\\ for a "
					    "backslash and \\\" for a quote");
		}
	}
	if (p == v->end) {
		return VALUE_REFUSE(v, v->at, "the quote is not closed; it must end on its line");
	}
	if (p + 1 != v->end) {
		return VALUE_REFUSE(v, p + 1,
				    "text after the closing quote; put the whole value in "
				    "quotes");
	}
	v->at++;
	v->end = p;
	return true;
}

static char take_char(struct config_value *v, bool quoted)
{
	if (quoted && *v->at == '\\') {
		v->at++;
	}
	return *v->at++;
}

static bool read_string(struct config_value *v, bool quoted, char *out, size_t size)
{
	const char *from = v->at;
	size_t n = 0;

	while (v->at < v->end) {
		if (n + 1 >= size) {
			return VALUE_REFUSE(v, from, "the text is too long; at most %zu bytes",
					    size - 1);
		}
		out[n++] = take_char(v, quoted);
	}
	out[n] = '\0';
	return true;
}

/* File names stand in the boot loader's script too, so only harmless characters are let through. */
static bool in_file_name(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
	       (c && strchr("._-+~/", c));
}

static bool read_file_name(struct config_value *v, bool quoted, char *out)
{
	const char *from = v->at;
	size_t n = 0;

	while (v->at < v->end) {
		const char *at = v->at;
		char c = take_char(v, quoted);

		if (is_blank(c) && v->key->type == TYPE_MODULE) {
			break;
		}
		if (!in_file_name(c)) {
			return VALUE_REFUSE(v, at, "'%.*s' cannot be in a file name; %s",
					    ((uint8_t)*at < 0x80) ? 1 : shown(v, at), at,
					    config_type_text[TYPE_FILE].how);
		}
		if (n + 1 >= MAX_FILE) {
			return VALUE_REFUSE(v, from, "the file name is too long; at most %u bytes",
					    MAX_FILE - 1);
		}
		out[n++] = c;
	}
	out[n] = '\0';
	if (!*config_file_base(out)) {
		return VALUE_REFUSE(v, from, "the file has no name; give one such as bzImage");
	}
	return true;
}

static bool read_file(struct config_value *v, struct config_file *f)
{
	bool quoted;

	f->place = place_of(v, v->at);
	return unquote(v, &quoted) && read_file_name(v, quoted, f->name);
}

static bool read_module(struct config_value *v, struct config_file *f, unsigned *count)
{
	bool quoted;
	unsigned at;

	if (!take_room(v, v->at, count, &at)) {
		return false;
	}
	f += at;
	f->place = place_of(v, v->at);
	if (!unquote(v, &quoted) || !read_file_name(v, quoted, f->name)) {
		return false;
	}
	skip_blanks(v);
	return read_string(v, quoted, f->args, sizeof(f->args));
}

static bool read_one(struct config_value *v, void *field, unsigned *count)
{
	bool quoted;

	switch (v->key->type) {
	case TYPE_WORD: return read_word(v, field);
	case TYPE_YES: return read_yes(v, field);
	case TYPE_SIZE: return read_size(v, field);
	case TYPE_ADDRESS: return read_number(v, field);
	case TYPE_PORT: return read_port(v, field);
	case TYPE_STRING: return unquote(v, &quoted) && read_string(v, quoted, field, MAX_CMDLINE);
	case TYPE_FILE: return read_file(v, field);
	case TYPE_MODULE: return read_module(v, field, count);
	case TYPE_CPUS: return read_cpus(v, field, count);
	case TYPE_PORTS:
	case TYPE_MMIO: return read_range(v, field, count);
	case TYPE_PCI: return read_pci(v, field, count);
	case TYPE_CONSOLE: return read_console(v, field);
	case CONFIG_TYPES: break;
	}
	return malformed(v, v->at);
}

/* After a value: the end, or in a list a comma and the next one. */
static bool read_rest(struct config_value *v, const char *from, bool *more)
{
	const char *behind = v->at;

	skip_blanks(v);
	*more = v->key->room && next_is(v, ',');
	if (*more) {
		v->at++;
		skip_blanks(v);
		return true;
	}
	if (v->at == v->end) {
		return true;
	}
	if (v->at == behind) {
		return malformed(v, from);
	}
	return VALUE_REFUSE(v, v->at, "unexpected '%.*s' after the value; %s", shown(v, v->at),
			    v->at, config_type_text[v->key->type].how);
}

bool config_value_read(struct config_value *v, void *section)
{
	const struct config_key *k = v->key;
	void *field = config_field(section, k->field);
	unsigned *count = config_field(section, k->count);
	bool more = true;

	if (k->place) {
		*(struct config_place *)config_field(section, k->place) = place_of(v, v->at);
	}
	if (k->given) {
		*(bool *)config_field(section, k->given) = true;
	}
	while (more) {
		const char *from = v->at;

		if (!read_one(v, field, count) || !read_rest(v, from, &more)) {
			return false;
		}
	}
	return true;
}
