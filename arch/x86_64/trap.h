/*
 * The IDT, and what happens at an exception, an interrupt or an NMI while the hypervisor runs.
 */
#pragma once

#include "hv/types.h"

/* What traps.asm and the CPU push, lowest address first. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* Fills the IDT. Boot CPU, once. */
void trap_init(void);
/* Loads the IDT on this CPU; its TSS must be loaded. */
void trap_load(void);

/* From traps.asm. */
void trap_dispatch(struct trap_frame *f);
