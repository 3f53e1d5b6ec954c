/*
 * The UEFI loader's pure parts: SHA-256, digests in a PE section, the information block that it
 * writes (read back by boot/multiboot2.c), and the hypervisor's own ELF file.
 */
#include "boot/efi/digests.h"
#include "boot/efi/image.h"
#include "boot/efi/sha256.h"
#include "boot/efi/tags.h"
#include "hv/lib/bytes.h"
#include "tests/host/test.h"

static struct refusal why;

/* --- SHA-256: the examples of FIPS 180-4's "SHA256.pdf", and lengths around the padding --- */

static const char *hash(const void *data, size_t size)
{
	static char text[2 * SHA256_SIZE + 1];
	uint8_t digest[SHA256_SIZE];
	void *copy = malloc(size ? size : 1); /* exact: the sanitizer sees a read beyond it */

	memcpy(copy, data, size);
	sha256(digest, copy, size);
	free(copy);
	for (unsigned i = 0; i < SHA256_SIZE; i++) {
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	}
	return text;
}

TEST(sha256_examples)
{
	static char million[1000000];

	CHECK_STR(hash("", 0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	CHECK_STR(hash("abc", 3),
		  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	CHECK_STR(hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56),
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	memset(million, 'a', sizeof(million));
	CHECK_STR(hash(million, sizeof(million)),
		  "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* "a" 55, 56, 63, 64 and 65 times: where the length still fits into the last block, and not. */
TEST(sha256_padding)
{
	static const struct {
		size_t n;
		const char *digest;
	} wanted[] = {
		{55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
		{56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
		{63, "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34"},
		{64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
		{65, "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0"},
	};
	char a[65];

	memset(a, 'a', sizeof(a));
	for (unsigned i = 0; i < ARRAY_SIZE(wanted); i++) {
		CHECK_STR(hash(a, wanted[i].n), wanted[i].digest);
	}
}

/* --- digests --- */

#define ABC  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define NONE "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const char *checked(const char *text, const char *name, const char *data)
{
	struct digests d = {text, strlen(text)};

	memset(&why, 0, sizeof(why));
	return digests_check(&d, name, data, strlen(data), &why) ? "" : why.text;
}

TEST(digests_lines)
{
	static const char text[] = NONE "  empty\n" ABC "  abc\n" ABC "  last";

	CHECK_STR(checked(text, "abc", "abc"), "");
	CHECK_STR(checked(text, "last", "abc"), "");
	CHECK_STR(checked(text, "empty", ""), "");
	CHECK_STR(checked(text, "abc", "abd"),
		  "abc: changed since this loader was signed (its SHA-256 differs); "
		  "sign the image again");
	CHECK_STR(checked(text, "empty", "abc"),
		  "empty: changed since this loader was signed (its SHA-256 differs); "
		  "sign the image again");
	CHECK_STR(checked(text, "other", "abc"),
		  "other: this loader was signed without it; sign the image again");
	CHECK(checked(text, "ab", "abc")[0] != 0);
	CHECK(checked(text, "abcd", "abc")[0] != 0);
	CHECK(checked("", "abc", "abc")[0] != 0);
	CHECK(checked("ba78  abc\n", "abc", "abc")[0] != 0);
	CHECK(checked("ZZ7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  abc\n",
		      "abc", "abc")[0] != 0);
}

/* A PE file with one section before .digests, and that at 0x200. */
static size_t make_pe(uint8_t *pe, const char *section)
{
	memset(pe, 0, 0x400);
	put_le32(pe + 0x3c, 0x40);
	memcpy(pe + 0x40, "PE\0", 4);
	put_le16(pe + 0x46, 2);
	put_le16(pe + 0x54, 0x10); /* the optional header's size */
	memcpy(pe + 0x68, ".text", 5);
	memcpy(pe + 0x90, section, strlen(section));
	put_le32(pe + 0x90 + 8, 5);
	put_le32(pe + 0x90 + 12, 0x200);
	memcpy(pe + 0x200, "hello", 5);
	return 0x205;
}

static bool found(const uint8_t *pe, size_t size, struct digests *d)
{
	uint8_t *copy = malloc(size ? size : 1);
	bool ok;

	memcpy(copy, pe, size);
	ok = digests_find(d, copy, size);
	CHECK(!ok || (d->size == 5 && memcmp(d->text, "hello", 5) == 0));
	free(copy);
	return ok;
}

TEST(digests_section)
{
	static uint8_t pe[0x400];
	struct digests d;
	size_t size = make_pe(pe, ".digests");

	CHECK(found(pe, size, &d));
	for (size_t n = 0; n < size; n++) {
		CHECK(!found(pe, n, &d));
	}
	size = make_pe(pe, ".digest");
	CHECK(!found(pe, size, &d));
	CHECK(!d.text);
	size = make_pe(pe, ".digests");
	put_le32(pe + 0x3c, 0xfffffff0);
	CHECK(!found(pe, size, &d));
	size = make_pe(pe, ".digests");
	put_le16(pe + 0x46, 0xffff);
	CHECK(!found(pe, size, &d));
}

/* --- the information block --- */

static uint8_t block[4096] __attribute__((aligned(8)));
static struct boot_info info;

static void descriptor(uint8_t *map, unsigned i, uint32_t type, uint64_t base, uint64_t pages)
{
	memset(map + i * 48, 0, 48);
	put_le32(map + i * 48, type);
	put_le64(map + i * 48 + 8, base);
	put_le64(map + i * 48 + 24, pages);
}

static void write_all(struct tags *t, uint32_t room)
{
	static const struct boot_framebuffer screen = {.base = {0x80000000},
						       .pitch = 4096,
						       .width = 1024,
						       .height = 768,
						       .bpp = 32,
						       .type = 1,
						       .red_pos = 16,
						       .red_size = 8,
						       .green_pos = 8,
						       .green_size = 8,
						       .blue_pos = 0,
						       .blue_size = 8};
	static const uint8_t rsdp[36] = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' ', [15] = 2};
	uint8_t map[3 * 48];

	descriptor(map, 0, 7, 0x100000, 0x100);
	descriptor(map, 1, 9, 0x200000, 1);
	descriptor(map, 2, 2, 0x201000, 1);
	tags_begin(t, block, room);
	tags_load_base(t, 0x600000);
	tags_cmdline(t, "console=com2 check-pages");
	tags_loader(t, "a loader");
	tags_module(t, 0x7000, 0x123, "mullion.conf");
	tags_module(t, 0x8000, 1, "bzImage");
	tags_framebuffer(t, &screen);
	tags_rsdp(t, rsdp, sizeof(rsdp));
	tags_memory_map(t, map, sizeof(map), 48, 1);
}

TEST(tags_read_back)
{
	struct tags t;

	write_all(&t, sizeof(block));
	CHECK(tags_end(&t));
	memset(&why, 0, sizeof(why));
	CHECK(multiboot2_parse(&info, block, t.used, &why));
	CHECK_STR(why.text, "");
	CHECK(info.efi);
	CHECK_EQ(info.load_base.v, 0x600000);
	CHECK_STR(info.cmdline, "console=com2 check-pages");
	CHECK_STR(info.loader, "a loader");
	CHECK_EQ(info.modules, 2);
	CHECK_STR(info.module[0].name, "mullion.conf");
	CHECK_EQ(info.module[0].start.v, 0x7000);
	CHECK_EQ(info.module[0].size, 0x123);
	CHECK_STR(info.module[1].name, "bzImage");
	CHECK_EQ(info.module[1].size, 1);
	CHECK(info.framebuffer.present);
	CHECK_EQ(info.framebuffer.base.v, 0x80000000);
	CHECK_EQ(info.framebuffer.pitch, 4096);
	CHECK_EQ(info.framebuffer.width, 1024);
	CHECK_EQ(info.framebuffer.height, 768);
	CHECK_EQ(info.framebuffer.bpp, 32);
	CHECK_EQ(info.framebuffer.red_pos, 16);
	CHECK_EQ(info.framebuffer.blue_size, 8);
	CHECK(info.rsdp_present);
	CHECK_EQ(info.rsdp[15], 2);
	CHECK_EQ(info.memories, 3);
	CHECK_EQ(info.memory[0].base, 0x100000);
	CHECK_EQ(info.memory[0].size, 0x100000);
	CHECK_EQ(info.memory[1].type, MEMORY_ACPI);
	CHECK_EQ(info.memory[2].type, MEMORY_RAM);
}

/* The map goes out as it is: descriptors that are too short for one are the reader's to refuse. */
TEST(tags_map_as_it_is)
{
	uint8_t map[3 * 48] = {0};
	struct tags t;

	tags_begin(&t, block, sizeof(block));
	tags_memory_map(&t, map, sizeof(map), 39, 7);
	CHECK(tags_end(&t));
	CHECK_EQ(get_le32(block + 8), 17);
	CHECK_EQ(get_le32(block + 12), 16 + sizeof(map));
	CHECK_EQ(get_le32(block + 16), 39);
	CHECK_EQ(get_le32(block + 20), 7);
	memset(&why, 0, sizeof(why));
	CHECK(!multiboot2_parse(&info, block, t.used, &why));
	CHECK(strstr(why.text, "entries of the memory map are too short"));
}

/* Whatever the room, nothing is written beyond it, and a block without all tags is told. */
TEST(tags_room)
{
	struct tags t;
	uint32_t needed;

	write_all(&t, sizeof(block));
	CHECK(tags_end(&t));
	needed = t.used;
	for (uint32_t room = 0; room < needed; room++) {
		memset(block, 0xa5, sizeof(block));
		write_all(&t, room);
		CHECK(!tags_end(&t));
		CHECK_EQ(block[room], 0xa5);
	}
	write_all(&t, needed);
	CHECK(tags_end(&t));
}

TEST(tags_map_room)
{
	struct tags t;
	uint8_t map[10 * 48] = {0};

	tags_begin(&t, block, 8 + (uint32_t)tags_memory_map_room(sizeof(map)));
	tags_memory_map(&t, map, sizeof(map), 48, 1);
	CHECK(!t.full);
}

/* --- the hypervisor's file --- */

enum { FILE_SIZE = 0x2000, LOW = 0x200000 };
static uint8_t elf[FILE_SIZE];

static void segment(unsigned i, uint32_t offset, uint64_t paddr, uint64_t filesz, uint64_t memsz)
{
	uint8_t *ph = elf + 64 + i * 56;

	put_le32(ph, 1);
	put_le64(ph + 8, offset);
	put_le64(ph + 16, 0xffffffff80000000 + paddr);
	put_le64(ph + 24, paddr);
	put_le64(ph + 32, filesz);
	put_le64(ph + 40, memsz);
}

static void make_elf(void)
{
	static const uint32_t relocatable[] = {10, 24, 0x100000, 0x7fffffff, 0x200000, 1};
	uint8_t *h = elf + 0x1000;

	memset(elf, 0, sizeof(elf));
	memcpy(elf, "\177ELF\2\1\1", 7);
	put_le16(elf + 16, 2);
	put_le16(elf + 18, 62);
	put_le64(elf + 24, 0xffffffff80200100);
	put_le64(elf + 32, 64);
	put_le16(elf + 54, 56);
	put_le16(elf + 56, 2);
	segment(0, 0x1000, LOW, 0x800, 0x800);
	segment(1, 0x1800, LOW + 0x1000, 0x10, 0x3000);
	put_le32(h, 0xe85250d6);
	put_le32(h + 8, 56);
	memcpy(h + 16, (const uint32_t[]){6, 8}, 8);
	memcpy(h + 24, relocatable, sizeof(relocatable));
	memcpy(h + 48, (const uint32_t[]){0, 8}, 8);
	put_le32(h + 12, -(0xe85250d6 + 56));
	memset(elf + 0x1800, 0x77, 0x10);
}

static const char *open_elf(struct image *image, size_t size)
{
	static uint8_t *copy;

	free(copy);
	copy = malloc(size ? size : 1);
	memcpy(copy, elf, size);
	memset(&why, 0, sizeof(why));
	return image_open(image, "m.elf", copy, size, &why) ? "" : why.text;
}

TEST(image_sound)
{
	struct image image;
	uint8_t *memory = calloc(1, 0x4000);

	make_elf();
	CHECK_STR(open_elf(&image, FILE_SIZE), "");
	CHECK_EQ(image.low, LOW);
	CHECK_EQ(image.high, LOW + 0x4000);
	CHECK_EQ(image.entry, LOW + 0x100);
	CHECK_EQ(image.min, 0x100000);
	CHECK_EQ(image.max, 0x7fffffff);
	CHECK_EQ(image.align, 0x200000);
	CHECK(image_copy(&image, memory, &why));
	CHECK_EQ(get_le32(memory), 0xe85250d6);
	CHECK_EQ(memory[0x100f], 0x77);
	CHECK_EQ(memory[0x1010], 0);
	free(memory);
}

/* Cut anywhere before its last segment's end, it is refused by name. */
TEST(image_truncated)
{
	struct image image;

	make_elf();
	for (size_t n = 0; n < 0x1810; n++) {
		CHECK(strncmp(open_elf(&image, n), "m.elf: ", 7) == 0);
	}
	CHECK_STR(open_elf(&image, 0x1810), "");
}

TEST(image_refused)
{
	struct image image;

	make_elf();
	put_le32(elf + 0x1000, 0);
	CHECK_STR(open_elf(&image, FILE_SIZE), "m.elf: not Mullion: no relocatable multiboot2 "
					       "header in its first 32 KiB");
	make_elf();
	put_le16(elf + 0x1018, 11);
	CHECK(strstr(open_elf(&image, FILE_SIZE), "no relocatable multiboot2 header"));
	make_elf();
	put_le32(elf + 0x1018 + 16, 0x300000);
	CHECK(strstr(open_elf(&image, FILE_SIZE), "allows no place"));
	make_elf();
	put_le32(elf + 0x1018 + 16, 0);
	CHECK(strstr(open_elf(&image, FILE_SIZE), "allows no place"));
	make_elf();
	put_le32(elf + 0x1018 + 12, 0x1000);
	CHECK(strstr(open_elf(&image, FILE_SIZE), "allows no place"));
	make_elf();
	segment(1, 0x1800, LOW + 0x1000, 0x10, MIB(600));
	CHECK(strstr(open_elf(&image, FILE_SIZE), "wants 600 MiB of memory"));
}
