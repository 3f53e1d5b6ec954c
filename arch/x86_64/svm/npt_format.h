/*
 * NPT entries are those of long mode, walked as user accesses (AMD APM vol. 2, "Nested Paging").
 * Accessed and dirty are set from the start, so the CPU never has to. A leaf names an entry of the
 * host's PAT (pat.h), whose type is combined with the guest's and then with the host's MTRRs'
 * ("Combining Memory Types, MTRRs"). RAM has entry 0, WB: the guest's own type holds, and what it
 * wants uncached becomes CD or WC+, which look into the caches. Device memory has entry 2, UC-:
 * uncached unless the guest says WC, or says UC- where an MTRR says WC, as for a frame buffer.
 */
#pragma once

#include "hv/npt.h"

/* clang-format off */
#define NPT_FORMAT {							\
	.name = "NPT",							\
	.levels = 4,							\
	.table = BIT(0) | BIT(1) | BIT(2), /* present, write, user */	\
	.leaf = BIT(0) | BIT(2) | BIT(5) | BIT(6),			\
	.large = BIT(7),						\
	.write = BIT(1),						\
	.write_back = 0,						\
	.uncached = BIT(4),						\
	.no_execute = BIT(63),						\
}
/* clang-format on */
