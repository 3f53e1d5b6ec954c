/*
 * Serial ports that firmware's tables name: SPCR, where it has its own console, and DBG2, where a
 * debugger may listen (Microsoft, "Serial Port Console Redirection Table" and "Debug Port Table
 * 2"). Pure, as acpi.h is.
 */
#pragma once

#include "drivers/acpi.h"

enum { ACPI_SERIALS = 8 };

struct acpi_serial {
	char table[5]; /* that names it */
	bool memory;   /* else ports */
	uint64_t base;
	uint8_t stride, width; /* bytes: between registers, of an access */
};

/*
 * The 16550s that the tables name, SPCR's first; returns how many. What is no 16550, and tables
 * that are not sound, are left out: `told` is called with a line about each.
 */
unsigned acpi_find_serials(struct acpi_serial out[ACPI_SERIALS], const struct acpi_info *a,
			   acpi_map_fn map, void *ctx, void (*told)(const char *line));
