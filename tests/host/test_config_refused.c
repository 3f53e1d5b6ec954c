/*
 * The configuration: the exact text of each refusal of a line by itself.
 */
#include "test.h"
#include "tests/fake/config_rig.h"

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
	REFUSED("\xff[\n", "1:1: error: byte \\xff is not text; write plain UTF-8");
	REFUSED(BASE "cmdline = \x1b[2J\n",
		"5:11: error: byte \\x1b is not text; write plain UTF-8");
	REFUSED(BASE "# \x1b[2J\n", "5:3: error: byte \\x1b is not text; write plain UTF-8");
	REFUSED("[guest a]\rcpus = 0\n", "1:10: error: byte \\x0d is not text; write plain UTF-8");
}

TEST(refuses_utf16_by_its_name)
{
	REFUSED("\xff\xfe[\n", "1:1: error: this is text in UTF-16; save it as UTF-8");
	REFUSED("\xfe\xff", "1:1: error: this is text in UTF-16; save it as UTF-8");
}

TEST(refuses_typographic_quotes)
{
	REFUSED(BASE "cmdline = \xe2\x80\x9c"
		     "a\xe2\x80\x9d\n",
		"5:11: error: a typographic quote, as word processors make them; write \"");
	REFUSED(BASE "cmdline = a \xe2\x80\x9e\n",
		"5:13: error: a typographic quote, as word processors make them; write \"");
	ACCEPTED(BASE "cmdline = \"\xe2\x80\x9c\"\n");
	ACCEPTED(BASE "cmdline = it\xe2\x80\x99s\n");
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
	MEMORY("1.5G", "'1.5G' is not a size; a number of bytes, or with K, M or G, such as 512M");
	MEMORY("16X", "'16X' is not a size; a number of bytes, or with K, M or G, such as 512M");
	MEMORY("512", "'512' is a number of bytes and out of range, 1M to 16384G; write 512M if it "
		      "is MiB");
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
#define PCI_HOW                                                                                    \
	"is not a PCI function; bus:device.function in hex, such as 00:1f.2, or with its "         \
	"interrupt 00:1f.2 gsi 18"
	REFUSED(BASE "pci = 00:20.0\n", "5:7: error: '00:20.0' " PCI_HOW);
	REFUSED(BASE "pci = 00:03.8\n", "5:7: error: '00:03.8' " PCI_HOW);
	REFUSED(BASE "pci = 00:03\n", "5:7: error: '00:03' " PCI_HOW);
	REFUSED(BASE "pci = 0000:00:03.0\n", "5:7: error: '0000:00:03.0' " PCI_HOW);
	REFUSED(BASE "pci = 00:03.0x\n", "5:7: error: '00:03.0x' " PCI_HOW);
#define GSI_HOW                                                                                    \
	"'gsi' names the I/O APIC's input that the function's INTx drives, 16 to 255; Linux "      \
	"shows it in /proc/interrupts"
	REFUSED(BASE "pci = 00:03.0 gsi\n", "5:15: error: " GSI_HOW);
	REFUSED(BASE "pci = 00:03.0 gsi 11\n", "5:15: error: " GSI_HOW);
	REFUSED(BASE "pci = 00:03.0 gsi 256\n", "5:15: error: " GSI_HOW);
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
