/*
 * The end of the machine's day.
 */
#pragma once

#include "drivers/acpi.h"

/* Keeps a for the functions below. Boot CPU. */
void power_init(const struct acpi_info *a);

/* Turns the machine off through ACPI S5. Returns when that did not work. */
void power_off(void);
/* Resets it: FADT reset register, 0xcf9, keyboard controller, triple fault. */
void power_reset(void) NORETURN;

/* Ends QEMU through its isa-debug-exit device: exit status (status << 1) | 1. */
void power_qemu_exit(uint16_t port, uint8_t status);
/* Ends Bochs through its shutdown port 0x8900. */
void power_bochs_exit(void);
