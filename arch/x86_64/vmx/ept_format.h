/*
 * EPT entries (Intel SDM vol. 3, "Format of an EPT Page-Table Entry" and the like). Accessed and
 * dirty flags are off. RAM is write-back unless the guest's PAT says otherwise.
 */
#pragma once

#include "hv/npt.h"

/* clang-format off */
#define EPT_FORMAT {							\
	.name = "EPT",							\
	.levels = 4,							\
	.table = BIT(0) | BIT(1) | BIT(2), /* read, write, execute */	\
	.leaf = BIT(0) | BIT(2),					\
	.large = BIT(7),						\
	.write = BIT(1),						\
	.write_back = 6 << 3,						\
	.uncached = 0 << 3,						\
	.execute = BIT(2),						\
}
/* clang-format on */
