/*
 * The HPET. Its interrupts must not arrive; its counter is the last clock to measure the TSC by.
 */
#pragma once

#include "drivers/acpi.h"

/*
 * Turns legacy replacement and every comparator's interrupt off, if firmware or the loader left
 * them on. The counter goes on. Boot CPU, before interrupts are routed.
 */
void hpet_silence(const struct acpi_info *a, acpi_map_fn map, void *ctx);

struct hpet_clock {
	volatile uint8_t *counter; /* its low 32 bits */
	uint32_t hz;
};
/* Starts the counter if it stands. False: there is none. */
bool hpet_clock_start(struct hpet_clock *c, const struct acpi_info *a, acpi_map_fn map, void *ctx);
