/*
 * hv/load/multiboot1_guest.c: ELF of both classes, address fields, the information block, and what
 * is refused.
 */
#include "tests/host/elf_fixture.h"

enum { FLAG_ADDRESSES = 1 << 16 };

static void put_header(uint8_t *p, uint32_t flags)
{
	put_le32(p, 0x1badb002);
	put_le32(p + 4, flags);
	put_le32(p + 8, -(0x1badb002 + flags));
}

static void put_addresses(uint8_t *p, uint32_t header, uint32_t load, uint32_t load_end,
			  uint32_t bss_end, uint32_t entry)
{
	put_le32(p + 12, header);
	put_le32(p + 16, load);
	put_le32(p + 20, load_end);
	put_le32(p + 24, bss_end);
	put_le32(p + 28, entry);
}

/* An ELF kernel at 1 MiB whose header stands at the start of its segment. */
static void image(bool is64, uint16_t machine, uint32_t flags)
{
	fixture_begin();
	elf_begin(is64, machine, 0x100020);
	elf_add(0x100000, 0x100000, 0x800, 0x2001, 0x11);
	put_header(elf + 0x1000, flags);
}

static uint8_t *info(void)
{
	CHECK_EQ(regs.gpr[RAX], 0x2badb002);
	return ram + regs.gpr[RBX];
}

static const char *text_at(uint32_t at)
{
	return (const char *)ram + at;
}

TEST(elf_of_each_class_and_machine)
{
	static const struct {
		bool is64;
		uint16_t machine;
	} kinds[] = {{false, 3}, {true, 62}, {false, 62}, {true, 3}};

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		image(kinds[i].is64, kinds[i].machine, 3);
		CHECK(elf_load_file());
		CHECK_STR(why.text, "");
		CHECK_EQ(kind, LOAD_MULTIBOOT1);
		check_protected32(0x100020);
		CHECK_EQ(get_le32(ram + 0x100000), 0x1badb002);
		CHECK(filled(0x10000c, 0x7f4, 0x11));
		CHECK(filled(0x100800, 0x1801, 0));
		info();
	}
}

TEST(information)
{
	image(false, 3, 3);
	img.cmdline = "serial test=1";
	CHECK(elf_load_file());

	uint8_t *m = info();
	uint32_t flags = get_le32(m);

	CHECK_EQ(flags, 1 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
	CHECK_EQ(get_le32(m + 4), 639);
	CHECK_EQ(get_le32(m + 8), (FIXTURE_MEMORY - 0x100000) / 1024);
	CHECK_STR(text_at(get_le32(m + 16)), "kernel.elf serial test=1");
	CHECK_EQ(get_le32(m + 20), 0);
	CHECK_STR(text_at(get_le32(m + 64)), "Mullion");
	CHECK_EQ(get_le32(m + 44), 4 * 24);

	uint8_t *e = ram + get_le32(m + 48);

	for (unsigned i = 0; i < img.maps; i++, e += 24) {
		CHECK_EQ(get_le32(e), 20);
		CHECK_EQ(get_le64(e + 4), img.map[i].base);
		CHECK_EQ(get_le64(e + 12), img.map[i].size);
		CHECK_EQ(get_le32(e + 20), img.map[i].type);
	}
	image(false, 3, 3);
	CHECK(elf_load_file());
	CHECK_STR(text_at(get_le32(info() + 16)), "kernel.elf");
}

TEST(modules)
{
	static uint8_t one[0x1801];

	memset(one, 0xa1, sizeof(one));
	image(false, 3, 3);
	fixture_module("first", "a b", one, sizeof(one));
	fixture_module("second", "", "xyz", 3);
	fixture_module("none", "", one, 0);
	CHECK(elf_load_file());

	uint8_t *m = info();
	uint8_t *e = ram + get_le32(m + 24);

	CHECK_EQ(get_le32(m + 20), 3);
	CHECK_EQ(get_le32(e), 0x103000); /* the first whole page behind the bss */
	CHECK_EQ(get_le32(e + 4), 0x104801);
	CHECK_STR(text_at(get_le32(e + 8)), "first a b");
	CHECK_EQ(get_le32(e + 12), 0);
	CHECK(filled(0x103000, sizeof(one), 0xa1));
	CHECK_EQ(get_le32(e + 16), 0x105000);
	CHECK_EQ(get_le32(e + 20), 0x105003);
	CHECK_STR(text_at(get_le32(e + 24)), "second");
	CHECK(!memcmp(ram + 0x105000, "xyz", 3));
	CHECK_EQ(get_le32(e + 32), get_le32(e + 36));

	image(false, 3, 3);
	fixture_module("huge", "", elf, FIXTURE_MEMORY);
	elf_refused("kernel.elf: module huge of 0x1000000 bytes finds no free RAM");
}

/* Whatever the image covers, the information, the modules and the GDT are elsewhere. */
static void check_apart(uint64_t base, uint64_t end)
{
	uint8_t *m = info();
	uint64_t at[] = {regs.gpr[RBX],	   get_le32(m + 16), get_le32(m + 48),
			 get_le32(m + 64), get_le32(m + 24), get_le32(ram + get_le32(m + 24)),
			 regs.gdtr.base};

	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		CHECK(at[i] >= end || at[i] + 116 <= base);
		CHECK(at[i] >= PAGE_SIZE);
	}
	CHECK(filled(base + 12, end - base - 12, 0x44));
}

TEST(information_overlaps_nothing)
{
	static const struct {
		uint64_t base, end;
	} images[] = {{0x8000, 0x9000}, {0x8000, 0x9fc00}, {0x1000, 0x9fc00}, {0x50000, 0x9f000}};

	for (unsigned i = 0; i < ARRAY_SIZE(images); i++) {
		uint64_t base = images[i].base, size = images[i].end - base;
		static uint8_t large[0xa0000];

		fixture_begin();
		memset(large, 0x44, sizeof(large));
		put_header(large, FLAG_ADDRESSES);
		put_addresses(large, (uint32_t)base, (uint32_t)base, 0, 0, (uint32_t)base + 0x40);
		fixture_module("m", "args", "x", 1);
		img.cmdline = "words";
		CHECK(fixture_load(large, size, "kernel.bin"));
		check_protected32(base + 0x40);
		memset(ram + base + 12, 0x44, 20);
		check_apart(base, base + size);
		CHECK_STR(text_at(get_le32(info() + 16)), "kernel.bin words");
	}
}

TEST(address_fields)
{
	static uint8_t file[0x3000];

	fixture_begin();
	memset(file, 0x55, sizeof(file));
	put_header(file + 0x1ff4 - 0x14, FLAG_ADDRESSES | 3);
	/* Loaded from 0x100 bytes before the header on; 0x800 bytes, then bss. */
	put_addresses(file + 0x1fe0, 0x200100, 0x200000, 0x200800, 0x201000, 0x200200);
	CHECK(fixture_load(file, sizeof(file), "a.out"));
	CHECK_STR(why.text, "");
	check_protected32(0x200200);
	CHECK(!memcmp(ram + 0x200000, file + 0x1ee0, 0x800));
	CHECK(filled(0x200800, 0x800, 0));

	/* The fields win over an ELF header. */
	image(false, 3, FLAG_ADDRESSES);
	put_addresses(elf + 0x1000, 0x300000, 0x300000, 0, 0, 0x300004);
	CHECK(elf_load_file());
	check_protected32(0x300004);
	CHECK_EQ(get_le64(ram + 0x100000), 0);
}

static void bad_addresses(uint32_t header, uint32_t load, uint32_t load_end, uint32_t bss_end,
			  uint32_t entry, const char *text)
{
	static uint8_t file[0x400];

	fixture_begin();
	put_header(file + 0x40, FLAG_ADDRESSES);
	put_addresses(file + 0x40, header, load, load_end, bss_end, entry);
	CHECK(!fixture_load(file, sizeof(file), "a.out"));
	CHECK(strstr(why.text, text));
	if (!strstr(why.text, text)) {
		printf("%s\n", why.text);
	}
}

TEST(address_fields_that_lie)
{
	bad_addresses(0x200000, 0x200001, 0, 0, 0x200000,
		      "a.out: address fields of the header at offset 0x40 (header 0x200000, load "
		      "0x200001, load end 0x0, bss end 0x0): the load address is not in the file");
	bad_addresses(0x200041, 0x200000, 0, 0, 0x200000, "the load address is not in the file");
	bad_addresses(0x200040, 0x200000, 0x200401, 0, 0x200000, "the load end is not in the file");
	bad_addresses(0x200040, 0x200000, 0x1fffff, 0, 0x200000, "the load end is not in the file");
	bad_addresses(0x200040, 0x200000, 0x200000, 0, 0x200000, "nothing to load");
	bad_addresses(0x200040, 0x200000, 0x200100, 0x2000ff, 0x200000,
		      "the bss ends before the load end");
	bad_addresses(0x200040, 0x200000, 0, 0xffffffff, 0x200000,
		      "a.out: memory 0x200000+0xffdfffff of the header's address fields is not RAM "
		      "of this guest");
	bad_addresses(0x200040, 0x200000, 0, 0, 0x200400,
		      "a.out: the entry 0x200400 of the multiboot header at offset 0x40 is outside "
		      "the image (0x200000+0x400)");
	bad_addresses(0x40, 0xffffffff, 0, 0, 0x10, "the load address is not in the file");
}

TEST(header_place)
{
	/* The last place within 8 KiB, and four bytes further. */
	image(false, 3, 0);
	memset(elf + 0x1000, 0, 12);
	elf_size = 0x3000;
	put_header(elf + 8192 - 12, 0);
	CHECK(elf_load_file());
	CHECK_EQ(kind, LOAD_MULTIBOOT1);
	memset(elf + 8192 - 12, 0, 12);
	put_header(elf + 8192 - 8, 0);
	elf_refused("kernel.elf: a 32-bit ELF file without a multiboot header");
	/* Neither a wrong sum nor an odd place is a header. */
	image(false, 3, 0);
	elf[0x1008]++;
	elf_refused("kernel.elf: a 32-bit ELF file without a multiboot header");
	image(false, 3, 0);
	memset(elf + 0x1000, 0, 12);
	put_header(elf + 0x1002, 0);
	elf_refused("kernel.elf: a 32-bit ELF file without a multiboot header");
}

TEST(flags)
{
	image(false, 3, 7); /* a video mode is a wish */
	CHECK(elf_load_file());
	CHECK_EQ(get_le32(info()) & (3 << 11), 0);
	image(false, 3, 0xfffe0003); /* upper bits are optional */
	CHECK(elf_load_file());
	image(false, 3, 0x28);
	elf_refused(
		"kernel.elf: the multiboot header at offset 0x1000 requires bit 3 (flags 0x28), "
		"which is not supported");
	image(false, 3, 0x8000);
	elf_refused("kernel.elf: the multiboot header at offset 0x1000 requires bit 15 (flags "
		    "0x8000), which is not supported");
}

TEST(other_refusals)
{
	uint8_t file[64] = {0};

	fixture_begin();
	put_header(file + 4, 0);
	CHECK(!fixture_load(file, sizeof(file), "kernel"));
	CHECK_STR(why.text, "kernel: neither an ELF file nor a multiboot header with addresses");
	put_header(file + 40, FLAG_ADDRESSES);
	memset(file + 4, 0, 12);
	CHECK(!fixture_load(file, sizeof(file), "kernel"));
	CHECK_STR(why.text, "kernel: the multiboot header at offset 0x28 ends beyond the file");
	image(false, 3, 0);
	img.initrd = (struct load_file){file, 1, "initrd.img", ""};
	elf_refused("kernel.elf: an image of kind multiboot 1 takes no initrd (initrd.img)");
}

TEST(small_guest)
{
	/* One page of RAM above the kernel, and no low memory to speak of. */
	image(false, 3, 3);
	img.maps = 0;
	fixture_region(0, 0x1000, 1);
	fixture_region(0x100000, 0x104000, 1);
	CHECK(elf_load_file());
	CHECK_EQ(regs.gpr[RBX], 0x103000);
	image(false, 3, 3);
	img.maps = 0;
	fixture_region(0x100000, 0x103000, 1);
	elf_refused("kernel.elf: no room for 0x9f bytes of boot information");
}

TEST(every_truncation_and_byte_is_survived)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
	uint64_t full;

	image(true, 62, 3);
	full = elf_size;
	for (uint64_t size = 0; size < full; size += size < 0x100 ? 1 : 7) {
		CHECK(!fixture_load(elf, size, "kernel.elf"));
	}
	for (unsigned i = 0; i < 32 * ARRAY_SIZE(values); i++) {
		image(true, 62, FLAG_ADDRESSES);
		put_addresses(elf + 0x1000, 0x300000, 0x300000, 0, 0, 0x300004);
		elf[0x1000 + i / ARRAY_SIZE(values)] = values[i % ARRAY_SIZE(values)];
		elf_load_file();
	}
}
