/*
 * The hardware report: what the machine has, in words, and a configuration that fits it.
 */
#pragma once

#include "boot/boot_info.h"
#include "drivers/acpi.h"

/* What is told at every boot: the CPU's model, microcode and speculative-execution status. */
void report_cpu(void);
/* Only where there is something to warn of: CPUs that firmware has set up differently. */
void report_warn(void);
/*
 * All of it, on all consoles. Boot CPU, when the backend is chosen and nothing has started. pages:
 * waits for a key before a screen is full.
 */
void report_print(const struct boot_info *b, const struct acpi_info *a, bool pages);
