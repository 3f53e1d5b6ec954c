/*
 * Builds a guest's ACPI tables; see acpi_guest.h. Called by partition_life.c at each start.
 *
 * There is no SMI command port: the machine is in ACPI mode from the start, as the specification
 * allows ("Legacy/ACPI Select and the SCI Interrupt": SMI_CMD 0). No 8042 and no VGA are announced,
 * so that guests do not wait for answers; vpm.c's 8042 is there for reset and A20 alone.
 */
#include "hv/acpi/acpi_guest.h"
#include "hv/lib/bytes.h"
#include "hv/vdev/vpci.h"
#include "hv/vdev/vpm.h"

static const uint8_t dsdt_aml[] = {
#include "dsdt.inc"
};

enum { TABLE_HEADER = 36, TABLE_ALIGN = 64, RSDP_SIZE = 36, FACS_SIZE = 64 };

struct builder {
	uint8_t *p; /* the area at ACPI_GUEST_BASE */
	uint32_t used;
	uint32_t table;	  /* offset of the one that is being built */
	uint32_t root[8]; /* what RSDT and XSDT list */
	unsigned roots;
	bool full;
};

static uint32_t address(uint32_t offset)
{
	return ACPI_GUEST_BASE + offset;
}

/* Appends n zero bytes to the area; without room it points at the start, and full tells. */
static uint8_t *append(struct builder *b, uint32_t n)
{
	uint8_t *p = b->p + b->used;

	if (n > ACPI_GUEST_SIZE - b->used) {
		b->full = true;
		b->used = 0;
		return b->p;
	}
	memset(p, 0, n);
	b->used += n;
	return p;
}

static void align(struct builder *b)
{
	append(b, (uint32_t)(ALIGN_UP(b->used, TABLE_ALIGN) - b->used));
}

/* Starts a table; its length and checksum follow in end_table. */
static uint8_t *begin_table(struct builder *b, const char *signature, uint8_t revision,
			    uint32_t size)
{
	uint8_t *p;

	align(b);
	b->table = b->used;
	p = append(b, size);
	memcpy(p, signature, 4);
	p[8] = revision;
	memcpy(p + 10, "MULLN MULLION ", 14); /* OEM id, OEM table id */
	put_le32(p + 24, 1);
	memcpy(p + 28, "MULL", 4);
	put_le32(p + 32, 1);
	return p;
}

static void seal(uint8_t *table, uint32_t len)
{
	put_le32(table + 4, len);
	table[9] = 0;
	table[9] = (uint8_t)-bytes_sum(table, len);
}

static uint32_t end_table(struct builder *b)
{
	if (!b->full) {
		seal(b->p + b->table, b->used - b->table);
	}
	return address(b->table);
}

static void list_table(struct builder *b)
{
	b->root[b->roots++] = end_table(b);
}

/* --- DSDT --- */

/* Where Name (NAME, constant) has its constant of this prefix; NULL: not in the AML. */
static uint8_t *aml_constant(uint8_t *aml, uint32_t len, const char *name, uint8_t prefix)
{
	for (uint32_t i = TABLE_HEADER; i + 8 <= len; i++) {
		if (memcmp(aml + i, name, 4) == 0 && aml[i + 4] == prefix) {
			return aml + i + 5;
		}
	}
	return NULL;
}

static bool build_dsdt(struct builder *b, const struct acpi_guest *g, uint32_t *at,
		       struct refusal *r)
{
	enum { AML_BYTE = 0x0a, AML_WORD = 0x0b };
	uint8_t *p, *port, *irq;

	align(b);
	*at = address(b->used);
	p = append(b, sizeof(dsdt_aml));
	if (b->full) {
		return true; /* told at the end */
	}
	memcpy(p, dsdt_aml, sizeof(dsdt_aml));
	port = aml_constant(p, sizeof(dsdt_aml), "SPRT", AML_WORD);
	irq = aml_constant(p, sizeof(dsdt_aml), "SIRQ", AML_BYTE);
	if (!port || !irq) {
		return refuse(r, "the DSDT has no constants SPRT and SIRQ");
	}
	put_le16(port, (uint16_t)g->serial);
	*irq = (uint8_t)g->serial_irq;
	seal(p, sizeof(dsdt_aml));
	return true;
}

/* --- FADT and FACS --- */

enum fadt {
	FADT_FIRMWARE_CTRL = 36,
	FADT_DSDT = 40,
	FADT_SCI_INT = 46,
	FADT_PM1A_EVT = 56,
	FADT_PM1A_CNT = 64,
	FADT_PM_TMR = 76,
	FADT_PM1_EVT_LEN = 88,
	FADT_PM1_CNT_LEN = 89,
	FADT_PM_TMR_LEN = 91,
	FADT_LVL2_LATENCY = 96,
	FADT_LVL3_LATENCY = 98,
	FADT_CENTURY = 108,
	FADT_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_MINOR = 131,
	FADT_X_DSDT = 140,
	FADT_X_PM1A_EVT = 148,
	FADT_X_PM1A_CNT = 172,
	FADT_X_PM_TMR = 208,
	FADT_SIZE = 276,
};

enum {
	ARCH_LEGACY_DEVICES = BIT(0),
	ARCH_NO_VGA = BIT(2),
	FLAG_WBINVD = BIT(0),
	FLAG_PROC_C1 = BIT(2),
	FLAG_NO_POWER_BUTTON = BIT(4), /* none in the fixed registers */
	FLAG_NO_SLEEP_BUTTON = BIT(5),
	FLAG_NO_FIXED_RTC = BIT(6),
	FLAG_TMR_VAL_EXT = BIT(8),
	FLAG_RESET_REG_SUP = BIT(10),
	NO_C2 = 101,
	NO_C3 = 1001, /* latencies that say: not there */
	CMOS_CENTURY = 0x32,
	RESET_PORT = 0xcf9,
	RESET_VALUE = 6,
};

/* A Generic Address Structure for a port. access: 1 byte, 2 word, 3 dword. */
static void put_gas(uint8_t *p, uint8_t bits, uint8_t access, uint64_t port)
{
	p[0] = 1;
	p[1] = bits;
	p[3] = access;
	put_le64(p + 4, port);
}

static uint32_t build_facs(struct builder *b)
{
	uint32_t at;
	uint8_t *p;

	align(b);
	at = address(b->used);
	p = append(b, FACS_SIZE);
	memcpy(p, "FACS", 4);
	put_le32(p + 4, FACS_SIZE);
	p[32] = 2; /* version */
	return at;
}

static void build_fadt(struct builder *b, uint32_t dsdt, uint32_t facs)
{
	uint8_t *p = begin_table(b, "FACP", 6, FADT_SIZE);

	put_le32(p + FADT_FIRMWARE_CTRL, facs);
	put_le32(p + FADT_DSDT, dsdt);
	put_le64(p + FADT_X_DSDT, dsdt);
	put_le16(p + FADT_SCI_INT, VPM_SCI_GSI);
	put_le32(p + FADT_PM1A_EVT, VPM_PM1_EVT);
	put_le32(p + FADT_PM1A_CNT, VPM_PM1_CNT);
	put_le32(p + FADT_PM_TMR, VPM_TIMER);
	p[FADT_PM1_EVT_LEN] = 4;
	p[FADT_PM1_CNT_LEN] = 2;
	p[FADT_PM_TMR_LEN] = 4;
	put_gas(p + FADT_X_PM1A_EVT, 32, 2, VPM_PM1_EVT);
	put_gas(p + FADT_X_PM1A_CNT, 16, 2, VPM_PM1_CNT);
	put_gas(p + FADT_X_PM_TMR, 32, 3, VPM_TIMER);
	put_le16(p + FADT_LVL2_LATENCY, NO_C2);
	put_le16(p + FADT_LVL3_LATENCY, NO_C3);
	p[FADT_CENTURY] = CMOS_CENTURY;
	put_le16(p + FADT_BOOT_ARCH, ARCH_LEGACY_DEVICES | ARCH_NO_VGA);
	put_le32(p + FADT_FLAGS, FLAG_WBINVD | FLAG_PROC_C1 | FLAG_NO_POWER_BUTTON |
					 FLAG_NO_SLEEP_BUTTON | FLAG_NO_FIXED_RTC |
					 FLAG_TMR_VAL_EXT | FLAG_RESET_REG_SUP);
	put_gas(p + FADT_RESET_REG, 8, 1, RESET_PORT);
	p[FADT_RESET_VALUE] = RESET_VALUE;
	p[FADT_MINOR] = 4;
	list_table(b);
}

/* --- MADT and MCFG --- */

enum {
	LAPIC_BASE = 0xfee00000u,
	IOAPIC_BASE = 0xfec00000u,
	MADT_HEADER = 44,
	MADT_PCAT_COMPAT = BIT(0),
	CPU_ENABLED = BIT(0),
	FIRST_X2APIC = 255, /* ids that an 8-bit entry cannot tell */
	PIT_GSI = 2,
	LEVEL_HIGH = 0xd, /* MPS INTI flags */
};

static uint8_t *add_entry(struct builder *b, uint8_t type, uint8_t len)
{
	uint8_t *p = append(b, len);

	p[0] = type;
	p[1] = len;
	return p;
}

static void add_cpu(struct builder *b, unsigned id)
{
	uint8_t *p;

	if (id < FIRST_X2APIC) {
		p = add_entry(b, 0, 8);
		p[2] = p[3] = (uint8_t)id;
		put_le32(p + 4, CPU_ENABLED);
	} else {
		p = add_entry(b, 9, 16);
		put_le32(p + 4, id);
		put_le32(p + 8, CPU_ENABLED);
		put_le32(p + 12, id);
	}
}

static void add_override(struct builder *b, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	uint8_t *p = add_entry(b, 2, 10);

	p[3] = irq;
	put_le32(p + 4, gsi);
	put_le16(p + 8, flags);
}

/* LINT1 of every CPU is NMI, as on a PC. */
static void add_nmi(struct builder *b, const struct acpi_guest *g)
{
	uint8_t *p = add_entry(b, 4, 6);

	p[2] = 0xff;
	p[5] = 1;
	if (g->cpus > FIRST_X2APIC) {
		p = add_entry(b, 10, 12);
		put_le32(p + 4, 0xffffffff);
		p[8] = 1;
	}
}

static void build_madt(struct builder *b, const struct acpi_guest *g)
{
	uint8_t *p = begin_table(b, "APIC", 5, MADT_HEADER);

	put_le32(p + 36, LAPIC_BASE);
	put_le32(p + 40, MADT_PCAT_COMPAT);
	for (unsigned i = 0; i < g->cpus; i++) {
		add_cpu(b, i);
	}
	p = add_entry(b, 1, 12);
	put_le32(p + 4, IOAPIC_BASE);
	add_override(b, 0, PIT_GSI, 0);
	add_override(b, VPM_SCI_GSI, VPM_SCI_GSI, LEVEL_HIGH);
	add_nmi(b, g);
	list_table(b);
}

static void build_mcfg(struct builder *b)
{
	uint8_t *p = begin_table(b, "MCFG", 1, 60);

	put_le64(p + 44, VPCI_ECAM_BASE);
	p[55] = VPCI_ECAM_BUSES - 1;
	list_table(b);
}

/* --- the root --- */

static void build_root(struct builder *b, uint32_t *rsdt, uint32_t *xsdt)
{
	uint8_t *p = begin_table(b, "RSDT", 1, TABLE_HEADER + 4 * b->roots);

	for (unsigned i = 0; i < b->roots; i++) {
		put_le32(p + TABLE_HEADER + 4ull * i, b->root[i]);
	}
	*rsdt = end_table(b);
	p = begin_table(b, "XSDT", 1, TABLE_HEADER + 8 * b->roots);
	for (unsigned i = 0; i < b->roots; i++) {
		put_le64(p + TABLE_HEADER + 8ull * i, b->root[i]);
	}
	*xsdt = end_table(b);
}

static void build_rsdp(uint8_t *p, uint32_t rsdt, uint32_t xsdt)
{
	memcpy(p, "RSD PTR ", 8);
	memcpy(p + 9, "MULLN ", 6);
	p[15] = 2;
	put_le32(p + 16, rsdt);
	put_le32(p + 20, RSDP_SIZE);
	put_le64(p + 24, xsdt);
	p[8] = (uint8_t)-bytes_sum(p, 20);
	p[32] = (uint8_t)-bytes_sum(p, RSDP_SIZE);
}

bool acpi_guest_build(const struct acpi_guest *g, const struct addrspace *as, gpa_t *rsdp,
		      struct refusal *r)
{
	struct builder b = {.p = addrspace_ptr(as, gpa(ACPI_GUEST_BASE), ACPI_GUEST_SIZE)};
	uint32_t dsdt, facs, rsdt, xsdt;

	if (!b.p) {
		return refuse(r, "no RAM for ACPI tables at 0x%x", ACPI_GUEST_BASE);
	}
	append(&b, RSDP_SIZE);
	if (!build_dsdt(&b, g, &dsdt, r)) {
		return false;
	}
	facs = build_facs(&b);
	build_fadt(&b, dsdt, facs);
	build_madt(&b, g);
	if (g->ecam) {
		build_mcfg(&b);
	}
	build_root(&b, &rsdt, &xsdt);
	if (b.full) {
		return refuse(r, "the ACPI tables for %u CPUs do not fit in 0x%x bytes", g->cpus,
			      ACPI_GUEST_SIZE);
	}
	build_rsdp(b.p, rsdt, xsdt);
	*rsdp = gpa(ACPI_GUEST_BASE);
	return true;
}
