/*
 * The keyboard that belongs to the screen, where there is one.
 */
#pragma once

#include "drivers/acpi.h"

/* Boot CPU, before guests run: finds the controller. */
void keyboard_begin(const struct acpi_info *a);
/* The console CPU: its interrupts come to this CPU, and wake the console. */
void keyboard_watch(uint32_t apic_id);
/* The console CPU: a typed byte, -1: none. */
int keyboard_get(void);
