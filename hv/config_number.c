/*
 * Values of the configuration that are numbers or words: sizes, ports, ranges, CPUs, PCI addresses.
 *
 * Called by config_value.c. Numbers that do not fit into 64 bits become the largest one, so that
 * the range check of the table meets them. No state.
 */
#include "hv/config_value.h"
#include "hv/lib/bytes.h"

static bool ends_word(const struct config_value *v)
{
	return v->at == v->end || config_is_blank(*v->at) || *v->at == ',';
}

/* Was a size read that is too small because nobody said of what? */
static bool without_unit(const struct config_value *v, const char *from)
{
	uint64_t n = 0;

	for (const char *p = from; p < v->at; p++) {
		if (*p < '0' || *p > '9' || n >= v->key->max >> 20) {
			return false;
		}
		n = n * 10 + (unsigned)(*p - '0');
	}
	return n && n << 20 >= v->key->min && n << 20 <= v->key->max;
}

static bool out_of_range(struct config_value *v, const char *at)
{
	const struct config_key *k = v->key;
	uint64_t min = k->min, max = k->max;
	struct config_size low, high;

	if (k->type == TYPE_SIZE && without_unit(v, at)) {
		return VALUE_REFUSE(v, at,
				    "'%.*s' is a number of bytes and out of range, %s to %s; "
				    "write %.*sM if it is MiB",
				    config_value_shown(v, at), at, config_size_text(&low, min),
				    config_size_text(&high, max), config_value_shown(v, at), at);
	}
	if (k->type == TYPE_SIZE) {
		return VALUE_REFUSE(v, at, "'%.*s' is out of range; %s to %s",
				    config_value_shown(v, at), at, config_size_text(&low, min),
				    config_size_text(&high, max));
	}
	if (k->type == TYPE_CPUS) {
		return VALUE_REFUSE(v, at, "'%.*s' is out of range; %lu to %lu",
				    config_value_shown(v, at), at, min, max);
	}
	return VALUE_REFUSE(v, at, "'%.*s' is out of range; 0x%lx to 0x%lx",
			    config_value_shown(v, at), at, min, max);
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
		int d = hex_digit(*v->at);

		if (d < 0 || d >= (int)base) {
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

	if (v->end - v->at >= 2 && v->at[0] == '0' && (v->at[1] | 0x20) == 'x') {
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
	if (left > n && !config_is_blank(v->at[n]) && v->at[n] != ',') {
		return false;
	}
	v->at += n;
	return true;
}

bool config_read_word(struct config_value *v, unsigned *out)
{
	for (unsigned i = 0; v->key->words[i]; i++) {
		if (take_word(v, v->key->words[i])) {
			*out = i;
			return true;
		}
	}
	return config_value_malformed(v, v->at);
}

bool config_read_yes(struct config_value *v, bool *out)
{
	unsigned choice = 0;

	if (!config_read_word(v, &choice)) {
		return false;
	}
	*out = choice != 0;
	return true;
}

bool config_read_address(struct config_value *v, uint64_t *out)
{
	const char *from = v->at;

	if (!take_number(v, out)) {
		return config_value_malformed(v, from);
	}
	return in_range(v, *out) || out_of_range(v, from);
}

bool config_read_port(struct config_value *v, uint16_t *out)
{
	uint64_t n;

	if (!config_read_address(v, &n)) {
		return false;
	}
	*out = (uint16_t)n;
	return true;
}

bool config_read_size(struct config_value *v, uint64_t *out)
{
	const char *from = v->at;

	if (!take_size(v, out) || !ends_word(v)) {
		return config_value_malformed(v, from);
	}
	if (!in_range(v, *out)) {
		return out_of_range(v, from);
	}
	if (*out & PAGE_MASK) {
		return VALUE_REFUSE(v, from, "'%.*s' is not a multiple of 4K; memory is in pages",
				    config_value_shown(v, from), from);
	}
	return true;
}

bool config_read_cpus(struct config_value *v, uint16_t *cpu, unsigned *count)
{
	const char *from = v->at;
	uint64_t first, last;
	unsigned at;

	if (!take_number(v, &first)) {
		return config_value_malformed(v, from);
	}
	last = first;
	if (config_value_next_is(v, '-')) {
		v->at++;
		if (!take_number(v, &last)) {
			return config_value_malformed(v, from);
		}
	}
	if (!in_range(v, first) || !in_range(v, last)) {
		return out_of_range(v, from);
	}
	if (last < first) {
		return VALUE_REFUSE(v, from, "the range ends before it begins; write %lu-%lu", last,
				    first);
	}
	for (uint64_t n = first; n <= last; n++) {
		for (unsigned i = 0; i < *count; i++) {
			if (cpu[i] == n) {
				return VALUE_REFUSE(v, from, "CPU %u is listed twice; list it once",
						    cpu[i]);
			}
		}
		if (!config_value_room(v, from, count, &at)) {
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
	if (config_value_next_is(v, '-')) {
		v->at++;
		return take_number(v, last);
	}
	if (config_value_next_is(v, '+')) {
		v->at++;
		if (!take_size(v, &size) || !size) {
			return false;
		}
		*last = size - 1 > UINT64_MAX - *first ? UINT64_MAX : *first + size - 1;
		return true;
	}
	return v->key->type == TYPE_PORTS;
}

bool config_read_range(struct config_value *v, struct config_range *range, unsigned *count)
{
	const char *from = v->at;
	uint64_t first, last;
	unsigned at;

	if (!take_range(v, &first, &last)) {
		return config_value_malformed(v, from);
	}
	if (!in_range(v, first) || !in_range(v, last)) {
		return out_of_range(v, from);
	}
	if (last < first) {
		return VALUE_REFUSE(v, from,
				    "the range ends before it begins; both ends belong to it");
	}
	if (v->key->type == TYPE_MMIO && ((first | (last + 1)) & PAGE_MASK)) {
		return VALUE_REFUSE(
			v, from,
			"'%.*s' is not whole pages; begin and size must be multiples of 4K",
			config_value_shown(v, from), from);
	}
	if (!config_value_room(v, from, count, &at)) {
		return false;
	}
	range[at] = (struct config_range){first, last - first + 1, config_value_place(v, from)};
	return true;
}

bool config_read_pci(struct config_value *v, struct config_pci *pci, unsigned *count)
{
	const char *from = v->at;
	uint64_t bus, device, function;
	unsigned at;

	if (!take_digits(v, 16, 2, &bus) || !config_value_next_is(v, ':')) {
		return config_value_malformed(v, from);
	}
	v->at++;
	if (!take_digits(v, 16, 2, &device) || !config_value_next_is(v, '.')) {
		return config_value_malformed(v, from);
	}
	v->at++;
	if (!take_digits(v, 16, 1, &function) || device > 31 || function > 7) {
		return config_value_malformed(v, from);
	}
	if (!config_value_room(v, from, count, &at)) {
		return false;
	}
	pci[at] = (struct config_pci){(uint8_t)bus, (uint8_t)device, (uint8_t)function,
				      config_value_place(v, from)};
	return true;
}

static bool add_console_port(struct config_value *v, const char *from, struct config_console *c,
			     uint16_t port)
{
	unsigned at;

	for (unsigned i = 0; i < c->ports; i++) {
		if (c->port[i] == port) {
			return VALUE_REFUSE(v, from, "'%.*s' is listed twice; list it once",
					    config_value_shown(v, from), from);
		}
	}
	if (!config_value_room(v, from, &c->ports, &at)) {
		return false;
	}
	c->port[at] = port;
	return true;
}

bool config_read_console(struct config_value *v, struct config_console *c)
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
	return config_read_port(v, &port) && add_console_port(v, from, c, port);
}
