/*
 * Physical RAM that nobody owns yet, as a short list of ranges. Pieces are taken for ever. Pure.
 *
 * Boot CPU only. The one list of the machine is behind host_alloc; host tests make their own.
 */
#pragma once

#include "boot/boot_info.h"
#include "hv/mtrr.h"
#include "hv/types.h"

enum { MEMORY_RANGES = BOOT_MEMORIES + BOOT_MODULES + 128 };

struct memory_range {
	uint64_t start, end;
};

struct memory {
	struct memory_range range[MEMORY_RANGES]; /* not empty, no overlap, in no order */
	unsigned ranges;
	uint64_t lost; /* bytes that could not be kept because the list was full */
};

/* All whole pages of RAM at 1 MiB and above. */
void memory_init(struct memory *m, const struct boot_info *b);
/* Takes what lies in [start, end) out, rounded to whole pages. */
void memory_exclude(struct memory *m, uint64_t start, uint64_t end);
/*
 * Takes RAM out that is not write-back, and returns how much that was. MTRRs that leave more than
 * half of all RAM uncached are not believed: then it is nothing.
 */
uint64_t memory_exclude_uncached(struct memory *m, const struct mtrr *t);
/*
 * Takes size bytes at a multiple of align (a power of two, at least a page) below limit. Out of the
 * ranges that could give it, the smallest, so that large blocks stay whole.
 */
bool memory_take(struct memory *m, uint64_t size, uint64_t align, uint64_t limit, uint64_t *at);
/* The lowest range in [from, limit), as far as it lies there. */
bool memory_next(const struct memory *m, uint64_t from, uint64_t limit, struct memory_range *out);
/* The size of the largest piece that memory_take could return at this alignment. */
uint64_t memory_largest(const struct memory *m, uint64_t align);
uint64_t memory_total(const struct memory *m);

/* "RAM", ... when the memory map has memory in [base, base + size), which must not wrap; or NULL. */
const char *memory_meets(const struct boot_info *b, uint64_t base, uint64_t size);

/* A page of RAM below 640 KiB that is not page 0 nor for the log, and overlaps no module; 0: none. */
uint64_t memory_low_page(const struct boot_info *b);
