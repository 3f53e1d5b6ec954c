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

enum { MXCSR_RESET = 0x1f80 };

/* FXSAVE area (Intel SDM vol. 1, "FXSAVE Area"). */
struct fxsave {
	uint16_t fcw, fsw;
	uint8_t tags; /* abridged: 1 bit per physical register, set: in use */
	uint8_t reserved_5;
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	struct {
		uint64_t mantissa; /* of ST(i); MMX registers are the mantissas */
		uint16_t exponent;
		uint16_t reserved[3];
	} st[8];
	uint8_t rest[352];
} __attribute__((aligned(16)));
_Static_assert(offsetof(struct fxsave, st) == 32, "hardware layout");
_Static_assert(sizeof(struct fxsave) == 512, "hardware layout");

/* x87, MMX and SSE registers and XCR0 of this CPU as after reset. */
void simd_reset(void);
/* Halts this CPU for ever; it still takes NMIs. */
void cpu_halt(void) NORETURN;
