/*
 * Port and MSR bitmaps: what leaves the guest and what does not. Pure but for memory; both backends
 * fill theirs with it while they create a vCPU.
 */
#pragma once

#include "hv/config.h"
#include "hv/msr.h"

enum { IO_BITMAP_BYTES = 65536 / 8 };

static inline void bitmap_clear(uint8_t *map, unsigned bit)
{
	map[bit / 8] &= (uint8_t) ~(1u << bit % 8);
}

/* All ports exit, but those that the guest owns. `map` has all bits set. */
static inline void io_bitmap_open(uint8_t *map, const struct config_guest *g)
{
	for (unsigned i = 0; i < g->ports; i++) {
		for (uint64_t n = 0; n < g->port[i].size; n++) {
			bitmap_clear(map, (unsigned)(g->port[i].base + n) & 0xffff);
		}
	}
}
