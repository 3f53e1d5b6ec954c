/*
 * Which MSRs a guest may touch, and what happens: one const table (msr.c).
 *
 * Backends build their MSR bitmaps from msr_passed(); exits go to msr_read and msr_write. Anything
 * that the table does not name is #GP(0), logged once per MSR and direction.
 */
#pragma once

#include "hv/vcpu.h"

/* Does the guest read (or write) the real MSR without an exit? Depends on what CPUID shows. */
bool msr_passed(uint32_t msr, bool write);

/* The lowest MSR from `msr` on that the table names; the others are never passed. */
enum { MSR_NONE = 0xffffffff };
uint32_t msr_next(uint32_t msr);

/* An exit. False: the guest gets #GP(0); RIP is not advanced. */
bool msr_read(struct vcpu *v, uint32_t msr, uint64_t *value);
bool msr_write(struct vcpu *v, uint32_t msr, uint64_t value);
