/*
 * hv/load/flat.c: flat images in real mode.
 */
#include "tests/host/load_fixture.h"

static uint8_t file[0x300];

static bool load(uint64_t at, uint64_t entry)
{
	fixture_begin();
	memset(file, 0x90, sizeof(file));
	img.flat = true;
	img.flat_load = at;
	img.flat_entry = entry;
	return fixture_load(file, sizeof(file), "boot.bin");
}

TEST(entered_at_the_paragraph)
{
	CHECK(load(0x7c00, 0x7c35));
	CHECK_EQ(kind, LOAD_FLAT);
	CHECK(!memcmp(ram + 0x7c00, file, sizeof(file)));
	CHECK_EQ(regs.cs.selector, 0x7c3);
	CHECK_EQ(regs.cs.base, 0x7c30);
	CHECK_EQ(regs.cs.limit, 0xffff);
	CHECK_EQ(regs.rip, 5);
	CHECK_EQ(regs.cr0 & CR0_PE, 0);
	CHECK(load(0, 0));
	CHECK_EQ(regs.cs.base | regs.rip, 0);
	CHECK(load(0xffd00, 0xfffff));
	CHECK_EQ(regs.cs.selector, 0xffff);
	CHECK_EQ(regs.rip, 0xf);
}

TEST(image_like_a_kernel_stays_flat)
{
	fixture_begin();
	memcpy(file, "\177ELF", 4);
	img.flat = true;
	img.flat_load = img.flat_entry = 0x1000;
	CHECK(fixture_load(file, sizeof(file), "boot.bin"));
	CHECK_EQ(kind, LOAD_FLAT);
}

static void refused(uint64_t at, uint64_t entry, const char *text)
{
	CHECK(!load(at, entry));
	CHECK_STR(why.text, text);
}

TEST(refusals)
{
	refused(0x100000, 0x100000, "boot.bin: entry 0x100000 is out of real mode's reach (1 MiB)");
	refused(0x7c00, 0x7bff, "boot.bin: entry 0x7bff is outside the image (0x7c00+0x300)");
	refused(0x7c00, 0x7f00, "boot.bin: entry 0x7f00 is outside the image (0x7c00+0x300)");
	refused(0x9ff00, 0x9ff00, "boot.bin: 0x9ff00+0x300 is not all RAM of this guest");
	refused(~0ull, 0, "boot.bin: entry 0x0 is outside the image (0xffffffffffffffff+0x300)");
	fixture_begin();
	img.flat = true;
	CHECK(!fixture_load("", 0, "boot.bin"));
	CHECK_STR(why.text, "boot.bin: the file is empty");
	fixture_begin();
	img.flat = true;
	img.initrd = (struct load_file){file, 1, "initrd.img", ""};
	CHECK(!fixture_load(file, 16, "boot.bin"));
	CHECK_STR(why.text, "boot.bin: an image of kind flat takes no initrd (initrd.img)");
}
