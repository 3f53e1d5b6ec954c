/* MMIO offsets of the local APIC's registers, for tests. The MSR is 0x800 + offset / 16. */
#pragma once

#include <stdint.h>

enum {
	ID = 0x20,
	VERSION = 0x30,
	TPR = 0x80,
	APR = 0x90,
	PPR = 0xa0,
	EOI = 0xb0,
	RRD = 0xc0,
	LDR = 0xd0,
	DFR = 0xe0,
	SVR = 0xf0,
	ISR = 0x100,
	TMR = 0x180,
	IRR = 0x200,
	ESR = 0x280,
	CMCI = 0x2f0,
	ICR = 0x300,
	ICR_HIGH = 0x310,
	LVT_T = 0x320,
	LVT_TH = 0x330,
	LVT_PC = 0x340,
	LVT_0 = 0x350,
	LVT_1 = 0x360,
	LVT_E = 0x370,
	TMICT = 0x380,
	TMCCT = 0x390,
	TDCR = 0x3e0,
	SELF = 0x3f0
};

static inline uint32_t msr_of(unsigned offset)
{
	return 0x800 + offset / 16;
}
