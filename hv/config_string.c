/*
 * Values of the configuration that are text: quotes, command lines, file names.
 *
 * Called by config_value.c. No state.
 */
#include "hv/config_value.h"
#include "hv/lib/string.h"

/* U+201C to U+201F; nobody means them, and a kernel would not take them for quotes. */
static bool typographic_quote(const char *p, const char *end)
{
	return end - p >= 3 && memcmp(p, "\xe2\x80", 2) == 0 && ((uint8_t)p[2] & 0xfc) == 0x9c;
}

/*
 * Takes the quotes off a value that is in quotes. A quote inside a value that is not is refused,
 * since a reader could not tell what it does.
 */
static bool unquote(struct config_value *v, bool *quoted)
{
	const char *p = v->at + 1;

	*quoted = config_value_next_is(v, '"');
	if (!*quoted) {
		for (p = v->at; p < v->end; p++) {
			if (*p == '"') {
				return VALUE_REFUSE(v, p,
						    "a quote inside the value; put the whole value "
						    "in quotes and write \\\" here");
			}
			if (typographic_quote(p, v->end)) {
				return VALUE_REFUSE(v, p,
						    "a typographic quote, as word processors "
						    "make them; write \"");
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
					    "unknown escape; in quotes write \\\\ for a backslash "
					    "and \\\" for a quote");
		}
	}
	if (p == v->end) {
		return VALUE_REFUSE(v, v->at, "the quote is not closed; it must end on its line");
	}
	if (p + 1 != v->end) {
		return VALUE_REFUSE(v, p + 1,
				    "text after the closing quote; put the whole value in quotes");
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

static bool read_text(struct config_value *v, bool quoted, char out[MAX_CMDLINE])
{
	const char *from = v->at;
	size_t n = 0;

	while (v->at < v->end) {
		if (n + 1 >= MAX_CMDLINE) {
			return VALUE_REFUSE(v, from, "the text is too long; at most %u bytes",
					    MAX_CMDLINE - 1);
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

		if (config_is_blank(c) && v->key->type == TYPE_MODULE) {
			break;
		}
		if (config_is_blank(c)) {
			return VALUE_REFUSE(v, at, "a file name has no blanks; %s",
					    config_type_text[TYPE_FILE].how);
		}
		if (!in_file_name(c)) {
			return VALUE_REFUSE(v, at, "'%.*s' cannot be in a file name; %s",
					    ((uint8_t)*at < 0x80) ? 1 : config_value_shown(v, at),
					    at, config_type_text[TYPE_FILE].how);
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

bool config_read_string(struct config_value *v, char out[MAX_CMDLINE])
{
	bool quoted;

	return unquote(v, &quoted) && read_text(v, quoted, out);
}

bool config_read_file(struct config_value *v, struct config_file *f)
{
	bool quoted;

	f->place = config_value_place(v, v->at);
	return unquote(v, &quoted) && read_file_name(v, quoted, f->name);
}

bool config_read_module(struct config_value *v, struct config_file *f, unsigned *count)
{
	bool quoted;
	unsigned at;

	if (!config_value_room(v, v->at, count, &at)) {
		return false;
	}
	f += at;
	f->place = config_value_place(v, v->at);
	if (!unquote(v, &quoted) || !read_file_name(v, quoted, f->name)) {
		return false;
	}
	config_value_skip_blanks(v);
	return read_text(v, quoted, f->args);
}
