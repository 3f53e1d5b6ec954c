/*
 * From the configuration's name to the one that holds: [boot] may name another, once.
 *
 * Called at boot by the hypervisor and by the UEFI loader, so that both read the same. No state.
 */
#include "hv/config_table.h"
#include "hv/lib/string.h"

static bool read_one(struct config *c, const char *name, const struct config_source *source,
		     struct refusal *r)
{
	const char *text;
	size_t len;

	return source->open(source->ctx, name, &text, &len, r) &&
	       config_parse(c, name, text, len, r);
}

bool config_choose(struct config *c, const char *name, const struct config_source *source,
		   struct refusal *r)
{
	struct refusal why = {""};
	struct config_place place;
	char first[MAX_FILE], second[MAX_FILE];

	if (!read_one(c, name, source, r)) {
		return false;
	}
	if (!c->boot.config.name[0]) {
		return true;
	}
	/* The second one is parsed over the first. */
	place = c->boot.config.place;
	memcpy(first, c->file, sizeof(first));
	memcpy(second, config_file_base(c->boot.config.name),
	       strlen(config_file_base(c->boot.config.name)) + 1);
	if (!read_one(c, second, source, &why)) {
		return refuse(r, "%s (named by %s:%u:%u)", why.text, first, place.line, place.col);
	}
	if (c->boot.config.name[0]) {
		return config_refuse(r, c, c->boot.config.place,
				     "'config' was followed already, from %s:%u:%u; name the last "
				     "one there",
				     first, place.line, place.col);
	}
	return true;
}
