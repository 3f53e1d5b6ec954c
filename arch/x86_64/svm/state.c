/*
 * Register groups between the VMCB and vcpu.regs. Called by run.c and through virt_ops.fetch, on
 * the owner CPU.
 */
#include "arch/x86_64/asm.h"
#include "arch/x86_64/svm/attributes.h"
#include "arch/x86_64/svm/svm.h"

static void read_segment(struct segment *s, const struct vmcb_segment *from)
{
	s->selector = from->selector;
	s->base = from->base;
	s->limit = from->limit;
	s->ar = attributes_decode(from->attributes);
}

static void write_segment(struct vmcb_segment *to, const struct segment *s)
{
	to->selector = s->selector;
	to->base = s->base;
	to->limit = s->limit;
	to->attributes = attributes_encode(s->ar);
}

static void fetch_ar(struct vcpu_regs *r, const struct vmcb *c)
{
	r->cs.ar = attributes_decode(c->cs.attributes);
	/* The CPL is its own field; the neutral state has it in SS, as VMX does. */
	r->ss.ar = (uint32_t)((attributes_decode(c->ss.attributes) & ~(uint64_t)SEG_DPL) |
			      field_put(SEG_DPL, c->cpl));
}

static void fetch_cs_ss(struct vcpu_regs *r, const struct vmcb *c)
{
	read_segment(&r->cs, &c->cs);
	read_segment(&r->ss, &c->ss);
	fetch_ar(r, c);
}

static void write_cs_ss(struct vmcb *c, const struct vcpu_regs *r)
{
	write_segment(&c->cs, &r->cs);
	write_segment(&c->ss, &r->ss);
	c->cpl = (uint8_t)field_get(SEG_DPL, r->ss.ar);
	vmcb_touch(c, CLEAN_SEGMENTS);
}

static void fetch_seg(struct vcpu_regs *r, const struct vmcb *c)
{
	read_segment(&r->es, &c->es);
	read_segment(&r->ds, &c->ds);
	read_segment(&r->fs, &c->fs);
	read_segment(&r->gs, &c->gs);
	read_segment(&r->ldtr, &c->ldtr);
	read_segment(&r->tr, &c->tr);
	r->gdtr = (struct dtable){c->gdtr.base, (uint16_t)c->gdtr.limit};
	r->idtr = (struct dtable){c->idtr.base, (uint16_t)c->idtr.limit};
}

static void write_seg(struct vmcb *c, const struct vcpu_regs *r)
{
	write_segment(&c->es, &r->es);
	write_segment(&c->ds, &r->ds);
	write_segment(&c->fs, &r->fs);
	write_segment(&c->gs, &r->gs);
	write_segment(&c->ldtr, &r->ldtr);
	write_segment(&c->tr, &r->tr);
	c->gdtr.base = r->gdtr.base;
	c->gdtr.limit = r->gdtr.limit;
	c->idtr.base = r->idtr.base;
	c->idtr.limit = r->idtr.limit;
	vmcb_touch(c, CLEAN_SEGMENTS | CLEAN_TABLES);
}

static void write_cr(struct vmcb *c, const struct vcpu_regs *r)
{
	c->cr0 = r->cr0;
	c->cr3 = r->cr3;
	c->cr4 = r->cr4;
	c->efer = r->efer | EFER_SVME; /* VMRUN insists */
	/* A write to a control register also drops the guest's own translations. */
	c->tlb_control = svm_caps.flush;
	vmcb_touch(c, CLEAN_CR);
}

static void write_shadow(struct svm *x, uint32_t shadow)
{
	x->vmcb->int_state = shadow & (SHADOW_STI | SHADOW_MOV_SS) ? INT_STATE_SHADOW : 0;
	svm_block_nmi(x, shadow & SHADOW_NMI);
}

/* The groups that few exits touch. */
static void fetch_rare(struct vcpu_regs *r, const struct vmcb *c, uint32_t groups)
{
	if (groups & GROUP_CS_SS_REST) {
		fetch_cs_ss(r, c);
	}
	if (groups & GROUP_SEG) {
		fetch_seg(r, c);
	}
	if (groups & GROUP_CR2) {
		r->cr2 = c->cr2;
	}
	if (groups & GROUP_DR) {
		r->dr6 = c->dr6;
		r->dr7 = c->dr7;
	}
	if (groups & GROUP_SYSENTER) {
		r->sysenter_cs = c->sysenter_cs;
		r->sysenter_esp = c->sysenter_esp;
		r->sysenter_eip = c->sysenter_eip;
	}
	if (groups & GROUP_PAT) {
		r->pat = c->guest_pat;
	}
}

void svm_fetch(struct vcpu *v, uint32_t groups)
{
	const struct svm *x = svm_of(v);
	const struct vmcb *c = x->vmcb;
	struct vcpu_regs *r = &v->regs;

	if (groups & GROUP_RIP) {
		r->rip = c->rip;
	}
	if (groups & GROUP_RFLAGS) {
		r->rflags = c->rflags;
	}
	if (groups & GROUP_SHADOW) {
		r->shadow = svm_shadow(x);
	}
	if (groups & GROUP_RSP) {
		r->gpr[RSP] = c->rsp;
	}
	if (groups & GROUP_CR) {
		r->cr0 = c->cr0;
		r->cr3 = c->cr3;
		r->cr4 = c->cr4;
		r->efer = c->efer & ~(uint64_t)EFER_SVME;
	}
	if (groups & GROUP_AR) {
		fetch_ar(r, c);
	}
	if (groups &
	    (GROUP_CS_SS_REST | GROUP_SEG | GROUP_CR2 | GROUP_DR | GROUP_SYSENTER | GROUP_PAT)) {
		fetch_rare(r, c, groups);
	}
}

static void write_rare(struct vmcb *c, const struct vcpu_regs *r, uint32_t groups)
{
	if (groups & GROUP_CR) {
		write_cr(c, r);
	}
	if (groups & GROUP_CS_SS) {
		write_cs_ss(c, r);
	}
	if (groups & GROUP_SEG) {
		write_seg(c, r);
	}
	if (groups & GROUP_CR2) {
		c->cr2 = r->cr2;
		write_cr2(
			r->cr2); /* not every VMRUN loads it; between exits it stays the guest's */
		vmcb_touch(c, CLEAN_CR2);
	}
	if (groups & GROUP_DR) {
		c->dr6 = r->dr6;
		c->dr7 = r->dr7;
		vmcb_touch(c, CLEAN_DR);
	}
	if (groups & GROUP_SYSENTER) {
		c->sysenter_cs = r->sysenter_cs;
		c->sysenter_esp = r->sysenter_esp;
		c->sysenter_eip = r->sysenter_eip;
	}
	if (groups & GROUP_PAT) {
		c->guest_pat = r->pat;
		vmcb_touch(c, CLEAN_NESTED);
	}
}

/* What is no register of the guest's. */
static void write_virtual(struct vmcb *c, const struct vcpu *v, uint32_t groups)
{
	if (groups & GROUP_CR8) {
		c->vintr = (c->vintr & ~(uint64_t)VINTR_TPR) | v->cr8;
		vmcb_touch(c, CLEAN_VINTR);
	}
	if (groups & GROUP_TSC_OFFSET) {
		c->tsc_offset = v->tsc_offset;
		vmcb_touch(c, CLEAN_INTERCEPTS);
	}
}

void svm_write_back(struct vcpu *v)
{
	struct svm *x = svm_of(v);
	struct vmcb *c = x->vmcb;
	const struct vcpu_regs *r = &v->regs;
	uint32_t groups = v->dirty;

	v->dirty = 0;
	if (groups & GROUP_RIP) {
		c->rip = r->rip;
	}
	if (groups & GROUP_RSP) {
		c->rsp = r->gpr[RSP];
	}
	if (groups & GROUP_RFLAGS) {
		c->rflags = r->rflags | RFLAGS_1;
	}
	if (groups & GROUP_SHADOW) {
		write_shadow(x, r->shadow);
	}
	if (groups & ~(uint32_t)(GROUP_RIP | GROUP_RSP | GROUP_RFLAGS | GROUP_SHADOW)) {
		write_rare(c, r, groups);
		write_virtual(c, v, groups);
	}
}
