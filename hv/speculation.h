/*
 * Speculative-execution attacks: what this CPU says of them, and what Mullion does against them.
 *
 * Every guest has CPUs of its own and gets the CPU's controls, so each guest's kernel defends
 * itself as on its own machine. What is left is what a CPU carries from one life of a guest to the
 * next, and the hypervisor's own branches; docs/real-machines.md tells what is not done.
 */
#pragma once

#include "hv/types.h"

struct speculation {
	/* Lists of names, empty: none. */
	char controls[120], immune[160], rest[160]; /* rest: affected, or the CPU does not say */
};

/* Of this CPU. */
void speculation_read(struct speculation *s);

/*
 * Boot CPU, before MSR bitmaps are made: on CPUs that need IBRS set once only (IBRS_ALL), it stays
 * set, so that no guest chooses where the hypervisor's indirect branches are predicted to go.
 * Guests' accesses to SPEC_CTRL then exit (msr.c); others have the register to themselves.
 */
void speculation_init(void);
bool speculation_keeps_ibrs(void);
/* SPEC_CTRL for a guest that wants `value`, which is the guest's again after a restart. */
bool speculation_write(uint64_t value);

/* AMD's way of the same, by EFER.AIBRSE of the hypervisor: is it there? */
bool speculation_auto_ibrs(void);

/*
 * On a CPU that a guest has left, or is about to start on: its controls go off, and what the CPU
 * has predicted, cached in L1 and buffered is forgotten.
 */
void speculation_forget(void);
