/*
 * One instruction of the guest, then an exit: by RFLAGS.TF and the #DB intercept, without a trace
 * in the guest. SVM has no NMI window, so the IRET that ends an NMI handler is stepped; so is a MOV
 * to CR8 that may let an interrupt through; and the window behind an interrupt shadow is reached by
 * stepping out of it.
 *
 * Called by inject.c before, and by run.c after, an entry. Physical interrupts wait meanwhile: the
 * host's IF is 0 in such a run. The state is struct svm.step.
 */
#include "arch/x86_64/svm/svm.h"

enum { DR6_B = FIELD(3, 0) };

/* All vectors that exceptions have: each must exit, or TF would be in the RFLAGS that it pushes. */
#define ALL_EXCEPTIONS ((uint32_t)(FIELD(21, 0) & ~(BIT(2) | BIT(9) | BIT(15))))
/*
 * These show or change TF itself, and so do SYSCALL and SYSRET, which have no intercept but give
 * #UD without EFER.SCE. One that clears it would run on without a trap, and physical interrupts
 * with it.
 */
#define FLAG_INSTRUCTIONS                                                                          \
	(uint32_t)(INTERCEPT_PUSHF | INTERCEPT_POPF | INTERCEPT_IRET | INTERCEPT_SOFT_INT |        \
		   INTERCEPT_TASK_SWITCH)

void svm_step_begin(struct svm *x, enum svm_step kind)
{
	struct vmcb *c = x->vmcb;

	x->step.kind = kind;
	x->step.rip = c->rip;
	x->step.rflags = c->rflags;
	x->step.dr6 = c->dr6;
	x->step.shadow = c->int_state & INT_STATE_SHADOW;
	x->step.sce = c->efer & EFER_SCE;
	c->rflags |= RFLAGS_TF;
	c->efer &= ~(uint64_t)EFER_SCE;
	c->intercept_exceptions = ALL_EXCEPTIONS;
	c->intercept_3 |= FLAG_INSTRUCTIONS;
	if (kind == STEP_IRET) { /* which may switch tasks */
		c->intercept_3 &= ~(uint32_t)(INTERCEPT_IRET | INTERCEPT_TASK_SWITCH);
	}
	vmcb_touch(c, CLEAN_INTERCEPTS | CLEAN_CR);
}

static void restore_controls(struct svm *x)
{
	struct vmcb *c = x->vmcb;

	c->efer |= x->step.sce;
	c->intercept_exceptions = SVM_EXCEPTIONS;
	c->intercept_3 &= ~FLAG_INSTRUCTIONS;
	if (x->nmi_blocked) {
		c->intercept_3 |= INTERCEPT_IRET;
	}
	vmcb_touch(c, CLEAN_INTERCEPTS | CLEAN_CR);
	x->step.kind = STEP_NONE;
	x->next_step = STEP_NONE;
}

static void restore_tf(struct svm *x)
{
	struct vmcb *c = x->vmcb;

	c->rflags = (c->rflags & ~(uint64_t)RFLAGS_TF) | (x->step.rflags & RFLAGS_TF);
}

void svm_step_cancel(struct svm *x)
{
	enum svm_step kind = x->step.kind;

	restore_controls(x);
	restore_tf(x);
	x->next_step = kind == STEP_SHADOW ? STEP_NONE : kind;
	x->watching = true;
}

/* The trap is ours, unless the guest steps too or one of its breakpoints was hit as well. */
static bool is_guests_trap(struct svm *x)
{
	struct vmcb *c = x->vmcb;
	bool guest_steps = x->step.rflags & RFLAGS_TF;
	bool breakpoint = c->dr6 & ~x->step.dr6 & DR6_B;

	vmcb_touch(c, CLEAN_DR);
	if (!guest_steps) {
		c->dr6 = (c->dr6 & ~(uint64_t)DR6_BS) | (x->step.dr6 & DR6_BS);
	}
	return guest_steps || breakpoint;
}

/* Not every CPU stores DR6 when #DB is intercepted: then the cause is the one that is left. */
static bool is_single_step(const struct svm *x)
{
	const struct vmcb *c = x->vmcb;

	return c->dr6 & DR6_BS || c->rip != x->step.rip || !(c->dr7 & DR7_CAUSES);
}

static bool end_step(struct vm_exit *exit)
{
	exit->kind = EXIT_WINDOW;
	exit->insn_len = 0;
	return true;
}

/*
 * These would store or lose TF, or return behind themselves: they run without being stepped. So
 * does what gives #UD, which may be SYSCALL.
 */
static bool cannot_step(uint32_t code)
{
	switch (code) {
	case SVM_PUSHF:
	case SVM_POPF:
	case SVM_IRET:
	case SVM_SOFT_INT:
	case SVM_TASK_SWITCH:
	case SVM_EXCEPTION + EXC_BP:
	case SVM_EXCEPTION + EXC_OF:
	case SVM_EXCEPTION + EXC_UD: return true;
	default: return false;
	}
}

bool svm_step_end(struct vcpu *v, struct vm_exit *exit)
{
	struct svm *x = svm_of(v);
	struct vmcb *c = x->vmcb;
	uint32_t code = (uint32_t)c->exit_code;
	enum svm_step kind = x->step.kind;
	bool exception = code >= SVM_EXCEPTION && code <= SVM_EXCEPTION_LAST;
	bool stepped = code == SVM_EXCEPTION + EXC_DB && is_single_step(x);

	restore_controls(x);
	if (kind == STEP_IRET && exception) {
		svm_block_nmi(x, false); /* an IRET ends it even if it faults */
	}
	if (kind != STEP_IRET || !stepped) {
		restore_tf(x); /* an IRET has loaded TF anew */
	}
	if (stepped) {
		return is_guests_trap(x) ? false : end_step(exit);
	}
	if (cannot_step(code)) { /* IRET and MOV to CR8 never get here, but code may change */
		c->int_state &= ~(uint64_t)INT_STATE_SHADOW;
		return end_step(exit);
	}
	if (code == SVM_EXCEPTION + EXC_PF) {
		v->regs.cr2 = c->exit_info2; /* an intercepted one does not set CR2 */
		vcpu_touch(v, GROUP_CR2);
	}
	if (!exception && x->step.shadow && c->rip == x->step.rip) {
		c->int_state |= INT_STATE_SHADOW; /* not every VMRUN has kept it */
	}
	return false;
}
