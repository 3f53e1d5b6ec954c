/*
 * hv/load/linux.c on hand-built bzImages: entry states, zero page, placement, and what is refused
 * and why. Real kernels are tried, too, where `make run` has left them in build/linux.
 */
#include "tests/host/load_fixture.h"

enum { SETUP_SECTS = 3, SETUP = (SETUP_SECTS + 1) * 512, KERNEL = 0x5000, SIZE = SETUP + KERNEL };

static uint8_t file[SIZE];

/* A 64-bit relocatable kernel of protocol 2.15, wanting 1 MiB from 2 MiB. */
static void image(void)
{
	fixture_begin();
	for (unsigned i = 0; i < SIZE; i++) {
		file[i] = (uint8_t)(i * 7 + (i >> 8));
	}
	memset(file + 0x1f1, 0, 0x80);
	file[0x1f1] = SETUP_SECTS;
	put_le32(file + 0x1f4, KERNEL / 16);
	put_le16(file + 0x1fe, 0xaa55);
	file[0x200] = 0xeb;
	file[0x201] = 0x6a;
	memcpy(file + 0x202, "HdrS", 4);
	put_le16(file + 0x206, 0x20f);
	file[0x211] = 1;
	put_le32(file + 0x214, 0x100000);
	put_le32(file + 0x22c, 0x7fffffff);
	put_le32(file + 0x230, 0x200000);
	file[0x234] = 1;
	file[0x235] = 21;
	put_le16(file + 0x236, 0x7f);
	put_le32(file + 0x238, 2047);
	put_le64(file + 0x258, 0x200000);
	put_le32(file + 0x260, 0x100000);
}

static bool load(void)
{
	return fixture_load(file, SIZE, "bzImage");
}

static uint8_t *zero_page(void)
{
	return ram + regs.gpr[RSI];
}

TEST(entered_in_64_bit_mode)
{
	image();
	img.cmdline = "console=ttyS0 quiet";
	CHECK(load());
	CHECK_STR(why.text, "");
	CHECK_EQ(kind, LOAD_LINUX);
	check_long64(0x200000 + 0x200);
	CHECK_EQ(regs.gpr[RSI] & PAGE_MASK, 0);
	CHECK(!memcmp(ram + 0x200000, file + SETUP, KERNEL));

	uint8_t *z = zero_page();

	CHECK(!memcmp(z + 0x1f1, file + 0x1f1, 0x1fa - 0x1f1));
	CHECK_EQ(get_le32(z + 0x202), get_le32("HdrS"));
	CHECK_EQ(get_le32(z + 0x260), 0x100000);
	CHECK_EQ(z[0x1ef], 0); /* the sentinel: the page is clean otherwise */
	CHECK_EQ(z[0x202 + 0x6a], 0);
	CHECK_EQ(z[0x210], 0xff);
	CHECK_EQ(get_le32(z + 0x214), 0x200000);
	CHECK_STR((char *)ram + get_le32(z + 0x228), "console=ttyS0 quiet");
	CHECK_EQ(get_le64(z + 0x70), FIXTURE_RSDP);
	CHECK_EQ(get_le32(z + 0x218), 0);
	CHECK_EQ(get_le32(z + 0x21c), 0);
	CHECK_EQ(z[0x1e8], 4);
	CHECK_EQ(get_le64(z + 0x2d0), 0);
	CHECK_EQ(get_le64(z + 0x2d8), 0x9fc00);
	CHECK_EQ(get_le32(z + 0x2e0), 1);
	CHECK_EQ(get_le64(z + 0x2d0 + 60), 0x100000);
	CHECK_EQ(get_le64(z + 0x2d0 + 68), FIXTURE_MEMORY - 0x100000);
	CHECK_EQ(get_le32(z + 0x2d0 + 40 + 16), 2);
}

TEST(entered_in_32_bit_mode)
{
	image();
	put_le16(file + 0x236, 0);
	CHECK(load());
	check_protected32(0x200000);
	CHECK_EQ(regs.gpr[RBP] | regs.gpr[RDI] | regs.gpr[RBX], 0);
	CHECK_EQ(get_le32(zero_page() + 0x214), 0x200000);

	image();
	put_le16(file + 0x206, 0x20b); /* xloadflags came with 2.12 */
	CHECK(load());
	check_protected32(0x200000);
}

TEST(initrd_high_below_its_limit)
{
	static uint8_t initrd[0x3456];

	memset(initrd, 0xda, sizeof(initrd));
	image();
	img.initrd = (struct load_file){initrd, sizeof(initrd), "initrd.img", ""};
	CHECK(load());
	CHECK_EQ(get_le32(zero_page() + 0x218), FIXTURE_MEMORY - 0x4000);
	CHECK_EQ(get_le32(zero_page() + 0x21c), sizeof(initrd));
	CHECK(!memcmp(ram + FIXTURE_MEMORY - 0x4000, initrd, sizeof(initrd)));

	image();
	img.initrd = (struct load_file){initrd, sizeof(initrd), "initrd.img", ""};
	put_le32(file + 0x22c, 0x8037ff); /* the last byte that it may have */
	CHECK(load());
	CHECK_EQ(get_le32(zero_page() + 0x218), 0x800000);

	image();
	img.initrd = (struct load_file){initrd, sizeof(initrd), "initrd.img", ""};
	put_le32(file + 0x22c, 0x803454); /* one less than 0x800000 would take */
	CHECK(load());
	CHECK_EQ(get_le32(zero_page() + 0x218), 0x7ff000);

	image();
	img.initrd = (struct load_file){initrd, sizeof(initrd), "initrd.img", ""};
	put_le32(file + 0x22c, 0x2fffff); /* only what is below the kernel is left */
	CHECK(load());
	CHECK_EQ(get_le32(zero_page() + 0x218), 0x200000 - 0x4000);

	image();
	img.initrd = (struct load_file){initrd, sizeof(initrd), "initrd.img", ""};
	put_le32(file + 0x22c, 0x102fff);
	CHECK(!load());
	CHECK_STR(why.text,
		  "bzImage: the initrd initrd.img of 0x3456 bytes finds no free RAM up to "
		  "0x102fff (initrd_addr_max, offset 0x22c)");
	image();
	img.initrd = (struct load_file){initrd, 0, "initrd.img", ""};
	CHECK(!load());
	CHECK_STR(why.text, "bzImage: the initrd initrd.img is empty");
}

TEST(placement)
{
	/* Not relocatable: loaded at code32_start, runs at pref_address. */
	image();
	file[0x234] = 0;
	CHECK(load());
	CHECK_EQ(regs.rip, 0x100200);
	CHECK(!memcmp(ram + 0x100000, file + SETUP, KERNEL));
	/* pref_address is not aligned: aligned up. */
	image();
	put_le64(file + 0x258, 0x201000);
	CHECK(load());
	CHECK_EQ(regs.rip, 0x400200);
	/* Before 2.10 there is neither pref_address nor init_size. */
	image();
	put_le16(file + 0x206, 0x209);
	put_le32(file + 0x260, 0xffffffff);
	put_le32(file + 0x230, 0x100000);
	CHECK(load());
	check_protected32(0x100000);
	/* All memory up to the last byte. */
	image();
	put_le32(file + 0x260, FIXTURE_MEMORY - 0x200000);
	CHECK(load());
	image();
	put_le32(file + 0x260, FIXTURE_MEMORY - 0x200000 + 1);
	CHECK(!load());
	CHECK_STR(why.text, "bzImage: needs 0xe00001 bytes of RAM from 0x200000 (init_size, "
			    "pref_address): there is no such free range; the guest has 0x1000000 "
			    "bytes");
	image();
	file[0x234] = 0;
	put_le64(file + 0x258, 0x8000000);
	CHECK(!load());
	CHECK_STR(why.text,
		  "bzImage: needs 0x8000000 bytes of RAM from 0x100000 (init_size, "
		  "pref_address): is not RAM of this guest; the guest has 0x1000000 bytes");
	image();
	file[0x234] = 0;
	put_le64(file + 0x258, ~0ull);
	CHECK(!load());
	CHECK_STR(why.text, "bzImage: needs 0x100000 bytes of RAM from 0xffffffffffffffff "
			    "(init_size, pref_address): it ends above 4 GiB; the guest has "
			    "0x1000000 bytes");
	image();
	put_le32(file + 0x230, 0x300000);
	CHECK(!load());
	CHECK_STR(why.text, "bzImage: kernel_alignment 0x300000 (offset 0x230) is no power of two");
}

/* The header of iPXE's ipxe.lkrn, field by field as that file has them. */
TEST(ipxe_is_refused_by_its_reason)
{
	image();
	put_le16(file + 0x206, 0x207);
	put_le32(file + 0x214, 0);
	put_le32(file + 0x22c, 0xffffffff);
	put_le32(file + 0x230, 0);
	file[0x201] = 0x65;
	file[0x234] = 0;
	put_le32(file + 0x236, 0);
	memcpy(file + 0x248, "1.0.0+git-20190125.36a4c85", 26);
	CHECK(!load());
	CHECK_STR(why.text, "bzImage: needs the 16-bit BIOS entry, which guests do not have: "
			    "code32_start is 0 (offset 0x214)");
	put_le32(file + 0x214, 0x100000);
	CHECK(!load());
	CHECK_STR(why.text, "bzImage: needs the 16-bit BIOS entry, which guests do not have: "
			    "kernel_alignment is 0 (offset 0x230)");
	image();
	file[0x211] = 0; /* a zImage */
	CHECK(!load());
	CHECK_STR(why.text, "bzImage: needs the 16-bit BIOS entry, which guests do not have: "
			    "LOADED_HIGH is not set (offset 0x211)");
}

static void refused(uint64_t size, const char *text)
{
	CHECK(!fixture_load(file, size, "bzImage"));
	CHECK_STR(why.text, text);
}

TEST(refusals)
{
	image();
	put_le16(file + 0x206, 0x205);
	refused(SIZE, "bzImage: boot protocol 2.05 (offset 0x206) is too old: Linux 2.6.22 and "
		      "later have 2.06");
	image();
	refused(SETUP, "bzImage: setup_sects (offset 0x1f1): the 16-bit code of 0x800 bytes ends "
		       "beyond the file (0x800 bytes)");
	image();
	refused(SIZE - 16, "bzImage: syssize (offset 0x1f4): file range 0x800+0x5000 ends beyond "
			   "the file (0x57f0 bytes)");
	image();
	file[0x201] = 0x39;
	refused(SIZE, "bzImage: the header ends at offset 0x23b, before its fields");
	image();
	put_le32(file + 0x238, 4);
	img.cmdline = "quiet";
	refused(SIZE, "bzImage: the command line has 5 characters, the kernel takes 4 "
		      "(cmdline_size, offset 0x238)");
	image();
	fixture_module("m", "", "x", 1);
	refused(SIZE, "bzImage: an image of kind Linux takes no modules (m)");
}

TEST(sizes_of_real_images)
{
	image(); /* the last 15 bytes may be missing: the size is told in units of 16 */
	CHECK(fixture_load(file, SIZE - 15, "bzImage"));
	image(); /* a signature may follow, and is not loaded */
	put_le32(file + 0x1f4, KERNEL / 16 - 1);
	CHECK(load());
	CHECK_EQ(get_le64(ram + 0x200000 + KERNEL - 16), 0);
	image(); /* setup_sects 0 means 4 */
	file[0x1f1] = 0;
	put_le32(file + 0x1f4, 0);
	CHECK(load());
	CHECK(!memcmp(ram + 0x200000, file + 5 * 512, 64));
}

TEST(an_image_loads_again_the_same)
{
	struct vcpu_regs first;

	image();
	CHECK(load());
	first = regs;
	image();
	CHECK(load());
	CHECK(!memcmp(&first, &regs, sizeof(regs)));
}

TEST(every_truncation_is_survived)
{
	image();
	for (uint64_t size = 0; size < SETUP + 32; size++) {
		CHECK(!fixture_load(file, size, "bzImage"));
		image();
	}
}

TEST(every_header_byte_is_survived)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};

	for (unsigned at = 0x1f1; at < 0x270; at++) {
		for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
			image();
			file[at] = values[i];
			load(); /* accepted or refused with words; the sanitizer sees the rest */
		}
	}
}

static bool load_real(const char *path, uint64_t memory)
{
	FILE *f = fopen(path, "rb");
	static uint8_t real[32 << 20];
	bool ok;

	if (!f) {
		printf("%s is not there: not tried\n", path);
		return false;
	}
	fixture_begin_sized(memory, memory / 2);
	ok = fixture_load(real, fread(real, 1, sizeof(real), f), path);
	fclose(f);
	CHECK(ok);
	CHECK_STR(why.text, "");
	return ok;
}

TEST(real_kernels)
{
	if (load_real("build/linux/bzImage", MIB(512))) {
		check_long64(0x1000200);
	}
	if (load_real("build/linux/bzImage-generic", MIB(512))) {
		check_long64(0x1000200);
	}
	if (load_real("build/linux/bzImage-i386", MIB(256))) {
		check_protected32(0x1000000);
	}
}
