/*
 * Hostile images and tables: guest kernels of all kinds, the boot loader's information block, ACPI
 * tables. The first byte chooses, the rest is the input. Whatever it says, the readers stay within
 * it, write only to RAM, and say why when they refuse.
 */
#include "boot/boot_info.h"
#include "drivers/acpi.h"
#include "hv/lib/bytes.h"
#include "hv/load/load.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 4 << 20, ACPI_BASE = 0x1000 };

static uint8_t *low, *high; /* separate blocks, so that the sanitizer guards their ends */
static struct addrspace as;
static struct refusal why;

static void add(uint64_t base, uint64_t end, uint8_t **at)
{
	struct addr_range r = {.base = gpa(base), .size = end - base, .writable = true};

	r.ptr = *at = malloc(end - base);
	if (!addrspace_add(&as, &r, &why)) {
		abort();
	}
}

static void verdict(bool ok)
{
	if (ok != !why.text[0]) {
		abort();
	}
}

static void load_image(uint8_t how, const uint8_t *data, size_t size)
{
	static struct load_image img;
	struct vcpu_regs regs = {0};
	enum load_kind kind;

	img = (struct load_image){
		.kernel = {.data = data, .size = size, .name = "kernel", .args = ""},
		.cmdline = "console=ttyS0",
		.memory = MEMORY,
		.rsdp = gpa(0xe0000),
		.map = {{0, 0x9f000, 1}, {0xe0000, 0x20000, 2}, {0x100000, MEMORY - 0x100000, 1}},
		.maps = 3,
	};
	if (how & 1) {
		img.initrd = (struct load_file){.data = data, .size = size, .name = "initrd"};
	}
	if (how & 2) {
		img.module[img.modules++] = (struct load_file){
			.data = data, .size = size, .name = "module", .args = "args"};
	}
	if ((how & 4) && size >= 16) {
		img.flat = true;
		img.flat_load = get_le64(data);
		img.flat_entry = get_le64(data + 8);
	}
	verdict(load_guest(&img, &as, &regs, &kind, &why));
}

struct flat {
	const uint8_t *data;
	size_t size;
};

static const void *map_flat(void *ctx, hpa_t at, uint64_t len)
{
	const struct flat *f = ctx;

	return at.v >= ACPI_BASE && bytes_within(at.v - ACPI_BASE, len, f->size)
		       ? f->data + (at.v - ACPI_BASE)
		       : NULL;
}

/* Checksums would stop nearly every input at the door: those of the tables in sight are made good.
 */
static void seal_tables(uint8_t *p, size_t size)
{
	for (size_t at = 0; at + 36 <= size; at += 16) {
		uint32_t len = get_le32(p + at + 4);

		if (len >= 36 && bytes_within(at, len, size) && p[at] >= 'A' && p[at] <= 'X') {
			p[at + 9] = (uint8_t)(p[at + 9] - bytes_sum(p + at, len));
		}
	}
}

static void parse_acpi(const uint8_t *data, size_t size)
{
	static struct acpi_info info;
	uint8_t rsdp[36] = "RSD PTR ";
	uint8_t *copy = malloc(size ? size : 1);
	struct flat f = {copy, size};

	memcpy(copy, data, size);
	seal_tables(copy, size);
	put_le32(rsdp + 16, ACPI_BASE);
	rsdp[8] = (uint8_t)-bytes_sum(rsdp, 20);
	verdict(acpi_parse(&info, rsdp, map_flat, &f, &why));
	free(copy);
}

static void check_map(const struct boot_info *b)
{
	for (unsigned i = 0; i < b->memories; i++) {
		const struct boot_memory *m = &b->memory[i];

		if (!m->size || ((m->base | m->size) & PAGE_MASK) ||
		    (i && m[-1].base + m[-1].size > m->base)) {
			abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct boot_info info;
	bool ok;

	if (!as.count) {
		add(0, 0xa0000, &low);
		add(0xc0000, MEMORY, &high);
	}
	memset(&why, 0, sizeof(why));
	if (!size) {
		return 0;
	}
	switch (data[0] >> 4) {
	case 0: load_image(data[0], data + 1, size - 1); break;
	case 1:
		ok = multiboot2_parse(&info, data + 1, size - 1, &why);
		verdict(ok);
		if (ok) {
			check_map(&info);
		}
		break;
	case 2: parse_acpi(data + 1, size - 1); break;
	default: return -1;
	}
	return 0;
}
