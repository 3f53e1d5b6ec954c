/*
 * The machine's memory type range registers: what firmware says how memory may be cached (Intel SDM
 * vol. 3, "Memory Type Range Registers"; AMD APM vol. 2, "Memory-Type Range Registers").
 */
#pragma once

#include "hv/types.h"

enum mtrr_type { MTRR_UC = 0, MTRR_WC = 1, MTRR_WT = 4, MTRR_WP = 5, MTRR_WB = 6 };

enum { MTRR_VARIABLES = 32 };

struct mtrr {
	bool on;	 /* else nothing is known, and nothing follows from it */
	uint8_t type;	 /* of what no range covers */
	uint64_t top_wb; /* [4 GiB, top_wb) is write-back whatever the ranges say (AMD's TOM2) */
	unsigned variables;
	struct {
		uint64_t base, mask; /* an address is in it when (address & mask) == base */
		uint8_t type;
	} variable[MTRR_VARIABLES]; /* those that are valid */
};

/* This CPU's, through host_rdmsr. */
void mtrr_read(struct mtrr *m);
/*
 * The type at `at`, which is 1 MiB or higher: below, fixed ranges rule. *until: where that may
 * change, beyond `at`.
 */
enum mtrr_type mtrr_at(const struct mtrr *m, uint64_t at, uint64_t *until);

/* Of the boot CPU, as firmware set it; read before memory is used. */
extern struct mtrr mtrr_boot;
