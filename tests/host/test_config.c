/*
 * The configuration: what is read, and the exact text of each refusal.
 *
 * BASE is a guest with the required keys; tests add lines to it, so that line 5 is the first of
 * theirs.
 */
#include "hv/config.h"
#include "test.h"

static struct config c;
static struct refusal why;
static char text[1 << 21];
static size_t text_len;

#define BASE                                                                                       \
	"[guest a]\n"                                                                              \
	"cpus = 0\n"                                                                               \
	"memory = 16M\n"                                                                           \
	"kernel = k\n"
#define SECOND                                                                                     \
	"[guest b]\n"                                                                              \
	"cpus = 1\n"                                                                               \
	"memory = 16M\n"                                                                           \
	"kernel = k\n"

static bool parse_bytes(const char *bytes, size_t len)
{
	/* An exact allocation: the sanitizer sees a read beyond the text. */
	char *copy = malloc(len ? len : 1);
	bool ok;

	memcpy(copy, bytes, len);
	why.text[0] = '\0';
	ok = config_parse(&c, "t.conf", copy, len, &why);
	free(copy);
	return ok;
}

static const char *parse(const char *s)
{
	return parse_bytes(s, strlen(s)) ? "" : why.text;
}

#define ACCEPTED(s)	    CHECK_STR(parse(s), "")
#define REFUSED(s, message) CHECK_STR(parse(s), "t.conf:" message)

static void put_text(void *ctx, const char *piece)
{
	size_t n = strlen(piece);

	(void)ctx;
	memcpy(text + text_len, piece, n + 1);
	text_len += n;
}

static const char *dump(void)
{
	text_len = 0;
	text[0] = '\0';
	config_dump(&c, put_text, NULL);
	return text;
}

/* --- what is read --- */

TEST(example_of_the_documentation)
{
	ACCEPTED("[system]\n"
		 "console = com1              # com1, com2, a port, framebuffer, none\n"
		 "when-all-stopped = poweroff # poweroff, reboot, halt\n"
		 "\n"
		 "[guest linux]\n"
		 "cpus    = 0-1               # the first boots\n"
		 "memory  = 512M\n"
		 "kernel  = bzImage\n"
		 "initrd  = initrd.img\n"
		 "cmdline = \"console=ttyS0\"\n"
		 "serial  = com1\n"
		 "pci     = 00:03.0           # passed through\n"
		 "on-crash = restart          # restart, stop\n"
		 "\n"
		 "[guest ticker]\n"
		 "cpus    = 2\n"
		 "memory  = 4M\n"
		 "kernel  = ticker.elf\n"
		 "serial  = com1\n"
		 "debug-exit = 0xf4\n");
	CHECK(c.system.present);
	CHECK_EQ(c.system.place.line, 1);
	CHECK_EQ(c.system.console.ports, 1);
	CHECK_EQ(c.system.console.port[0], 0x3f8);
	CHECK(!c.system.console.framebuffer && !c.system.console.none);
	CHECK_EQ(c.system.when_all_stopped, CONFIG_POWEROFF);
	CHECK_EQ(c.guests, 2);
	CHECK_STR(c.guest[0].name, "linux");
	CHECK_EQ(c.guest[0].place.line, 5);
	CHECK_EQ(c.guest[0].cpus, 2);
	CHECK_EQ(c.guest[0].cpu[0], 0);
	CHECK_EQ(c.guest[0].cpu[1], 1);
	CHECK_EQ(c.guest[0].cpus_place.line, 6);
	CHECK_EQ(c.guest[0].cpus_place.col, 11);
	CHECK_EQ(c.guest[0].memory, MIB(512));
	CHECK_STR(c.guest[0].kernel.name, "bzImage");
	CHECK_STR(c.guest[0].initrd.name, "initrd.img");
	CHECK_STR(c.guest[0].cmdline, "console=ttyS0");
	CHECK_EQ(c.guest[0].serial, SERIAL_COM1);
	CHECK_EQ(c.guest[0].pcis, 1);
	CHECK_EQ(c.guest[0].pci[0].device, 3);
	CHECK_EQ(c.guest[0].on_crash, CONFIG_RESTART);
	CHECK_EQ(c.guest[0].on_reset, CONFIG_RESTART);
	CHECK_EQ(c.guest[0].debug_exit, 0);
	CHECK_STR(c.guest[1].name, "ticker");
	CHECK_EQ(c.guest[1].on_crash, CONFIG_STOP);
	CHECK_EQ(c.guest[1].debug_exit, 0xf4);
	CHECK_STR(c.file, "t.conf");
}

TEST(defaults_without_system)
{
	ACCEPTED(BASE);
	CHECK(!c.system.present);
	CHECK_EQ(c.system.console.ports, 1);
	CHECK_EQ(c.system.console.port[0], 0x3f8);
	CHECK(c.system.console.framebuffer);
	CHECK_EQ(c.system.when_all_stopped, CONFIG_POWEROFF);
	CHECK_EQ(c.system.tsc, TSC_CHECK);
	CHECK_EQ(c.system.debug_exit, 0);
	CHECK(!c.system.bochs_shutdown);
	CHECK_EQ(c.guest[0].serial, SERIAL_NONE);
	CHECK_EQ(c.guest[0].on_crash, CONFIG_STOP);
	CHECK_EQ(c.guest[0].on_reset, CONFIG_RESTART);
	CHECK(!c.guest[0].flat);
	CHECK_STR(c.guest[0].initrd.name, "");
}

TEST(boot_section)
{
	ACCEPTED("[boot]\ncmdline = \"console=com2 iommu=off\"\n" BASE);
	CHECK(c.boot.present);
	CHECK_STR(c.boot.cmdline, "console=com2 iommu=off");
	CHECK_STR(c.boot.config.name, "");
	ACCEPTED("[boot]\nconfig = safe.conf\n");
	CHECK_STR(c.boot.config.name, "safe.conf");
	CHECK_EQ(c.boot.config.place.line, 2);
	CHECK_EQ(c.boot.config.place.col, 10);
	CHECK_EQ(c.guests, 0);
	REFUSED("[boot]\n[boot]\n", "2:1: error: [boot] appears twice; the first is on line 1");
	REFUSED("[boot]\ncmdline = x\n",
		"2:1: error: there is no guest; add a section [guest NAME]");
	REFUSED("[boot]\nconfig = a b\n",
		"2:11: error: a file name has no blanks; letters, digits and "
		". _ - + ~ / such as bzImage");
}

/* --- which configuration --- */

static const struct {
	const char *name, *text;
} shelf[] = {
	{"mullion.conf", BASE},
	{"moved.conf", "[boot]\nconfig = sub/a.conf\n"},
	{"a.conf", "[boot]\ncmdline = x\n" BASE},
	{"twice.conf", "[boot]\nconfig = moved.conf\n"},
	{"itself.conf", "[boot]\nconfig = itself.conf\n"},
	{"nowhere.conf", "\n[boot]\nconfig = none.conf\n" BASE},
	{"wrong.conf", "[boot]\nconfig = noise\n"},
	{"noise", "\001"},
};

static bool open_shelf(void *ctx, const char *name, const char **bytes, size_t *len,
		       struct refusal *r)
{
	(void)ctx;
	for (unsigned i = 0; i < ARRAY_SIZE(shelf); i++) {
		if (strcmp(shelf[i].name, name) == 0) {
			*bytes = shelf[i].text;
			*len = strlen(*bytes);
			return true;
		}
	}
	return refuse(r, "no %s", name);
}

static const char *choose(const char *name)
{
	const struct config_source source = {open_shelf, NULL};

	why.text[0] = 0;
	return config_choose(&c, name, &source, &why) ? c.file : why.text;
}

TEST(choice)
{
	CHECK_STR(choose("mullion.conf"), "mullion.conf");
	CHECK_STR(choose("moved.conf"), "a.conf");
	CHECK_STR(c.boot.cmdline, "x");
	CHECK_EQ(c.guests, 1);
	CHECK_STR(choose("none.conf"), "no none.conf");
	CHECK_STR(choose("nowhere.conf"), "no none.conf (named by nowhere.conf:3:10)");
	CHECK_STR(choose("twice.conf"),
		  "moved.conf:2:10: error: 'config' was followed already, from "
		  "twice.conf:2:10; name the last one there");
	CHECK_STR(choose("itself.conf"), "itself.conf:2:10: error: 'config' was followed already, "
					 "from itself.conf:2:10; name the last one there");
	CHECK_STR(choose("wrong.conf"),
		  "noise:1:1: error: byte \\x01 is not text; write plain UTF-8 "
		  "(named by wrong.conf:2:10)");
}

TEST(system_keys)
{
	ACCEPTED("[system]\nconsole = com2, 0xe000 ,framebuffer,com4\nwhen-all-stopped = halt\n"
		 "tsc = trust\ndebug-exit = 0xf4\nbochs-shutdown = yes\n" BASE);
	CHECK_EQ(c.system.console.ports, 3);
	CHECK_EQ(c.system.console.port[0], 0x2f8);
	CHECK_EQ(c.system.console.port[1], 0xe000);
	CHECK_EQ(c.system.console.port[2], 0x2e8);
	CHECK(c.system.console.framebuffer);
	CHECK_EQ(c.system.when_all_stopped, CONFIG_HALT);
	CHECK_EQ(c.system.tsc, TSC_TRUST);
	CHECK_EQ(c.system.debug_exit, 0xf4);
	CHECK(c.system.bochs_shutdown);
	ACCEPTED("[system]\nconsole = none\nwhen-all-stopped = reboot\n" BASE);
	CHECK(c.system.console.none);
	CHECK_EQ(c.system.console.ports, 0);
	CHECK_EQ(c.system.when_all_stopped, CONFIG_REBOOT);
}

TEST(system_may_stand_last)
{
	ACCEPTED(BASE "[system]\nconsole = com3");
	CHECK_EQ(c.system.console.port[0], 0x3e8);
	CHECK(!c.system.console.framebuffer);
}

TEST(cpu_lists)
{
	ACCEPTED("[guest a]\ncpus = 5 , 1-3,0x10\nmemory = 1M\nkernel = k\n");
	CHECK_EQ(c.guest[0].cpus, 5);
	CHECK_EQ(c.guest[0].cpu[0], 5);
	CHECK_EQ(c.guest[0].cpu[1], 1);
	CHECK_EQ(c.guest[0].cpu[3], 3);
	CHECK_EQ(c.guest[0].cpu[4], 16);
	ACCEPTED("[guest a]\ncpus = 192-255\nmemory = 1M\nkernel = k\n");
	CHECK_EQ(c.guest[0].cpus, MAX_VCPUS);
	CHECK_EQ(c.guest[0].cpu[63], 255);
}

TEST(sizes)
{
	static const struct {
		const char *text;
		uint64_t size;
	} sizes[] = {
		{"1M", MIB(1)}, {"1048576", MIB(1)},  {"0x100000", MIB(1)},
		{"2g", GIB(2)}, {"1028K", KIB(1028)}, {"16384G", GIB(16384)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		snprintf(text, sizeof(text), "[guest a]\ncpus = 0\nkernel = k\nmemory = %s\n",
			 sizes[i].text);
		ACCEPTED(text);
		CHECK_EQ(c.guest[0].memory, sizes[i].size);
	}
}

TEST(strings)
{
	ACCEPTED(BASE "cmdline = a=b  c # comment\n");
	CHECK_STR(c.guest[0].cmdline, "a=b  c");
	ACCEPTED(BASE "cmdline = \" a # b \\\"c\\\" \\\\d \" # \"comment\"\n");
	CHECK_STR(c.guest[0].cmdline, " a # b \"c\" \\d ");
	ACCEPTED(BASE "cmdline = \"\"\n");
	CHECK_STR(c.guest[0].cmdline, "");
	ACCEPTED(BASE "cmdline = back\\slash\n");
	CHECK_STR(c.guest[0].cmdline, "back\\slash");
	ACCEPTED(BASE "cmdline = Gr\xc3\xbc\xc3\x9f\x65 \xe2\x82\xac \xf0\x9f\x8c\x8d\n");
	CHECK_STR(c.guest[0].cmdline, "Gr\xc3\xbc\xc3\x9f\x65 \xe2\x82\xac \xf0\x9f\x8c\x8d");
	ACCEPTED(BASE "initrd = \"../b/i.img\"\n");
	CHECK_STR(c.guest[0].initrd.name, "../b/i.img");
}

TEST(longest_cmdline_with_escapes)
{
	char *p = text + sprintf(text, BASE "cmdline = \"");

	for (int i = 0; i < MAX_CMDLINE - 1; i++) {
		p += sprintf(p, "\\\"");
	}
	strcpy(p, "\"\n");
	ACCEPTED(text);
	CHECK_EQ(strlen(c.guest[0].cmdline), MAX_CMDLINE - 1);
}

TEST(modules)
{
	ACCEPTED(BASE "module = m1\nmodule = dir/m2  --x  y # z\nmodule = \"m3 a \\\"b\\\"\"\n");
	CHECK_EQ(c.guest[0].modules, 3);
	CHECK_STR(c.guest[0].module[0].name, "m1");
	CHECK_STR(c.guest[0].module[0].args, "");
	CHECK_STR(c.guest[0].module[1].name, "dir/m2");
	CHECK_STR(c.guest[0].module[1].args, "--x  y");
	CHECK_STR(c.guest[0].module[2].name, "m3");
	CHECK_STR(c.guest[0].module[2].args, "a \"b\"");
	CHECK_EQ(c.guest[0].module[1].place.line, 6);
	CHECK_EQ(c.guest[0].module[1].place.col, 10);
}

TEST(ranges_and_pci)
{
	ACCEPTED(BASE "ports = 0x2f8-0x2ff, 0xb0\nports = 0x1000+256,0xffff\n"
		      "mmio = 0xfed00000+4K\nmmio = 0xf0000000-0xf0ffffff\n"
		      "pci = ff:1f.7, 0:2.0\npci = 01:00.1\n");
	CHECK_EQ(c.guest[0].ports, 4);
	CHECK_EQ(c.guest[0].port[0].base, 0x2f8);
	CHECK_EQ(c.guest[0].port[0].size, 8);
	CHECK_EQ(c.guest[0].port[1].base, 0xb0);
	CHECK_EQ(c.guest[0].port[1].size, 1);
	CHECK_EQ(c.guest[0].port[1].place.col, 22);
	CHECK_EQ(c.guest[0].port[2].size, 256);
	CHECK_EQ(c.guest[0].port[3].base, 0xffff);
	CHECK_EQ(c.guest[0].mmios, 2);
	CHECK_EQ(c.guest[0].mmio[0].base, 0xfed00000);
	CHECK_EQ(c.guest[0].mmio[0].size, 0x1000);
	CHECK_EQ(c.guest[0].mmio[1].size, 0x1000000);
	CHECK_EQ(c.guest[0].pcis, 3);
	CHECK_EQ(c.guest[0].pci[0].bus, 0xff);
	CHECK_EQ(c.guest[0].pci[0].device, 0x1f);
	CHECK_EQ(c.guest[0].pci[0].function, 7);
	CHECK_EQ(c.guest[0].pci[1].device, 2);
	CHECK_EQ(c.guest[0].pci[2].bus, 1);
}

TEST(flat)
{
	ACCEPTED(BASE "load = 0x7c00\nentry = 0x7c10\n");
	CHECK(c.guest[0].flat);
	CHECK_EQ(c.guest[0].load, 0x7c00);
	CHECK_EQ(c.guest[0].entry, 0x7c10);
	ACCEPTED(BASE "load = 0\nentry = 0\n");
	CHECK(c.guest[0].flat);
	ACCEPTED(BASE "load = 0xf0000\nentry = 0xffff0\n");
}

TEST(form_of_the_text)
{
	ACCEPTED("\xef\xbb\xbf[guest a]\r\ncpus=0\r\n\tmemory\t=\t1M \r\n\r\nkernel = k\r\n");
	CHECK_STR(c.guest[0].kernel.name, "k");
	ACCEPTED("[ guest  a-b.c_1 ] # comment\n cpus = 0\nmemory = 1M\nkernel = k");
	CHECK_STR(c.guest[0].name, "a-b.c_1");
	ACCEPTED("# Latin-1 in a comment: Gr\xfc\xdf\x65\n" BASE);
}

/* --- lines and bytes --- */

TEST(refuses_empty_text)
{
	REFUSED("", "1:1: error: there is no guest; add a section [guest NAME]");
	REFUSED("# nothing\n\n", "2:1: error: there is no guest; add a section [guest NAME]");
	REFUSED("[system]\n", "1:1: error: there is no guest; add a section [guest NAME]");
}

TEST(refuses_binary_garbage)
{
	static const char nul[] = BASE "cmdline = a\0b\n";
	static const char elf[] = "\x7f"
				  "ELF\2\1\1";

	CHECK(!parse_bytes(nul, sizeof(nul) - 1));
	CHECK_STR(why.text, "t.conf:5:12: error: byte \\x00 is not text; write plain UTF-8");
	CHECK(!parse_bytes(elf, sizeof(elf) - 1));
	CHECK_STR(why.text, "t.conf:1:1: error: byte \\x7f is not text; write plain UTF-8");
	REFUSED("\xff\xfe[\n", "1:1: error: byte \\xff is not text; write plain UTF-8");
	REFUSED(BASE "cmdline = \x1b[2J\n",
		"5:11: error: byte \\x1b is not text; write plain UTF-8");
	REFUSED(BASE "# \x1b[2J\n", "5:3: error: byte \\x1b is not text; write plain UTF-8");
	REFUSED("[guest a]\rcpus = 0\n", "1:10: error: byte \\x0d is not text; write plain UTF-8");
}

TEST(refuses_what_is_not_utf8)
{
	static const char *const bad[] = {
		"\x80",		    /* begins with a continuation */
		"\xc3",		    /* cut short by the end of the value */
		"\xc3(",	    /* no continuation */
		"\xc0\xaf",	    /* overlong */
		"\xe0\x80\xaf",	    /* overlong */
		"\xf0\x80\x80\xaf", /* overlong */
		"\xed\xa0\x80",	    /* surrogate */
		"\xf4\x90\x80\x80", /* beyond U+10FFFF */
		"\xf5\x80\x80\x80", /* beyond U+10FFFF */
		"\xc2\x9b",	    /* a control character: CSI */
		"\xe2\x82",	    /* cut short */
	};
	char message[100];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		sprintf(text, BASE "cmdline = %s\n", bad[i]);
		sprintf(message, "t.conf:5:11: error: byte \\x%02x is not text; write plain UTF-8",
			(unsigned char)bad[i][0]);
		CHECK_STR(parse(text), message);
		text[strlen(text) - 1] = '\0';
		CHECK_STR(parse(text), message);
	}
}

TEST(refuses_long_lines)
{
	memset(text, 'x', 1 << 20);
	text[1 << 20] = '\0';
	REFUSED(text, "1:8193: error: the line is too long; at most 8192 bytes");
	memcpy(text, BASE "#", strlen(BASE "#"));
	REFUSED(text, "5:8193: error: the line is too long; at most 8192 bytes");
	text[strlen(BASE) + 8192] = '\0';
	ACCEPTED(text);
}

TEST(shows_the_end_of_a_long_file_name)
{
	char name[300];

	memset(name, 'd', sizeof(name));
	strcpy(name + 290, "/my.conf");
	why.text[0] = '\0';
	CHECK(!config_parse(&c, name, "x", 1, &why));
	CHECK_STR(why.text + MAX_FILE - 1 - 8,
		  "/my.conf:1:1: error: 'x' is in no section; begin with [system] or [guest NAME]");
}

/* --- sections --- */

TEST(refuses_bad_sections)
{
	REFUSED("[sytem]\n", "1:2: error: unknown section 'sytem'; did you mean 'system'?");
	REFUSED("[Guest a]\n", "1:2: error: unknown section 'Guest'; did you mean 'guest'?");
	REFUSED(BASE "[vm b]\n",
		"5:2: error: unknown section 'vm'; there are [system], [boot] and [guest NAME]");
	REFUSED("[]\n",
		"1:2: error: unknown section ''; there are [system], [boot] and [guest NAME]");
	REFUSED("[\n",
		"1:2: error: unknown section ''; there are [system], [boot] and [guest NAME]");
	REFUSED("[guest]\n", "1:7: error: the guest needs a name; write [guest NAME]");
	REFUSED("[guest a\n", "1:9: error: ']' is missing; write [system] or [guest NAME]");
	REFUSED("[guest a # ]\n", "1:9: error: ']' is missing; write [system] or [guest NAME]");
	REFUSED("[guest a b]\n",
		"1:10: error: ']' expected here; names are letters, digits, - _ .");
	REFUSED("[guest \"a\"]\n",
		"1:8: error: ']' expected here; names are letters, digits, - _ .");
	REFUSED("[system x]\n", "1:9: error: ']' expected here; names are letters, digits, - _ .");
	REFUSED("[system] console = com1\n",
		"1:10: error: text after ']'; keys stand on lines of their own");
	REFUSED("[guest abcdefghijabcdefghijabcdefghijab]\n",
		"1:8: error: the name is too long; at most 31 bytes");
	REFUSED("[guest \xc3\xbc]\n",
		"1:8: error: ']' expected here; names are letters, digits, - _ .");
}

TEST(refuses_sections_twice)
{
	REFUSED("[system]\n" BASE "[system]\n",
		"6:1: error: [system] appears twice; the first is on line 1");
	REFUSED(BASE "[guest a]\n", "5:8: error: guest 'a' appears twice; the first is on line 1");
}

TEST(refuses_too_many_guests)
{
	char *p = text;

	for (int i = 0; i < MAX_GUESTS; i++) {
		p += sprintf(p, "[guest g%d]\ncpus = %d\nmemory = 1M\nkernel = k\n", i, i);
	}
	ACCEPTED(text);
	CHECK_EQ(c.guests, MAX_GUESTS);
	sprintf(p, "[guest g16]\n");
	REFUSED(text, "65:1: error: too many guests; at most 16");
}

/* --- keys --- */

TEST(refuses_unknown_keys)
{
	REFUSED(BASE "  memroy = 1M\n", "5:3: error: unknown key 'memroy'; did you mean 'memory'?");
	REFUSED(BASE "on_crash = stop\n",
		"5:1: error: unknown key 'on_crash'; did you mean 'on-crash'?");
	REFUSED(BASE "CMDLINE = x\n", "5:1: error: unknown key 'CMDLINE'; did you mean 'cmdline'?");
	REFUSED(BASE "disk = x\n",
		"5:1: error: unknown key 'disk'; docs/config.md lists the keys of [guest]");
	REFUSED("[system]\nconsle = com1\n",
		"2:1: error: unknown key 'consle'; did you mean 'console'?");
	REFUSED("[system]\nmemory = 1M\n",
		"2:1: error: 'memory' does not belong here; it is a key of [guest]");
	REFUSED(BASE "tsc = check\n",
		"5:1: error: 'tsc' does not belong here; it is a key of [system]");
	REFUSED(BASE "a123456789b123456789c123456789d123456789e = 1\n",
		"5:1: error: unknown key 'a123456789b123456789c123456789d123456789'; "
		"docs/config.md lists the keys of [guest]");
}

TEST(refuses_keys_in_bad_form)
{
	REFUSED("cpus = 0\n",
		"1:1: error: 'cpus' is in no section; begin with [system] or [guest NAME]");
	REFUSED(BASE "= 1\n", "5:1: error: expected a key; lines are [section], key = value, or "
			      "# comment");
	REFUSED(BASE "serial com1\n", "5:8: error: '=' expected; write serial = value");
	REFUSED(BASE "serial\n", "5:7: error: '=' expected; write serial = value");
	REFUSED(BASE "cmdline = # x\n",
		"5:10: error: 'cmdline' has no value; text, in quotes when it holds a # or begins "
		"or ends with a blank");
}

TEST(refuses_keys_twice)
{
	REFUSED(BASE "cpus = 1\n", "5:1: error: 'cpus' appears twice; the first is on line 2");
	REFUSED("[system]\ntsc = check\n\ntsc = trust\n",
		"4:1: error: 'tsc' appears twice; the first is on line 2");
}

TEST(refuses_missing_keys)
{
	REFUSED("\n [guest a]\nmemory = 1M\nkernel = k\n" SECOND,
		"2:2: error: 'cpus' is missing; every [guest] needs it");
	REFUSED("[guest a]\ncpus = 0\nkernel = k\n",
		"1:1: error: 'memory' is missing; every [guest] needs it");
	REFUSED("[guest a]\ncpus = 0\nmemory = 1M\n",
		"1:1: error: 'kernel' is missing; every [guest] needs it");
}

/* --- values --- */

TEST(refuses_bad_sizes)
{
#define MEMORY(value, message)                                                                     \
	REFUSED("[guest a]\ncpus = 0\nkernel = k\nmemory = " value "\n", "4:10: error: " message)
	MEMORY("lots", "'lots' is not a size; a number of bytes, or with K, M or G, such as 512M");
	MEMORY("512MB",
	       "'512MB' is not a size; a number of bytes, or with K, M or G, such as 512M");
	MEMORY("-1M", "'-1M' is not a size; a number of bytes, or with K, M or G, such as 512M");
	MEMORY("0x", "'0x' is not a size; a number of bytes, or with K, M or G, such as 512M");
	MEMORY("512M,", "'512M,' is not a size; a number of bytes, or with K, M or G, such as "
			"512M");
	MEMORY("1023K", "'1023K' is out of range; 1M to 16384G");
	MEMORY("0", "'0' is out of range; 1M to 16384G");
	MEMORY("16385G", "'16385G' is out of range; 1M to 16384G");
	MEMORY("18446744073709551616", "'18446744073709551616' is out of range; 1M to 16384G");
	MEMORY("17179869185G", "'17179869185G' is out of range; 1M to 16384G");
	MEMORY("1048577", "'1048577' is not a multiple of 4K; memory is in pages");
	REFUSED("[guest a]\nmemory = 1048576 M\n", "2:18: error: unexpected 'M' after the value; a "
						   "number of bytes, or with K, M or G, "
						   "such as 512M");
}

TEST(refuses_bad_cpu_lists)
{
#define CPUS(value, col, message)                                                                  \
	REFUSED("[guest a]\ncpus = " value "\n", "2:" col ": error: " message)
	CPUS("one", "8", "'one' is not a CPU; numbers and ranges such as 0,2-3");
	CPUS("1-", "8", "'1-' is not a CPU; numbers and ranges such as 0,2-3");
	CPUS("0,", "10", "expected a CPU; numbers and ranges such as 0,2-3");
	CPUS("0,,1", "10", "expected a CPU; numbers and ranges such as 0,2-3");
	CPUS("0 1", "10", "unexpected '1' after the value; numbers and ranges such as 0,2-3");
	CPUS("0, 256", "11", "'256' is out of range; 0 to 255");
	CPUS("0-4294967296", "8", "'0-4294967296' is out of range; 0 to 255");
	CPUS("3-1", "8", "the range ends before it begins; write 1-3");
	CPUS("0-2,1", "12", "CPU 1 is listed twice; list it once");
	CPUS("0-64", "8", "too many values; 'cpus' holds at most 64");
}

TEST(refuses_bad_words)
{
	REFUSED(BASE "on-crash = explode\n",
		"5:12: error: 'explode' is not a choice; one of restart, stop");
	REFUSED(BASE "serial = com5\n",
		"5:10: error: 'com5' is not a choice; one of none, com1, com2, com3, com4");
	REFUSED(BASE "serial = com11\n",
		"5:10: error: 'com11' is not a choice; one of none, com1, com2, com3, com4");
	REFUSED("[system]\nwhen-all-stopped = off\n",
		"2:20: error: 'off' is not a choice; one of poweroff, reboot, halt");
	REFUSED("[system]\nbochs-shutdown = true\n",
		"2:18: error: 'true' is not a choice; one of no, yes");
	REFUSED(BASE "serial = com1 com2\n", "5:15: error: unexpected 'com2' after the value; one "
					     "of none, com1, com2, com3, com4");
}

TEST(refuses_bad_strings)
{
	REFUSED(BASE "cmdline = \"abc\n",
		"5:11: error: the quote is not closed; it must end on its line");
	REFUSED(BASE "cmdline = \"abc\\\" # d\n",
		"5:11: error: the quote is not closed; it must end on its line");
	REFUSED(BASE "cmdline = \"abc\\\n",
		"5:11: error: the quote is not closed; it must end on its line");
	REFUSED(BASE "cmdline = \"\n",
		"5:11: error: the quote is not closed; it must end on its line");
	REFUSED(BASE "cmdline = \"a\\n\"\n",
		"5:13: error: unknown escape; in quotes write \\\\ for a backslash and \\\" for a "
		"quote");
	REFUSED(BASE "cmdline = \"a\" b\n",
		"5:14: error: text after the closing quote; put the whole value in quotes");
	REFUSED(BASE "cmdline = a=\"b c\"\n", "5:13: error: a quote inside the value; put the "
					      "whole value in quotes and write \\\" "
					      "here");
	memset(text, 'x', 3000);
	memcpy(text, BASE "cmdline = ", strlen(BASE "cmdline = "));
	text[3000] = '\0';
	REFUSED(text, "5:11: error: the text is too long; at most 2047 bytes");
}

TEST(refuses_bad_file_names)
{
#define FILE_HOW "letters, digits and . _ - + ~ / such as bzImage"
	REFUSED(BASE "initrd = a b\n", "5:11: error: a file name has no blanks; " FILE_HOW);
	REFUSED(BASE "initrd = a;b\n", "5:11: error: ';' cannot be in a file name; " FILE_HOW);
	REFUSED(BASE "initrd = \"a\\\"\"\n",
		"5:12: error: '\\' cannot be in a file name; " FILE_HOW);
	REFUSED(BASE "module = m$x y\n", "5:11: error: '$' cannot be in a file name; " FILE_HOW);
	REFUSED(BASE "initrd = \xc3\xbcx\n",
		"5:10: error: '\xc3\xbcx' cannot be in a file name; " FILE_HOW);
	REFUSED(BASE "initrd = dir/\n",
		"5:10: error: the file has no name; give one such as bzImage");
	REFUSED(BASE "initrd = \"\"\n",
		"5:11: error: the file has no name; give one such as bzImage");
	memset(text, 'x', 300);
	memcpy(text, BASE "initrd = ", strlen(BASE "initrd = "));
	text[300] = '\0';
	REFUSED(text, "5:10: error: the file name is too long; at most 127 bytes");
}

TEST(refuses_bad_ports)
{
#define PORTS_HOW "such as 0x2f8-0x2ff, 0x2f8+8, or one port 0x378"
	REFUSED(BASE "ports = com2\n", "5:9: error: 'com2' is not a range of ports; " PORTS_HOW);
	REFUSED(BASE "ports = 0xb0-\n", "5:9: error: '0xb0-' is not a range of ports; " PORTS_HOW);
	REFUSED(BASE "ports = 0xb0+0\n",
		"5:9: error: '0xb0+0' is not a range of ports; " PORTS_HOW);
	REFUSED(BASE "ports = 0x10000\n", "5:9: error: '0x10000' is out of range; 0x0 to 0xffff");
	REFUSED(BASE "ports = 0xfff8+9\n", "5:9: error: '0xfff8+9' is out of range; 0x0 to 0xffff");
	REFUSED(BASE "ports = 0xb0,0xfff8+0xffffffffffffffff\n",
		"5:14: error: '0xfff8+0xffffffffffffffff' is out of range; 0x0 to 0xffff");
	REFUSED(BASE "ports = 0xb1-0xb0\n",
		"5:9: error: the range ends before it begins; both ends belong to it");
	REFUSED(BASE "debug-exit = 0xfffd\n",
		"5:14: error: '0xfffd' is out of range; 0x1 to 0xfffc");
	REFUSED(BASE "debug-exit = f4\n", "5:14: error: 'f4' is not a port; a number such as 0xf4");
	sprintf(text, BASE "ports = 0x1000");
	for (int i = 1; i <= MAX_GUEST_PORTS; i++) {
		sprintf(text + strlen(text), ",%d", 0x1000 + 2 * i);
	}
	REFUSED(text, "5:91: error: too many values; 'ports' holds at most 16");
}

TEST(refuses_bad_mmio)
{
#define MMIO_HOW "such as 0xfed00000+4K or 0xfed00000-0xfed00fff"
	REFUSED(BASE "mmio = 0xfed00000\n",
		"5:8: error: '0xfed00000' is not a range of addresses; " MMIO_HOW);
	REFUSED(BASE "mmio = 0xfed00000+2K\n", "5:8: error: '0xfed00000+2K' is not whole pages; "
					       "begin and size must be multiples of "
					       "4K");
	REFUSED(BASE "mmio = 0xfed00100+4K\n", "5:8: error: '0xfed00100+4K' is not whole pages; "
					       "begin and size must be multiples of "
					       "4K");
	REFUSED(BASE "mmio = 0xfed00000-0xfed01000\n",
		"5:8: error: '0xfed00000-0xfed01000' is not whole pages; begin and size must be "
		"multiples of 4K");
	REFUSED(BASE "mmio = 0xffffffffff000+8K\n",
		"5:8: error: '0xffffffffff000+8K' is out of range; 0x0 to 0xfffffffffffff");
	REFUSED(BASE "mmio = 0x1000+0xffffffffffffffff\n",
		"5:8: error: '0x1000+0xffffffffffffffff' is out of range; 0x0 to 0xfffffffffffff");
}

TEST(refuses_bad_pci)
{
#define PCI_HOW "is not a PCI function; bus:device.function in hex, such as 00:1f.2"
	REFUSED(BASE "pci = 00:20.0\n", "5:7: error: '00:20.0' " PCI_HOW);
	REFUSED(BASE "pci = 00:03.8\n", "5:7: error: '00:03.8' " PCI_HOW);
	REFUSED(BASE "pci = 00:03\n", "5:7: error: '00:03' " PCI_HOW);
	REFUSED(BASE "pci = 0000:00:03.0\n", "5:7: error: '0000:00:03.0' " PCI_HOW);
	REFUSED(BASE "pci = 00:03.0x\n", "5:7: error: '00:03.0x' " PCI_HOW);
}

TEST(refuses_bad_consoles)
{
#define CONSOLE(value, col, message)                                                               \
	REFUSED("[system]\nconsole = " value "\n", "2:" col ": error: " message)
#define CONSOLE_HOW "com1 to com4, a UART's first port such as 0x3f8, framebuffer, or none"
	CONSOLE("tty0", "11", "'tty0' is not a console; " CONSOLE_HOW);
	CONSOLE("com1,none", "16", "'none' stands alone; remove it or the others");
	CONSOLE("none, com1", "17", "'none' stands alone; remove it or the others");
	CONSOLE("com1, 0x3f8", "17", "'0x3f8' is listed twice; list it once");
	CONSOLE("framebuffer,framebuffer", "23", "'framebuffer' is listed twice; list it once");
	CONSOLE("0xfff9", "11", "'0xfff9' is out of range; 0x1 to 0xfff8");
	CONSOLE("1,2,3,4,5", "19", "too many values; 'console' holds at most 4");
}

/* --- between keys --- */

TEST(refuses_bad_flat_images)
{
	REFUSED(BASE "load = 0x7c00\n", "5:8: error: 'load' needs 'entry' too; write both or none");
	REFUSED(BASE "entry = 0x7c00\n",
		"5:9: error: 'entry' needs 'load' too; write both or none");
	REFUSED(BASE "load = 0x7c00\nentry = 0x100000\n",
		"6:9: error: '0x100000' is out of range; 0x0 to 0xfffff");
	REFUSED(BASE "load = 0x7c00\nentry = 0x7bff\n",
		"6:9: error: entry 0x7bff lies before load 0x7c00; it must be in the image");
	REFUSED(BASE "load = 0xa0000\nentry = 0xa0000\n",
		"5:8: error: there is no RAM at 0xa0000; 0xa0000-0xbffff is video memory");
	REFUSED(BASE "load = 0\nentry = 0\ncmdline = x\n",
		"5:8: error: a flat image gets no initrd, module or cmdline; remove them");
	REFUSED(BASE "load = 0\nentry = 0\ninitrd = x\n",
		"5:8: error: a flat image gets no initrd, module or cmdline; remove them");
	REFUSED(BASE "load = 0\nentry = 0\nmodule = x\n",
		"5:8: error: a flat image gets no initrd, module or cmdline; remove them");
}

TEST(refuses_emulated_ports)
{
	REFUSED(BASE "ports = 0xb0, 0x20-0x3f\n",
		"5:15: error: guest 'a': ports 0x20-0x3f meet its emulated interrupt controller; "
		"leave out 0x20-0x21");
	REFUSED(BASE "ports = 0x60a\n", "5:9: error: guest 'a': ports 0x60a-0x60a meet its "
					"emulated power management; leave "
					"out 0x600-0x60b");
	REFUSED(BASE "ports = 0x80\n",
		"5:9: error: guest 'a': ports 0x80-0x80 meet its emulated POST port; leave out "
		"0x80-0x80");
	REFUSED(BASE "ports = 0xcf8+8\n",
		"5:9: error: guest 'a': ports 0xcf8-0xcff meet its emulated PCI bus; leave out "
		"0xcf8-0xcff");
	REFUSED(BASE "serial = com2\nports = 0x2ff\n",
		"6:9: error: guest 'a': ports 0x2ff-0x2ff meet its emulated serial port; leave out "
		"0x2f8-0x2ff");
	ACCEPTED(BASE "serial = com2\nports = 0x2f7,0x300\n");
	ACCEPTED(BASE "ports = 0x22-0x3f,0x71f\n");
}

TEST(refuses_ports_of_the_system)
{
	REFUSED(BASE "ports = 0x3f8-0x3ff\n", "5:9: error: guest 'a': ports 0x3f8-0x3ff meet those "
					      "of console in [system]; change "
					      "one");
	REFUSED("[system]\ndebug-exit = 0xf4\n" BASE "ports = 0xf7\n",
		"7:9: error: guest 'a': ports 0xf7-0xf7 meet those of debug-exit in [system]; "
		"change "
		"one");
	REFUSED("[system]\nbochs-shutdown = yes\n" BASE "ports = 0x8900\n",
		"7:9: error: guest 'a': ports 0x8900-0x8900 meet those of bochs-shutdown in "
		"[system]; change one");
	ACCEPTED("[system]\nconsole = com2\n" BASE "ports = 0x3f8-0x3ff,0xf7,0x8900\n");
}

TEST(refuses_debug_exit_on_other_ports)
{
	REFUSED(BASE "debug-exit = 0x5fd\n",
		"5:14: error: guest 'a': ports 0x5fd-0x600 meet its emulated power management; "
		"leave out 0x600-0x60b");
	REFUSED(BASE "serial = com1\ndebug-exit = 0x3f8\n",
		"6:14: error: guest 'a': ports 0x3f8-0x3fb meet its emulated serial port; leave "
		"out "
		"0x3f8-0x3ff");
	REFUSED(BASE "ports = 0xf7\ndebug-exit = 0xf4\n",
		"6:14: error: guest 'a': debug-exit 0xf4 meets ports on line 5; its ports are "
		"0xf4-0xf7");
	ACCEPTED("[system]\ndebug-exit = 0xf4\n" BASE "ports = 0xf8\ndebug-exit = 0xf4\n");
}

TEST(refuses_mmio_that_is_taken)
{
	REFUSED(BASE "mmio = 0xfee00000+4K\n", "5:8: error: guest 'a': mmio 0xfee00000-0xfee00fff "
					       "meets its local APIC; a device of "
					       "the machine cannot be there");
	REFUSED(BASE "mmio = 0xe0000000+256M\n",
		"5:8: error: guest 'a': mmio 0xe0000000-0xefffffff meets its PCI bus; a device of "
		"the machine cannot be there");
	REFUSED(BASE "mmio = 0xfff000+4K\n",
		"5:8: error: guest 'a': mmio 0xfff000-0xffffff meets its RAM; a device of the "
		"machine cannot be there");
	REFUSED(BASE "mmio = 0xc0000+4K\n", "5:8: error: guest 'a': mmio 0xc0000-0xc0fff meets its "
					    "RAM; a device of the machine "
					    "cannot be there");
	REFUSED("[guest a]\ncpus = 0\nmemory = 4G\nkernel = k\nmmio = 0x13ffff000+8K\n",
		"5:8: error: guest 'a': mmio 0x13ffff000-0x140000fff meets its RAM; a device of "
		"the "
		"machine cannot be there");
	ACCEPTED("[guest a]\ncpus = 0\nmemory = 4G\nkernel = k\n"
		 "mmio = 0x140000000+4K, 0xc0000000+4K\n");
	ACCEPTED(BASE "mmio = 0xa0000+128K, 0x1000000+4K\n");
}

TEST(refuses_what_two_guests_share)
{
	REFUSED(BASE "[guest b]\ncpus = 2,0\nmemory = 1M\nkernel = k\n",
		"6:8: error: guest 'b': CPU 0 already belongs to guest 'a' (line 2); guests share "
		"no CPU");
	REFUSED(BASE "ports = 0xb0-0xbf\n" SECOND "ports = 0x70f,0xbf+2\n",
		"10:15: error: guest 'b': ports 0xbf-0xc0 overlap those of guest 'a' (line 5); "
		"give "
		"them to one");
	REFUSED(BASE "mmio = 0xfed00000+8K\n" SECOND "mmio = 0xfed01000+4K\n",
		"10:8: error: guest 'b': mmio 0xfed01000-0xfed01fff overlap those of guest 'a' "
		"(line "
		"5); give them to one");
	REFUSED(BASE "pci = 00:03.0\n" SECOND "pci = 00:03.1, 0:3.0\n",
		"10:16: error: guest 'b': PCI 00:03.0 already belongs to guest 'a' (line 5); give "
		"it "
		"to one");
	ACCEPTED(BASE "ports = 0xb0-0xbf\npci = 00:03.0\nmmio = 0xfed00000+4K\n" SECOND
		      "ports = 0xc0\npci = 00:03.1\nmmio = 0xfed01000+4K\n");
}

TEST(refuses_what_a_guest_has_twice)
{
	REFUSED(BASE "ports = 0xb0\nports = 0xaf-0xb1\n",
		"6:9: error: guest 'a': ports 0xaf-0xb1 overlap those of guest 'a' (line 5); give "
		"them to one");
	REFUSED(BASE "pci = 00:03.0,00:03.0\n", "5:15: error: guest 'a': PCI 00:03.0 already "
						"belongs to guest 'a' (line 5); give it "
						"to one");
}

TEST(refuses_two_files_of_one_name)
{
	REFUSED(BASE "initrd = x/k\n",
		"5:10: error: another file named 'k' is on line 4; in the boot image they would be "
		"one, rename it");
	REFUSED(BASE "module = x/m\n" SECOND "module = y/m z\n",
		"10:10: error: another file named 'm' is on line 5; in the boot image they would "
		"be "
		"one, rename it");
	ACCEPTED(BASE "module = k\nmodule = k x\n" SECOND);
}

/* --- against a machine --- */

static struct config_machine machine;

static const char *check(void)
{
	why.text[0] = '\0';
	return config_check_machine(&c, &machine, &why) ? "" : why.text;
}

static bool files(void *ctx, const char *name, uint64_t *size)
{
	CHECK(ctx == &machine);
	*size = strcmp(name, "big") == 0 ? MIB(16) : 512;
	return strcmp(name, "gone") != 0;
}

TEST(machine_cpus_and_memory)
{
	ACCEPTED(BASE SECOND);
	machine = (struct config_machine){0};
	CHECK_STR(check(), "");
	machine = (struct config_machine){.cpus = 2, .memory = MIB(32), .largest_block = MIB(16)};
	CHECK_STR(check(), "");
	machine.cpus = 1;
	CHECK_STR(check(),
		  "t.conf:6:8: error: guest 'b': CPU 1 does not exist; this machine has 1, "
		  "numbered from 0");
	machine.cpus = 0;
	machine.memory = MIB(31);
	machine.machine_name = "the test";
	CHECK_STR(check(), "t.conf:7:10: error: guest 'b' wants 16M, but 15M of the test are left; "
			   "make guests smaller");
	machine.memory = 0;
	machine.largest_block = MIB(16) - PAGE_SIZE;
	CHECK_STR(check(), "t.conf:3:10: error: guest 'a' wants 16M, but the largest block of the "
			   "test is 16380K; make it smaller");
}

static const char *unusable(void *ctx, unsigned cpu)
{
	(void)ctx;
	return cpu == 1 ? "CPU 1 has no VMX, unlike the boot CPU" : NULL;
}

TEST(machine_cpus_that_cannot_run_guests)
{
	ACCEPTED(BASE SECOND);
	machine = (struct config_machine){.cpus = 4, .cpu_unusable = unusable};
	CHECK_STR(check(), "t.conf:6:8: error: guest 'b' cannot run on CPU 1: CPU 1 has no VMX, "
			   "unlike the boot CPU");
	ACCEPTED(BASE);
	CHECK_STR(check(), "");
}

static const char *taken(void *ctx, uint64_t base, uint64_t size)
{
	(void)ctx;
	return base < 0x80001000 && base + size > 0x80000000 ? "RAM" : NULL;
}

TEST(machine_memory_is_not_passed_through)
{
	machine = (struct config_machine){.mmio_taken = taken};
	ACCEPTED(BASE "mmio = 0x80001000+4K\n");
	CHECK_STR(check(), "");
	ACCEPTED(BASE "mmio = 0x90000000+4K, 0x7fff0000+64K\n" SECOND);
	CHECK_STR(check(), "");
	ACCEPTED(BASE "mmio = 0x90000000+4K, 0x7ffff000+8K\n");
	CHECK_STR(check(), "t.conf:5:23: error: guest 'a': mmio 0x7ffff000-0x80000fff meets RAM of "
			   "this machine; only registers of a device can be passed through");
}

TEST(machine_files)
{
	machine = (struct config_machine){.file_exists = files, .ctx = &machine};
	ACCEPTED(BASE "initrd = i\n");
	CHECK_STR(check(), "");
	ACCEPTED(BASE "initrd = gone\n");
	CHECK_STR(check(), "t.conf:5:10: error: file 'gone' is not there; put it beside the "
			   "configuration");
	ACCEPTED(BASE "module = big x\n");
	CHECK_STR(check(), "t.conf:5:10: error: file 'big' of 16M does not fit into the guest's "
			   "memory of 16M; raise memory on line 3");
	ACCEPTED(BASE "load = 0x7c00\nentry = 0x7dff\n");
	CHECK_STR(check(), "");
	ACCEPTED(BASE "load = 0x7c00\nentry = 0x7e00\n");
	CHECK_STR(check(), "t.conf:6:9: error: entry 0x7e00 lies behind the image, which ends at "
			   "0x7e00");
}

/* --- dump and reference --- */

TEST(dump_reads_back)
{
	static char first[1 << 16];

	ACCEPTED("[system]\nconsole = com1,framebuffer\ndebug-exit = 244\nbochs-shutdown=yes\n"
		 "[boot]\nconfig=x/safe.conf\ncmdline=console=com2 check-pages\n"
		 "[guest b]\nkernel=x/k\nmemory=0x100000\ncpus=2,1\ncmdline=\"a\\\\b \\\"#\\\"\"\n"
		 "module=\"m \\\"q\\\" # z\"\nmodule=m\nports=0xb0+2,0xc0\nmmio=0xfed00000+4K\n"
		 "pci=1:2.3\nserial=com4\non-crash=restart\non-reset=stop\ndebug-exit=0xf4\n"
		 "[guest f]\nkernel=f\nmemory=1M\ncpus=3\nload=0\nentry=16\n");
	CHECK_STR(dump(), "[system]\n"
			  "console = 0x3f8,framebuffer\n"
			  "when-all-stopped = poweroff\n"
			  "tsc = check\n"
			  "report = no\n"
			  "debug-exit = 0xf4\n"
			  "bochs-shutdown = yes\n"
			  "\n"
			  "[boot]\n"
			  "config = x/safe.conf\n"
			  "cmdline = \"console=com2 check-pages\"\n"
			  "\n"
			  "[guest b]\n"
			  "cpus = 2,1\n"
			  "memory = 1M\n"
			  "kernel = x/k\n"
			  "module = \"m \\\"q\\\" # z\"\n"
			  "module = \"m\"\n"
			  "cmdline = \"a\\\\b \\\"#\\\"\"\n"
			  "serial = com4\n"
			  "ports = 0xb0-0xb1\n"
			  "ports = 0xc0-0xc0\n"
			  "mmio = 0xfed00000-0xfed00fff\n"
			  "pci = 01:02.3\n"
			  "dma = remapped\non-dma-fault = report\n"
			  "on-crash = restart\n"
			  "on-reset = stop\n"
			  "debug-exit = 0xf4\n"
			  "\n"
			  "[guest f]\n"
			  "cpus = 3\n"
			  "memory = 1M\n"
			  "kernel = f\n"
			  "load = 0x0\n"
			  "entry = 0x10\n"
			  "serial = none\n"
			  "dma = remapped\non-dma-fault = report\n"
			  "on-crash = stop\n"
			  "on-reset = restart\n");
	strcpy(first, text);
	ACCEPTED(first);
	CHECK_STR(dump(), first);
}

TEST(reference_names_every_key)
{
	static const char *const keys[] = {"console", "tsc",   "cpus",	"memory", "kernel",
					   "module",  "entry", "ports", "pci",	  "on-reset"};
	char heading[40];

	text_len = 0;
	config_reference(put_text, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		sprintf(heading, "\n### %s\n", keys[i]);
		CHECK(strstr(text, heading) != NULL);
	}
	CHECK(strstr(text, "1M to 16384G") != NULL);
}

TEST(helpers)
{
	struct config_guest *g = &c.guest[0];

	CHECK_EQ(config_serial_port(SERIAL_NONE), 0);
	CHECK_EQ(config_serial_port(SERIAL_COM2), 0x2f8);
	CHECK_STR(config_file_base("a/b/c"), "c");
	CHECK_STR(config_file_base("c"), "c");
	ACCEPTED(BASE "module = m\nmodule = n\n");
	CHECK(config_file_at(g, 0) == &g->kernel);
	CHECK(config_file_at(g, 1) == &g->module[0]);
	CHECK(config_file_at(g, 2) == &g->module[1]);
	CHECK(config_file_at(g, 3) == NULL);
	ACCEPTED(BASE "initrd = i\n");
	CHECK(config_file_at(g, 1) == &g->initrd);
	CHECK(config_file_at(g, 2) == NULL);
}
