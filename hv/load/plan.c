/*
 * Placing a guest's image, modules and tables; see plan.h. Called by the loaders of this room.
 */
#include "hv/load/plan.h"
#include "hv/lib/bytes.h"
#include "hv/lib/printf.h"

/* The end of the RAM that the guest's memory map tells around `at`, 0: none there. */
static uint64_t map_ram_end(const struct load_image *img, uint64_t at)
{
	for (unsigned i = 0; i < img->maps; i++) {
		const struct load_region *m = &img->map[i];

		if (m->type == 1 && at >= m->base && at - m->base < m->size) {
			return m->base + m->size;
		}
	}
	return 0;
}

static uint64_t real_ram_end(const struct addrspace *as, uint64_t at)
{
	const struct addr_range *r = addrspace_find(as, gpa(at));

	return r && r->ptr ? r->base.v + r->size : 0;
}

/* Both the map that the guest will see and what is behind it must call it RAM. */
static bool is_ram(const struct load_plan *p, uint64_t base, uint64_t end)
{
	while (base < end) {
		uint64_t told = map_ram_end(p->img, base), real = real_ram_end(p->as, base);

		if (!told || !real) {
			return false;
		}
		base = told < real ? told : real;
	}
	return true;
}

/* The first piece that overlaps [base, end), or -1. */
static int overlapped(const struct load_plan *p, uint64_t base, uint64_t end)
{
	for (unsigned i = 0; i < p->pieces; i++) {
		if (base < p->piece[i].end && p->piece[i].base < end) {
			return (int)i;
		}
	}
	return -1;
}

const char *plan_take(struct load_plan *p, uint64_t base, uint64_t size)
{
	if (!bytes_within(base, size, GIB(4))) {
		return "ends above 4 GiB";
	}
	if (!is_ram(p, base, base + size)) {
		return "is not RAM of this guest";
	}
	if (overlapped(p, base, base + size) >= 0) {
		return "overlaps what was loaded before";
	}
	if (p->pieces == PLAN_PIECES) {
		return "is one piece too many";
	}
	p->piece[p->pieces].base = base;
	p->piece[p->pieces].end = base + size;
	p->pieces++;
	return NULL;
}

static bool find_low(const struct load_plan *p, uint64_t size, uint64_t align, uint64_t min,
		     uint64_t max, uint64_t *at)
{
	uint64_t base = ALIGN_UP(min, align);

	while (bytes_within(base, size, max)) {
		int hit = overlapped(p, base, base + size);

		if (hit < 0) {
			*at = base;
			return true;
		}
		base = ALIGN_UP(p->piece[hit].end, align);
	}
	return false;
}

static bool find_high(const struct load_plan *p, uint64_t size, uint64_t align, uint64_t min,
		      uint64_t max, uint64_t *at)
{
	while (max >= size) {
		uint64_t base = ALIGN_DOWN(max - size, align);
		int hit = overlapped(p, base, base + size);

		if (base < min) {
			return false;
		}
		if (hit < 0) {
			*at = base;
			return true;
		}
		max = p->piece[hit].base;
	}
	return false;
}

static bool find_in(struct load_plan *p, const struct load_region *m, uint64_t size, uint64_t align,
		    uint64_t min, uint64_t max, enum plan_end from, uint64_t *at)
{
	if (m->type != 1) {
		return false;
	}
	min = m->base > min ? m->base : min;
	max = m->base + m->size < max ? m->base + m->size : max;
	if (min >= max ||
	    !(from == PLAN_LOW ? find_low : find_high)(p, size, align, min, max, at)) {
		return false;
	}
	return !plan_take(p, *at, size);
}

bool plan_find(struct load_plan *p, uint64_t size, uint64_t align, uint64_t min, uint64_t max,
	       enum plan_end from, uint64_t *at)
{
	unsigned n = p->img->maps;

	max = max < GIB(4) ? max : GIB(4);
	for (unsigned i = 0; size && i < n; i++) {
		const struct load_region *m = &p->img->map[from == PLAN_LOW ? i : n - 1 - i];

		if (find_in(p, m, size, align, min, max, from, at)) {
			return true;
		}
	}
	return false;
}

uint64_t plan_end(const struct load_plan *p)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < p->pieces; i++) {
		end = p->piece[i].end > end ? p->piece[i].end : end;
	}
	return end;
}

bool plan_write(struct load_plan *p, uint64_t at, const void *data, uint64_t size)
{
	return addrspace_write(p->as, gpa(at), data, size) ||
	       plan_refuse(p, "0x%lx bytes at 0x%lx: not RAM", size, at);
}

bool plan_refuse(struct load_plan *p, const char *fmt, ...)
{
	char text[sizeof(p->r->text)];
	va_list ap;

	va_start(ap, fmt);
	fmt_vprint(text, sizeof(text), fmt, ap);
	va_end(ap);
	return refuse(p->r, "%s: %s", p->img->kernel.name, text);
}
