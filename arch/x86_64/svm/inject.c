/*
 * Events into the guest, and the wish to be told when one can be delivered. Called through virt_ops
 * on the owner CPU, between two runs, and by run.c right before an entry.
 */
#include "arch/x86_64/event_code.h"
#include "arch/x86_64/svm/svm.h"
#include "hv/host.h"

/*
 * INT3, INTO and INT n return behind the instruction. The types that the neutral form has for them
 * do not all exist here: INT3 and INTO are exceptions.
 */
static void inject_software(struct vmcb *c, struct event *e)
{
	c->next_rip = c->rip + e->insn_len;
	if (!svm_caps.next_rip || e->type != EVENT_SOFT_INT) {
		c->rip = c->next_rip;
	}
	if (e->type != EVENT_SOFT_INT) {
		e->type = EVENT_EXC;
	}
}

/* An NMI, an exception, a software event. */
static NOINLINE void inject_other(struct vcpu *v, const struct event *e)
{
	struct vmcb *c = svm_of(v)->vmcb;
	struct event coded = *e;

	if (event_is_software(e->type)) {
		svm_write_back(v);
		inject_software(c, &coded);
	}
	if (e->has_error) {
		vcpu_need(v, GROUP_CR);
		coded.has_error = v->regs.cr0 & CR0_PE; /* real mode has none */
	}
	c->inject = (uint64_t)e->error << 32 | event_encode(&coded);
	if (e->type == EVENT_NMI) {
		/* By the neutral state: a shadow that waits to be written must not take it back. */
		vcpu_need(v, GROUP_SHADOW);
		v->regs.shadow |= SHADOW_NMI;
		vcpu_touch(v, GROUP_SHADOW);
	}
}

void svm_inject(struct vcpu *v, const struct event *e)
{
	struct svm *x = svm_of(v);

	x->injected = *e;
	if (e->type != EVENT_INTR) {
		inject_other(v, e);
		return;
	}
	x->vmcb->inject = EVENT_CODE_VALID | e->vector;
	if (svm_caps.repeats) {
		host_kick(host_cpu(), false);
	}
}

void svm_inject_undo(struct vcpu *v, struct event *e)
{
	struct svm *x = svm_of(v);

	*e = x->injected;
	x->injected.valid = false;
	x->vmcb->inject = 0;
}

void svm_want_window(struct vcpu *v, enum virt_window w, bool on)
{
	struct svm *x = svm_of(v);

	if (w == WINDOW_INTR) {
		x->window_intr = on;
	} else {
		x->window_nmi = on;
	}
	x->watching = true;
}

void svm_tpr_threshold(struct vcpu *v, unsigned class)
{
	struct svm *x = svm_of(v);

	x->tpr_class = (uint8_t) class;
	x->watching = true;
}

void svm_block_nmi(struct svm *x, bool blocked)
{
	struct vmcb *c = x->vmcb;

	if (blocked != x->nmi_blocked) {
		x->nmi_blocked = blocked;
		c->intercept_3 ^= INTERCEPT_IRET;
		vmcb_touch(c, CLEAN_INTERCEPTS);
	}
}

/* A virtual interrupt that is never delivered: its intercept says that one could be. */
static void arm_virtual_interrupt(struct svm *x)
{
	struct vmcb *c = x->vmcb;
	uint32_t intercept = c->intercept_3 & ~(uint32_t)INTERCEPT_VINTR;
	uint64_t vintr = c->vintr & ~(uint64_t)VINTR_IRQ;

	if (x->window_intr && x->step.kind == STEP_NONE) {
		intercept |= INTERCEPT_VINTR;
		vintr |= VINTR_IRQ;
	}
	if (vintr != c->vintr) {
		c->vintr = vintr;
		c->intercept_3 = intercept;
		vmcb_touch(c, CLEAN_VINTR | CLEAN_INTERCEPTS);
	}
}

/*
 * A virtual interrupt of a lower priority could wait for the TPR, but not every CPU agrees at which
 * one it comes, or looks at it when the TPR changes. So CR8 is watched while something waits.
 */
static void watch_cr8(struct svm *x)
{
	struct vmcb *c = x->vmcb;
	bool armed = svm_caps.repeats && c->vintr & VINTR_IRQ; /* QEMU ends if CR8 is written now */
	bool watch = (x->tpr_class || armed) && x->step.kind != STEP_CR8;
	uint32_t want = watch ? INTERCEPT_WRITE_CR8 : 0;

	if (want != c->intercept_cr) {
		c->intercept_cr = want;
		vmcb_touch(c, CLEAN_INTERCEPTS);
	}
}

/*
 * Makes the guest exit at its first instruction behind an injected event, for which there is no
 * intercept: by an NMI to this CPU, which GIF holds back until VMRUN.
 */
static void exit_behind_event(void)
{
	__asm__ volatile("clgi" : : : "memory");
	host_kick(host_cpu(), true);
}

void svm_arm_windows(struct svm *x)
{
	bool shadow = x->vmcb->int_state & INT_STATE_SHADOW;

	if (x->injected.valid) {
		x->next_step = STEP_NONE; /* another instruction comes first */
		if (x->window_nmi && !x->nmi_blocked) {
			exit_behind_event();
		}
	} else if (x->next_step != STEP_NONE) {
		svm_step_begin(x, x->next_step);
	} else if (shadow && (x->window_intr || (x->window_nmi && !x->nmi_blocked))) {
		/* Not every VMRUN keeps a virtual interrupt back in a shadow: walk out of it. */
		svm_step_begin(x, STEP_SHADOW);
	}
	arm_virtual_interrupt(x);
	watch_cr8(x);
	x->watching = x->window_intr || x->window_nmi || x->tpr_class || x->step.kind != STEP_NONE;
}
