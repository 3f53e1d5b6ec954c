/*
 * ACPI tables for a guest: RSDP (revision 2), XSDT, RSDT, FADT, FACS, MADT, MCFG, and a DSDT compiled
 * from hv/acpi/dsdt.asl by iasl (ACPI specification 6.4, "ACPI Software Programming Model").
 *
 * Written below 1 MiB into the BIOS area that partition.c keeps as RAM, reported as reserved.
 */
#pragma once

#include "hv/addrspace.h"

enum { ACPI_GUEST_BASE = 0xe0000, ACPI_GUEST_SIZE = 0x10000 };

struct acpi_guest {
	unsigned cpus;	/* APIC ids 0..cpus-1 */
	uint64_t serial; /* port of a UART that the DSDT announces, or 0 */
	unsigned serial_irq;
	bool ecam;	/* MCFG for VPCI_ECAM_BASE */
};

/* Builds the tables at ACPI_GUEST_BASE. *rsdp is where. */
bool acpi_guest_build(const struct acpi_guest *g, const struct addrspace *as, gpa_t *rsdp,
		      struct refusal *r);
