/*
 * The HPET, which Mullion does not use: its interrupts must not arrive.
 */
#pragma once

#include "drivers/acpi.h"

/*
 * Turns legacy replacement and every comparator's interrupt off, if firmware or the loader left
 * them on. The counter goes on. Boot CPU, before interrupts are routed.
 */
void hpet_silence(const struct acpi_info *a, acpi_map_fn map, void *ctx);
