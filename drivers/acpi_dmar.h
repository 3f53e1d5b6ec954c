/*
 * The DMAR table: which VT-d units there are and which devices each of them covers (Intel
 * Virtualization Technology for Directed I/O, "BIOS Considerations"). Pure, as acpi.h is.
 */
#pragma once

#include "drivers/acpi.h"

enum { DMAR_UNITS = 32, DMAR_RANGES = 64, DMAR_SCOPES = 512, DMAR_PATH = 8 };

/* Device scope entry types. */
enum dmar_scope_type {
	DMAR_ENDPOINT = 1,
	DMAR_BRIDGE = 2, /* with everything behind it */
	DMAR_IOAPIC = 3,
};

/* A device by its way from a bus: each step but the last is a bridge. */
struct dmar_scope {
	uint8_t type; /* enum dmar_scope_type */
	uint8_t id;   /* of an I/O APIC: the id that the MADT gives it */
	uint8_t bus;  /* where the way begins */
	uint8_t steps;
	struct {
		uint8_t device, function;
	} path[DMAR_PATH];
};

/* A part of struct dmar_info's scopes. */
struct dmar_scopes {
	unsigned first, count;
};

struct dmar_info {
	bool remaps_interrupts;
	struct dmar_unit {
		hpa_t base;
		uint16_t segment;
		bool all; /* INCLUDE_PCI_ALL: whatever no other unit of the segment covers */
		struct dmar_scopes scopes;
	} unit[DMAR_UNITS];
	unsigned units;
	/* RMRR: memory that firmware lets a device use. [base, end), whole pages. */
	struct dmar_range {
		uint16_t segment;
		uint64_t base, end;
		struct dmar_scopes scopes;
	} range[DMAR_RANGES];
	unsigned ranges;
	struct dmar_scope scope[DMAR_SCOPES];
	unsigned scopes;
};

/* False: there is no sound DMAR; r tells why, and the place. */
bool acpi_parse_dmar(struct dmar_info *d, const struct acpi_info *a, acpi_map_fn map, void *ctx,
		     struct refusal *r);
