/*
 * Where a loader may put things: the guest's RAM, less what has been placed already.
 *
 * A plan lives as long as one load_guest call. Every byte that a loader writes is taken here first,
 * so nothing overlaps and nothing leaves RAM. Addresses below 4 GiB only: that is what the entry
 * states reach.
 */
#pragma once

#include "hv/load/load.h"

enum { PLAN_PIECES = 128 };

struct load_plan {
	const struct load_image *img;
	const struct addrspace *as;
	struct refusal *r;
	struct {
		uint64_t base, end;
	} piece[PLAN_PIECES];
	unsigned pieces;
};

/* Takes [base, base + size), size not 0. NULL, or why not: words that follow a range. */
const char *plan_take(struct load_plan *p, uint64_t base, uint64_t size);

/*
 * Finds and takes `size` free bytes within [min, max), at the lowest such place or at the highest.
 * align is a power of two.
 */
enum plan_end { PLAN_LOW, PLAN_HIGH };
bool plan_find(struct load_plan *p, uint64_t size, uint64_t align, uint64_t min, uint64_t max,
	       enum plan_end from, uint64_t *at);

/* The end of the highest piece so far, 0: none. */
uint64_t plan_end(const struct load_plan *p);

/* Bytes of a file into memory that was taken: refuses only what would be a bug of ours. */
bool plan_write(struct load_plan *p, uint64_t at, const void *data, uint64_t size);

/* "kernel: why" for the image that is being loaded. Returns false. */
bool plan_refuse(struct load_plan *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * A flat GDT at `at` (32 bytes, taken): CS 0x10 and data 0x18, as the entry states load them, so
 * that a guest which reloads its segments before it has a GDT of its own goes on.
 */
enum { LOAD_GDT_SIZE = 32, LOAD_CS = 0x10, LOAD_DS = 0x18 };
bool load_gdt(struct vcpu_regs *regs, const struct addrspace *as, gpa_t at, bool code64);
