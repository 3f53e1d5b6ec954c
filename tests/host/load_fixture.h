/*
 * A guest's memory for the tests of loaders and tables: a PC's layout, 16 MiB mostly, on the heap,
 * with the memory map that partition.c makes for it.
 */
#pragma once

#include "hv/lib/bytes.h"
#include "hv/load/load.h"
#include "tests/host/test.h"

enum { FIXTURE_MEMORY = 16 << 20, FIXTURE_RSDP = 0xe0000 };

static struct addrspace as;
static uint8_t *ram; /* gpa 0; what is not RAM is there, too, so that writes to it can be seen */
static struct load_image img;
static struct vcpu_regs regs;
static struct refusal why;
static enum load_kind kind;

static void fixture_region(uint64_t base, uint64_t end, uint32_t type)
{
	img.map[img.maps++] = (struct load_region){base, end - base, type};
}

static void fixture_range(uint64_t base, uint64_t end)
{
	struct addr_range r = {.base = gpa(base),
			       .size = end - base,
			       .hpa = hpa(base),
			       .ptr = ram + base,
			       .writable = true};

	CHECK(addrspace_add(&as, &r, &why));
}

/* RAM is split in two ranges at `split`, which nothing may notice. */
static void fixture_begin_sized(uint64_t size, uint64_t split)
{
	free(ram);
	ram = calloc(1, size);
	memset(&as, 0, sizeof(as));
	memset(&img, 0, sizeof(img));
	memset(&why, 0, sizeof(why));
	memset(&regs, 0, sizeof(regs));
	regs.cs = (struct segment){
		.base = 0xffff0000, .limit = 0xffff, .ar = 0x9b, .selector = 0xf000};
	regs.rip = 0xfff0;
	regs.cr0 = CR0_CD | CR0_NW | CR0_ET;
	fixture_range(0, 0xa0000);
	fixture_range(0xc0000, split);
	fixture_range(split, size);
	fixture_region(0, 0x9fc00, 1);
	fixture_region(0x9fc00, 0xa0000, 2);
	fixture_region(0xe0000, 0x100000, 2);
	fixture_region(0x100000, size, 1);
	img.memory = size;
	img.cmdline = "";
	img.rsdp = gpa(FIXTURE_RSDP);
	memcpy(ram + FIXTURE_RSDP, "RSD PTR ", 8);
	ram[FIXTURE_RSDP + 15] = 2;
	ram[FIXTURE_RSDP + 35] = 0x77;
}

static inline void fixture_begin(void)
{
	fixture_begin_sized(FIXTURE_MEMORY, 0x800000);
}

/* Loads an exact heap copy of `size` bytes, so that the sanitizer sees reads past its end. */
static inline bool fixture_load(const void *file, uint64_t size, const char *name)
{
	uint8_t *copy = malloc(size ? size : 1);
	bool ok;

	memcpy(copy, file, size);
	memset(&why, 0, sizeof(why));
	img.kernel = (struct load_file){.data = copy, .size = size, .name = name, .args = ""};
	ok = load_guest(&img, &as, &regs, &kind, &why);
	CHECK(ok == !why.text[0]);
	free(copy);
	return ok;
}

static inline void fixture_module(const char *name, const char *args, const void *data,
				  uint64_t size)
{
	img.module[img.modules++] = (struct load_file){
		.data = data, .size = size, .name = name, .args = args};
}

static inline void check_flat_segments(uint32_t code_ar)
{
	CHECK_EQ(regs.cs.selector, 0x10);
	CHECK_EQ(regs.cs.base, 0);
	CHECK_EQ(regs.cs.limit, 0xffffffff);
	CHECK_EQ(regs.cs.ar, code_ar);
	CHECK_EQ(regs.ss.selector, 0x18);
	CHECK_EQ(regs.ss.base, 0);
	CHECK_EQ(regs.ss.limit, 0xffffffff);
	CHECK_EQ(regs.ss.ar, 0xc093);
	CHECK(!memcmp(&regs.ds, &regs.ss, sizeof(regs.ss)));
	CHECK(!memcmp(&regs.es, &regs.ss, sizeof(regs.ss)));
	CHECK(!memcmp(&regs.gs, &regs.ss, sizeof(regs.ss)));
	/* The GDT holds what the segments say. */
	CHECK_EQ(regs.gdtr.limit, 31);
	CHECK_EQ(get_le64(ram + regs.gdtr.base + 0x18), 0x00cf93000000ffff);
}

/* 32-bit protected mode, flat, paging and interrupts off. */
static inline void check_protected32(uint64_t entry)
{
	CHECK_EQ(regs.rip, entry);
	CHECK_EQ(regs.cr0, CR0_PE | CR0_ET);
	CHECK_EQ(regs.efer, 0);
	CHECK_EQ(regs.cr4, 0);
	CHECK_EQ(regs.rflags, 2);
	check_flat_segments(0xc09b);
	CHECK_EQ(get_le64(ram + regs.gdtr.base + 0x10), 0x00cf9b000000ffff);
}

/* 64-bit mode with the first 4 GiB mapped one to one: walks the tables for some addresses. */
static inline void check_long64(uint64_t entry)
{
	static const uint64_t probes[] = {0, 0x1234, 0x200000, 0x3ffff000, 0x40000000, 0xffffffff};

	CHECK_EQ(regs.rip, entry);
	CHECK_EQ(regs.cr0, CR0_PE | CR0_ET | CR0_PG);
	CHECK_EQ(regs.cr4, CR4_PAE);
	CHECK_EQ(regs.efer, EFER_LME | EFER_LMA);
	CHECK_EQ(regs.rflags, 2);
	check_flat_segments(0xa09b);
	CHECK_EQ(get_le64(ram + regs.gdtr.base + 0x10), 0x00af9b000000ffff);
	for (unsigned i = 0; i < ARRAY_SIZE(probes); i++) {
		uint64_t v = probes[i];
		uint64_t pml4e = get_le64(ram + regs.cr3 + (v >> 39 & 511) * 8);
		uint64_t pdpte = get_le64(ram + (pml4e & ~PAGE_MASK) + (v >> 30 & 511) * 8);
		uint64_t pde = get_le64(ram + (pdpte & ~PAGE_MASK) + (v >> 21 & 511) * 8);

		CHECK_EQ(pml4e & 3, 3);
		CHECK_EQ(pdpte & 0x83, 3);
		CHECK_EQ(pde, ALIGN_DOWN(v, PAGE_2M) | 0x83);
	}
}
