/*
 * The FADT ("Fixed ACPI Description Table") and \_S5 of the DSDT that it points to: how the machine
 * is switched off and reset. Pure; acpi.c calls it.
 */
#include "drivers/acpi_part.h"
#include "hv/lib/bytes.h"

enum fadt_offset {
	FADT_DSDT = 40,
	FADT_PM1A_CNT = 64,
	FADT_PM1B_CNT = 68,
	FADT_PM_TMR = 76,
	FADT_FLAGS = 112,
	FADT_LENGTH_1 = 116, /* of ACPI 1.0; what follows came later */
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_X_DSDT = 140,
	FADT_X_PM1A_CNT = 172,
	FADT_X_PM1B_CNT = 184,
	FADT_X_PM_TMR = 208,
};

enum { FADT_TMR_VAL_EXT = BIT(8), FADT_RESET_REG_SUP = BIT(10), FADT_HW_REDUCED = BIT(20) };
enum { GAS_SIZE = 12, GAS_MEMORY = 0, GAS_PORT = 1 };

/* A port of a register block: the extended field where it holds one, else the old field, else 0. */
static uint16_t fadt_port(const struct acpi_table *t, uint32_t old, uint32_t extended)
{
	uint64_t port = get_le32(t->p + old);

	if (bytes_within(extended, GAS_SIZE, t->len) && t->p[extended] == GAS_PORT &&
	    get_le64(t->p + extended + 4)) {
		port = get_le64(t->p + extended + 4);
	}
	return port <= 0xffff ? (uint16_t)port : 0;
}

static void take_reset(struct acpi_info *a, const struct acpi_table *t, uint32_t flags)
{
	const uint8_t *gas = t->p + FADT_RESET_REG;

	if (!(flags & FADT_RESET_REG_SUP) || t->len <= FADT_RESET_VALUE || gas[0] > GAS_PORT) {
		return;
	}
	a->reset_space = gas[0];
	a->reset_address = get_le64(gas + 4);
	a->reset_value = t->p[FADT_RESET_VALUE];
	a->reset_present = a->reset_address != 0 &&
			   (gas[0] == GAS_MEMORY || a->reset_address <= 0xffff);
}

/* --- \_S5 of the DSDT --- */

enum aml {
	AML_ZERO = 0,
	AML_ONE = 1,
	AML_NAME = 8,
	AML_BYTE = 0xa,
	AML_WORD = 0xb,
	AML_DWORD = 0xc,
	AML_PACKAGE = 0x12
};

/*
 * An integer constant at p: returns its encoded length, 0 if there is none within `left` bytes.
 * ACPI specification, "ACPI Machine Language (AML) Specification", "Data Objects Encoding".
 */
static uint32_t aml_integer(const uint8_t *p, uint32_t left, uint32_t *value)
{
	uint32_t size;

	if (left < 1) {
		return 0;
	}
	switch (p[0]) {
	case AML_ZERO:
	case AML_ONE: *value = p[0]; return 1;
	case AML_BYTE: size = 1; break;
	case AML_WORD: size = 2; break;
	case AML_DWORD: size = 4; break;
	default: return 0;
	}
	if (left < 1 + size) {
		return 0;
	}
	*value = 0;
	memcpy(value, p + 1, size);
	return 1 + size;
}

/* What follows the name: PackageOp PkgLength NumElements Integer [Integer ...]. */
static bool s5_package(struct acpi_info *a, const uint8_t *p, uint32_t left)
{
	uint32_t at, n, type_a, type_b = 0;

	if (left < 2 || p[0] != AML_PACKAGE) {
		return false;
	}
	at = 2 + (p[1] >> 6); /* PkgLength: the lead byte's top bits count the bytes that follow */
	if (left <= at || p[at] < 1) {
		return false;
	}
	n = p[at++];
	left -= at;
	uint32_t len = aml_integer(p + at, left, &type_a);

	if (!len || type_a > 7) {
		return false;
	}
	if (n > 1 && (!aml_integer(p + at + len, left - len, &type_b) || type_b > 7)) {
		return false;
	}
	a->s5_present = true;
	a->s5_type_a = (uint8_t)type_a;
	a->s5_type_b = (uint8_t)type_b;
	return true;
}

/*
 * Looks for Name (_S5, Package ...) byte by byte instead of interpreting AML: every firmware in
 * use declares it so, as \_S5 or within the root scope.
 */
static void find_s5(struct acpi_info *a, const struct acpi_table *t)
{
	for (uint32_t at = ACPI_TABLE_HEADER + 1; at + 4 < t->len; at++) {
		const uint8_t *p = t->p + at;

		if (memcmp(p, "_S5_", 4) != 0) {
			continue;
		}
		if (p[-1] != AML_NAME && !(p[-1] == '\\' && p[-2] == AML_NAME)) {
			continue;
		}
		if (s5_package(a, p + 4, t->len - at - 4)) {
			return;
		}
	}
}

void acpi_parse_fadt(const struct acpi_reader *s)
{
	struct acpi_info *a = s->a;
	hpa_t fadt = acpi_find_table(a, "FACP");
	struct acpi_table t, dsdt;
	uint64_t dsdt_at;
	uint32_t flags;

	if (!fadt.v) {
		return; /* no power-off and no PM timer then */
	}
	if (!acpi_map_table(s, fadt, "FACP", FADT_LENGTH_1, &t)) {
		acpi_leave_out(s);
		return;
	}
	flags = get_le32(t.p + FADT_FLAGS);
	take_reset(a, &t, flags);
	if (flags & FADT_HW_REDUCED) {
		return;
	}
	a->pm1a_cnt = fadt_port(&t, FADT_PM1A_CNT, FADT_X_PM1A_CNT);
	a->pm1b_cnt = fadt_port(&t, FADT_PM1B_CNT, FADT_X_PM1B_CNT);
	a->pm_timer = fadt_port(&t, FADT_PM_TMR, FADT_X_PM_TMR);
	a->pm_timer_32bit = flags & FADT_TMR_VAL_EXT;
	dsdt_at = get_le32(t.p + FADT_DSDT);
	if (bytes_within(FADT_X_DSDT, 8, t.len) && get_le64(t.p + FADT_X_DSDT)) {
		dsdt_at = get_le64(t.p + FADT_X_DSDT);
	}
	if (!dsdt_at) {
		return;
	}
	if (!acpi_map_table(s, hpa(dsdt_at), "DSDT", ACPI_TABLE_HEADER, &dsdt)) {
		acpi_leave_out(s);
		return;
	}
	find_s5(a, &dsdt);
}
