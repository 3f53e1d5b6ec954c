/*
 * Register groups between the VMCS and vcpu.regs. Called by run.c and through virt_ops.fetch, on
 * the owner CPU, whose current VMCS is this vCPU's.
 */
#include "arch/x86_64/asm.h"
#include "arch/x86_64/vmx/vmx.h"
#include "hv/partition.h"

enum segment_index { ES, CS, SS, DS, FS, GS, LDTR, TR };

enum { DEBUGCTL_BTF = BIT(1) };

static enum vmcs_field segment_field(enum vmcs_field first, enum segment_index s)
{
	return (enum vmcs_field)(first + VMCS_SEGMENT_STEP * (int)s);
}

static void read_segment(struct segment *s, enum segment_index i)
{
	s->selector = (uint16_t)vmread(segment_field(GUEST_ES_SELECTOR, i));
	s->base = vmread(segment_field(GUEST_ES_BASE, i));
	s->limit = (uint32_t)vmread(segment_field(GUEST_ES_LIMIT, i));
	s->ar = (uint32_t)vmread(segment_field(GUEST_ES_AR, i));
}

static void write_segment(const struct segment *s, enum segment_index i)
{
	vmwrite(segment_field(GUEST_ES_SELECTOR, i), s->selector);
	vmwrite(segment_field(GUEST_ES_BASE, i), s->base);
	vmwrite(segment_field(GUEST_ES_LIMIT, i), s->limit);
	vmwrite(segment_field(GUEST_ES_AR, i), s->ar);
}

static uint32_t read_shadow(void)
{
	uint32_t i = (uint32_t)vmread(GUEST_INTERRUPTIBILITY);

	_Static_assert((int)SHADOW_STI == (int)INTERRUPTIBILITY_STI, "the same bits");
	_Static_assert((int)SHADOW_MOV_SS == (int)INTERRUPTIBILITY_MOV_SS, "the same bits");
	return (i & (SHADOW_STI | SHADOW_MOV_SS)) | (i & INTERRUPTIBILITY_NMI ? SHADOW_NMI : 0);
}

static void write_shadow(uint32_t s)
{
	vmwrite(GUEST_INTERRUPTIBILITY,
		(s & (SHADOW_STI | SHADOW_MOV_SS)) | (s & SHADOW_NMI ? INTERRUPTIBILITY_NMI : 0));
}

void vmx_fetch_cr(struct vcpu *v)
{
	const struct vmx *x = vmx_of(v);
	struct vcpu_regs *r = &v->regs;

	r->cr0 = (vmread(GUEST_CR0) & ~CR0_OWNED) | (x->cr0_shadow & CR0_OWNED);
	r->cr4 = (vmread(GUEST_CR4) & ~CR4_OWNED) | (x->cr4_shadow & CR4_OWNED);
	r->cr3 = vmread(GUEST_CR3);
	r->efer = vmread(GUEST_EFER);
	v->valid |= GROUP_CR;
}

/* What MOV to CR0, CR3 or CR4 does on a CPU: with PAE paging it loads four entries from memory. */
static void write_pdptes(struct vcpu *v)
{
	uint64_t pdpte[4] = {0};

	if (!(v->regs.cr0 & CR0_PG) || !(v->regs.cr4 & CR4_PAE) || (v->regs.efer & EFER_LMA)) {
		return;
	}
	/* What is not RAM reads as not present: the guest gets #PF. */
	addrspace_read(&v->part->as, gpa(v->regs.cr3 & FIELD(31, 5)), pdpte, sizeof(pdpte));
	for (int i = 0; i < 4; i++) {
		vmwrite((enum vmcs_field)(GUEST_PDPTE0 + 2 * i), pdpte[i]);
	}
}

/* A MOV to a control register also drops the guest's own translations. */
static void flush_linear(void)
{
	enum { SINGLE_CONTEXT = 1 };
	struct {
		uint64_t vpid, linear;
	} d = {0, 0};
	bool failed;

	if (!(vmx_caps.word[SECONDARY] & SECONDARY_VPID)) {
		return;
	}
	d.vpid = vmread(VPID);
	__asm__ volatile("invvpid %1, %2"
			 : "=@ccbe"(failed)
			 : "m"(d), "r"((uint64_t)SINGLE_CONTEXT)
			 : "memory");
	bug_on(failed);
}

static void write_control_registers(struct vcpu *v)
{
	struct vmx *x = vmx_of(v);
	const struct vcpu_regs *r = &v->regs;
	uint32_t entry = vmx_caps.word[ENTRY];

	x->cr0_shadow = r->cr0;
	x->cr4_shadow = r->cr4;
	vmwrite(CR0_SHADOW, r->cr0);
	vmwrite(CR4_SHADOW, r->cr4);
	vmwrite(GUEST_CR0, (r->cr0 & ~CR0_OWNED) | CR0_NE);
	vmwrite(GUEST_CR4, r->cr4 | CR4_OWNED);
	vmwrite(GUEST_CR3, r->cr3);
	vmwrite(GUEST_EFER, r->efer);
	vmwrite(ENTRY_CONTROLS, r->efer & EFER_LMA ? entry | ENTRY_IA32E : entry);
	write_pdptes(v);
	flush_linear();
}

void vmx_fix_pending_debug(void)
{
	uint64_t shadow = vmread(GUEST_INTERRUPTIBILITY);
	uint64_t pending = vmread(GUEST_PENDING_DEBUG) & ~(uint64_t)PENDING_DEBUG_BS;

	if (shadow & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS) &&
	    vmread(GUEST_RFLAGS) & RFLAGS_TF && !(vmread(GUEST_DEBUGCTL) & DEBUGCTL_BTF)) {
		pending |= PENDING_DEBUG_BS;
	}
	vmwrite(GUEST_PENDING_DEBUG, pending);
}

static void fetch_segments(struct vcpu_regs *r)
{
	read_segment(&r->es, ES);
	read_segment(&r->ds, DS);
	read_segment(&r->fs, FS);
	read_segment(&r->gs, GS);
	read_segment(&r->ldtr, LDTR);
	read_segment(&r->tr, TR);
	r->gdtr.base = vmread(GUEST_GDTR_BASE);
	r->gdtr.limit = (uint16_t)vmread(GUEST_GDTR_LIMIT);
	r->idtr.base = vmread(GUEST_IDTR_BASE);
	r->idtr.limit = (uint16_t)vmread(GUEST_IDTR_LIMIT);
}

static void write_segments(const struct vcpu_regs *r)
{
	write_segment(&r->es, ES);
	write_segment(&r->ds, DS);
	write_segment(&r->fs, FS);
	write_segment(&r->gs, GS);
	write_segment(&r->ldtr, LDTR);
	write_segment(&r->tr, TR);
	vmwrite(GUEST_GDTR_BASE, r->gdtr.base);
	vmwrite(GUEST_GDTR_LIMIT, r->gdtr.limit);
	vmwrite(GUEST_IDTR_BASE, r->idtr.base);
	vmwrite(GUEST_IDTR_LIMIT, r->idtr.limit);
}

/* The groups that few exits touch. */
static void fetch_rare(struct vcpu *v, uint32_t groups)
{
	struct vcpu_regs *r = &v->regs;

	if (groups & GROUP_CS_SS_REST) {
		read_segment(&r->cs, CS);
		read_segment(&r->ss, SS);
	}
	if (groups & GROUP_SEG) {
		fetch_segments(r);
	}
	if (groups & GROUP_CR2) {
		r->cr2 = read_cr2(); /* stays in the register: the hypervisor has no page faults */
	}
	if (groups & GROUP_DR) {
		r->dr6 = read_dr6(); /* likewise */
		r->dr7 = vmread(GUEST_DR7);
	}
	if (groups & GROUP_SYSENTER) {
		r->sysenter_cs = vmread(GUEST_SYSENTER_CS);
		r->sysenter_esp = vmread(GUEST_SYSENTER_ESP);
		r->sysenter_eip = vmread(GUEST_SYSENTER_EIP);
	}
	if (groups & GROUP_PAT) {
		r->pat = vmread(GUEST_PAT);
	}
}

void vmx_fetch_step(struct vcpu *v)
{
	v->regs.rip = vmread(GUEST_RIP);
	v->regs.rflags = vmread(GUEST_RFLAGS);
	v->regs.shadow = read_shadow();
	v->valid |= GROUP_STEP;
}

void vmx_fetch(struct vcpu *v, uint32_t groups)
{
	struct vcpu_regs *r = &v->regs;

	if (groups & GROUP_RIP) {
		r->rip = vmread(GUEST_RIP);
	}
	if (groups & GROUP_RFLAGS) {
		r->rflags = vmread(GUEST_RFLAGS);
	}
	if (groups & GROUP_SHADOW) {
		r->shadow = read_shadow();
	}
	if (groups & GROUP_RSP) {
		r->gpr[RSP] = vmread(GUEST_RSP);
	}
	if (groups & GROUP_CR) {
		vmx_fetch_cr(v);
	}
	if (groups & GROUP_AR) {
		r->cs.ar = (uint32_t)vmread(segment_field(GUEST_ES_AR, CS));
		r->ss.ar = (uint32_t)vmread(segment_field(GUEST_ES_AR, SS));
	}
	if (groups &
	    (GROUP_CS_SS_REST | GROUP_SEG | GROUP_CR2 | GROUP_DR | GROUP_SYSENTER | GROUP_PAT)) {
		fetch_rare(v, groups);
	}
}

/* Virtual-APIC page: the TPR, which CR8 reads and writes without an exit. */
static void write_tpr(struct vcpu *v)
{
	struct vmx *x = vmx_of(v);

	x->virtual_apic[VIRTUAL_TPR] = (uint8_t)(v->cr8 << 4);
	/* The entry fails if the threshold is above the TPR; below it, nothing is to be waited for.
	 */
	vmwrite(TPR_THRESHOLD, x->tpr_class < v->cr8 ? x->tpr_class : v->cr8);
}

static void write_rare(struct vcpu *v, uint32_t groups)
{
	const struct vcpu_regs *r = &v->regs;

	if (groups & GROUP_CR) {
		write_control_registers(v);
	}
	if (groups & GROUP_CS_SS) {
		write_segment(&r->cs, CS);
		write_segment(&r->ss, SS);
	}
	if (groups & GROUP_SEG) {
		write_segments(r);
	}
	if (groups & GROUP_CR2) {
		write_cr2(r->cr2);
	}
	if (groups & GROUP_DR) {
		write_dr6(r->dr6);
		vmwrite(GUEST_DR7, r->dr7);
	}
	if (groups & GROUP_SYSENTER) {
		vmwrite(GUEST_SYSENTER_CS, r->sysenter_cs);
		vmwrite(GUEST_SYSENTER_ESP, r->sysenter_esp);
		vmwrite(GUEST_SYSENTER_EIP, r->sysenter_eip);
	}
	if (groups & GROUP_PAT) {
		vmwrite(GUEST_PAT, r->pat);
	}
	if (groups & GROUP_CR8) {
		write_tpr(v);
	}
	if (groups & GROUP_TSC_OFFSET) {
		vmwrite(TSC_OFFSET, v->tsc_offset);
	}
}

void vmx_write_back(struct vcpu *v)
{
	const struct vcpu_regs *r = &v->regs;
	uint32_t groups = v->dirty;

	v->dirty = 0;
	if (groups & GROUP_RIP) {
		vmwrite(GUEST_RIP, r->rip);
	}
	if (groups & GROUP_RSP) {
		vmwrite(GUEST_RSP, r->gpr[RSP]);
	}
	if (groups & GROUP_RFLAGS) {
		vmwrite(GUEST_RFLAGS, r->rflags | RFLAGS_1);
	}
	if (groups & GROUP_SHADOW) {
		write_shadow(r->shadow);
	}
	if (groups & (GROUP_RFLAGS | GROUP_SHADOW) &&
	    (!(v->valid & GROUP_RFLAGS) || r->rflags & RFLAGS_TF)) {
		vmx_fix_pending_debug();
	}
	if (groups & ~(uint32_t)(GROUP_RIP | GROUP_RSP | GROUP_RFLAGS | GROUP_SHADOW)) {
		write_rare(v, groups);
	}
}
