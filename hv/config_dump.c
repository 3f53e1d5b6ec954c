/*
 * A configuration in canonical form, for the log and for the host tool. It walks the table, so it
 * cannot forget a key. No state; text goes out in pieces through struct sink.
 */
#include "hv/config_table.h"
#include "hv/lib/printf.h"
#include "hv/lib/string.h"

struct sink {
	void (*put)(void *ctx, const char *text);
	void *ctx;
};

static void say(const struct sink *s, const char *text)
{
	s->put(s->ctx, text);
}

static void sayf(const struct sink *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void sayf(const struct sink *s, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	fmt_vprint(text, sizeof(text), fmt, ap);
	va_end(ap);
	say(s, text);
}

/* Text in quotes, so that any value can be read back. */
static void say_quoted(const struct sink *s, const char *text)
{
	char c[2] = "";

	for (; *text; text++) {
		if (*text == '"' || *text == '\\') {
			say(s, "\\");
		}
		c[0] = *text;
		say(s, c);
	}
}

static void dump_console(const struct sink *s, const struct config_console *c)
{
	const char *comma = "";

	for (unsigned i = 0; i < c->ports; i++) {
		sayf(s, "%s0x%x", comma, c->port[i]);
		comma = ",";
	}
	if (c->framebuffer) {
		sayf(s, "%sframebuffer", comma);
	}
	say(s, c->none ? "none\n" : "\n");
}

/* Value i of a list. */
static void dump_item(const struct sink *s, enum config_type type, const void *field, unsigned i)
{
	if (type == TYPE_MODULE) {
		const struct config_file *f = (const struct config_file *)field + i;

		sayf(s, "\"%s", f->name);
		say(s, f->args[0] ? " " : "");
		say_quoted(s, f->args);
		say(s, "\"");
	} else if (type == TYPE_PCI) {
		const struct config_pci *p = (const struct config_pci *)field + i;

		sayf(s, "%02x:%02x.%x", p->bus, p->device, p->function);
	} else if (type == TYPE_CPUS) {
		sayf(s, "%u", ((const uint16_t *)field)[i]);
	} else {
		const struct config_range *r = (const struct config_range *)field + i;

		sayf(s, "0x%lx-0x%lx", r->base, r->base + r->size - 1);
	}
}

static void dump_list(const struct sink *s, const struct config_key *k, const void *field,
		      unsigned count)
{
	if (k->multiple) {
		for (unsigned i = 0; i < count; i++) {
			sayf(s, "%s = ", k->name);
			dump_item(s, k->type, field, i);
			say(s, "\n");
		}
		return;
	}
	sayf(s, "%s = ", k->name);
	for (unsigned i = 0; i < count; i++) {
		say(s, i ? "," : "");
		dump_item(s, k->type, field, i);
	}
	say(s, "\n");
}

/* A key that is neither written nor has a default. */
static bool is_absent(const struct config_key *k, const void *base)
{
	const void *field = config_field(base, k->field);

	if (k->given) {
		return !*(const bool *)config_field(base, k->given);
	}
	switch (k->type) {
	case TYPE_STRING: return !*(const char *)field;
	case TYPE_FILE: return !((const struct config_file *)field)->name[0];
	case TYPE_PORT: return !*(const uint16_t *)field;
	default: return false;
	}
}

static void dump_key(const struct sink *s, const struct config_key *k, const void *base)
{
	const void *field = config_field(base, k->field);
	struct config_size size;

	if (k->count) {
		dump_list(s, k, field, *(const unsigned *)config_field(base, k->count));
		return;
	}
	if (is_absent(k, base)) {
		return;
	}
	sayf(s, "%s = ", k->name);
	switch (k->type) {
	case TYPE_WORD: sayf(s, "%s\n", k->words[*(const unsigned *)field]); break;
	case TYPE_YES: say(s, *(const bool *)field ? "yes\n" : "no\n"); break;
	case TYPE_SIZE: sayf(s, "%s\n", config_size_text(&size, *(const uint64_t *)field)); break;
	case TYPE_ADDRESS: sayf(s, "0x%lx\n", *(const uint64_t *)field); break;
	case TYPE_PORT: sayf(s, "0x%x\n", *(const uint16_t *)field); break;
	case TYPE_FILE: sayf(s, "%s\n", ((const struct config_file *)field)->name); break;
	case TYPE_CONSOLE: dump_console(s, field); break;
	default:
		say(s, "\"");
		say_quoted(s, field);
		say(s, "\"\n");
		break;
	}
}

static void dump_section(const struct sink *s, unsigned index, const char *name, const void *base)
{
	const struct config_section *section = &config_section[index];

	sayf(s, "[%s%s%s]\n", section->name, name[0] ? " " : "", name);
	for (unsigned i = 0; i < section->keys; i++) {
		dump_key(s, &section->key[i], base);
	}
}

void config_dump(const struct config *c, void (*put)(void *ctx, const char *text), void *ctx)
{
	const struct sink s = {put, ctx};

	dump_section(&s, SECTION_SYSTEM, "", &c->system);
	if (c->boot.present) {
		say(&s, "\n");
		dump_section(&s, SECTION_BOOT, "", &c->boot);
	}
	for (unsigned g = 0; g < c->guests; g++) {
		say(&s, "\n");
		dump_section(&s, SECTION_GUEST, c->guest[g].name, &c->guest[g]);
	}
}
