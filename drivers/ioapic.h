/*
 * The machine's I/O APICs, by global system interrupt (Intel 82093AA datasheet).
 * Boot CPU sets up; later calls are for one GSI's owner at a time. The pair of index and data that
 * all pins share has a lock, held for a few accesses.
 */
#pragma once

#include "drivers/acpi.h"

/* Maps all of them and masks every pin. */
void ioapic_init(const struct acpi_info *a);
/*
 * Sends a GSI to one CPU's vector, unmasked, through the IOMMU where there is one. False: no I/O
 * APIC has that pin, or the interrupt cannot be expressed.
 */
bool ioapic_route(uint32_t gsi, uint32_t apic_id, uint8_t vector, bool level, bool low);
bool ioapic_route_masked(uint32_t gsi, uint32_t apic_id, uint8_t vector, bool level, bool low);
void ioapic_mask(uint32_t gsi, bool masked);

/* GSI, trigger and polarity of an ISA interrupt (MADT overrides; else identity, edge, high). */
uint32_t ioapic_isa(const struct acpi_info *a, uint8_t irq, bool *level, bool *low);
