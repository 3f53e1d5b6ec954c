/*
 * Physical interrupts of this CPU: the deadline timer and kicks. See hv/host.h and percpu.h.
 */
#pragma once

#include "hv/types.h"

/* Boot CPU: finds out which kind of timer there is and how fast. LAPIC and TSC must be set up. */
void irq_init(void);
/* Each CPU: its timer is ready and stopped. */
void irq_init_cpu(void);
