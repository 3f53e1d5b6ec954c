/*
 * Events of one vCPU: requests from other CPUs, timers, and the choice of what to inject.
 *
 * The run loop calls it on the owner CPU right before each entry. Order of delivery: an event whose
 * delivery was cut short or an exception, then NMI, then the local APIC or the 8259's INTR (Intel
 * SDM vol. 3, "Prioritization of Concurrent Events"). One event per entry; what remains gets a
 * window, so nothing is lost.
 */
#include "hv/event.h"
#include "hv/console/console.h"
#include "hv/host.h"
#include "hv/partition.h"
#include "hv/passthrough.h"

static void take_init(struct vcpu *v)
{
	if (v->index == 0) {
		/* There is no firmware that a boot CPU could go back to. */
		partition_end(v->part, END_RESET, "INIT of the boot CPU");
		return;
	}
	vcpu_reset(v, true);
	virt->vcpu_reset(v, true);
	vlapic_reset(&v->apic, true);
	v->state = VCPU_WAIT_SIPI;
}

static void take_sipi(struct vcpu *v)
{
	uint32_t vector = atomic_load_explicit(&v->sipi_vector, memory_order_acquire);

	if (v->state != VCPU_WAIT_SIPI) {
		return;
	}
	v->regs.cs.selector = (uint16_t)(vector << 8);
	v->regs.cs.base = (uint64_t)vector << 12;
	v->regs.rip = 0;
	vcpu_touch(v, GROUP_RIP | GROUP_CS_SS);
	v->state = VCPU_RUNNING;
}

static void run_timers(struct vcpu *v)
{
	uint64_t now = host_tsc();

	v->timer_armed = UINT64_MAX;
	if (vlapic_timer_next(&v->apic) <= now) {
		vlapic_timer_run(&v->apic, now);
	}
	if (v->console_deadline <= now) {
		console_run();
	}
	if (v->index == 0 &&
	    atomic_load_explicit(&v->part->pc.deadline, memory_order_relaxed) <= now) {
		pc_run(v->part, now);
	}
}

void event_requests(struct vcpu *v)
{
	uint32_t r = atomic_exchange_explicit(&v->request, 0, memory_order_acq_rel);

	if (__builtin_expect(r & (REQUEST_FLUSH | REQUEST_REMAP), 0)) {
		virt->flush(v);
		if (r & REQUEST_REMAP) {
			passthrough_flush(v);
		}
	}
	if (r & REQUEST_TIMER) {
		run_timers(v);
	}
	if (r & REQUEST_UART) {
		pc_uart_update(v->part);
	}
	if (r & REQUEST_CONSOLE) {
		console_run();
	}
	if ((r & REQUEST_NMI) && v->nmi_pending < 2) {
		v->nmi_pending++;
	}
	v->extint |= (r & REQUEST_EXTINT) != 0;
	if (r & REQUEST_STOP) {
		v->state = VCPU_STOPPED;
		return;
	}
	if ((r & REQUEST_INIT) && v->state != VCPU_OFF) {
		take_init(v);
	}
	if (r & REQUEST_SIPI) {
		take_sipi(v);
	}
	event_arm_timer(v);
}

void event_arm_timer(struct vcpu *v)
{
	uint64_t next = vlapic_timer_next(&v->apic);

	if (v->index == 0) {
		uint64_t pc = atomic_load_explicit(&v->part->pc.deadline, memory_order_relaxed);

		next = pc < next ? pc : next;
	}
	next = v->console_deadline < next ? v->console_deadline : next;
	v->apic.timer_moved = false;
	if (next != v->timer_armed) {
		v->timer_armed = next;
		host_timer_set(next);
	}
}

static void set_window(struct vcpu *v, enum virt_window w, bool on)
{
	if (((v->windows >> w) & 1) != on) {
		v->windows ^= (uint8_t)BIT(w);
		virt->want_window(v, w, on);
	}
}

/* Is this the CPU that acks the 8259s: through LINT0, or through an ExtINT pin of the IOAPIC? */
static bool pic_wants(const struct vcpu *v)
{
	return v->part->pc.pic.output &&
	       (v->extint || (v->index == 0 && vlapic_accepts_pic(&v->apic)));
}

static bool interruptible(struct vcpu *v)
{
	vcpu_need(v, GROUP_RFLAGS | GROUP_SHADOW);
	return (v->regs.rflags & RFLAGS_IF) && !(v->regs.shadow & (SHADOW_STI | SHADOW_MOV_SS));
}

/* An NMI waits for MOV SS and for the IRET of the NMI before; STI blocks it on some CPUs: do so. */
static bool next_nmi(struct vcpu *v)
{
	struct event e = {.valid = true, .type = EVENT_NMI, .vector = EXC_NMI};

	vcpu_need(v, GROUP_SHADOW);
	if (v->regs.shadow) {
		return false;
	}
	v->nmi_pending--;
	virt->inject(v, &e);
	return true;
}

static void inject_vector(struct vcpu *v, int vector)
{
	struct event e = {.valid = true, .type = EVENT_INTR};

	if (vector >= 0) {
		vlapic_ack(&v->apic, (uint8_t)vector);
		e.vector = (uint8_t)vector;
	} else {
		v->extint = false;
		e.vector = pc_pic_ack(v->part);
	}
	virt->inject(v, &e);
}

/* Before the exception or event that waits behind it: there is no CPU left to deliver it. */
static void end_by_triple_fault(struct vcpu *v)
{
	v->triple_fault = false;
	v->pending.valid = false;
	partition_end(v->part, END_TRIPLE_FAULT, "triple fault of vCPU %u", v->index);
}

static void take_tpr(struct vcpu *v)
{
	v->apic.tpr_written = false;
	if (v->cr8 != v->apic.tpr >> 4) {
		v->cr8 = v->apic.tpr >> 4;
		vcpu_touch(v, GROUP_CR8);
	}
}

/* Out of line, so that what only concerns the timer or the TPR does not pay for its frame. */
static __attribute__((noinline)) void deliver(struct vcpu *v)
{
	bool injected = false;
	unsigned blocked = 0;
	int vector;

	if (__builtin_expect(v->triple_fault, 0)) {
		end_by_triple_fault(v);
	}
	if (v->pending.valid) {
		virt->inject(v, &v->pending);
		v->pending.valid = false;
		injected = true;
	}
	if (__builtin_expect(v->nmi_pending, 0) && !injected) {
		injected = next_nmi(v);
	}
	set_window(v, WINDOW_NMI, v->nmi_pending);

	vector = vlapic_pending(&v->apic, &blocked);
	if (vector >= 0 || pic_wants(v)) {
		if (!injected && interruptible(v)) {
			inject_vector(v, vector);
			vector = -1; /* it was the highest: others wait for its EOI */
			injected = true;
		}
		set_window(v, WINDOW_INTR, vector >= 0 || pic_wants(v));
	} else {
		set_window(v, WINDOW_INTR, false);
	}
	if (v->tpr_class != blocked) {
		v->tpr_class = (uint8_t)blocked;
		virt->tpr_threshold(v, blocked);
	}
}

void event_next(struct vcpu *v)
{
	if (v->apic.timer_moved) {
		event_arm_timer(v);
	}
	if (v->apic.tpr_written) {
		take_tpr(v);
	}
	if (!event_none(v)) {
		deliver(v);
	}
}

bool event_wakes(struct vcpu *v)
{
	unsigned blocked;

	if (v->pending.valid) {
		return true;
	}
	if (v->nmi_pending) {
		vcpu_need(v, GROUP_SHADOW);
		if (!(v->regs.shadow & SHADOW_NMI)) {
			return true;
		}
	}
	vcpu_need(v, GROUP_RFLAGS);
	return (v->regs.rflags & RFLAGS_IF) &&
	       (vlapic_pending(&v->apic, &blocked) >= 0 || pic_wants(v));
}
