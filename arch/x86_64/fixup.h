/*
 * Instructions that may fault on purpose: each has an entry {its address, where to go on} in the
 * section .fixup. Pure; tested on the host.
 */
#pragma once

#include "hv/types.h"

struct fixup {
	uint64_t at, resume;
};

/* Where to go on after a fault at rip; 0: no entry, the fault is a bug. */
static inline uint64_t fixup_find(const struct fixup *table, size_t n, uint64_t rip)
{
	for (size_t i = 0; i < n; i++) {
		if (table[i].at == rip) {
			return table[i].resume;
		}
	}
	return 0;
}

/* In inline assembly: the instruction at label `at` goes on at label `resume` when it faults. */
#define FIXUP(at, resume)                                                                          \
	".pushsection .fixup, \"a\"\n\t"                                                           \
	".quad " #at ", " #resume "\n\t"                                                           \
	".popsection\n\t"
