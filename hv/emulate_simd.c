/*
 * MMX, SSE and AVX moves between MMIO and a vector register. The registers hold the guest's values
 * while the hypervisor runs, which itself never uses them (host.h). Called by emulate.c.
 */
#include "hv/emulate_part.h"
#include "hv/host.h"

enum { XCR0_SSE_AVX = BIT(1) | BIT(2) };

/* The checks that come before any access (Intel SDM vol. 2, the instructions' exception classes).
 */
static enum emulate_result check_enabled(struct emulation *em)
{
	const struct vcpu_regs *r = &em->v->regs;
	bool ud;

	if (em->d->flags & DECODE_VEX) {
		ud = !(r->cr0 & CR0_PE) || (r->rflags & RFLAGS_VM) || !(r->cr4 & CR4_OSXSAVE) ||
		     (host_xcr0_read() & XCR0_SSE_AVX) != XCR0_SSE_AVX;
	} else {
		ud = (r->cr0 & CR0_EM) || (em->d->arg != SIMD_MMX && !(r->cr4 & CR4_OSFXSR));
	}
	if (ud) {
		return emulate_fault(em, EXC_UD, false, 0);
	}
	return r->cr0 & CR0_TS ? emulate_fault(em, EXC_NM, false, 0) : EMULATE_DONE;
}

static void simd_load(struct emulation *em, const struct operand *o)
{
	const struct decoded *d = em->d;
	bool vex = d->flags & DECODE_VEX;
	uint8_t value[32] = {0};

	switch ((enum decode_simd)d->arg) {
	case SIMD_MMX:
		operand_read_bytes(em, o, value);
		host_simd_write(d->reg, 8, false, value);
		return;
	case SIMD_WHOLE: operand_read_bytes(em, o, value); break;
	case SIMD_LOW:
	case SIMD_HIGH:
		host_simd_read(vex ? d->reg2 : d->reg, 16, value);
		operand_read_bytes(em, o, value + (d->arg == SIMD_HIGH ? 8 : 0));
		break;
	}
	host_simd_write(d->reg, d->size == 32 ? 32 : 16, vex, value);
}

static void simd_store(struct emulation *em, const struct operand *o)
{
	const struct decoded *d = em->d;
	uint8_t value[32];

	if (d->arg == SIMD_MMX) {
		host_simd_read(d->reg, 8, value);
	} else {
		host_simd_read(d->reg, d->size == 32 ? 32 : 16, value);
	}
	operand_write_bytes(em, o, value + (d->arg == SIMD_HIGH ? 8 : 0));
}

enum emulate_result emulate_simd(struct emulation *em)
{
	bool is_load = em->d->op == OP_SIMD_LOAD;
	struct operand o;
	enum emulate_result r = check_enabled(em);

	if (r == EMULATE_DONE) {
		r = operand_own(em, 0, is_load ? ACCESS_READ : ACCESS_WRITE, &o);
	}
	if (r != EMULATE_DONE) {
		return r;
	}
	if (is_load) {
		simd_load(em, &o);
	} else {
		simd_store(em, &o);
	}
	return EMULATE_DONE;
}
