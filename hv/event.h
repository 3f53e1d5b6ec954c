/*
 * Deciding, right before entry and nowhere else, what the guest gets: see event.c.
 */
#pragma once

#include "hv/partition.h"
#include "hv/virt.h"

/* Takes in what others posted. Owner CPU. */
void event_requests(struct vcpu *v);

/* Nothing for event_next to do: how most exits end. */
static inline bool event_none(const struct vcpu *v)
{
	return !(v->waiting | v->pending.valid | v->part->pc.pic.output) &&
	       vlapic_is_quiet(&v->apic);
}

/*
 * Injects the one event that comes first, asks for windows for what must wait, and takes over what
 * the guest has changed in its LAPIC: the timer, the TPR. Owner CPU.
 */
void event_next(struct vcpu *v);

/* Would an interrupt or NMI wake this halted vCPU now? */
bool event_wakes(struct vcpu *v);

/* Arms the physical timer for the earliest virtual deadline that this CPU serves. */
void event_arm_timer(struct vcpu *v);
