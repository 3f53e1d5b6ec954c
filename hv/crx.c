/*
 * Control register policy: what is legal takes effect, what is not is #GP(0) for the guest.
 *
 * Called by exit.c (MOV to CR, XSETBV) and msr.c (EFER) on the owner CPU.
 */
#include "hv/crx.h"
#include "hv/cpuid.h"
#include "hv/host.h"

static const struct {
	uint64_t bit;
	enum cpuid_feature feature;
} cr4_bits[] = {
	{CR4_VME | CR4_PVI, FEATURE_VME}, {CR4_TSD, FEATURE_TSC},    {CR4_DE, FEATURE_DE},
	{CR4_PSE, FEATURE_PSE},		  {CR4_PAE, FEATURE_PAE},    {CR4_MCE, FEATURE_MCE},
	{CR4_PGE, FEATURE_PGE},		  {CR4_PCE, FEATURE_PCE},    {CR4_OSFXSR, FEATURE_FXSR},
	{CR4_OSXMMEXCPT, FEATURE_SSE},	  {CR4_UMIP, FEATURE_UMIP},  {CR4_LA57, FEATURE_LA57},
	{CR4_FSGSBASE, FEATURE_FSGSBASE}, {CR4_PCIDE, FEATURE_PCID}, {CR4_OSXSAVE, FEATURE_XSAVE},
	{CR4_SMEP, FEATURE_SMEP},	  {CR4_SMAP, FEATURE_SMAP},  {CR4_PKE, FEATURE_PKU},
};

uint64_t crx_cr4_allowed(void)
{
	uint64_t allowed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cr4_bits); i++) {
		if (cpuid_has(cr4_bits[i].feature)) {
			allowed |= cr4_bits[i].bit;
		}
	}
	return allowed;
}

/* EFER.LMA follows CR0.PG (Intel SDM vol. 3, "Initializing IA-32e Mode"). False: #GP. */
static bool change_paging(struct vcpu *v, bool on)
{
	struct vcpu_regs *r = &v->regs;

	if (!(r->efer & EFER_LME)) {
		return true;
	}
	if (on) {
		vcpu_need(v, GROUP_AR);
		if (!(r->cr4 & CR4_PAE) || (r->cs.ar & SEG_L)) {
			return false;
		}
		r->efer |= EFER_LMA;
		return true;
	}
	if (vcpu_code_bits(v) == 64) {
		return false;
	}
	r->efer &= ~(uint64_t)EFER_LMA;
	return true;
}

bool crx_write_cr0(struct vcpu *v, uint64_t value)
{
	const uint64_t known = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP |
			       CR0_AM | CR0_NW | CR0_CD | CR0_PG;

	vcpu_need(v, GROUP_CR);
	if (value >> 32) {
		return false;
	}
	value = (value & known) | CR0_ET;
	if (((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD))) {
		return false;
	}
	if (!(value & CR0_PG) && (v->regs.cr4 & CR4_PCIDE)) {
		return false;
	}
	if (((value ^ v->regs.cr0) & CR0_PG) && !change_paging(v, value & CR0_PG)) {
		return false;
	}
	v->regs.cr0 = value;
	vcpu_touch(v, GROUP_CR);
	return true;
}

bool crx_write_cr4(struct vcpu *v, uint64_t value)
{
	uint64_t changed;

	vcpu_need(v, GROUP_CR);
	changed = value ^ v->regs.cr4;
	if (value & ~crx_cr4_allowed()) {
		return false;
	}
	if ((v->regs.efer & EFER_LMA) && (changed & (CR4_PAE | CR4_LA57))) {
		return false;
	}
	if ((changed & value & CR4_PCIDE) &&
	    (!(v->regs.efer & EFER_LMA) || (v->regs.cr3 & PAGE_MASK))) {
		return false;
	}
	v->regs.cr4 = value;
	vcpu_touch(v, GROUP_CR);
	return true;
}

bool crx_write_efer(struct vcpu *v, uint64_t value)
{
	uint64_t allowed = 0;

	vcpu_need(v, GROUP_CR);
	allowed |= cpuid_has(FEATURE_SYSCALL) ? EFER_SCE : 0;
	allowed |= cpuid_has(FEATURE_LONG_MODE) ? EFER_LME | EFER_LMA : 0;
	allowed |= cpuid_has(FEATURE_NX) ? EFER_NXE : 0;
	allowed |= cpuid_has(FEATURE_FFXSR) ? EFER_FFXSR : 0;
	allowed |= cpuid_has(FEATURE_TCE) ? EFER_TCE : 0;
	if (value & ~allowed) {
		return false;
	}
	if ((v->regs.cr0 & CR0_PG) && ((value ^ v->regs.efer) & EFER_LME)) {
		return false;
	}
	/* LMA is not writable. */
	v->regs.efer = (value & ~(uint64_t)EFER_LMA) | (v->regs.efer & EFER_LMA);
	vcpu_touch(v, GROUP_CR);
	return true;
}

enum { XCR0_X87 = BIT(0), XCR0_SSE = BIT(1), XCR0_AVX = BIT(2), XCR0_AVX512 = FIELD(7, 5) };

bool crx_write_xcr0(uint32_t index, uint64_t value)
{
	if (index != 0 || (value & ~cpuid_xcr0_allowed()) || !(value & XCR0_X87)) {
		return false;
	}
	if ((value & XCR0_AVX) && !(value & XCR0_SSE)) {
		return false;
	}
	if ((value & XCR0_AVX512) &&
	    ((value & XCR0_AVX512) != XCR0_AVX512 || !(value & XCR0_AVX))) {
		return false;
	}
	host_xcr0_write(value);
	return true;
}
