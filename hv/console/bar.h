/*
 * The line above a guest's tile: how the guest does. Of the console CPU.
 */
#pragma once

#include "hv/partition.h"

enum { BAR_TEXT = 256 };

struct bar {
	uint64_t exits, since; /* at the last look: all exits of the guest, and the host TSC */
	uint64_t rate;	       /* exits per second between the last two looks */
};

/* Looks at the guest's counters, which its CPUs go on counting. Some times a second at most. */
void bar_look(struct bar *b, const struct partition *p, uint64_t now);
/* "1>linux  running  CPUs 0-1  20 exits/s  last stop: ..."; `>`: it gets what is typed. */
void bar_text(char text[BAR_TEXT], const struct bar *b, const struct partition *p, bool input);
/* The colours of that line. */
uint8_t bar_attr(const struct partition *p, bool input);
