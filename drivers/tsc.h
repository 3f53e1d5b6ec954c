/*
 * The TSC's frequency, and delays measured by it.
 */
#pragma once

#include "drivers/acpi.h"

/* Sets host_tsc_hz. Boot CPU, once. False: there is nothing to measure by. */
bool tsc_calibrate(const struct acpi_info *a, acpi_map_fn map, void *ctx);
bool tsc_invariant(void); /* as CPUID says */
/*
 * Why guests cannot be shown this TSC, in words; NULL: they can. After the CPUs' TSCs were
 * compared.
 */
const char *tsc_problem(void);
uint64_t tsc_ticks(uint64_t microseconds);
void tsc_delay(uint64_t microseconds);
