/*
 * The machine's MTRRs: see mtrr.h. Read at boot: RAM that is not write-back is given to nobody, and
 * CPUs that differ are told of. Firmware sets them; Mullion only looks.
 */
#include "hv/mtrr.h"
#include "hv/cpu_facts.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/msr_index.h"

enum { EDX_MTRR = BIT(12), CAP_VARIABLES = 0xff, DEFAULT_ON = BIT(11), MASK_VALID = BIT(11) };
enum { SYSCFG_TOM2 = BIT(21), SYSCFG_TOM2_WB = BIT(22), TYPE = 0xff };

struct mtrr mtrr_boot;

/* AMD APM vol. 2, "Top of Memory": above 4 GiB the ranges need not say what is RAM. */
static uint64_t read_top_wb(void)
{
	uint64_t syscfg, top;

	if (!cpu_is_amd() || !host_rdmsr(MSR_AMD_SYSCFG, &syscfg) || !(syscfg & SYSCFG_TOM2) ||
	    !(syscfg & SYSCFG_TOM2_WB) || !host_rdmsr(MSR_AMD_TOP_MEM2, &top)) {
		return 0;
	}
	return top & FIELD(51, 23);
}

/* False: the mask has holes, which nobody's firmware makes and nothing here can follow. */
static bool read_variable(struct mtrr *m, unsigned i, uint64_t bits)
{
	uint64_t base, mask;

	if (!host_rdmsr(MSR_MTRR_PHYS_BASE0 + 2 * i, &base) ||
	    !host_rdmsr(MSR_MTRR_PHYS_BASE0 + 2 * i + 1, &mask)) {
		return false;
	}
	if (!(mask & MASK_VALID)) {
		return true;
	}
	mask &= bits;
	if (!mask || (mask | (mask - 1)) != (bits | PAGE_MASK)) {
		return false;
	}
	m->variable[m->variables].base = base & mask;
	m->variable[m->variables].mask = mask;
	m->variable[m->variables++].type = base & TYPE;
	return true;
}

void mtrr_read(struct mtrr *m)
{
	uint64_t cap, type, bits = (cpu_address_limit() - 1) & ~PAGE_MASK;
	uint32_t r[4];

	memset(m, 0, sizeof(*m)); /* compared as bytes */
	host_cpuid(1, 0, r);
	if (!(r[EDX] & EDX_MTRR) || !host_rdmsr(MSR_MTRRCAP, &cap) ||
	    !host_rdmsr(MSR_MTRR_DEF_TYPE, &type) || !(type & DEFAULT_ON)) {
		return;
	}
	for (unsigned i = 0; i < (cap & CAP_VARIABLES) && i < MTRR_VARIABLES; i++) {
		if (!read_variable(m, i, bits)) {
			return;
		}
	}
	m->type = type & TYPE;
	m->top_wb = read_top_wb();
	m->on = true;
}

/* Of two ranges that overlap; what the manuals leave undefined is taken for uncached. */
static enum mtrr_type stricter(enum mtrr_type a, enum mtrr_type b)
{
	if (a == b) {
		return a;
	}
	return (a == MTRR_WB && b == MTRR_WT) || (a == MTRR_WT && b == MTRR_WB) ? MTRR_WT : MTRR_UC;
}

enum mtrr_type mtrr_at(const struct mtrr *m, uint64_t at, uint64_t *until)
{
	enum mtrr_type type = m->type;
	bool covered = false;

	*until = UINT64_MAX;
	if (at < GIB(4)) {
		*until = GIB(4);
	} else if (at < m->top_wb) {
		*until = m->top_wb;
		return MTRR_WB;
	}
	for (unsigned i = 0; i < m->variables; i++) {
		uint64_t base = m->variable[i].base;
		uint64_t end = base + (m->variable[i].mask & (~m->variable[i].mask + 1));

		if (at >= base && at < end) {
			enum mtrr_type own = m->variable[i].type;

			type = covered ? stricter(type, own) : own;
			covered = true;
			*until = end < *until ? end : *until;
		} else if (at < base && base < *until) {
			*until = base;
		}
	}
	return type;
}
