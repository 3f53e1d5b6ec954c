/*
 * The configuration: chosen by the load options or by [boot], checked by the hypervisor's own
 * parser, and its files read. Called by main.c once. State: what the parser made of the text.
 */
#include "boot/efi/chosen.h"
#include "boot/efi/options.h"
#include "hv/config.h"
#include "hv/lib/printf.h"
#include "hv/lib/string.h"

#define CONFIG_MOST MIB(1)
#define FILE_MOST   (GIB(4) - PAGE_SIZE) /* a module's end has 32 bits */

/* Large, and only needed while the firmware is there: not in the loader's image. */
static struct config *config;
static struct options options;

/* Guests' files are known by the last part of their names. */
static const char *file_path(char path[FILE_PATH], const char *name)
{
	fmt_print(path, FILE_PATH, "files/%s", config_file_base(name));
	return path;
}

static bool file_exists(void *ctx, const char *name, uint64_t *size)
{
	char path[FILE_PATH];

	(void)ctx;
	return files_find(file_path(path, name), size);
}

static bool open_config(void *ctx, const char *name, const char **text, size_t *len,
			struct refusal *r)
{
	struct chosen *c = ctx;
	struct file *f = &c->file[0];
	char path[FILE_PATH];
	bool first = strcmp(name, CONFIG_DEFAULT) == 0;

	if (!files_read(f, first ? CONFIG_DEFAULT : file_path(path, name), CONFIG_MOST, r)) {
		return false;
	}
	c->files = 1;
	*text = (const char *)f->data;
	*len = f->size;
	return true;
}

static bool add_words(char *cmdline, const char *words, struct refusal *r)
{
	size_t used = strlen(cmdline);

	if (!words[0]) {
		return true;
	}
	if (fmt_print(cmdline + used, MAX_CMDLINE - used, "%s%s", used ? " " : "", words) >=
	    MAX_CMDLINE - used) {
		return refuse(r, "the hypervisor's command line is too long; at most %u bytes",
			      MAX_CMDLINE - 1);
	}
	return true;
}

/* The hypervisor is told which of its modules the configuration is, unless it is the usual one. */
static bool choose(struct chosen *c, struct refusal *r)
{
	const struct config_source source = {open_config, c};
	const char *name = options.config[0] ? options.config : CONFIG_DEFAULT;
	char words[MAX_FILE + 8];

	if (!config_choose(config, name, &source, r)) {
		return false;
	}
	fmt_print(words, sizeof(words), "config=%s", config->file);
	return strcmp(config->file, CONFIG_DEFAULT) == 0 || add_words(c->cmdline, words, r);
}

/* Load options are in nobody's digests: with such, they may choose, but not loosen anything. */
static bool take_options(struct refusal *r)
{
	if (!options_parse(&options, firmware.image->LoadOptions, firmware.image->LoadOptionsSize,
			   r)) {
		return false;
	}
	if (options.noise) {
		say("mullion: the load options are no text, and are ignored");
	}
	if (files_fixed() && options_keep_harmless(&options)) {
		say("mullion: load options other than config=, safe and report are ignored: the "
		    "image is signed");
	}
	return true;
}

static bool already_read(const struct chosen *c, const char *path)
{
	for (unsigned i = 0; i < c->files; i++) {
		if (strcmp(c->file[i].path, path) == 0) {
			return true;
		}
	}
	return false;
}

static bool read_files(struct chosen *c, const struct config_guest *g, struct refusal *r)
{
	const struct config_file *f;

	for (unsigned n = 0; (f = config_file_at(g, n)) != NULL; n++) {
		char path[FILE_PATH];

		if (already_read(c, file_path(path, f->name))) {
			continue;
		}
		if (c->files == BOOT_MODULES) {
			return refuse(r, "the configuration names more than %u files",
				      BOOT_MODULES - 1);
		}
		if (!files_read(&c->file[c->files], path, FILE_MOST, r)) {
			return false;
		}
		c->files++;
	}
	return true;
}

bool chosen_read(struct chosen *c, struct refusal *r)
{
	static const struct config_machine machine = {.file_exists = file_exists,
						      .machine_name = "this machine"};

	config = pages_take(sizeof(*config), PAGE_SIZE, GIB(4), PAGES_FOR_DATA);
	if (!config) {
		return refuse(r, "no memory is left to read the configuration");
	}
	if (!take_options(r) || !choose(c, r) || !add_words(c->cmdline, config->boot.cmdline, r) ||
	    !add_words(c->cmdline, options.cmdline, r) ||
	    !config_check_machine(config, &machine, r)) {
		return false;
	}
	for (unsigned i = 0; i < config->guests; i++) {
		if (!read_files(c, &config->guest[i], r)) {
			return false;
		}
	}
	say("mullion: %s: %u guest%s, %u file%s", c->file[0].path, config->guests,
	    config->guests == 1 ? "" : "s", c->files, c->files == 1 ? "" : "s");
	return true;
}
