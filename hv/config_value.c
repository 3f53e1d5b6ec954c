/*
 * Values of the configuration: one `key = value` from text to its field, by the key's type.
 *
 * Called by config_parse.c for each line and for the defaults. The text holds no control
 * characters. No state.
 */
#include "hv/config_value.h"

struct config_place config_value_place(const struct config_value *v, const char *at)
{
	if (!v->number) {
		return (struct config_place){0, 0};
	}
	return (struct config_place){v->number, (uint32_t)(at - v->line) + 1};
}

int config_value_shown(const struct config_value *v, const char *at)
{
	enum { MOST = 40 };
	int n = 0;

	while (at + n < v->end && n <= MOST && !config_is_blank(at[n]) &&
	       !(v->key->room && at[n] == ',')) {
		n++;
	}
	if (n > MOST) {
		for (n = MOST; n && ((uint8_t)at[n] & 0xc0) == 0x80; n--) {
		}
	}
	return n;
}

bool config_value_malformed(struct config_value *v, const char *at)
{
	const char *what = config_type_text[v->key->type].what;
	struct config_how how;
	int n = config_value_shown(v, at);

	if (!n) {
		return VALUE_REFUSE(v, at, "expected %s; %s", what, config_key_how(&how, v->key));
	}
	return VALUE_REFUSE(v, at, "'%.*s' is not %s; %s", n, at, what,
			    config_key_how(&how, v->key));
}

bool config_value_room(struct config_value *v, const char *at, unsigned *count, unsigned *index)
{
	if (*count >= v->key->room) {
		return VALUE_REFUSE(v, at, "too many values; '%s' holds at most %u", v->key->name,
				    v->key->room);
	}
	*index = (*count)++;
	return true;
}

static bool read_one(struct config_value *v, void *field, unsigned *count)
{
	switch (v->key->type) {
	case TYPE_WORD: return config_read_word(v, field);
	case TYPE_YES: return config_read_yes(v, field);
	case TYPE_SIZE: return config_read_size(v, field);
	case TYPE_ADDRESS: return config_read_address(v, field);
	case TYPE_PORT: return config_read_port(v, field);
	case TYPE_STRING: return config_read_string(v, field);
	case TYPE_FILE: return config_read_file(v, field);
	case TYPE_MODULE: return config_read_module(v, field, count);
	case TYPE_CPUS: return config_read_cpus(v, field, count);
	case TYPE_PORTS:
	case TYPE_MMIO: return config_read_range(v, field, count);
	case TYPE_PCI: return config_read_pci(v, field, count);
	case TYPE_CONSOLE: return config_read_console(v, field);
	case CONFIG_TYPES: break;
	}
	return config_value_malformed(v, v->at);
}

/* After a value: the end, or in a list a comma and the next one. */
static bool read_rest(struct config_value *v, const char *from, bool *more)
{
	const char *behind = v->at;
	struct config_how how;

	config_value_skip_blanks(v);
	*more = v->key->room && config_value_next_is(v, ',');
	if (*more) {
		v->at++;
		config_value_skip_blanks(v);
		return true;
	}
	if (v->at == v->end) {
		return true;
	}
	if (v->at == behind) {
		return config_value_malformed(v, from);
	}
	return VALUE_REFUSE(v, v->at, "unexpected '%.*s' after the value; %s",
			    config_value_shown(v, v->at), v->at, config_key_how(&how, v->key));
}

bool config_value_read(struct config_value *v, void *section)
{
	const struct config_key *k = v->key;
	void *field = config_field(section, k->field);
	unsigned *count = config_field(section, k->count);
	struct config_place *place;
	bool more = true;

	if (k->place) {
		place = config_field(section, k->place);
		*place = config_value_place(v, v->at);
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
