/*
 * Physical interrupts of passed-through devices: see hv/host.h for what hv/ asks.
 */
#pragma once

#include "drivers/acpi.h"

/* Boot CPU, before any guest: their vectors go to passthrough_interrupt. */
void device_irq_init(const struct acpi_info *a);
