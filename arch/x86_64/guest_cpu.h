/*
 * What a guest keeps in this CPU's own registers while the hypervisor runs, because the hypervisor
 * never uses it: vector registers, debug registers, XCR0, XSS, the SYSCALL MSRs and TSC_AUX.
 * Both backends put them to reset values before another guest, or the same one again, starts.
 */
#pragma once

#include "hv/types.h"

/*
 * Boot CPU, when all CPUs have started: one page each for what the CPU keeps while a guest runs
 * (percpu.virt: the VMXON region or the host save area). Logs what is wrong.
 */
bool guest_cpu_alloc(void);

/* This CPU, at RESET#. VMX and SVM alike; SVM switches some of the MSRs by itself. */
void guest_cpu_reset(void);

/* This CPU, at RESET# and INIT. */
void guest_cpu_reset_debug(void);
