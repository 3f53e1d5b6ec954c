/*
 * The hypervisor's page tables: see paging.h. Called by boot/main.c, smp.c and, through
 * host_map_mmio, by drivers. The tables belong to this file.
 */
#include "arch/x86_64/paging.h"
#include "arch/x86_64/asm.h"
#include "boot/ram.h"
#include "hv/cpu_facts.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/log.h"

enum {
	PTE_P = BIT(0),
	PTE_W = BIT(1),
	PTE_WT = BIT(3),
	PTE_CD = BIT(4),
	PTE_LARGE = BIT(7),
	LEVELS = 4,
	ENTRIES = 512,
};
#define PTE_NX	    BIT(63)
#define PTE_ADDRESS FIELD(51, 12)

/* Memory types by pat.h: entries 3 and 1. */
#define UNCACHED	(PTE_CD | PTE_WT)
#define WRITE_COMBINING PTE_WT

#define WINDOW_LIMIT   (FIRMWARE_BASE - DIRECT_BASE) /* addresses that DIRECT_BASE has room for */
#define FIRMWARE_LIMIT (MMIO_BASE - FIRMWARE_BASE)

extern char image_start[], image_end[], text_start[], text_end[], rodata_start[], rodata_end[],
	data_start[], data_end[], boot_stack_guard[];

static hpa_t root;
static bool direct_ready; /* else the loader's one-to-one tables of the low 4 GiB are in use */
static bool gib_leaves;
static uint64_t mmio_next = MMIO_BASE;

static uint64_t *table_at(uint64_t pa)
{
	return direct_ready ? host_ptr(hpa(pa)) : (uint64_t *)pa;
}

static uint64_t new_table(void)
{
	uint64_t at;

	bug_on(!ram_take(PAGE_SIZE, PAGE_SIZE, GIB(4), &at));
	memset(table_at(at), 0, PAGE_SIZE);
	return at;
}

/* The entry for va in the table of `level` (0: leaves of 4 KiB), with all tables above made. */
static uint64_t *entry_for(uint64_t va, unsigned level)
{
	uint64_t *table = table_at(root.v);

	for (unsigned l = LEVELS - 1;; l--) {
		uint64_t *e = &table[va >> (PAGE_SHIFT + 9 * l) & (ENTRIES - 1)];

		if (l == level) {
			return e;
		}
		bug_on(*e & PTE_LARGE);
		if (!*e) {
			*e = new_table() | PTE_P | PTE_W;
		}
		table = table_at(*e & PTE_ADDRESS);
	}
}

static unsigned largest_level(uint64_t va, uint64_t pa, uint64_t size)
{
	for (unsigned l = gib_leaves ? 2 : 1; l > 0; l--) {
		uint64_t leaf = 1ull << (PAGE_SHIFT + 9 * l);

		if (!((va | pa) & (leaf - 1)) && size >= leaf) {
			return l;
		}
	}
	return 0;
}

/* Maps whole pages that are not mapped yet, with the largest leaves. */
static void map(uint64_t va, uint64_t pa, uint64_t size, uint64_t flags)
{
	while (size) {
		unsigned level = largest_level(va, pa, size);
		uint64_t leaf = 1ull << (PAGE_SHIFT + 9 * level);
		uint64_t *e = entry_for(va, level);

		bug_on(*e);
		*e = pa | flags | PTE_P | (level ? PTE_LARGE : 0);
		va += leaf;
		pa += leaf;
		size -= leaf;
	}
}

void paging_image(uint64_t image_delta, uint64_t *start, uint64_t *end)
{
	*start = (uint64_t)image_start - IMAGE_BASE + image_delta;
	*end = (uint64_t)image_end - IMAGE_BASE + image_delta;
}

static void map_image(uint64_t delta)
{
	uint64_t move = delta - IMAGE_BASE; /* pa = va + move, modulo 2^64 */
	uint64_t text = (uint64_t)text_start, rodata = (uint64_t)rodata_start;
	uint64_t data = (uint64_t)data_start, guard = (uint64_t)boot_stack_guard;
	uint64_t after = guard + PAGE_SIZE;

	map(text, text + move, (uint64_t)text_end - text, 0);
	map(rodata, rodata + move, (uint64_t)rodata_end - rodata, PTE_NX);
	map(data, data + move, guard - data, PTE_W | PTE_NX);
	map(after, after + move, (uint64_t)data_end - after, PTE_W | PTE_NX);
}

/* RAM [start, end) without the part that overlaps [hole, hole_end). */
static void map_ram(uint64_t start, uint64_t end, uint64_t hole, uint64_t hole_end)
{
	start = ALIGN_UP(start, (uint64_t)PAGE_SIZE);
	end = ALIGN_DOWN(end < WINDOW_LIMIT ? end : WINDOW_LIMIT, (uint64_t)PAGE_SIZE);
	if (start < hole && end > hole_end) {
		map_ram(start, hole, hole, hole_end);
		start = hole_end;
	} else if (start < hole) {
		end = end < hole ? end : hole;
	} else {
		start = start > hole_end ? start : hole_end;
	}
	if (start < end) {
		map(DIRECT_BASE + start, start, end - start, PTE_W | PTE_NX);
	}
}

void paging_init(const struct boot_info *b, uint64_t image_delta)
{
	uint32_t id[4];
	uint64_t image, image_end_pa;

	cpuid(0x80000001, 0, id);
	gib_leaves = id[3] & BIT(26);
	root = hpa(new_table());
	/* Every top entry of the high half exists from now on: roots that copy them stay true. */
	for (unsigned i = ENTRIES / 2; i < ENTRIES; i++) {
		if (i == (DIRECT_BASE >> 39 & 511) || i == (FIRMWARE_BASE >> 39 & 511) ||
		    i == (MMIO_BASE >> 39 & 511) || i == (STACK_BASE >> 39 & 511)) {
			table_at(root.v)[i] = new_table() | PTE_P | PTE_W;
		}
	}
	map_image(image_delta);
	paging_image(image_delta, &image, &image_end_pa);
	for (unsigned i = 0; i < b->memories; i++) {
		const struct boot_memory *m = &b->memory[i];

		if (m->type == MEMORY_RAM) {
			map_ram(m->base, m->base + m->size, image, image_end_pa);
		}
	}
	write_cr3(root.v);
	direct_ready = true;
}

hpa_t paging_root(void)
{
	return root;
}

hpa_t paging_trampoline_root(hpa_t page)
{
	hpa_t own = root;
	hpa_t low = hpa(new_table());

	memcpy((uint64_t *)table_at(low.v) + ENTRIES / 2, table_at(own.v) + ENTRIES / 2,
	       PAGE_SIZE / 2);
	root = low;
	map(page.v, page.v, PAGE_SIZE, 0);
	root = own;
	return low;
}

void *host_ptr(hpa_t at)
{
	return (void *)(DIRECT_BASE + at.v);
}

static void *map_device(hpa_t at, uint64_t size, uint64_t type)
{
	uint64_t offset = at.v & PAGE_MASK;
	uint64_t va = mmio_next;

	size = ALIGN_UP(offset + size, (uint64_t)PAGE_SIZE);
	if (size >= PAGE_2M) {
		va = ALIGN_UP(va, PAGE_2M) + (at.v & (PAGE_2M - 1) & ~PAGE_MASK);
	}
	bug_on(va + size > STACK_BASE || va + size < va);
	map(va, at.v - offset, size, type | PTE_W | PTE_NX);
	mmio_next = va + size;
	return (void *)(va + offset);
}

void *host_map_mmio(hpa_t at, uint64_t size)
{
	return map_device(at, size, UNCACHED);
}

void *paging_map_write_combining(hpa_t at, uint64_t size)
{
	return map_device(at, size, WRITE_COMBINING);
}

const void *paging_map_firmware(void *ctx, hpa_t at, uint64_t size)
{
	uint64_t end = at.v + size;

	(void)ctx;
	if (end < at.v || end > FIRMWARE_LIMIT || end > cpu_address_limit() || size > MIB(16)) {
		return NULL;
	}
	for (uint64_t pa = ALIGN_DOWN(at.v, (uint64_t)PAGE_SIZE); pa < end; pa += PAGE_SIZE) {
		uint64_t *e = entry_for(FIRMWARE_BASE + pa, 0);

		*e = pa | PTE_NX | PTE_P;
	}
	return (const void *)(FIRMWARE_BASE + at.v);
}

static uint64_t map_stack(uint64_t *next, uint64_t size)
{
	uint64_t pa;

	bug_on(!ram_take(size, PAGE_SIZE, UINT64_MAX, &pa));
	*next += PAGE_SIZE; /* the guard */
	map(*next, pa, size, PTE_W | PTE_NX);
	*next += size;
	return *next;
}

uint64_t paging_map_stacks(unsigned cpu, uint64_t ist_top[ISTS])
{
	uint64_t next = STACK_BASE + cpu * (CPU_STACK + ISTS * IST_STACK + (ISTS + 1) * PAGE_SIZE);

	for (unsigned i = 0; i < ISTS; i++) {
		ist_top[i] = map_stack(&next, IST_STACK);
	}
	return map_stack(&next, CPU_STACK);
}

struct check {
	unsigned leaves, writable_executable;
};

static void check_table(struct check *c, uint64_t table, unsigned level, bool w, bool x)
{
	for (unsigned i = 0; i < ENTRIES; i++) {
		uint64_t e = table_at(table)[i];
		bool ew = w && (e & PTE_W);
		bool ex = x && !(e & PTE_NX);

		if (!(e & PTE_P)) {
			continue;
		}
		if (level && !(e & PTE_LARGE)) {
			check_table(c, e & PTE_ADDRESS, level - 1, ew, ex);
			continue;
		}
		c->leaves++;
		c->writable_executable += ew && ex;
	}
}

unsigned paging_check(unsigned *leaves)
{
	struct check c = {0};

	check_table(&c, read_cr3() & PTE_ADDRESS, LEVELS - 1, true, true);
	*leaves = c.leaves;
	return c.writable_executable;
}
