/*
 * EPT entries (Intel SDM vol. 3, "Format of an EPT Page-Table Entry" and the like). Accessed and
 * dirty flags are off. The type here takes the place of the MTRRs, which EPT leaves out of account;
 * the guest's PAT is combined with it: RAM is write-back unless the guest says otherwise (RAM that
 * firmware's MTRRs do not have write-back is nobody's, see boot/memory.h), registers are uncached
 * unless the guest says WC.
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
