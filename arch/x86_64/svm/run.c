/*
 * Running the guest: world switch, and the exit code turned into a neutral struct vm_exit (AMD APM
 * vol. 2, "#VMEXIT" and the appendix of exit codes). Called by the run loop through virt_ops on the
 * owner CPU with interrupts off. Exit codes are compared as 32 bits: emulators store -1 as such.
 */
#include "arch/x86_64/event_code.h"
#include "arch/x86_64/svm/attributes.h"
#include "arch/x86_64/svm/insn_length.h"
#include "arch/x86_64/svm/svm.h"
#include "hv/cpuid.h"
#include "hv/gwalk.h"
#include "hv/partition.h"

/* Bytes of an instruction that is not a prefix. */
enum {
	OPCODE_CPUID = 2,
	OPCODE_HLT = 1,
	OPCODE_INT1 = 1,
	OPCODE_MSR = 2,
	OPCODE_VMMCALL = 3,
	OPCODE_XSETBV = 3,
	OPCODE_WBINVD = 2
};

static inline bool is_code_64(const struct vmcb *c)
{
	return (c->efer & EFER_LMA) && (c->cs.attributes & ATTRIBUTES_LONG);
}

static inline uint64_t guest_efer(const struct vmcb *c)
{
	return c->efer & ~(uint64_t)EFER_SVME;
}

/* The guest's byte at a linear address; NULL if it cannot be read. */
static NOINLINE const uint8_t *walk_to_code(struct vcpu *v, gva_t at)
{
	const struct vmcb *c = svm_of(v)->vmcb;
	struct gwalk_mode m = {.cr0 = c->cr0,
			       .cr3 = c->cr3,
			       .cr4 = c->cr4,
			       .efer = guest_efer(c),
			       .rflags = c->rflags,
			       .cpl = c->cpl,
			       .maxphyaddr = cpuid_maxphyaddr()};
	struct gwalk_page page;

	if (gwalk_fetch(&v->part->as, &m, at, v->fetches, &page) != GWALK_OK || !page.range ||
	    !page.range->ptr) {
		return NULL;
	}
	return page.range->ptr + (page.gpa.v - page.range->base.v);
}

/* 0: the bytes cannot be read, or go on in the next page. */
static NOINLINE uint8_t length(struct vcpu *v, unsigned opcode)
{
	const struct vmcb *c = svm_of(v)->vmcb;
	uint64_t linear = is_code_64(c) ? c->rip : (uint32_t)(c->rip + c->cs.base);
	uint64_t left = PAGE_SIZE - (linear & PAGE_MASK);
	const struct gwalk_memo *memo = gwalk_memo_of(v->fetches, gva(linear));
	const uint8_t *code;

	if (GWALK_MEMO_HOLDS(memo, gva(linear), c, guest_efer(c), c->cpl) && memo->ram) {
		code = memo->ram + (linear & PAGE_MASK);
	} else {
		code = walk_to_code(v, gva(linear));
	}
	return code ? insn_length(code, left < INSN_MAX ? (unsigned)left : INSN_MAX, opcode) : 0;
}

static void exit_io(const struct vmcb *c, struct vm_exit *exit)
{
	uint64_t i = c->exit_info1;

	exit->kind = EXIT_IO;
	exit->insn_len = (uint8_t)(c->exit_info2 - c->rip);
	exit->io.port = (uint16_t)(i >> 16);
	exit->io.size = (uint8_t)field_get(FIELD(6, 4), i);
	exit->io.in = i & BIT(0);
	exit->io.string = i & BIT(2);
}

static void exit_raw(const struct vmcb *c, struct vm_exit *exit, enum exit_kind kind)
{
	exit->kind = kind;
	exit->raw.reason = c->exit_code;
	exit->raw.info1 = c->exit_info1;
	exit->raw.info2 = c->exit_info2;
}

/* The emulator needs them for every access that it carries out. */
static inline void read_mode(struct vcpu *v, const struct vmcb *c, struct vm_exit *exit)
{
	struct vcpu_regs *r = &v->regs;

	r->cr0 = c->cr0;
	r->cr3 = c->cr3;
	r->cr4 = c->cr4;
	r->efer = guest_efer(c);
	v->valid |= GROUP_CR;
	exit->npt.code_64 = is_code_64(c);
	exit->npt.cpl = c->cpl;
}

static void exit_npt(struct vcpu *v, const struct vmcb *c, struct vm_exit *exit)
{
	enum { PRESENT = BIT(0), WRITE = BIT(1), RESERVED = BIT(3), FETCH = BIT(4) };
	const uint64_t walk = BIT(33);
	uint64_t i = c->exit_info1;

	if (i & RESERVED) {
		exit_raw(c, exit, EXIT_MISCONFIG);
		return;
	}
	exit->kind = EXIT_NPT;
	exit->npt.gpa = gpa(c->exit_info2);
	exit->npt.write = i & WRITE;
	exit->npt.fetch = i & FETCH;
	exit->npt.walk = i & walk;
	read_mode(v, c, exit);
}

/* DR6 is stored as the handler is to see it; where it is not, a single step is the likely cause. */
static void finish_debug_exception(struct vmcb *c)
{
	enum { CAUSES = FIELD(3, 0) | BIT(13) | DR6_BS | BIT(15) };

	if (!(c->dr6 & CAUSES) && (c->rflags & RFLAGS_TF || !(c->dr7 & DR7_CAUSES))) {
		c->dr6 |= DR6_BS;
		vmcb_touch(c, CLEAN_DR);
	}
}

static NOINLINE void exit_exception(struct vmcb *c, struct vm_exit *exit, unsigned vector)
{
	if (vector == EXC_MC) {
		__asm__ volatile("int $18" : : : "memory");
		exit->kind = EXIT_INTR;
		return;
	}
	if (vector == EXC_DB) {
		finish_debug_exception(c);
	}
	exit->kind = EXIT_EXCEPTION;
	exit->exc.vector = (uint8_t)vector;
	exit->exc.has_error = vector == EXC_AC || vector == EXC_DF ||
			      (vector >= EXC_TS && vector <= EXC_PF);
	exit->exc.error = exit->exc.has_error ? (uint32_t)c->exit_info1 : 0;
}

/* An instruction that faults in a guest: its virtual CPU does not let anyone use it. */
static void exit_general_protection(struct vm_exit *exit)
{
	exit->kind = EXIT_EXCEPTION;
	exit->exc.vector = EXC_GP;
	exit->exc.has_error = true;
	exit->exc.error = 0;
}

static NOINLINE void fetch_length(struct vcpu *v, struct vm_exit *exit, unsigned opcode)
{
	exit->insn_len = length(v, opcode);
}

static inline void skippable(struct vcpu *v, struct vm_exit *exit, enum exit_kind kind,
			     unsigned opcode)
{
	const struct vmcb *c = svm_of(v)->vmcb;

	exit->kind = kind;
	if (svm_caps.next_rip) {
		exit->insn_len = (uint8_t)(c->next_rip - c->rip);
	} else {
		fetch_length(v, exit, opcode);
	}
}

/*
 * INT1 has its own intercept, because CPUs and emulators disagree on what it is to the one for #DB.
 * It is a trap and leaves DR6 alone.
 */
static NOINLINE void exit_int1(struct vcpu *v, struct vm_exit *exit)
{
	struct vmcb *c = svm_of(v)->vmcb;
	uint8_t len = svm_caps.next_rip ? (uint8_t)(c->next_rip - c->rip) : length(v, OPCODE_INT1);

	if (!len) {
		exit->kind = EXIT_UNDEFINED;
		return;
	}
	c->rip += len;
	c->int_state &= ~(uint64_t)INT_STATE_SHADOW;
	v->valid &= ~(uint32_t)GROUP_STEP;
	exit->kind = EXIT_EXCEPTION;
	exit->exc.vector = EXC_DB;
	exit->exc.has_error = false;
	exit->exc.error = 0;
}

static void step_next(struct svm *x, struct vm_exit *exit, enum svm_step kind)
{
	x->next_step = kind;
	x->watching = true;
	exit->kind = EXIT_NONE;
}

static inline void decode_exit(struct vcpu *v, struct svm *x, struct vm_exit *exit)
{
	struct vmcb *c = x->vmcb;
	uint32_t code = (uint32_t)c->exit_code;

	exit->insn_len = 0;
	switch (code) {
	case SVM_INTR: /* the IDT has had both already, behind STGI */
	case SVM_NMI: exit->kind = EXIT_INTR; break;
	case SVM_NPF: exit_npt(v, c, exit); break;
	case SVM_IO: exit_io(c, exit); break;
	case SVM_CPUID: skippable(v, exit, EXIT_CPUID, OPCODE_CPUID); break;
	case SVM_MSR:
		skippable(v, exit, c->exit_info1 & 1 ? EXIT_WRMSR : EXIT_RDMSR, OPCODE_MSR);
		break;
	case SVM_HLT: skippable(v, exit, EXIT_HLT, OPCODE_HLT); break;
	case SVM_ICEBP: exit_int1(v, exit); break;
	case SVM_VINTR: exit->kind = EXIT_WINDOW; break;
	case SVM_VMMCALL: skippable(v, exit, EXIT_VMCALL, OPCODE_VMMCALL); break;
	case SVM_INVD:
	case SVM_WBINVD: skippable(v, exit, EXIT_WBINVD, OPCODE_WBINVD); break;
	case SVM_XSETBV: skippable(v, exit, EXIT_XSETBV, OPCODE_XSETBV); break;
	case SVM_IRET: step_next(x, exit, STEP_IRET); break;
	case SVM_WRITE_CR8: step_next(x, exit, STEP_CR8); break;
	case SVM_RDPMC: exit_general_protection(exit); break;
	case SVM_RSM:
	case SVM_INVLPGA:
	case SVM_VMRUN:
	case SVM_VMLOAD ... SVM_SKINIT:
	case SVM_MONITOR:
	case SVM_MWAIT:
	case SVM_MWAIT_CONDITIONAL:
	case SVM_RDPRU: exit->kind = EXIT_UNDEFINED; break;
	case SVM_SHUTDOWN: exit->kind = EXIT_TRIPLE_FAULT; break;
	case SVM_EXCEPTION ... SVM_EXCEPTION_LAST:
		exit_exception(c, exit, code - SVM_EXCEPTION);
		break;
	case SVM_INVALID: exit_raw(c, exit, EXIT_MISCONFIG); break;
	default: exit_raw(c, exit, EXIT_UNKNOWN);
	}
}

/*
 * The event whose delivery the exit cut short. INT n, INT3 and INTO are not reported: RIP is still
 * at the instruction, which simply runs again.
 */
static void read_interrupted(const struct vmcb *c, struct event *e)
{
	uint32_t info = (uint32_t)c->exit_event;

	e->valid = false;
	if (__builtin_expect(!(info & EVENT_CODE_VALID), 1)) {
		return;
	}
	event_decode(e, info, (uint32_t)(c->exit_event >> 32));
	if (e->type == EVENT_SOFT_INT ||
	    (e->type == EVENT_EXC && (e->vector == EXC_BP || e->vector == EXC_OF))) {
		e->valid = false;
	}
}

void svm_not_entered(struct vcpu *v, struct svm *x, struct vm_exit *exit)
{
	if (x->step.kind != STEP_NONE) {
		svm_step_cancel(x);
	}
	svm_inject_undo(v, &exit->interrupted);
	exit->kind = EXIT_NONE;
	exit->insn_len = 0;
}

/* An exit whose code tells what it was. */
static NOINLINE void take_exit(struct vcpu *v, struct svm *x, struct vm_exit *exit)
{
	uint64_t rip = x->vmcb->rip, rflags = x->vmcb->rflags;
	uint32_t shadow = svm_shadow(x);

	v->regs.rip = rip;
	v->regs.rflags = rflags;
	v->regs.shadow = shadow;
	v->valid |= GROUP_STEP;
	decode_exit(v, x, exit);
}

/* Not only the instruction at RIP has to do with this exit. */
static NOINLINE void take_more(struct vcpu *v, struct svm *x, struct vm_exit *exit)
{
	struct vmcb *c = x->vmcb;
	uint8_t cr8 = c->vintr & VINTR_TPR;

	if (cr8 != v->cr8) {
		vcpu_take_cr8(v, cr8);
	}
	if (x->injected.valid) {
		x->injected.valid = false;
		c->inject = 0;
	}
	read_interrupted(c, &exit->interrupted);
	if (x->step.kind == STEP_NONE || !svm_step_end(v, exit)) {
		take_exit(v, x, exit);
	}
}

void svm_exited(struct vcpu *v, struct svm *x, struct vm_exit *exit)
{
	struct vmcb *c = x->vmcb;
	bool more = (c->vintr & VINTR_TPR) != v->cr8 || x->injected.valid ||
		    c->exit_event & EVENT_CODE_VALID || x->step.kind != STEP_NONE;

	v->valid = 0;
	v->regs.gpr[RAX] = c->rax;
	c->clean = svm_caps.clean;
	c->tlb_control = TLB_KEEP;
	exit->interrupted.valid = false;
	if (__builtin_expect(more, 0)) {
		take_more(v, x, exit);
	} else {
		take_exit(v, x, exit);
	}
}

_Static_assert(offsetof(struct vcpu, request) == 0x1d8, "known to gpr.inc");
_Static_assert(offsetof(struct svm, vmcb_hpa) == 0x08, "known to entry.asm");
_Static_assert(offsetof(struct svm, host_hpa) == 0x10, "known to entry.asm");
_Static_assert(offsetof(struct svm, step.kind) == 0x18 && STEP_NONE == 0, "known to entry.asm");

static NOINLINE void write_and_enter(struct vcpu *v, struct svm *x, struct vm_exit *exit)
{
	if (v->dirty) {
		svm_write_back(v);
	}
	if (x->watching) {
		svm_arm_windows(x);
	}
	svm_enter(v, x, exit);
}

void svm_run(struct vcpu *v, struct vm_exit *exit)
{
	struct svm *x = svm_of(v);
	struct vmcb *c = x->vmcb;

	c->rax = v->regs.gpr[RAX];
	if (v->dirty & GROUP_RIP) {
		v->dirty &= ~(uint32_t)GROUP_RIP;
		c->rip = v->regs.rip;
	}
	if (__builtin_expect(v->dirty || x->watching, 0)) {
		write_and_enter(v, x, exit);
		return;
	}
	svm_enter(v, x, exit);
}
