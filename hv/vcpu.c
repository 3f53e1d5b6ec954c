/*
 * Neutral vCPU state: groups on demand, reset values, requests, and the end of an instruction.
 *
 * Called by exit.c, event.c, the policies and the emulator, on the owner CPU; vcpu_post by anyone.
 */
#include "hv/vcpu.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/virt.h"

const struct virt_ops *virt;

enum { REQUEST_URGENT = REQUEST_NMI | REQUEST_INIT | REQUEST_SIPI | REQUEST_STOP | REQUEST_FLUSH };

void vcpu_fetch(struct vcpu *v, uint32_t groups)
{
	v->valid |= groups;
	virt->fetch(v, groups);
}

void vcpu_post(struct vcpu *v, uint32_t requests)
{
	uint32_t old = atomic_fetch_or_explicit(&v->request, requests, memory_order_acq_rel);

	if ((requests & ~old) && v->cpu != host_cpu()) {
		host_kick(v->cpu, requests & REQUEST_URGENT);
	}
}

/* Intel SDM vol. 3, "Processor State After Reset", table of IA-32 and Intel 64 processor states. */
static const struct vcpu_regs reset_state = {
	.rip = 0xfff0,
	.rflags = RFLAGS_1,
	.cr0 = CR0_CD | CR0_NW | CR0_ET,
	.dr6 = 0xffff0ff0,
	.dr7 = 0x400,
	.pat = 0x0007040600070406,
	.cs = {.selector = 0xf000, .base = 0xffff0000, .limit = 0xffff, .ar = 0x9b},
	.ss = {.limit = 0xffff, .ar = 0x93},
	.ds = {.limit = 0xffff, .ar = 0x93},
	.es = {.limit = 0xffff, .ar = 0x93},
	.fs = {.limit = 0xffff, .ar = 0x93},
	.gs = {.limit = 0xffff, .ar = 0x93},
	.ldtr = {.limit = 0xffff, .ar = 0x82},
	.tr = {.limit = 0xffff, .ar = 0x8b},
	.gdtr = {.limit = 0xffff},
	.idtr = {.limit = 0xffff},
};

/* Puts the emulated MSRs, which INIT leaves alone, to their reset values. */
static void reset_msrs(struct vcpu *v)
{
	v->tsc_offset = 0;
	v->tsc_adjust = 0;
	v->dirty |= GROUP_TSC_OFFSET;
	v->pvclock = 0;
	v->spec_ctrl = 0;
	v->misc_enable = 1; /* fast strings */
	memset(&v->mtrr, 0, sizeof(v->mtrr));
	v->mtrr.def_type = 0xc06; /* enabled, fixed ranges too, write-back */
	for (size_t i = 0; i < ARRAY_SIZE(v->mtrr.fixed); i++) {
		v->mtrr.fixed[i] = 0x0606060606060606;
	}
}

void vcpu_reset(struct vcpu *v, bool init)
{
	struct vcpu_regs regs = reset_state;
	uint32_t signature[4];

	if (init) {
		vcpu_need(v, GROUP_PAT | GROUP_CR | GROUP_SYSENTER);
		regs.pat = v->regs.pat;
		regs.sysenter_cs = v->regs.sysenter_cs;
		regs.sysenter_esp = v->regs.sysenter_esp;
		regs.sysenter_eip = v->regs.sysenter_eip;
		regs.cr0 = (v->regs.cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
	} else {
		reset_msrs(v);
	}
	v->regs = regs;
	host_cpuid(1, 0, signature);
	v->regs.gpr[RDX] = signature[0];
	vcpu_touch(v, GROUP_ALL);
	v->pending.valid = false;
	v->nmi_pending = 0;
	v->extint = v->triple_fault = false;
	v->cr8 = 0;
	v->windows = 0;
	v->tpr_class = 0;
}

/* RF has served the instruction that it was set for; TF traps behind it. */
static void finish_debug(struct vcpu *v)
{
	if (v->regs.rflags & RFLAGS_RF) {
		v->regs.rflags &= ~(uint64_t)RFLAGS_RF;
		vcpu_touch(v, GROUP_RFLAGS);
	}
	if (v->regs.rflags & RFLAGS_TF) {
		vcpu_need(v, GROUP_DR);
		v->regs.dr6 |= DR6_BS;
		vcpu_touch(v, GROUP_DR);
		vcpu_raise(v, EXC_DB, false, 0);
	}
}

void vcpu_skip_slowly(struct vcpu *v, unsigned len)
{
	uint64_t next;

	vcpu_need(v, GROUP_STEP);
	next = v->regs.rip + len;
	/* Only a step across 4 GiB can depend on the width of the mode. */
	if ((next ^ v->regs.rip) >> 32 && vcpu_code_bits(v) != 64) {
		next &= 0xffffffff;
	}
	v->regs.rip = next;
	vcpu_touch(v, GROUP_RIP);
	if (v->regs.shadow & (SHADOW_STI | SHADOW_MOV_SS)) {
		v->regs.shadow &= SHADOW_NMI;
		vcpu_touch(v, GROUP_SHADOW);
	}
	if (v->regs.rflags & (RFLAGS_TF | RFLAGS_RF)) {
		finish_debug(v);
	}
}

/* Contributory exceptions (Intel SDM vol. 3, "Interrupt 8: Double Fault Exception"). */
static bool contributory(uint8_t vector)
{
	return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);
}

static bool makes_double_fault(const struct event *first, uint8_t second)
{
	if (first->type != EVENT_EXC) {
		return false;
	}
	if (contributory(first->vector)) {
		return contributory(second);
	}
	return first->vector == EXC_PF && (contributory(second) || second == EXC_PF);
}

void vcpu_raise(struct vcpu *v, enum exception vector, bool has_error, uint32_t error)
{
	const struct event *first = &v->pending;

	if (first->valid && first->type == EVENT_EXC && first->vector == EXC_DF &&
	    (contributory((uint8_t)vector) || vector == EXC_PF)) {
		v->triple_fault = true;
		return;
	}
	if (first->valid && makes_double_fault(first, (uint8_t)vector)) {
		vector = EXC_DF;
		has_error = true;
		error = 0;
	}
	v->pending = (struct event){.valid = true,
				    .type = EVENT_EXC,
				    .vector = (uint8_t)vector,
				    .has_error = has_error,
				    .error = error};
}
