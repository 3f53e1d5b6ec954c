/*
 * Runs one instruction on the real CPU with given registers: the reference for the emulator's
 * tests. x86-64 hosts only, as the hypervisor itself.
 */
#pragma once

#include "hv/types.h"

struct native {
	uint64_t gpr[16]; /* ModRM order; RSP too */
	uint64_t rflags;
	uint8_t simd[16][32];
	uint8_t mmx[8][8];
};

enum { NATIVE_SIMD = BIT(0), NATIVE_AVX = BIT(1), NATIVE_MMX = BIT(2) };

/* The code page: NATIVE_CODE_SIZE bytes below 2 GiB, readable, writable and executable. */
void native_code(void *page);

/*
 * Loads the registers (and the vector registers that `what` names), runs the instruction, and
 * stores all of them back. The instruction must not fault; branches must go to native_next.
 */
void native_run(struct native *n, unsigned what);

/* Puts an instruction at the start of the page; returns the address behind it. */
uint64_t native_place(const void *insn, size_t len);
