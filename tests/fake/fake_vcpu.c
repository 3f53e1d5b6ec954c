/*
 * The part of vcpu.c that the emulator needs, until the real one lands.
 */
#include "hv/vcpu.h"
#include <stdlib.h>

void vcpu_fetch(struct vcpu *v, uint32_t groups)
{
	(void)v;
	(void)groups;
	abort(); /* tests have everything valid */
}

unsigned vcpu_cpl(struct vcpu *v)
{
	return (unsigned)field_get(SEG_DPL, v->regs.ss.ar);
}

unsigned vcpu_code_bits(struct vcpu *v)
{
	if ((v->regs.efer & EFER_LMA) && (v->regs.cs.ar & SEG_L)) {
		return 64;
	}
	return v->regs.cs.ar & SEG_DB ? 32 : 16;
}

void vcpu_skip(struct vcpu *v, unsigned len)
{
	unsigned bits = vcpu_code_bits(v);

	v->regs.rip = (v->regs.rip + len) & (~0ull >> (64 - bits));
	v->regs.shadow &= ~(uint32_t)(SHADOW_STI | SHADOW_MOV_SS);
	vcpu_touch(v, GROUP_RIP | GROUP_SHADOW);
	if (v->regs.rflags & RFLAGS_TF) {
		v->pending = (struct event){.valid = true, .type = EVENT_EXC, .vector = EXC_DB};
	}
}
