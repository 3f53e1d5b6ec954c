/*
 * The length of an intercepted instruction on CPUs that do not save the next RIP. Pure.
 *
 * The intercept says which instruction it is, so only its prefixes need counting, and none of them
 * looks like the first byte of the opcodes in question: 0F (CPUID, RDMSR, ...), F1 (INT1) or F4
 * (HLT).
 */
#pragma once

#include "hv/types.h"

enum { INSN_MAX = 15 };

/* bytes[0..n) from RIP on; `opcode`: bytes from the opcode to the end. 0: not among these bytes. */
static inline uint8_t insn_length(const uint8_t *bytes, unsigned n, unsigned opcode)
{
	for (unsigned i = 0; i < n && i + opcode <= INSN_MAX; i++) {
		if (bytes[i] == 0x0f || bytes[i] == 0xf1 || bytes[i] == 0xf4) {
			return (uint8_t)(i + opcode);
		}
	}
	return 0;
}
