/*
 * host_alloc and what feeds it: see ram.h and hv/host.h. Called by boot/main.c, paging.c and
 * everybody who builds something at boot. The list belongs to this file.
 */
#include "boot/ram.h"
#include "arch/x86_64/paging.h"
#include "boot/memory.h"
#include "boot/warm.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/log.h"

static struct memory ram;

void ram_init(const struct boot_info *b, uint64_t image, uint64_t image_end)
{
	uint64_t warm[WARM_PLACES];
	unsigned places = warm_places(b, warm);
	uint64_t uncached;

	memory_init(&ram, b);
	mtrr_read(&mtrr_boot);
	uncached = memory_exclude_uncached(&ram, &mtrr_boot);
	if (uncached) {
		log_line("memory: %lu KiB of RAM are not write-back by firmware's MTRRs, and are "
			 "not used",
			 uncached >> 10);
	}
	memory_exclude(&ram, image, image_end);
	for (unsigned i = 0; i < b->modules; i++) {
		const struct boot_module *m = &b->module[i];

		memory_exclude(&ram, m->start.v, m->start.v + m->size);
	}
	for (unsigned i = 0; i < places; i++) {
		memory_exclude(&ram, warm[i], warm[i] + WARM_BYTES);
	}
}

bool ram_take(uint64_t size, uint64_t align, uint64_t limit, uint64_t *at)
{
	return memory_take(&ram, size, align, limit, at);
}

uint64_t ram_free(void)
{
	return memory_total(&ram);
}

void ram_move_low_modules(struct boot_info *b)
{
	for (unsigned i = 0; i < b->modules; i++) {
		struct boot_module *m = &b->module[i];
		uint64_t size = ALIGN_UP(m->size, (uint64_t)PAGE_SIZE);
		const void *from;
		hpa_t to;

		if (m->start.v >= MIB(1) || !m->size) {
			continue;
		}
		/* Not by host_ptr: the memory map may call that memory something else than RAM. */
		from = paging_map_firmware(NULL, m->start, m->size);
		bug_on(!from || !host_alloc(size, PAGE_SIZE, &to));
		memcpy(host_ptr(to), from, m->size);
		m->start = to;
	}
}

bool host_alloc(uint64_t size, uint64_t align, hpa_t *out)
{
	uint64_t words = size / 8;
	uint64_t at;
	void *p;

	if (!ram_take(size, align < PAGE_SIZE ? PAGE_SIZE : align, UINT64_MAX, &at)) {
		return false;
	}
	*out = hpa(at);
	p = host_ptr(*out);
	__asm__ volatile("rep stosq" : "+D"(p), "+c"(words) : "a"(0) : "memory");
	return true;
}

bool host_alloc_next(uint64_t from, uint64_t limit, uint64_t *at, uint64_t *size)
{
	struct memory_range r;

	if (!memory_next(&ram, from, limit, &r)) {
		return false;
	}
	*at = r.start;
	*size = r.end - r.start;
	return true;
}

bool host_alloc_at(uint64_t at, uint64_t size)
{
	struct memory_range r;

	if (!memory_next(&ram, at, at + size, &r) || r.start != at || r.end - at < size) {
		return false;
	}
	memory_exclude(&ram, at, at + size);
	memset(host_ptr(hpa(at)), 0, size);
	return true;
}

uint64_t host_alloc_largest(uint64_t align)
{
	return memory_largest(&ram, align < PAGE_SIZE ? PAGE_SIZE : align);
}
