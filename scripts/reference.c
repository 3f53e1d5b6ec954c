/*
 * `mullion-config reference`: docs/config.md from the parser's own table. No state.
 */
#include "scripts/reference.h"
#include "hv/config_table.h"

// clang-format off
static const char intro[] =
	"<!-- Made by `mullion-config reference` from the table in hv/config.c: change it there. -->\n"
	"# The configuration file\n"
	"\n"
	"One text file, `mullion.conf` in the boot image, says which guests run and what each owns.\n"
	"The same parser reads it at boot and in `mullion-config check`, which tells every mistake\n"
	"before the machine does. Nothing is started unless all of it is right.\n"
	"\n"
	"```\n"
	"[system]\n"
	"console = com1\n"
	"\n"
	"[guest linux]\n"
	"cpus    = 0-1                # the first boots\n"
	"memory  = 512M\n"
	"kernel  = bzImage\n"
	"initrd  = initrd.img\n"
	"cmdline = \"console=ttyS0\"\n"
	"serial  = com1\n"
	"```\n"
	"\n"
	"## Form\n"
	"- A line is `[section]`, `key = value`, or empty. `#` begins a comment that runs to the end\n"
	"  of the line. Blanks around words do not matter. Keys are written in small letters.\n"
	"- Text and file names may stand in `\"quotes\"`, in which `#` is no comment; `\\\"` is a quote\n"
	"  and `\\\\` a backslash there.\n"
	"- Numbers are decimal, or hexadecimal with `0x`. Sizes may end in `K`, `M` or `G` (1024).\n"
	"- Lists are separated by commas. A key marked *several* may also be repeated; its values add\n"
	"  up.\n"
	"- The file is UTF-8 text, with line ends of Unix or Windows; no line is longer than 8192 bytes.\n"
	"- Files are named relative to the configuration. In the boot image they are known by the last\n"
	"  part of their names.\n"
	"- A mistake is told as `file:line:col: error: what; hint`. Columns count bytes from 1.\n";
// clang-format on

static void say_range(FILE *out, const struct config_key *k)
{
	struct config_size low, high;

	switch (k->type) {
	case TYPE_SIZE:
		fprintf(out, "; %s to %s", config_size_text(&low, k->min),
			config_size_text(&high, k->max));
		break;
	case TYPE_CPUS: fprintf(out, "; %lu to %lu", k->min, k->max); break;
	case TYPE_ADDRESS:
	case TYPE_PORT:
	case TYPE_PORTS:
	case TYPE_MMIO: fprintf(out, "; 0x%lx to 0x%lx", k->min, k->max); break;
	default: break;
	}
	if (k->room) {
		fprintf(out, "; at most %u", k->room);
	}
}

static void reference_key(FILE *out, const struct config_key *k)
{
	fprintf(out, "### %s\n", k->name);
	fputs(k->help, out);
	fputs("\n\n- value: ", out);
	for (unsigned i = 0; k->words && k->words[i]; i++) {
		fprintf(out, "%s`%s`", i ? ", " : "", k->words[i]);
	}
	if (!k->words) {
		fputs(config_type_text[k->type].how, out);
	}
	say_range(out, k);
	fputs("\n- ", out);
	if (k->required) {
		fputs("required", out);
	} else if (k->fallback) {
		fprintf(out, "default: `%s`", k->fallback);
	} else {
		fputs("optional", out);
	}
	fputs(k->multiple ? ", several\n" : "\n", out);
	if (k->with) {
		fprintf(out, "- only together with `%s`\n", k->with);
	}
	fputs("\n", out);
}

// clang-format off
static const char rules[] =
	"## What is checked\n"
	"At boot and by `mullion-config check`, before anything starts:\n"
	"- every section and key is known, and none is written twice unless it may be;\n"
	"- no CPU, port, address or PCI function belongs to two guests;\n"
	"- `ports`, `mmio` and `debug-exit` keep clear of the devices that Mullion emulates for the\n"
	"  guest, of its RAM, and of the ports that [system] uses;\n"
	"- at boot, `mmio` meets no memory and no interrupt controller of the machine;\n"
	"- the CPUs exist, the memory is there, and so are the files. On another machine, say what the\n"
	"  target has: `mullion-config check FILE --cpus 4 --memory 8G`.\n";
// clang-format on

void reference_print(FILE *out)
{
	fputs(intro, out);
	for (unsigned i = 0; i < CONFIG_SECTIONS; i++) {
		const struct config_section *section = &config_section[i];

		fprintf(out, "\n## [%s%s]\n%s\n\n", section->name, section->named ? " NAME" : "",
			section->help);
		for (unsigned k = 0; k < section->keys; k++) {
			reference_key(out, &section->key[k]);
		}
	}
	fputs(rules, out);
}
