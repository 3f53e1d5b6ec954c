/*
 * NPT entries are those of long mode, walked as user accesses (AMD APM vol. 2, "Nested Paging").
 * Accessed and dirty are set from the start, so the CPU never has to. Memory types by the host's
 * PAT, combined with the guest's and with the host's MTRRs: entry 0 is WB; entry 2 is UC-, which is
 * UC unless guest or MTRR say WC, as for a frame buffer ("Combining Memory Types, MTRRs").
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
