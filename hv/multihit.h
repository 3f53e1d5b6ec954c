/*
 * iTLB multihit (CVE-2018-12207, Intel's "Machine Check Error on Page Size Change"): on the Intel
 * Core and Xeon CPUs before Ice Lake a guest that runs code from a large EPT leaf can have it in
 * the instruction TLB twice, by changing the size of its own page, and a fetch that hits both is a
 * machine check: it stops the whole machine.
 *
 * Where a CPU is affected, guests run code from 4 KiB leaves only: npt.h, small_code. This file
 * tells whether. Called by cpu_facts.c on each CPU and by boot/partitions.c once.
 */
#pragma once

#include "hv/types.h"

enum multihit {
	MULTIHIT_NO,
	MULTIHIT_YES,
	MULTIHIT_BELOW, /* in a virtual machine: the hypervisor below walks tables of its own */
};

/* Of the CPU that it runs on. */
enum multihit multihit_read(void);

struct cpu_facts;
/*
 * Must guests run code from 4 KiB leaves? Logs the answer and its reason in one line. `word` is
 * what the command line has behind "multihit=" (split, trust), NULL: nothing, the CPUs decide.
 */
bool multihit_choose(const char *word, const struct cpu_facts *f, unsigned cpus);
