/*
 * A configuration that fits a machine, but for the name of a kernel. Pure; the hardware report
 * prints it, and host tests feed it to the parser.
 */
#pragma once

#include "hv/cpu_facts.h"
#include "hv/pci.h"

/* What a user replaces, everywhere by the same name. */
#define SKELETON_KERNEL "FILL-IN"

struct skeleton_machine {
	const struct cpu_facts *cpu;
	unsigned cpus;
	uint64_t memory;     /* bytes free for guests and their files */
	const char *console; /* value of `console =`; NULL: the default will do */
	bool trust_tsc;	     /* the check of the TSC fails on this machine */
	const struct pci_function *function;
	unsigned functions;
	bool iommu;
};

/* Line by line through `put`, with newlines; the first and the last are comments to cut at. */
void skeleton_write(const struct skeleton_machine *m, void (*put)(void *ctx, const char *text),
		    void *ctx);
