/*
 * The configuration: what is read, which one is chosen, and what is written of it.
 */
#include "scripts/reference.h"
#include "test.h"
#include "tests/fake/config_rig.h"

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
	FILE *out = tmpfile();
	char heading[40];

	reference_print(out);
	rewind(out);
	text[fread(text, 1, sizeof(text) - 1, out)] = '\0';
	fclose(out);
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
