/*
 * DMA remapping at boot: found, turned on, and its faults told.
 */
#pragma once

#include "boot/boot_info.h"
#include "drivers/acpi.h"

/*
 * Turns the machine's IOMMU on, so that no device reaches anything, unless the command line says
 * `iommu=off`. After lapic_init, before the first interrupt is routed. False: it is there and
 * usable, but does not come on. A machine without one, or with one that its tables describe
 * wrongly, goes on: it can pass no device that masters the bus.
 */
bool iommu_start(const struct boot_info *b, const struct acpi_info *a, struct refusal *r);

/*
 * After a storm of faults the units' interrupts are off for a second; this has the boot CPU turn
 * them on again when it is over. Returns the TSC at which to call it again, UINT64_MAX: no need.
 * The console CPU calls it whenever it looks after the consoles.
 */
uint64_t iommu_watch(void);
