/*
 * Reads the machine's ACPI tables into struct acpi_info (ACPI specification 6.4, "ACPI Software
 * Programming Model"). Pure: boot/main.c calls it once and gives it a way to see memory.
 *
 * Firmware is distrusted like any other input: each length is checked before what it covers is
 * read, no entry can make a loop stand still, and no table is followed twice.
 */
#include "drivers/acpi_part.h"
#include "hv/lib/bytes.h"

/* DSDTs of servers reach some hundred KiB; more than this is a broken length. */
#define TABLE_MAX MIB(16)

enum { RSDP_OLD_SIZE = 20, RSDP_NEW_SIZE = 36 };

static bool refuse_table(const struct acpi_reader *s, const struct acpi_table *t, const char *why)
{
	return refuse(s->r, "ACPI: %s at 0x%lx: %s", t->name, t->at.v, why);
}

void acpi_leave_out(const struct acpi_reader *s)
{
	if (s->a->left_outs < ACPI_LEFT_OUT) {
		s->a->left_out[s->a->left_outs++] = *s->r;
	}
	s->r->text[0] = 0;
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
static bool peek_table(const struct acpi_reader *s, hpa_t at, char name[5])
{
	const uint8_t *p = s->map(s->ctx, at, ACPI_TABLE_HEADER);

	if (!p) {
		return refuse(s->r, "ACPI: table at 0x%lx: cannot be read", at.v);
	}
	table_name(name, p);
	return true;
}

hpa_t acpi_find_table(const struct acpi_info *a, const char *name)
{
	for (unsigned i = 0; i < a->tables; i++) {
		if (memcmp(a->table[i].name, name, 4) == 0) {
			return a->table[i].at;
		}
	}
	return hpa(0);
}

bool acpi_map_table(const struct acpi_reader *s, hpa_t at, const char *name, uint32_t least,
		    struct acpi_table *t)
{
	*t = (struct acpi_table){.at = at};
	memcpy(t->name, name, 5);
	t->p = s->map(s->ctx, at, ACPI_TABLE_HEADER);
	if (!t->p) {
		return refuse_table(s, t, "cannot be read");
	}
	if (memcmp(t->p, name, 4) != 0) {
		return refuse_table(s, t, "has another signature");
	}
	t->len = get_le32(t->p + 4);
	if (t->len < least || t->len > TABLE_MAX) {
		return refuse(s->r, "ACPI: %s at 0x%lx: length 0x%x is out of range (0x%x-0x%lx)",
			      name, at.v, t->len, least, TABLE_MAX);
	}
	t->p = s->map(s->ctx, at, t->len);
	if (!t->p) {
		return refuse_table(s, t, "cannot be read to its end");
	}
	return !bytes_sum(t->p, t->len) || refuse_table(s, t, "its checksum is wrong");
}

/* --- MADT: "Multiple APIC Description Table" --- */

enum madt_type {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_LAPIC_ADDRESS = 5,
	MADT_X2APIC = 9,
};

enum { MADT_HEADER = 44, CPU_ENABLED = BIT(0), CPU_LATER = BIT(1) };

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

static bool add_ioapic(const struct acpi_reader *s, const struct acpi_table *t, const uint8_t *e)
{
	struct acpi_info *a = s->a;

	if (a->ioapics == ACPI_IOAPICS) {
		refuse(s->r, "ACPI: %s at 0x%llx: more I/O APICs than can be used; number %u",
		       t->name, (unsigned long long)t->at.v, e[2]);
		acpi_leave_out(s);
		return true;
	}
	a->ioapic[a->ioapics].id = e[2];
	a->ioapic[a->ioapics].base = hpa(get_le32(e + 4));
	a->ioapic[a->ioapics].gsi_base = get_le32(e + 8);
	a->ioapics++;
	return true;
}

/* Polarity 3 is active low and trigger 3 is level; 0, "conforms to the bus", is ISA's here. */
static bool add_override(const struct acpi_reader *s, const struct acpi_table *t, const uint8_t *e)
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

static bool take_madt_entry(const struct acpi_reader *s, const struct acpi_table *t,
			    const uint8_t *e)
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

static bool parse_madt(const struct acpi_reader *s)
{
	hpa_t madt = acpi_find_table(s->a, "APIC");
	struct acpi_table t;

	if (!madt.v) {
		return refuse(s->r, "ACPI: no MADT (\"APIC\"): the machine's CPUs are not known");
	}
	if (!acpi_map_table(s, madt, "APIC", MADT_HEADER, &t)) {
		return false;
	}
	s->a->lapic = hpa(get_le32(t.p + 36));
	for (uint32_t at = MADT_HEADER; at < t.len; at += t.p[at + 1]) {
		uint32_t left = t.len - at;

		if (left < 2 || t.p[at + 1] > left || t.p[at + 1] < madt_entry_least(t.p[at])) {
			return refuse(s->r,
				      "ACPI: APIC at 0x%lx: the length of the entry at offset 0x%x "
				      "does not fit",
				      t.at.v, at);
		}
		if (!take_madt_entry(s, &t, t.p + at)) {
			return false;
		}
	}
	return s->a->cpus || refuse_table(s, &t, "names no enabled CPU");
}

/* --- MCFG: PCI Firmware Specification, "MCFG Table Description" --- */

static void parse_mcfg(const struct acpi_reader *s)
{
	enum { HEADER = 44, ENTRY = 16 };
	struct acpi_info *a = s->a;
	hpa_t mcfg = acpi_find_table(a, "MCFG");
	struct acpi_table t;

	if (!mcfg.v) {
		return;
	}
	if (!acpi_map_table(s, mcfg, "MCFG", HEADER, &t)) {
		acpi_leave_out(s);
		return;
	}
	for (uint32_t at = HEADER; at + ENTRY <= t.len && a->mcfgs < ACPI_MCFGS; at += ENTRY) {
		const uint8_t *e = t.p + at;

		if (e[11] < e[10]) {
			refuse_table(s, &t, "a bus range ends before it starts");
			acpi_leave_out(s);
			continue;
		}
		a->mcfg[a->mcfgs].base = get_le64(e);
		a->mcfg[a->mcfgs].segment = get_le16(e + 8);
		a->mcfg[a->mcfgs].bus_first = e[10];
		a->mcfg[a->mcfgs].bus_last = e[11];
		a->mcfgs++;
	}
}

/* --- RSDP and the root table --- */

/* Tables with one name, as SSDTs are, count once: there is always room for the others. */
static void take_root_entry(const struct acpi_reader *s, uint64_t at)
{
	struct acpi_info *a = s->a;
	char name[5];

	if (!at) {
		return; /* seen in the wild: an empty slot */
	}
	if (!peek_table(s, hpa(at), name)) {
		acpi_leave_out(s);
		return;
	}
	if (!acpi_find_table(a, name).v && a->tables < ACPI_TABLES) {
		memcpy(a->table[a->tables].name, name, 4);
		a->table[a->tables++].at = hpa(at);
	}
}

static bool parse_root(const struct acpi_reader *s, hpa_t root, bool extended)
{
	uint32_t step = extended ? 8 : 4;
	struct acpi_table t;

	if (!acpi_map_table(s, root, extended ? "XSDT" : "RSDT", ACPI_TABLE_HEADER, &t)) {
		return false;
	}
	for (uint32_t at = ACPI_TABLE_HEADER; at + step <= t.len; at += step) {
		take_root_entry(s, extended ? get_le64(t.p + at) : get_le32(t.p + at));
	}
	return true;
}

static bool parse_rsdp(const struct acpi_reader *s, const uint8_t rsdp[RSDP_NEW_SIZE])
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
	struct acpi_reader s = {.a = a, .map = map, .ctx = ctx, .r = r};

	memset(a, 0, sizeof(*a));
	if (!parse_rsdp(&s, rsdp) || !parse_madt(&s)) {
		return false;
	}
	parse_mcfg(&s);
	acpi_parse_fadt(&s);
	return true;
}
