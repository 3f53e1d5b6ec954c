/*
 * The run loop of a vCPU: requests, one event, the guest, one exit, for ever.
 *
 * Runs on the owner CPU with interrupts off; nothing in it waits for another CPU but the end of the
 * partition, and nothing takes a lock.
 */
#include "hv/event.h"
#include "hv/exit.h"
#include "hv/host.h"

static inline void run_once(struct vcpu *v)
{
	struct vm_exit x;

	if (!event_none(v)) {
		event_next(v);
	}
	virt->run(v, &x);
	exit_handle(v, &x);
}

/* What other CPUs ask for comes with an interrupt; what this CPU has asked itself for does not. */
static void wait(struct vcpu *v)
{
	if (!atomic_load_explicit(&v->request, memory_order_acquire)) {
		host_wait();
	}
}

static void halt(struct vcpu *v)
{
	if (event_wakes(v)) {
		v->state = VCPU_RUNNING;
		return;
	}
	event_arm_timer(v);
	wait(v);
}

/* A turn that is more than another run of the guest. */
static NOINLINE void turn_slowly(struct vcpu *v)
{
	if (v->state == VCPU_OFF || v->state == VCPU_STOPPED) {
		partition_idle(v);
		return;
	}
	if (atomic_load_explicit(&v->request, memory_order_relaxed)) {
		event_requests(v);
	}
	switch (v->state) {
	case VCPU_RUNNING: run_once(v); break;
	case VCPU_HALTED: halt(v); break;
	case VCPU_WAIT_SIPI:
		event_arm_timer(v); /* the console's, if this CPU serves it */
		wait(v);
		break;
	default: break;
	}
}

static inline void turn(struct vcpu *v)
{
	if (v->state == VCPU_RUNNING && !atomic_load_explicit(&v->request, memory_order_relaxed)) {
		run_once(v);
	} else {
		turn_slowly(v);
	}
}

void vcpu_turn(struct vcpu *v)
{
	turn(v);
}

void vcpu_loop(struct vcpu *v)
{
	for (;;) {
		turn(v);
	}
}
