/*
 * The page attribute table of every CPU (Intel SDM vol. 3, "Programming the PAT"; AMD APM vol. 2,
 * "Page-Attribute Table Mechanism"): as after reset, but entry 1 is WC instead of WT. What
 * paging.c's memory types mean, and npt_format.h's: NPT leaves name entries of the host's table.
 * Set by cpu.c.
 */
#pragma once

#define PAT_OWN 0x0007040600070106ull
