/*
 * hv/load/elf.c and elf64.c: plain ELF64 guests, and every way in which an ELF file can lie.
 */
#include "tests/host/elf_fixture.h"

static void image(void)
{
	fixture_begin();
	elf_begin(true, 62, 0x100010);
	elf_add(0x100000, 0x100000, 0x1234, 0x1234, 0x11);
	elf_add(0x102000, 0x102000, 0x100, 0x5000, 0x22);
	elf_add(0x7ff000, 0x7ff000, 0x3000, 0x3000, 0x33); /* across two ranges of RAM */
}

TEST(plain_elf64)
{
	image();
	img.cmdline = "one two";
	CHECK(elf_load_file());
	CHECK_STR(why.text, "");
	CHECK_EQ(kind, LOAD_ELF64);
	check_long64(0x100010);
	CHECK(filled(0x100000, 0x1234, 0x11));
	CHECK(filled(0x101234, 0x102000 - 0x101234, 0));
	CHECK(filled(0x102000, 0x100, 0x22));
	CHECK(filled(0x102100, 0x4f00, 0));
	CHECK(filled(0x7ff000, 0x3000, 0x33));
	CHECK_STR((char *)ram + regs.gpr[RDI], "one two");
	CHECK_EQ(regs.gpr[RSI], FIXTURE_RSDP);
	CHECK_EQ(regs.gpr[RSP] & 15, 8);
	CHECK(regs.gpr[RSP] < 0x9fc00);
	CHECK_EQ(regs.gpr[RAX] | regs.gpr[RBX] | regs.gpr[RBP] | regs.gpr[R15], 0);
}

TEST(linked_high_is_entered_low)
{
	fixture_begin();
	elf_begin(true, 62, 0xffffffff80100020);
	elf_add(0x100000, 0xffffffff80100000, 0x100, 0x100, 1);
	CHECK(elf_load_file());
	CHECK_EQ(regs.rip, 0x100020);
	/* An entry that is physical already is taken as it is. */
	fixture_begin();
	elf_begin(true, 62, 0x100020);
	elf_add(0x100000, 0xffffffff80100000, 0x100, 0x100, 1);
	CHECK(elf_load_file());
	CHECK_EQ(regs.rip, 0x100020);
}

TEST(environment_gives_way_to_the_image)
{
	fixture_begin();
	elf_begin(true, 62, 0x1000);
	elf_add(0x1000, 0x1000, 0x100, 0x9e000, 1); /* all low memory */
	CHECK(elf_load_file());
	CHECK(regs.cr3 >= 0x100000);
	check_long64(0x1000);
}

TEST(ignored_headers)
{
	image();
	put_le32(elf_ph(elf_add(~0ull, ~0ull, 0, ~0ull, 0)), 4); /* a note */
	elf_add(0x100000, 0x100000, 0, 0, 0);			 /* nothing */
	CHECK(elf_load_file());
}

TEST(file_header_lies)
{
	image();
	elf[18] = 40;
	elf_refused("kernel.elf: e_machine (offset 0x12) is 40: not for x86");
	image();
	elf[4] = 3;
	elf_refused("kernel.elf: ELF class 3, data encoding 1 (offset 0x4): not for x86");
	image();
	elf[5] = 2;
	elf_refused("kernel.elf: ELF class 2, data encoding 2 (offset 0x4): not for x86");
	image();
	elf[16] = 1;
	elf_refused("kernel.elf: e_type (offset 0x10) is 1: not an executable");
	image();
	elf[16] = 3;
	elf_refused("kernel.elf: e_type (offset 0x10) is 3: link it at fixed addresses");
	image();
	put_le16(elf + 56, 0);
	elf_refused("kernel.elf: e_phnum (offset 0x38) is 0: no program headers");
	image();
	put_le16(elf + 56, 0xffff);
	elf_refused("kernel.elf: e_phnum (offset 0x38) is 65535: no program headers");
	image();
	put_le16(elf + 54, 55);
	elf_refused("kernel.elf: e_phentsize (offset 0x36) is 55, less than 56");
	image();
	put_le64(elf + 32, 0x5400);
	elf_refused("kernel.elf: 3 program headers at offset 0x5400 end beyond the file (0x5334 "
		    "bytes)");
	image();
	put_le64(elf + 32, 0xfffffffffffffff0);
	elf_refused("kernel.elf: 3 program headers at offset 0xfffffffffffffff0 end beyond the "
		    "file (0x5334 bytes)");
	fixture_begin();
	elf_begin(false, 3, 0x100000);
	elf_add(0x100000, 0x100000, 0x100, 0x100, 1);
	elf_refused("kernel.elf: a 32-bit ELF file without a multiboot header");
	fixture_begin();
	elf_begin(true, 62, 0x100000);
	put_le32(elf_ph(elf_add(0x100000, 0x100000, 0x100, 0x100, 1)), 6);
	elf_refused("kernel.elf: no program header says what to load");
}

TEST(program_header_lies)
{
	image();
	elf_set(2, F_FILESZ, 0x5000);
	elf_refused("kernel.elf: program header 2 at offset 0xb0: file range 0x2334+0x5000 ends "
		    "beyond the file (0x5334 bytes)");
	image();
	elf_set(2, F_OFFSET, 0xfffffffffffff000);
	elf_refused("kernel.elf: program header 2 at offset 0xb0: file range "
		    "0xfffffffffffff000+0x3000 ends beyond the file (0x5334 bytes)");
	image();
	elf_set(1, F_MEMSZ, 0xff);
	elf_refused("kernel.elf: program header 1 at offset 0x78: memory size 0xff is less than "
		    "file size 0x100");
	image();
	elf_set(1, F_MEMSZ, ~0ull);
	elf_refused("kernel.elf: program header 1 at offset 0x78: memory "
		    "0x102000+0xffffffffffffffff ends above 4 GiB");
	image();
	elf_set(1, F_PADDR, ~0ull);
	elf_refused("kernel.elf: program header 1 at offset 0x78: memory "
		    "0xffffffffffffffff+0x5000 ends above 4 GiB");
	image();
	elf_set(1, F_PADDR, 0x101000);
	elf_refused("kernel.elf: program header 1 at offset 0x78: memory 0x101000+0x5000 overlaps "
		    "what was loaded before");
	image();
	elf_set(2, F_PADDR, 0x100000);
	elf_refused("kernel.elf: program header 2 at offset 0xb0: memory 0x100000+0x3000 overlaps "
		    "what was loaded before");
	image();
	elf_set(1, F_PADDR, 0x9f000); /* runs into the VGA hole */
	elf_refused("kernel.elf: program header 1 at offset 0x78: memory 0x9f000+0x5000 is not RAM "
		    "of this guest");
	image();
	elf_set(1, F_PADDR, 0xdffff); /* would cover the ACPI tables */
	elf_refused("kernel.elf: program header 1 at offset 0x78: memory 0xdffff+0x5000 is not RAM "
		    "of this guest");
	image();
	elf_set(1, F_PADDR, FIXTURE_MEMORY - 0x4fff);
	elf_refused("kernel.elf: program header 1 at offset 0x78: memory 0xffb001+0x5000 is not "
		    "RAM of this guest");
	image();
	elf_set(1, F_PADDR, FIXTURE_MEMORY - 0x5000);
	CHECK(elf_load_file());
	image();
	put_le64(elf + 24, 0x50);
	elf_refused("kernel.elf: the entry 0x50 (e_entry, offset 0x18) is in no segment that is "
		    "loaded");
}

TEST(more_segments_than_fit)
{
	fixture_begin();
	elf_begin(true, 62, 0x100000);
	elf_size = 0x8000;
	for (unsigned i = 0; i < 200; i++) {
		elf_add(0x100000 + i * 0x100, 0x100000 + i * 0x100, 1, 0x100, 1);
	}
	elf_refused("kernel.elf: program header 128 at offset 0x1c40: memory 0x108000+0x100 is one "
		    "piece too many");
}

TEST(no_initrd_and_no_modules)
{
	image();
	img.initrd = (struct load_file){(const uint8_t *)"x", 1, "initrd.img", ""};
	elf_refused("kernel.elf: an image of kind ELF64 takes no initrd (initrd.img)");
	image();
	fixture_module("data", "", "x", 1);
	elf_refused("kernel.elf: an image of kind ELF64 takes no modules (data)");
}

TEST(not_an_image)
{
	fixture_begin();
	CHECK(!fixture_load("#!/bin/sh\n", 10, "script"));
	CHECK_STR(why.text,
		  "script: no known image: no Linux header at offset 0x202, no multiboot header "
		  "in the first 32 KiB, no ELF header; a flat image needs the keys load and entry");
	CHECK(!fixture_load("", 0, "empty"));
	CHECK_STR(load_kind_name(LOAD_ELF64), "ELF64");
	CHECK_STR(load_kind_name(LOAD_FLAT), "flat");
}

TEST(every_truncation_and_byte_is_survived)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};

	image();
	for (uint64_t size = 0; size < elf_size; size += size < 0x200 ? 1 : 0x101) {
		CHECK(!fixture_load(elf, size, "kernel.elf"));
	}
	for (unsigned at = 0; at < 64 + 3 * 56; at++) {
		for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
			image();
			elf[at] = values[i];
			elf_load_file();
		}
	}
}
