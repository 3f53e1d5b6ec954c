/*
 * Deciding, right before entry and nowhere else, what the guest gets: see event.c.
 */
#pragma once

#include "hv/virt.h"

/* Takes in what others posted. Owner CPU. */
void event_requests(struct vcpu *v);

/* Injects the one event that comes first, and asks for windows for what must wait. Owner CPU. */
void event_next(struct vcpu *v);

/* Would an interrupt or NMI wake this halted vCPU now? */
bool event_wakes(struct vcpu *v);

/* Arms the physical timer for the earliest virtual deadline that this CPU serves. */
void event_arm_timer(struct vcpu *v);
