/*
 * What the files of the ACPI reader share; nobody else includes it.
 */
#pragma once

#include "drivers/acpi.h"

enum { ACPI_TABLE_HEADER = 36 };

struct acpi_reader {
	struct acpi_info *a;
	acpi_map_fn map;
	void *ctx;
	struct refusal *r;
};

struct acpi_table {
	const uint8_t *p;
	uint32_t len;
	hpa_t at;
	char name[5];
};

/* Maps a table whole and checks signature, length (at least `least`) and checksum. */
bool acpi_map_table(const struct acpi_reader *s, hpa_t at, const char *name, uint32_t least,
		    struct acpi_table *t);

/* Keeps the refusal as told, and goes on. */
void acpi_leave_out(const struct acpi_reader *s);

void acpi_parse_fadt(const struct acpi_reader *s);
