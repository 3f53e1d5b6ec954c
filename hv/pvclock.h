/*
 * The paravirtual clock of KVM's guest interface (Linux: Documentation/virt/kvm/x86/msr.rst,
 * cpuid.rst): how an unmodified kernel learns the TSC's frequency on any vendor's CPU.
 *
 * Kernels measure the TSC against the PIT or the PM timer, which costs exits and goes wrong when an
 * exit takes long; only Intel's CPUID tells the frequency. This interface is the one that Debian's
 * kernels know: two MSRs, by which a guest names memory that then holds frequency and start of
 * time. It is optional for the guest (CPUID 0x40000100); the memory is written when the MSR is, not
 * later.
 */
#pragma once

#include "hv/vcpu.h"

enum {
	PVCLOCK_CPUID = 0x40000100, /* signature; features in the leaf behind */
	MSR_PVCLOCK_WALL = 0x4b564d00,
	MSR_PVCLOCK_SYSTEM = 0x4b564d01,
};

/* The two leaves from PVCLOCK_CPUID on; others are zeros. */
void pvclock_cpuid(uint32_t leaf, uint32_t out[4]);

/* False: #GP(0), the address is not the guest's RAM. */
bool pvclock_write(struct vcpu *v, uint32_t msr, uint64_t value);

/* The guest's TSC was moved: the clock goes on without a step. */
void pvclock_tsc_moved(struct vcpu *v);

/* nanoseconds = ((ticks << shift, or >> -shift) * mul) >> 32. Exposed for the test. */
void pvclock_scale(uint64_t tsc_hz, uint32_t *mul, int8_t *shift);
