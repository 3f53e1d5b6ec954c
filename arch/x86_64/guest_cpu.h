/*
 * What a guest keeps in this CPU's own registers while the hypervisor runs, because the hypervisor
 * never uses it: vector registers, debug registers, XCR0, XSS, the SYSCALL MSRs and TSC_AUX.
 * Both backends put them to reset values before another guest, or the same one again, starts.
 */
#pragma once

#include "hv/types.h"

/* This CPU, once: the control register bits without which the above cannot be accessed. */
void guest_cpu_enable(void);

/* This CPU, at RESET#. VMX and SVM alike; SVM switches some of the MSRs by itself. */
void guest_cpu_reset(void);

/* This CPU, at RESET# and INIT. */
void guest_cpu_reset_debug(void);
