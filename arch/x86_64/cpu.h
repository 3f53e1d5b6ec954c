/*
 * Bringing one CPU into the state that the hypervisor runs in.
 */
#pragma once

#include "arch/x86_64/percpu.h"

/* The boot CPU's percpu, GDT, and IDT: from here on exceptions are reported. The first call. */
void cpu_init_boot(void);
/* Stacks for NMI, #DF and #MC; a new percpu with stacks for CPU index `cpu`. Boot CPU. */
void cpu_make_stacks(struct percpu *p);
struct percpu *cpu_make(unsigned cpu);
/* Control registers, EFER and PAT of this CPU; its page tables must be loaded. */
void cpu_set_control(void);
/* Says what cpu_set_control turned on. */
void cpu_log_control(void);
/* x87, MMX and SSE registers and XCR0 of this CPU as after reset. */
void simd_reset(void);
/* Halts this CPU for ever; it still takes NMIs. */
void cpu_halt(void) NORETURN;
