/*
 * The IVRS table: which AMD I/O virtualization units there are and which devices each of them
 * covers (AMD I/O Virtualization Technology Specification, "I/O Virtualization ACPI Table"). Pure,
 * as acpi.h is.
 */
#pragma once

#include "drivers/acpi.h"

enum { IVRS_UNITS = 32, IVRS_RANGES = 64, IVRS_DEVICES = 512 };

enum ivrs_device_kind {
	IVRS_SELECT, /* PCI functions first..last */
	IVRS_IOAPIC, /* first: the device id that an I/O APIC's requests carry */
};

struct ivrs_device {
	uint8_t kind; /* enum ivrs_device_kind */
	uint8_t id;   /* of an I/O APIC: the id that the MADT gives it */
	bool aliased; /* requests of these functions carry `alias` */
	uint16_t first, last, alias;
};

struct ivrs_info {
	struct ivrs_unit {
		hpa_t base;
		uint16_t segment, bdf;	 /* the unit's own PCI function */
		unsigned first, devices; /* in device[] */
	} unit[IVRS_UNITS];
	unsigned units;
	/* IVMD: memory that firmware lets devices use. [base, end), whole pages. */
	struct ivrs_range {
		uint16_t first, last; /* PCI functions */
		uint64_t base, end;
		bool write; /* too */
	} range[IVRS_RANGES];
	unsigned ranges;
	struct ivrs_device device[IVRS_DEVICES];
	unsigned devices;
};

/* False: there is no sound IVRS; r tells why, and the place. */
bool acpi_parse_ivrs(struct ivrs_info *v, const struct acpi_info *a, acpi_map_fn map, void *ctx,
		     struct refusal *r);
