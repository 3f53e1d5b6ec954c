/*
 * boot/multiboot2.c on hand-built information blocks: each tag, the memory map's rules, and each
 * truncation.
 */
#include "boot/boot_info.h"
#include "hv/lib/bytes.h"
#include "tests/host/test.h"

static uint8_t blob[128 << 10];
static uint32_t blob_len;
static struct boot_info info;
static struct refusal why;

static void begin(void)
{
	memset(blob, 0, sizeof(blob));
	blob_len = 8;
}

static void tag(uint32_t type, const void *payload, uint32_t len)
{
	put_le32(blob + blob_len, type);
	put_le32(blob + blob_len + 4, 8 + len);
	memcpy(blob + blob_len + 8, payload, len);
	blob_len = (blob_len + 8 + len + 7) & ~7u;
}

static void end(void)
{
	tag(0, "", 0);
	put_le32(blob, blob_len);
}

/* Parses an exact copy on the heap, so that the sanitizer sees every byte read past the end. */
static bool parse_len(uint32_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	bool ok;

	memcpy(copy, blob, len);
	memset(&info, 0x5a, sizeof(info));
	memset(&why, 0, sizeof(why));
	ok = multiboot2_parse(&info, copy, len, &why);
	free(copy);
	return ok;
}

static bool parse(void)
{
	return parse_len(blob_len);
}

static uint8_t map[32 << 10];
static uint32_t map_len;

static void map_begin(uint32_t stride, uint32_t version)
{
	put_le32(map, stride);
	put_le32(map + 4, version);
	map_len = 8;
}

static void bios_entry(uint64_t base, uint64_t size, uint32_t type)
{
	put_le64(map + map_len, base);
	put_le64(map + map_len + 8, size);
	put_le32(map + map_len + 16, type);
	put_le32(map + map_len + 20, 0);
	map_len += 24;
}

static void efi_entry(uint64_t base, uint64_t pages, uint32_t type, uint64_t attribute)
{
	memset(map + map_len, 0xee, 48);
	put_le32(map + map_len, type);
	put_le64(map + map_len + 8, base);
	put_le64(map + map_len + 24, pages);
	put_le64(map + map_len + 32, attribute);
	map_len += 48;
}

static void usual_map(void)
{
	map_begin(24, 0);
	bios_entry(0, 0x9fc00, 1);
	bios_entry(0x9fc00, 0x400, 2);
	bios_entry(0xf0000, 0x10000, 2);
	bios_entry(0x100000, 0x7ee0000, 1);
	bios_entry(0x7fe0000, 0x20000, 3);
	tag(6, map, map_len);
}

static void check_region(unsigned i, uint64_t base, uint64_t size, uint32_t type)
{
	CHECK_EQ(info.memory[i].base, base);
	CHECK_EQ(info.memory[i].size, size);
	CHECK_EQ(info.memory[i].type, type);
}

TEST(usual_block)
{
	uint8_t module[64] = {0};

	begin();
	tag(1, "console=com1 x", 15);
	tag(2, "GRUB 2.06-13", 13);
	put_le32(module, 0x200000);
	put_le32(module + 4, 0x200123);
	memcpy(module + 8, "/boot/guests/mullion.conf and words", 36);
	tag(3, module, 8 + 36);
	memcpy(module + 8, "plain", 6);
	tag(3, module, 8 + 6);
	usual_map();
	tag(21, "\0\0\x40\0", 4);
	tag(99, "unknown", 7);
	end();
	CHECK(parse());
	CHECK_STR(why.text, "");
	CHECK_STR(info.cmdline, "console=com1 x");
	CHECK_STR(info.loader, "GRUB 2.06-13");
	CHECK_EQ(info.modules, 2);
	CHECK_STR(info.module[0].name, "mullion.conf");
	CHECK_STR(info.module[1].name, "plain");
	CHECK_EQ(info.module[0].start.v, 0x200000);
	CHECK_EQ(info.module[0].size, 0x123);
	CHECK_EQ(info.load_base.v, 0x400000);
	CHECK(!info.efi);
	CHECK(!info.rsdp_present);
	CHECK(!info.framebuffer.present);
	CHECK_EQ(info.memories, 5);
	check_region(0, 0, 0x9f000, MEMORY_RAM);
	check_region(1, 0x9f000, 0x1000, MEMORY_RESERVED);
	check_region(2, 0xf0000, 0x10000, MEMORY_RESERVED);
	check_region(3, 0x100000, 0x7ee0000, MEMORY_RAM);
	check_region(4, 0x7fe0000, 0x20000, MEMORY_ACPI);
}

TEST(map_overlap_reserved_wins)
{
	begin();
	map_begin(24, 0);
	bios_entry(0x300000, 0x100000, 1); /* not sorted */
	bios_entry(0, 0x200000, 1);
	bios_entry(0x80000, 0x100800, 2);  /* cuts a hole; its end grows to a page */
	bios_entry(0x100000, 0x200000, 1); /* overlaps and joins */
	bios_entry(0x350800, 0x800, 5);
	bios_entry(0x340000, 0x20000, 2);
	bios_entry(0x500000, 0, 1);	 /* empty */
	bios_entry(0x500800, 0x1000, 1); /* less than a whole page */
	bios_entry(0x600000, 0x1000, 77);
	tag(6, map, map_len);
	end();
	CHECK(parse());
	CHECK_EQ(info.memories, 8);
	check_region(0, 0, 0x80000, MEMORY_RAM);
	check_region(1, 0x80000, 0x101000, MEMORY_RESERVED);
	check_region(2, 0x181000, 0x340000 - 0x181000, MEMORY_RAM);
	check_region(3, 0x340000, 0x10000, MEMORY_RESERVED);
	check_region(4, 0x350000, 0x1000, MEMORY_BAD);
	check_region(5, 0x351000, 0xf000, MEMORY_RESERVED);
	check_region(6, 0x360000, 0xa0000, MEMORY_RAM);
	check_region(7, 0x600000, 0x1000, MEMORY_RESERVED);
}

/* Hundreds of entries in no order, over each other: page by page the strongest type counts. */
TEST(map_of_hundreds_of_entries)
{
	enum { PAGES = 600, ENTRIES = 550 };
	static uint32_t type[PAGES];
	uint32_t seed = 12345, page = 0;

	memset(type, 0, sizeof(type));
	begin();
	map_begin(24, 0);
	for (unsigned i = 0; i < ENTRIES; i++) {
		uint32_t first, n, t;

		seed = seed * 1664525 + 1013904223;
		first = (seed >> 8) % (PAGES - 8);
		n = 1 + (seed >> 20) % 2;
		t = (seed >> 24) % 3 ? 1 : 1 + (seed >> 26) % 5;
		bios_entry(0x100000 + (uint64_t)first * 4096, (uint64_t)n * 4096, t);
		for (unsigned p = first; p < first + n; p++) {
			type[p] = t > type[p] ? t : type[p];
		}
	}
	tag(6, map, map_len);
	end();
	CHECK(parse());
	CHECK(info.memories > 200);
	for (unsigned i = 0; i < info.memories; i++) {
		const struct boot_memory *m = &info.memory[i];

		CHECK(!i || info.memory[i - 1].base + info.memory[i - 1].size <= m->base);
		for (uint32_t at = (uint32_t)((m->base - 0x100000) / 4096); page < at; page++) {
			CHECK_EQ(type[page], 0);
		}
		for (uint64_t n = m->size / 4096; n; n--) {
			CHECK_EQ(type[page++], m->type);
		}
	}
	for (; page < PAGES; page++) {
		CHECK_EQ(type[page], 0);
	}
}

TEST(map_wrapping_entries)
{
	begin();
	map_begin(24, 0);
	bios_entry(0x100000, 0x100000, 1);
	bios_entry(0xffffffffff000000, 0x2000000, 2); /* beyond every address */
	bios_entry(0x1000000000, ~0ull, 2);	      /* wraps: clamped */
	tag(6, map, map_len);
	end();
	CHECK(parse());
	CHECK_EQ(info.memories, 2);
	check_region(1, 0x1000000000, BIT(52) - 0x1000000000, MEMORY_RESERVED);
}

TEST(efi_map_is_preferred)
{
	begin();
	usual_map();
	map_begin(48, 1);
	efi_entry(0x0, 0xa0, 7, 0xf);
	efi_entry(0x100000, 0x100, 2, 0xf); /* loader data: RAM */
	efi_entry(0x200000, 0x100, 3, 0xf); /* boot services: RAM */
	efi_entry(0x300000, 0x100, 4, 0xf);
	efi_entry(0x400000, 0x10, 6, BIT(63) | 0xf); /* runtime */
	efi_entry(0x410000, 0x10, 9, 0xf);
	efi_entry(0x420000, 0x10, 10, 0xf);
	efi_entry(0x430000, 0x10, 8, 0xf);
	efi_entry(0x440000, 0x10, 14, 0xf);	     /* persistent */
	efi_entry(0x450000, 0x10, 7, 0xf | BIT(18)); /* special purpose */
	efi_entry(0x460000, 0x10, 15, 0xf);	     /* unaccepted */
	efi_entry(0x470000, 0x10, 0x80000001, 0xf);  /* a loader's own */
	efi_entry(0x480000, ~0ull, 0, 0);	     /* too many pages: clamped */
	tag(17, map, map_len);
	end();
	CHECK(parse());
	CHECK(info.efi);
	CHECK_EQ(info.memories, 7);
	check_region(0, 0, 0xa0000, MEMORY_RAM);
	check_region(1, 0x100000, 0x300000, MEMORY_RAM);
	check_region(2, 0x400000, 0x10000, MEMORY_RESERVED);
	check_region(3, 0x410000, 0x10000, MEMORY_ACPI);
	check_region(4, 0x420000, 0x10000, MEMORY_NVS);
	check_region(5, 0x430000, 0x10000, MEMORY_BAD);
	check_region(6, 0x440000, BIT(52) - 0x440000, MEMORY_RESERVED);
}

TEST(rsdp_new_is_preferred)
{
	uint8_t old[20] = "RSD PTR \0OLDOEM", new[36] = "RSD PTR \0NEWOEM\2";

	begin();
	usual_map();
	tag(15, new, 36);
	tag(14, old, 20);
	end();
	CHECK(parse());
	CHECK(info.rsdp_present);
	CHECK(!memcmp(info.rsdp, new, 36));

	begin();
	usual_map();
	tag(14, old, 20);
	tag(15, new, 36);
	end();
	CHECK(parse());
	CHECK(!memcmp(info.rsdp, new, 36));
}

TEST(short_rsdp_of_revision_2_becomes_revision_0)
{
	uint8_t rsdp[20] = "RSD PTR \0OEMOEM\2";

	rsdp[8] = (uint8_t)-bytes_sum(rsdp, 20);
	begin();
	usual_map();
	tag(14, rsdp, 20);
	end();
	CHECK(parse());
	CHECK_EQ(info.rsdp[15], 0);
	CHECK_EQ(bytes_sum(info.rsdp, 20), 0);
}

TEST(framebuffer)
{
	uint8_t f[30] = {0};

	put_le64(f, 0xc0000000);
	put_le32(f + 8, 4096);
	put_le32(f + 12, 1024);
	put_le32(f + 16, 768);
	f[20] = 32;
	f[21] = 1;
	memcpy(f + 24, "\x10\x08\x08\x07\x00\x06", 6);
	begin();
	usual_map();
	tag(8, f, 30);
	end();
	CHECK(parse());
	CHECK(info.framebuffer.present);
	CHECK_EQ(info.framebuffer.base.v, 0xc0000000);
	CHECK_EQ(info.framebuffer.pitch, 4096);
	CHECK_EQ(info.framebuffer.width, 1024);
	CHECK_EQ(info.framebuffer.height, 768);
	CHECK_EQ(info.framebuffer.bpp, 32);
	CHECK_EQ(info.framebuffer.red_pos, 16);
	CHECK_EQ(info.framebuffer.green_size, 7);
	CHECK_EQ(info.framebuffer.blue_size, 6);

	begin();
	usual_map();
	tag(8, f, 29);
	end();
	CHECK(!parse());
	CHECK_STR(why.text, "boot information: tag 8 at offset 0x90: too short for a framebuffer's "
			    "colours");
	f[21] = 2; /* text mode needs no colours */
	begin();
	usual_map();
	tag(8, f, 24);
	end();
	CHECK(parse());
	CHECK_EQ(info.framebuffer.type, 2);
}

static void refused(const char *text)
{
	end();
	CHECK(!parse());
	CHECK_STR(why.text, text);
}

TEST(refusals)
{
	uint8_t module[MAX_FILE + 32] = {0};

	begin();
	refused("boot information: no memory map (tag 6 or 17)");
	begin();
	map_begin(16, 0);
	tag(6, map, 40);
	refused("boot information: tag 6 at offset 0x8: entries of the memory map are too short");
	begin();
	map_begin(24, 0);
	tag(17, map, 8);
	refused("boot information: tag 17 at offset 0x8: entries of the memory map are too short");
	begin();
	map_begin(24, 0);
	tag(6, map, 8);
	refused("boot information: the memory map is empty");
	begin();
	tag(1, "abc", 3);
	refused("boot information: tag 1 at offset 0x8: the command line does not end");
	begin();
	tag(3, module, 8);
	refused("boot information: tag 3 at offset 0x8: the module's string does not end");
	begin();
	put_le32(module, 0x1000);
	tag(3, module, 9);
	refused("boot information: tag 3 at offset 0x8: the module ends before it starts");
	begin();
	put_le32(module, 0);
	memset(module + 8, 'a', MAX_FILE);
	tag(3, module, 8 + MAX_FILE + 1);
	refused("boot information: tag 3 at offset 0x8: the module's name is too long");
	begin();
	tag(18, "", 0);
	refused("boot information: tag 18 at offset 0x8: the loader has left the firmware's boot "
		"services running");
	begin();
	tag(15, map, 35);
	refused("boot information: tag 15 at offset 0x8: too short for an RSDP");
}

TEST(too_many_regions_and_modules)
{
	static uint8_t many[8 + 24 * 1200], more[8 + 4097 * 20];
	uint8_t module[16] = {0};

	put_le32(many, 24);
	for (uint32_t i = 0; i < 1200; i++) {
		put_le64(many + 8 + 24 * i, 0x2000ull * i);
		put_le64(many + 8 + 24 * i + 8, 0x1000);
		put_le32(many + 8 + 24 * i + 16, 1);
	}
	begin();
	tag(6, many, sizeof(many));
	refused("boot information: the memory map has more than 512 regions");
	begin();
	put_le32(more, 20);
	tag(6, more, 8 + 4096 * 20);
	refused("boot information: the memory map is empty");
	begin();
	tag(6, more, sizeof(more));
	refused("boot information: tag 6 at offset 0x8: too many entries in the memory map");
	begin();
	usual_map();
	for (int i = 0; i <= BOOT_MODULES; i++) {
		tag(3, module, 9);
	}
	refused("boot information: tag 3 at offset 0x690: too many modules");
}

TEST(every_truncation_is_refused)
{
	uint32_t full;

	begin();
	tag(1, "a", 2);
	usual_map();
	end();
	full = blob_len;
	CHECK(parse());
	for (uint32_t len = 0; len < full; len++) {
		CHECK(!parse_len(len)); /* total_size says more */
		put_le32(blob, len);
		CHECK(!parse_len(len)); /* the end tag is missing */
		CHECK(why.text[0]);
		put_le32(blob, full);
	}
}

TEST(every_tag_size_is_survived)
{
	static const uint32_t sizes[] = {0,  1,	 7,  8,		 9,	     12,
					 16, 17, 20, 0x7fffffff, 0xfffffff8, 0xffffffff};

	for (uint32_t type = 0; type < 24; type++) {
		for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
			begin();
			tag(type, map, 40);
			usual_map();
			end();
			put_le32(blob + 12, sizes[i]);
			bool ok = parse(); /* the sanitizer judges; a refusal has words */
			CHECK(ok == !why.text[0]);
			CHECK(!ok || sizes[i] >= 8);
		}
	}
}
