/*
 * Events into the guest, and the wish to be told when one can be delivered. Called through virt_ops
 * on the owner CPU, between two runs.
 */
#include "arch/x86_64/event_code.h"
#include "arch/x86_64/vmx/vmx.h"

static bool in_real_mode(struct vcpu *v)
{
	vcpu_need(v, GROUP_CR);
	return !(v->regs.cr0 & CR0_PE);
}

void vmx_inject(struct vcpu *v, const struct event *e)
{
	struct vmx *x = vmx_of(v);

	x->injected = *e;
	if (e->has_error && in_real_mode(v)) {
		x->injected.has_error = false; /* real mode has none, and the entry would fail */
	}
	vmwrite(ENTRY_EVENT, event_encode(&x->injected));
	if (x->injected.has_error) {
		vmwrite(ENTRY_EVENT_ERROR, e->error);
	}
	if (event_is_software(e->type)) {
		vmwrite(ENTRY_INSN_LENGTH, e->insn_len);
	}
}

void vmx_inject_undo(struct vcpu *v, struct event *e)
{
	struct vmx *x = vmx_of(v);

	*e = x->injected;
	if (e->valid) {
		x->injected.valid = false;
		vmwrite(ENTRY_EVENT, 0);
	}
}

static void write_primary(struct vmx *x, uint32_t primary)
{
	if (primary != x->primary) {
		x->primary = primary;
		vmwrite(PRIMARY_CONTROLS, primary);
	}
}

void vmx_want_window(struct vcpu *v, enum virt_window w, bool on)
{
	struct vmx *x = vmx_of(v);

	if (w == WINDOW_INTR) {
		x->window_intr = on;
	} else {
		x->window_nmi = on;
	}
	write_primary(x, windows_primary(x->primary, x->window_intr, x->window_nmi, false));
}

void vmx_arm_nmi_window(struct vmx *x)
{
	bool sti = vmread(GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_STI;

	write_primary(x, windows_primary(x->primary, x->window_intr, x->window_nmi, sti));
}

void vmx_tpr_threshold(struct vcpu *v, unsigned class)
{
	vmx_of(v)->tpr_class = (uint8_t) class;
	vcpu_touch(v, GROUP_CR8); /* the entry must be told */
}
