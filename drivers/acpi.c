/*
 * Reads the machine's ACPI tables into struct acpi_info (ACPI specification 6.4, "ACPI Software
 * Programming Model"). Pure: boot/main.c calls it once and gives it a way to see memory.
 *
 * Firmware is distrusted like any other input: each length is checked before what it covers is
 * read, no entry can make a loop stand still, and no table is followed twice.
 */
#include "drivers/acpi.h"
#include "hv/lib/bytes.h"

enum { RSDP_OLD_SIZE = 20, RSDP_NEW_SIZE = 36, TABLE_HEADER = 36 };
/* DSDTs of servers reach some hundred KiB; more than this is a broken length. */
#define TABLE_MAX MIB(16)

struct reader {
	struct acpi_info *a;
	acpi_map_fn map;
	void *ctx;
	struct refusal *r;
	hpa_t madt, fadt, mcfg; /* 0: not seen */
};

struct table {
	const uint8_t *p;
	uint32_t len;
	hpa_t at;
	char name[5];
};

static bool refuse_table(const struct reader *s, const struct table *t, const char *why)
{
	return refuse(s->r, "ACPI: %s at 0x%llx: %s", t->name, (unsigned long long)t->at.v, why);
}

/* A signature as text: whatever cannot be printed becomes a question mark. */
static void table_name(char name[5], const uint8_t *signature)
{
	for (int i = 0; i < 4; i++) {
		name[i] = signature[i] > ' ' && signature[i] < 0x7f ? (char)signature[i] : '?';
	}
	name[4] = 0;
}

/* The signature of the table at `at`. */
static bool peek_table(const struct reader *s, hpa_t at, char name[5])
{
	const uint8_t *p = s->map(s->ctx, at, TABLE_HEADER);

	if (!p) {
		return refuse(s->r, "ACPI: table at 0x%llx: cannot be read",
			      (unsigned long long)at.v);
	}
	table_name(name, p);
	return true;
}

/* Maps a table whole and checks signature, length (at least `least`) and checksum. */
static bool map_table(const struct reader *s, hpa_t at, const char *name, uint32_t least,
		      struct table *t)
{
	*t = (struct table){.at = at};
	memcpy(t->name, name, 5);
	t->p = s->map(s->ctx, at, TABLE_HEADER);
	if (!t->p) {
		return refuse_table(s, t, "cannot be read");
	}
	if (memcmp(t->p, name, 4) != 0) {
		return refuse_table(s, t, "has another signature");
	}
	t->len = get_le32(t->p + 4);
	if (t->len < least || t->len > TABLE_MAX) {
		return refuse(s->r, "ACPI: %s at 0x%llx: length 0x%x is out of range (0x%x-0x%llx)",
			      name, (unsigned long long)at.v, t->len, least,
			      (unsigned long long)TABLE_MAX);
	}
	t->p = s->map(s->ctx, at, t->len);
	if (!t->p) {
		return refuse_table(s, t, "cannot be read to its end");
	}
	return !bytes_sum(t->p, t->len) || refuse_table(s, t, "its checksum is wrong");
}

/* --- MADT: "Multiple APIC Description Table" -----------------------------------------------------
 */

enum madt_type {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_LAPIC_ADDRESS = 5,
	MADT_X2APIC = 9,
};

enum { MADT_HEADER = 44, MADT_PCAT_COMPAT = BIT(0), CPU_ENABLED = BIT(0), CPU_LATER = BIT(1) };

/* A CPU may be listed as LAPIC and as x2APIC: it counts once. */
static void add_cpu(struct acpi_info *a, uint32_t apic_id, uint32_t flags)
{
	if (!(flags & CPU_ENABLED)) {
		a->cpus_ignored += !!(flags & CPU_LATER);
		return;
	}
	for (unsigned i = 0; i < a->cpus; i++) {
		if (a->cpu[i].apic_id == apic_id) {
			return;
		}
	}
	if (a->cpus == MAX_CPUS) {
		a->cpus_ignored++;
		return;
	}
	a->cpu[a->cpus++].apic_id = apic_id;
}

static bool add_ioapic(const struct reader *s, const struct table *t, const uint8_t *e)
{
	struct acpi_info *a = s->a;

	if (a->ioapics == ACPI_IOAPICS) {
		return refuse_table(s, t, "too many I/O APICs");
	}
	a->ioapic[a->ioapics].id = e[2];
	a->ioapic[a->ioapics].base = hpa(get_le32(e + 4));
	a->ioapic[a->ioapics].gsi_base = get_le32(e + 8);
	a->ioapics++;
	return true;
}

/* Polarity 3 is active low and trigger 3 is level; 0, "conforms to the bus", is ISA's here. */
static bool add_override(const struct reader *s, const struct table *t, const uint8_t *e)
{
	struct acpi_info *a = s->a;
	uint16_t flags = get_le16(e + 8);

	if (e[2] != 0) {
		return true; /* not ISA */
	}
	if (a->overrides == ACPI_OVERRIDES) {
		return refuse_table(s, t, "too many interrupt source overrides");
	}
	a->override[a->overrides].irq = e[3];
	a->override[a->overrides].gsi = get_le32(e + 4);
	a->override[a->overrides].low = field_get(FIELD(1, 0), flags) == 3;
	a->override[a->overrides].level = field_get(FIELD(3, 2), flags) == 3;
	a->overrides++;
	return true;
}

static uint32_t madt_entry_least(uint8_t type)
{
	switch (type) {
	case MADT_LAPIC: return 8;
	case MADT_IOAPIC: return 12;
	case MADT_OVERRIDE: return 10;
	case MADT_LAPIC_ADDRESS: return 12;
	case MADT_X2APIC: return 16;
	default: return 2;
	}
}

static bool take_madt_entry(const struct reader *s, const struct table *t, const uint8_t *e)
{
	switch (e[0]) {
	case MADT_LAPIC:
		if (e[3] != 0xff) { /* the broadcast address: a slot without a CPU */
			add_cpu(s->a, e[3], get_le32(e + 4));
		}
		return true;
	case MADT_X2APIC:
		if (get_le32(e + 4) != 0xffffffff) {
			add_cpu(s->a, get_le32(e + 4), get_le32(e + 8));
		}
		return true;
	case MADT_IOAPIC: return add_ioapic(s, t, e);
	case MADT_OVERRIDE: return add_override(s, t, e);
	case MADT_LAPIC_ADDRESS: s->a->lapic = hpa(get_le64(e + 4)); return true;
	default: return true;
	}
}

static bool parse_madt(const struct reader *s)
{
	struct table t;

	if (!s->madt.v) {
		return refuse(s->r, "ACPI: no MADT (\"APIC\"): the machine's CPUs are not known");
	}
	if (!map_table(s, s->madt, "APIC", MADT_HEADER, &t)) {
		return false;
	}
	s->a->lapic = hpa(get_le32(t.p + 36));
	s->a->legacy_pic = get_le32(t.p + 40) & MADT_PCAT_COMPAT;
	for (uint32_t at = MADT_HEADER; at < t.len; at += t.p[at + 1]) {
		uint32_t left = t.len - at;

		if (left < 2 || t.p[at + 1] > left || t.p[at + 1] < madt_entry_least(t.p[at])) {
			return refuse(s->r,
				      "ACPI: APIC at 0x%llx: the length of the entry at offset "
				      "0x%x does not fit",
				      (unsigned long long)t.at.v, at);
		}
		if (!take_madt_entry(s, &t, t.p + at)) {
			return false;
		}
	}
	return s->a->cpus || refuse_table(s, &t, "names no enabled CPU");
}

/* --- MCFG: PCI Firmware Specification, "MCFG Table Description" ------------------------------- */

static bool parse_mcfg(const struct reader *s)
{
	enum { HEADER = 44, ENTRY = 16 };
	struct acpi_info *a = s->a;
	struct table t;

	if (!s->mcfg.v) {
		return true;
	}
	if (!map_table(s, s->mcfg, "MCFG", HEADER, &t)) {
		return false;
	}
	for (uint32_t at = HEADER; at + ENTRY <= t.len && a->mcfgs < ACPI_MCFGS; at += ENTRY) {
		const uint8_t *e = t.p + at;

		if (e[11] < e[10]) {
			return refuse_table(s, &t, "a bus range ends before it starts");
		}
		a->mcfg[a->mcfgs].base = get_le64(e);
		a->mcfg[a->mcfgs].segment = get_le16(e + 8);
		a->mcfg[a->mcfgs].bus_first = e[10];
		a->mcfg[a->mcfgs].bus_last = e[11];
		a->mcfgs++;
	}
	return true;
}

/* --- FADT: "Fixed ACPI Description Table" --------------------------------------------------------
 */

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
static uint16_t fadt_port(const struct table *t, uint32_t old, uint32_t extended)
{
	uint64_t port = get_le32(t->p + old);

	if (bytes_within(extended, GAS_SIZE, t->len) && t->p[extended] == GAS_PORT &&
	    get_le64(t->p + extended + 4)) {
		port = get_le64(t->p + extended + 4);
	}
	return port <= 0xffff ? (uint16_t)port : 0;
}

static void take_reset(struct acpi_info *a, const struct table *t, uint32_t flags)
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

/* --- \_S5 of the DSDT ----------------------------------------------------------------------------
 */

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
static void find_s5(struct acpi_info *a, const struct table *t)
{
	for (uint32_t at = TABLE_HEADER + 1; at + 4 < t->len; at++) {
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

static bool parse_fadt(const struct reader *s)
{
	struct acpi_info *a = s->a;
	struct table t, dsdt;
	uint64_t dsdt_at;
	uint32_t flags;

	if (!s->fadt.v) {
		return true; /* no power-off and no PM timer then */
	}
	if (!map_table(s, s->fadt, "FACP", FADT_LENGTH_1, &t)) {
		return false;
	}
	flags = get_le32(t.p + FADT_FLAGS);
	take_reset(a, &t, flags);
	if (flags & FADT_HW_REDUCED) {
		return true;
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
		return true;
	}
	if (!map_table(s, hpa(dsdt_at), "DSDT", TABLE_HEADER, &dsdt)) {
		return false;
	}
	find_s5(a, &dsdt);
	return true;
}

/* --- RSDP and the root table ---------------------------------------------------------------------
 */

/* Remembers where the tables are that we read; of several with one name the first counts. */
static bool take_root_entry(struct reader *s, uint64_t at)
{
	char name[5];
	hpa_t *where = NULL;

	if (!at) {
		return true; /* seen in the wild: an empty slot */
	}
	if (!peek_table(s, hpa(at), name)) {
		return false;
	}
	if (memcmp(name, "APIC", 4) == 0) {
		where = &s->madt;
	} else if (memcmp(name, "FACP", 4) == 0) {
		where = &s->fadt;
	} else if (memcmp(name, "MCFG", 4) == 0) {
		where = &s->mcfg;
	}
	if (where && !where->v) {
		*where = hpa(at);
	}
	return true;
}

static bool parse_root(struct reader *s, hpa_t root, bool extended)
{
	uint32_t step = extended ? 8 : 4;
	struct table t;

	if (!map_table(s, root, extended ? "XSDT" : "RSDT", TABLE_HEADER, &t)) {
		return false;
	}
	for (uint32_t at = TABLE_HEADER; at + step <= t.len; at += step) {
		if (!take_root_entry(s, extended ? get_le64(t.p + at) : get_le32(t.p + at))) {
			return false;
		}
	}
	return true;
}

static bool parse_rsdp(struct reader *s, const uint8_t rsdp[RSDP_NEW_SIZE])
{
	bool extended = rsdp[15] >= 2;

	if (memcmp(rsdp, "RSD PTR ", 8) != 0) {
		return refuse(s->r, "ACPI: RSDP: has another signature");
	}
	if (bytes_sum(rsdp, RSDP_OLD_SIZE)) {
		return refuse(s->r, "ACPI: RSDP: its checksum is wrong");
	}
	if (extended && get_le32(rsdp + 20) < RSDP_NEW_SIZE) {
		return refuse(s->r, "ACPI: RSDP: length 0x%x is too short", get_le32(rsdp + 20));
	}
	/* A longer RSDP than we were given a copy of cannot be summed up. */
	if (extended && get_le32(rsdp + 20) == RSDP_NEW_SIZE && bytes_sum(rsdp, RSDP_NEW_SIZE)) {
		return refuse(s->r, "ACPI: RSDP: its extended checksum is wrong");
	}
	if (extended && get_le64(rsdp + 24)) {
		return parse_root(s, hpa(get_le64(rsdp + 24)), true);
	}
	return parse_root(s, hpa(get_le32(rsdp + 16)), false);
}

bool acpi_parse(struct acpi_info *a, const uint8_t rsdp[36], acpi_map_fn map, void *ctx,
		struct refusal *r)
{
	struct reader s = {.a = a, .map = map, .ctx = ctx, .r = r};

	memset(a, 0, sizeof(*a));
	return parse_rsdp(&s, rsdp) && parse_madt(&s) && parse_mcfg(&s) && parse_fadt(&s);
}
