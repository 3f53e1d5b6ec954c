/*
 * The machine's own ACPI tables, read once at boot: CPUs, I/O APICs, overrides, PM registers, MCFG
 * (ACPI specification 6.4). Pure: memory comes through `map`, so hostile tables are tested on the
 * host.
 */
#pragma once

#include "hv/limits.h"
#include "hv/refuse.h"

enum {
	ACPI_IOAPICS = 32,
	ACPI_OVERRIDES = 24,
	ACPI_MCFGS = 8,
	ACPI_TABLES = 64,
	ACPI_LEFT_OUT = 4
};

struct acpi_info {
	struct {
		uint32_t apic_id;
	} cpu[MAX_CPUS]; /* enabled CPUs; [0] is not yet known to be the boot CPU */
	unsigned cpus;
	unsigned cpus_ignored; /* did not fit, or are only online-capable */
	hpa_t lapic;
	struct {
		uint32_t id, gsi_base;
		hpa_t base;
	} ioapic[ACPI_IOAPICS];
	unsigned ioapics;
	struct {
		uint8_t irq;
		uint32_t gsi;
		bool level, low; /* trigger and polarity */
	} override[ACPI_OVERRIDES];
	unsigned overrides;
	uint16_t pm1a_cnt, pm1b_cnt, pm_timer;
	bool pm_timer_32bit;
	bool s5_present;
	uint8_t s5_type_a, s5_type_b; /* from \_S5 in the DSDT */
	bool reset_present;
	uint8_t reset_space; /* 0 memory, 1 port */
	uint64_t reset_address;
	uint8_t reset_value;
	struct {
		uint64_t base;
		uint16_t segment;
		uint8_t bus_first, bus_last;
	} mcfg[ACPI_MCFGS];
	unsigned mcfgs;
	struct {
		char name[4];
		hpa_t at;
	} table[ACPI_TABLES]; /* what the root table names; of several with one name the first */
	unsigned tables;
	struct refusal left_out[ACPI_LEFT_OUT]; /* what is not believed and not needed, and why */
	unsigned left_outs;			/* those that have no room are not told of */
};

/* len bytes at hpa, or NULL when they cannot be read. */
typedef const void *(*acpi_map_fn)(void *ctx, hpa_t at, uint64_t len);

/* Where the table with this signature is; 0: there is none. */
hpa_t acpi_find_table(const struct acpi_info *a, const char *name);

/*
 * rsdp: 20 or 36 bytes. A bad checksum or length names its table; it is refused in what leads to
 * the CPUs, and leaves out what a machine runs without: ECAM, power-off, a table that nobody reads.
 */
bool acpi_parse(struct acpi_info *a, const uint8_t rsdp[36], acpi_map_fn map, void *ctx,
		struct refusal *r);
