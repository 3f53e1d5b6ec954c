/*
 * A partition's guest-physical memory; see addrspace.h. The partition owns the table, which does
 * not change once its vCPUs run. Tables hold a handful of ranges, so a scan in order beats a
 * search.
 */
#include "hv/addrspace.h"
#include "hv/lib/string.h"

static bool range_valid(const struct addr_range *r, struct refusal *why)
{
	if (!r->size || ((r->base.v | r->size) & PAGE_MASK)) {
		return refuse(why, "memory range 0x%lx, size 0x%lx: not made of whole pages",
			      r->base.v, r->size);
	}
	if (r->base.v + (r->size - 1) < r->base.v) {
		return refuse(why, "memory range 0x%lx, size 0x%lx: beyond the last address",
			      r->base.v, r->size);
	}
	return true;
}

/* Both ranges are valid, so their last bytes do not wrap. */
static bool range_overlaps(const struct addr_range *a, const struct addr_range *b)
{
	return a->base.v <= b->base.v + (b->size - 1) && b->base.v <= a->base.v + (a->size - 1);
}

bool addrspace_add(struct addrspace *as, const struct addr_range *r, struct refusal *why)
{
	unsigned at = as->count;

	if (!range_valid(r, why)) {
		return false;
	}
	for (unsigned i = 0; i < as->count; i++) {
		if (range_overlaps(&as->range[i], r)) {
			return refuse(why,
				      "memory range 0x%lx, size 0x%lx overlaps 0x%lx, size 0x%lx",
				      r->base.v, r->size, as->range[i].base.v, as->range[i].size);
		}
	}
	if (as->count == ADDRSPACE_RANGES) {
		return refuse(why, "more than %u memory ranges in one guest",
			      (unsigned)ADDRSPACE_RANGES);
	}
	while (at > 0 && as->range[at - 1].base.v > r->base.v) {
		as->range[at] = as->range[at - 1];
		at--;
	}
	as->range[at] = *r;
	as->count++;
	return true;
}

const struct addr_range *addrspace_find(const struct addrspace *as, gpa_t gpa)
{
	const struct addr_range *r = as->range, *end = r + as->count;

	for (; r < end && gpa.v >= r->base.v; r++) {
		if (gpa.v - r->base.v < r->size) {
			return r;
		}
	}
	return NULL;
}

void *addrspace_ptr(const struct addrspace *as, gpa_t gpa, uint64_t len)
{
	const struct addr_range *r = addrspace_find(as, gpa);
	uint64_t offset;

	if (!r || !r->ptr || !len) {
		return NULL;
	}
	offset = gpa.v - r->base.v;
	return len <= r->size - offset ? r->ptr + offset : NULL;
}

/* The RAM at gpa, and in *len at most as many bytes as its range holds from there. */
static uint8_t *span(const struct addrspace *as, gpa_t gpa, uint64_t *len)
{
	const struct addr_range *r = addrspace_find(as, gpa);
	uint64_t left;

	if (!r || !r->ptr) {
		return NULL;
	}
	left = r->size - (gpa.v - r->base.v);
	if (*len > left) {
		*len = left;
	}
	return r->ptr + (gpa.v - r->base.v);
}

bool addrspace_read(const struct addrspace *as, gpa_t gpa, void *out, uint64_t len)
{
	uint8_t *to = out;

	while (len) {
		uint64_t n = len;
		const uint8_t *from = span(as, gpa, &n);

		if (!from) {
			return false;
		}
		memcpy(to, from, n);
		to += n;
		gpa.v += n;
		len -= n;
	}
	return true;
}

bool addrspace_write(const struct addrspace *as, gpa_t gpa, const void *in, uint64_t len)
{
	const uint8_t *from = in;

	while (len) {
		uint64_t n = len;
		uint8_t *to = span(as, gpa, &n);

		if (!to) {
			return false;
		}
		memcpy(to, from, n);
		from += n;
		gpa.v += n;
		len -= n;
	}
	return true;
}
