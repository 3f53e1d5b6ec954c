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

void vmx_want_window(struct vcpu *v, enum virt_window w, bool on)
{
	struct vmx *x = vmx_of(v);
	uint32_t bit = w == WINDOW_INTR ? PRIMARY_INTR_WINDOW : PRIMARY_NMI_WINDOW;
	uint32_t primary = on ? x->primary | bit : x->primary & ~bit;

	if (primary != x->primary) {
		x->primary = primary;
		vmwrite(PRIMARY_CONTROLS, primary);
	}
}

void vmx_tpr_threshold(struct vcpu *v, unsigned class)
{
	vmx_of(v)->tpr_class = (uint8_t) class;
}
