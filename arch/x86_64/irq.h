/*
 * Physical interrupts of this CPU: the deadline timer and kicks. See hv/host.h and percpu.h.
 */
#pragma once

#include "drivers/acpi.h"

/* Boot CPU: finds out which kind of timer there is and how fast. LAPIC and TSC must be set up. */
void irq_init(void);
/* Each CPU: its timer is ready and stopped. */
void irq_init_cpu(void);
/* Boot CPU, before any guest: devices' vectors go to passthrough_interrupt; device_irq.c. */
void device_irq_init(const struct acpi_info *a);
