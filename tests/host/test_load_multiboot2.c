/*
 * hv/load/multiboot2_guest.c: header tags, relocation, the information tags, and what is refused.
 */
#include "tests/host/elf_fixture.h"

enum { OPTIONAL = 1, HEADER_AT = 0x1000 };

static uint8_t *header;
static uint32_t header_len;

static void begin_header(uint8_t *at)
{
	header = at;
	header_len = 16;
	memset(header, 0, 0x200);
	put_le32(header, 0xe85250d6);
}

static void tag(uint16_t type, uint16_t flags, const uint32_t *words, uint32_t n)
{
	uint8_t *t = header + header_len;

	put_le16(t, type);
	put_le16(t + 2, flags);
	put_le32(t + 4, 8 + 4 * n);
	if (n) {
		memcpy(t + 8, words, 4ull * n);
	}
	header_len = (header_len + 8 + 4 * n + 7) & ~7u;
}

#define TAG(type, flags, ...)                                                                      \
	tag(type, flags, (const uint32_t[]){__VA_ARGS__},                                          \
	    sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

static void end_header(void)
{
	tag(0, 0, NULL, 0);
	put_le32(header + 8, header_len);
	put_le32(header + 12, -(0xe85250d6 + get_le32(header + 4) + header_len));
}

/* An ELF kernel at 1 MiB with the header at the start of its segment; tags are to be added. */
static void image(void)
{
	fixture_begin();
	elf_begin(true, 62, 0x100300);
	elf_add(0x100000, 0x100000, 0x800, 0x1800, 0x11);
	begin_header(elf + HEADER_AT);
}

static bool load(void)
{
	end_header();
	return elf_load_file();
}

static void refused(const char *text)
{
	end_header();
	elf_refused(text);
}

/* The n-th information tag of a type, NULL: none. Walks the block as a guest does. */
static uint8_t *info(uint32_t type, unsigned n)
{
	uint8_t *block = ram + regs.gpr[RBX];
	uint32_t total = get_le32(block);

	CHECK_EQ(regs.gpr[RAX], 0x36d76289);
	CHECK_EQ(regs.gpr[RBX] & 7, 0);
	for (uint32_t at = 8;; at = (at + get_le32(block + at + 4) + 7) & ~7u) {
		CHECK(at + 8 <= total);
		if (at + 8 > total) {
			return NULL;
		}
		if (get_le32(block + at) == type && !n--) {
			return block + at;
		}
		if (!get_le32(block + at)) {
			CHECK_EQ(at + 8, total);
			return NULL;
		}
	}
}

TEST(elf)
{
	image();
	CHECK(load());
	CHECK_STR(why.text, "");
	CHECK_EQ(kind, LOAD_MULTIBOOT2);
	check_protected32(0x100300);
	CHECK(filled(0x100200, 0x600, 0x11));
	CHECK(filled(0x100800, 0x1000, 0));
	CHECK(!info(21, 0));
}

TEST(wins_over_multiboot_1)
{
	image();
	put_le32(elf + 0x1400, 0x1badb002);
	put_le32(elf + 0x1408, -0x1badb002u);
	CHECK(load());
	CHECK_EQ(kind, LOAD_MULTIBOOT2);
}

TEST(information)
{
	static uint8_t data[0x1001];

	image();
	img.cmdline = "a b";
	fixture_module("one", "x y", data, sizeof(data));
	fixture_module("two", "", "2", 1);
	TAG(1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 14, 15, 21);
	CHECK(load());

	uint8_t *t = info(1, 0);

	CHECK_STR((char *)t + 8, "kernel.elf a b");
	CHECK_EQ(get_le32(t + 4), 8 + strlen("kernel.elf a b") + 1);
	CHECK_STR((char *)info(2, 0) + 8, "Mullion");
	t = info(3, 0);
	CHECK_EQ(get_le32(t + 8), 0x102000);
	CHECK_EQ(get_le32(t + 12), 0x103001);
	CHECK_STR((char *)t + 16, "one x y");
	t = info(3, 1);
	CHECK_EQ(get_le32(t + 8), 0x104000);
	CHECK_STR((char *)t + 16, "two");
	CHECK_EQ(ram[0x104000], '2');
	t = info(4, 0);
	CHECK_EQ(get_le32(t + 8), 639);
	CHECK_EQ(get_le32(t + 12), (FIXTURE_MEMORY - 0x100000) / 1024);
	t = info(6, 0);
	CHECK_EQ(get_le32(t + 4), 16 + 24 * img.maps);
	CHECK_EQ(get_le32(t + 8), 24);
	for (unsigned i = 0; i < img.maps; i++) {
		CHECK_EQ(get_le64(t + 16 + 24 * i), img.map[i].base);
		CHECK_EQ(get_le64(t + 24 + 24 * i), img.map[i].size);
		CHECK_EQ(get_le32(t + 32 + 24 * i), img.map[i].type);
	}
	t = info(14, 0);
	CHECK_EQ(get_le32(t + 4), 28);
	CHECK(!memcmp(t + 8, ram + FIXTURE_RSDP, 20));
	t = info(15, 0);
	CHECK_EQ(get_le32(t + 4), 44);
	CHECK(!memcmp(t + 8, ram + FIXTURE_RSDP, 36));
	image();
	img.rsdp = gpa(0);
	CHECK(load());
	CHECK(!info(14, 0) && !info(15, 0));
}

TEST(header_place)
{
	static uint8_t file[0x8400];

	fixture_begin();
	memset(file, 0, sizeof(file));
	begin_header(file + 0x8000 - 24);
	TAG(2, 0, 0x200000 + 0x7fe8, 0x200000, 0, 0);
	TAG(3, 0, 0x200000);
	end_header();
	CHECK(!fixture_load(file, 0x8000, "k")); /* found, but it ends behind the file */
	CHECK_STR(why.text, "k: the multiboot 2 header at offset 0x7fe8, 0x40 bytes, ends beyond "
			    "the file (0x8000 bytes)");
	CHECK(fixture_load(file, sizeof(file), "k"));
	CHECK_EQ(kind, LOAD_MULTIBOOT2);
	memmove(file + 0x8000, file + 0x7fe8, 64);
	memset(file + 0x7fe8, 0, 24);
	CHECK(!multiboot2_probe(&(struct load_file){.data = file, .size = sizeof(file)}));
}

TEST(address_tag)
{
	image();
	TAG(2, 0, 0x300100, 0x300000, 0x300400, 0x301000);
	TAG(3, 0, 0x300010);
	CHECK(load());
	check_protected32(0x300010);
	CHECK(!memcmp(ram + 0x300000, elf + HEADER_AT - 0x100, 0x400));
	CHECK(filled(0x300400, 0xc00, 0));
	CHECK_EQ(get_le64(ram + 0x100000), 0); /* the ELF header is not looked at */

	image(); /* -1: from the start of the file, to its end */
	TAG(2, 0, 0x301000, 0xffffffff, 0, 0);
	TAG(3, 0, 0x301010);
	CHECK(load());
	CHECK(!memcmp(ram + 0x300000, elf, elf_size));

	image();
	TAG(2, 0, 0x300000, 0x300000, 0, 0);
	refused("kernel.elf: the multiboot 2 header has addresses, but no entry tag");
	image();
	TAG(2, 0, 0x300000, 0x300000, 0, 0);
	TAG(3, 0, 0x2fffff);
	refused("kernel.elf: the entry 0x2fffff is outside the image (0x300000+0x800)");
	image();
	TAG(2, 0, 0x800, 0xffffffff, 0, 0);
	TAG(3, 0, 0x2fffff);
	refused("kernel.elf: address fields of the header at offset 0x1000 (header 0x800, load "
		"0xfffff800, load end 0x0, bss end 0x0): the load address is not in the file");
}

TEST(entry_tag_of_an_elf)
{
	image();
	TAG(3, 0, 0x100400);
	CHECK(load());
	CHECK_EQ(regs.rip, 0x100400);
}

TEST(relocatable)
{
	image(); /* where it is linked, since that is free */
	TAG(10, 0, 0x100000, 0xffffffff, 0x1000, 2);
	CHECK(load());
	CHECK_EQ(regs.rip, 0x100300);
	CHECK_EQ(get_le32(info(21, 0) + 8), 0x100000);

	image(); /* lowest place */
	TAG(10, 0, 0x234567, 0xffffffff, 0x10000, 1);
	CHECK(load());
	CHECK_EQ(regs.rip, 0x240300);
	CHECK_EQ(get_le32(info(21, 0) + 8), 0x240000);
	CHECK(filled(0x240200, 0x600, 0x11));
	CHECK_EQ(get_le64(ram + 0x100000), 0);

	image(); /* highest place, up to the last byte that may be used */
	TAG(10, 0, 0x200000, 0x2fffff, 0x1000, 2);
	CHECK(load());
	CHECK_EQ(get_le32(info(21, 0) + 8), 0x2fe000);

	image(); /* by its addresses */
	TAG(2, 0, 0xf0000000, 0xf0000000, 0, 0xf0002000);
	TAG(3, 0, 0xf0000010);
	TAG(10, 0, 0x200000, 0xffffffff, 0x1000, 0);
	CHECK(load());
	CHECK_EQ(regs.rip, 0x200010);

	image();
	TAG(10, 0, 0x200000, 0x200fff, 0x1000, 0);
	refused("kernel.elf: 0x1800 bytes find no free RAM within 0x200000-0x200fff, aligned to "
		"0x1000, where the relocatable tag allows the image");
	image();
	TAG(10, 0, 0x200000, 0x200fff, 0x3000, 0);
	refused("kernel.elf: multiboot 2 header tag 10 at offset 0x1010: the alignment is no power "
		"of two");
}

TEST(tags_passed_over)
{
	image();
	TAG(4, 0, 2);
	TAG(5, 0, 1024, 768, 32);
	tag(6, 0, NULL, 0);
	tag(7, 0, NULL, 0);
	TAG(8, 0, 0x12345678);
	TAG(9, 0, 0x12345678);
	TAG(77, OPTIONAL, 1, 2, 3);
	TAG(1, OPTIONAL, 9, 1000);
	TAG(4, OPTIONAL, 1);
	CHECK(load());
	CHECK_EQ(regs.rip, 0x100300);
}

TEST(required_tags_are_refused_by_number)
{
	image();
	TAG(77, 0, 1, 2, 3);
	refused("kernel.elf: multiboot 2 header tag 77 at offset 0x1010: required, but not known");
	image();
	TAG(1, 0, 1, 9);
	refused("kernel.elf: multiboot 2 header tag 1 at offset 0x1010: requires information tag "
		"9, which is not supported");
	image();
	TAG(1, 0, 22);
	refused("kernel.elf: multiboot 2 header tag 1 at offset 0x1010: requires information tag "
		"22, which is not supported");
	image();
	TAG(4, 0, 1);
	refused("kernel.elf: multiboot 2 header tag 4 at offset 0x1010: requires a screen, which "
		"guests do not have");
}

TEST(header_lies)
{
	image();
	put_le32(header + 4, 4);
	refused("kernel.elf: the multiboot 2 header at offset 0x1000 is for architecture 4, not "
		"i386");
	image();
	tag(3, 0, NULL, 0);
	refused("kernel.elf: multiboot 2 header tag 3 at offset 0x1010: its size does not fit");
	image();
	TAG(5, 0, 1, 2, 3);
	put_le32(header + 20, 7);
	refused("kernel.elf: multiboot 2 header tag 5 at offset 0x1010: its size does not fit");
	image();
	TAG(5, 0, 1, 2, 3);
	put_le32(header + 20, 0xfffffff8);
	refused("kernel.elf: multiboot 2 header tag 5 at offset 0x1010: its size does not fit");
	image();
	end_header();
	put_le16(header + 16, 5); /* no end */
	elf_refused("kernel.elf: the multiboot 2 header at offset 0x1000 has no end tag");
	image();
	end_header();
	elf[0] = 0;
	elf_refused("kernel.elf: neither an ELF file nor a header with an address tag");
}

TEST(every_truncation_and_byte_is_survived)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
	uint64_t full;

	image();
	TAG(10, 0, 0x100000, 0xffffffff, 0x1000, 2);
	TAG(3, 0, 0x100400);
	end_header();
	full = elf_size;
	for (uint64_t size = 0; size < full; size += size < 0x100 ? 1 : 7) {
		CHECK(!fixture_load(elf, size, "kernel.elf"));
	}
	for (unsigned i = 0; i < 88 * ARRAY_SIZE(values); i++) {
		image();
		TAG(2, 0, 0x300100, 0x300000, 0x300400, 0x301000);
		TAG(10, 0, 0x100000, 0xffffffff, 0x1000, 2);
		TAG(3, 0, 0x300010);
		end_header();
		header[16 + i / ARRAY_SIZE(values)] = values[i % ARRAY_SIZE(values)];
		put_le32(header + 12, -(0xe85250d6 + get_le32(header + 4) + get_le32(header + 8)));
		elf_load_file();
	}
}
