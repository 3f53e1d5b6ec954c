/*
 * CR0, CR4, EFER and XCR0 policy: legal values take effect, illegal ones are #GP(0) for the guest,
 * and nothing that a guest writes can fault the host (Intel SDM vol. 3 "Control Registers").
 */
#pragma once

#include "hv/vcpu.h"

/* Each writes v->regs (guest's view) and marks GROUP_CR dirty. False: the guest gets #GP(0). */
bool crx_write_cr0(struct vcpu *v, uint64_t value);
bool crx_write_cr4(struct vcpu *v, uint64_t value);
bool crx_write_efer(struct vcpu *v, uint64_t value);
/* XSETBV: sets XCR0 itself, which always holds the guest's value. */
bool crx_write_xcr0(uint32_t index, uint64_t value);

/* Bits of CR4 that a guest may set with the CPUID that it is shown. */
uint64_t crx_cr4_allowed(void);
