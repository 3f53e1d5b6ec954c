/*
 * The list of free RAM: see memory.h. Pure; state belongs to the caller.
 */
#include "boot/memory.h"
#include "boot/warm.h"

enum { LOW_MEMORY = 0xa0000 };

static void add(struct memory *m, uint64_t start, uint64_t end)
{
	if (start >= end) {
		return;
	}
	if (m->ranges == MEMORY_RANGES) {
		m->lost += end - start;
		return;
	}
	m->range[m->ranges++] = (struct memory_range){start, end};
}

/* Replaces range i by what is left of it outside [start, end), both inside the range. */
static void cut(struct memory *m, unsigned i, uint64_t start, uint64_t end)
{
	struct memory_range r = m->range[i];

	m->range[i] = m->range[--m->ranges];
	add(m, r.start, start);
	add(m, end, r.end);
}

void memory_init(struct memory *m, const struct boot_info *b)
{
	m->ranges = 0;
	m->lost = 0;
	for (unsigned i = 0; i < b->memories; i++) {
		const struct boot_memory *e = &b->memory[i];
		uint64_t start = ALIGN_UP(e->base, (uint64_t)PAGE_SIZE);
		uint64_t end = ALIGN_DOWN(e->base + e->size, (uint64_t)PAGE_SIZE);

		if (e->type == MEMORY_RAM && start >= e->base && end >= e->base) {
			add(m, start < MIB(1) ? MIB(1) : start, end);
		}
	}
}

void memory_exclude(struct memory *m, uint64_t start, uint64_t end)
{
	start = ALIGN_DOWN(start, (uint64_t)PAGE_SIZE);
	end = end > UINT64_MAX - PAGE_MASK ? UINT64_MAX : ALIGN_UP(end, (uint64_t)PAGE_SIZE);
	/* Downwards: cut fills a hole with the last range, and the pieces it adds are outside. */
	for (unsigned i = m->ranges; i-- > 0;) {
		struct memory_range r = m->range[i];
		uint64_t from = r.start > start ? r.start : start;
		uint64_t to = r.end < end ? r.end : end;

		if (from < to) {
			cut(m, i, from, to);
		}
	}
}

/* The first piece of [at, end) that is not write-back, as [*at, *piece_end). False: there is none. */
static bool find_uncached(const struct mtrr *t, uint64_t *at, uint64_t end, uint64_t *piece_end)
{
	while (*at < end) {
		uint64_t until;
		bool cached = mtrr_at(t, *at, &until) == MTRR_WB;

		until = until < end ? until : end;
		if (!cached) {
			*piece_end = until;
			return true;
		}
		*at = until;
	}
	return false;
}

uint64_t memory_exclude_uncached(struct memory *m, const struct mtrr *t)
{
	uint64_t total = memory_total(m), bytes = 0, end;

	for (unsigned i = 0; t->on && i < m->ranges; i++) {
		for (uint64_t at = m->range[i].start; find_uncached(t, &at, m->range[i].end, &end);
		     at = end) {
			bytes += end - at;
		}
	}
	if (bytes > total / 2) {
		return 0;
	}
	/* Ranges that a cut appends are looked at too; what they hold begins behind the piece. */
	for (unsigned i = 0; bytes && i < m->ranges;) {
		uint64_t at = m->range[i].start;

		if (find_uncached(t, &at, m->range[i].end, &end)) {
			cut(m, i, at, end); /* range i is now another one, or gone */
		} else {
			i++;
		}
	}
	return bytes;
}

/* The first multiple of align in r; beyond r.end when there is none. */
static uint64_t first_in(const struct memory_range *r, uint64_t align)
{
	return r->start > UINT64_MAX - (align - 1) ? UINT64_MAX : ALIGN_UP(r->start, align);
}

bool memory_take(struct memory *m, uint64_t size, uint64_t align, uint64_t limit, uint64_t *at)
{
	uint64_t best_size = UINT64_MAX;
	unsigned best = MEMORY_RANGES;

	for (unsigned i = 0; i < m->ranges; i++) {
		const struct memory_range *r = &m->range[i];
		uint64_t first = first_in(r, align);
		uint64_t end = r->end < limit ? r->end : limit;

		if (first < end && end - first >= size && r->end - r->start < best_size) {
			best_size = r->end - r->start;
			best = i;
		}
	}
	if (best == MEMORY_RANGES || !size) {
		return false;
	}
	*at = first_in(&m->range[best], align);
	cut(m, best, *at, *at + size);
	return true;
}

bool memory_next(const struct memory *m, uint64_t from, uint64_t limit, struct memory_range *out)
{
	out->start = UINT64_MAX;
	for (unsigned i = 0; i < m->ranges; i++) {
		const struct memory_range *r = &m->range[i];
		uint64_t start = r->start > from ? r->start : from;
		uint64_t end = r->end < limit ? r->end : limit;

		if (start < end && start < out->start) {
			*out = (struct memory_range){start, end};
		}
	}
	return out->start != UINT64_MAX;
}

uint64_t memory_largest(const struct memory *m, uint64_t align)
{
	uint64_t largest = 0;

	for (unsigned i = 0; i < m->ranges; i++) {
		uint64_t first = first_in(&m->range[i], align);

		if (first < m->range[i].end && m->range[i].end - first > largest) {
			largest = m->range[i].end - first;
		}
	}
	return ALIGN_DOWN(largest, (uint64_t)PAGE_SIZE);
}

uint64_t memory_total(const struct memory *m)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < m->ranges; i++) {
		total += m->range[i].end - m->range[i].start;
	}
	return total;
}

static bool in_module(const struct boot_info *b, uint64_t page)
{
	for (unsigned i = 0; i < b->modules; i++) {
		const struct boot_module *f = &b->module[i];

		if (f->start.v < page + PAGE_SIZE && page < f->start.v + f->size) {
			return true;
		}
	}
	return false;
}

static bool in_warm(uint64_t page)
{
	return page >= WARM_LOW && page < WARM_LOW + WARM_BYTES;
}

uint64_t memory_low_page(const struct boot_info *b)
{
	uint64_t best = 0;

	for (unsigned i = 0; i < b->memories; i++) {
		const struct boot_memory *e = &b->memory[i];
		uint64_t end = e->base + e->size < LOW_MEMORY ? e->base + e->size : LOW_MEMORY;

		if (e->type != MEMORY_RAM || e->base >= LOW_MEMORY) {
			continue;
		}
		/* From the top: the lowest pages are where firmware keeps its own data. */
		for (uint64_t page = ALIGN_DOWN(end, (uint64_t)PAGE_SIZE);
		     page >= e->base + PAGE_SIZE && page > PAGE_SIZE;) {
			page -= PAGE_SIZE;
			if (!in_module(b, page) && !in_warm(page) && page > best) {
				best = page;
				break;
			}
		}
	}
	return best;
}

/* Firmware calls device registers "reserved" too, so only what is surely memory counts. */
const char *memory_meets(const struct boot_info *b, uint64_t base, uint64_t size)
{
	static const char *const name[] = {
		[MEMORY_RAM] = "RAM",
		[MEMORY_ACPI] = "ACPI tables",
		[MEMORY_NVS] = "firmware's memory",
		[MEMORY_BAD] = "defective RAM",
	};

	for (unsigned i = 0; i < b->memories; i++) {
		const struct boot_memory *m = &b->memory[i];

		if (m->type < ARRAY_SIZE(name) && name[m->type] && m->base <= base + (size - 1) &&
		    base <= m->base + (m->size - 1)) {
			return name[m->type];
		}
	}
	return NULL;
}
