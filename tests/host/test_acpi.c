/*
 * drivers/acpi.c on hand-built tables in a small fake memory: what is read, and that hostile tables
 * are refused by name.
 */
#include "drivers/acpi.h"
#include "hv/lib/bytes.h"
#include "tests/host/test.h"

enum {
	BASE = 0x7f000000,
	SIZE = 0x10000,
	XSDT = 0x100,
	RSDT = 0x300,
	MADT = 0x1000,
	FADT = 0x2000,
	MCFG = 0x3000,
	DSDT = 0x4000
};

static uint64_t base = BASE; /* where memory[] is */
static uint8_t memory[SIZE];
static uint8_t rsdp[36];
static struct acpi_info info;
static struct refusal why;

/* Gives exact heap copies, so that the sanitizer sees every byte read past what was asked for. */
static void *copies[4096];
static unsigned copied;

static const void *map(void *ctx, hpa_t at, uint64_t len)
{
	void *copy;

	(void)ctx;
	if (at.v < base || !bytes_within(at.v - base, len, SIZE)) {
		return NULL;
	}
	copy = malloc(len);
	memcpy(copy, memory + (at.v - base), len);
	copies[copied++] = copy;
	return copy;
}

static bool parse(void)
{
	bool ok;

	memset(&info, 0x5a, sizeof(info));
	memset(&why, 0, sizeof(why));
	ok = acpi_parse(&info, rsdp, map, NULL, &why);
	while (copied) {
		free(copies[--copied]);
	}
	CHECK(ok == !why.text[0]);
	return ok;
}

static uint8_t *at(uint32_t offset)
{
	return memory + offset;
}

static void seal(uint32_t offset)
{
	uint32_t len = get_le32(at(offset) + 4);

	at(offset)[9] = 0;
	at(offset)[9] = (uint8_t)-bytes_sum(at(offset), len);
}

static void seal_rsdp(void)
{
	rsdp[8] = 0;
	rsdp[8] = (uint8_t)-bytes_sum(rsdp, 20);
	rsdp[32] = 0;
	rsdp[32] = (uint8_t)-bytes_sum(rsdp, 36);
}

static void header(uint32_t offset, const char *signature, uint32_t len)
{
	memset(at(offset), 0, len);
	memcpy(at(offset), signature, 4);
	put_le32(at(offset) + 4, len);
}

static void append(uint32_t table, const void *bytes, uint32_t len)
{
	uint32_t old = get_le32(at(table) + 4);

	memcpy(at(table) + old, bytes, len);
	put_le32(at(table) + 4, old + len);
	seal(table);
}

static void add_root(uint32_t table)
{
	uint8_t entry[8];

	put_le64(entry, base + table);
	append(XSDT, entry, 8);
	append(RSDT, entry, 4);
}

static void cpu(uint8_t id, uint32_t flags)
{
	uint8_t e[8] = {0, 8, id, id};

	put_le32(e + 4, flags);
	append(MADT, e, 8);
}

static void x2cpu(uint32_t id, uint32_t flags)
{
	uint8_t e[16] = {9, 16};

	put_le32(e + 4, id);
	put_le32(e + 8, flags);
	append(MADT, e, 16);
}

static void override(uint8_t irq, uint32_t gsi, uint16_t flags)
{
	uint8_t e[10] = {2, 10, 0, irq};

	put_le32(e + 4, gsi);
	put_le16(e + 8, flags);
	append(MADT, e, 10);
}

static void gas(uint32_t offset, uint8_t space, uint64_t address)
{
	at(FADT)[offset] = space;
	put_le64(at(FADT) + offset + 4, address);
}

static const uint8_t s5[] = {0x08, '_',	 'S',  '5',  '_',  0x12, 0x06,
			     0x04, 0x0a, 0x05, 0x0a, 0x07, 0,	 0};

static void machine(void)
{
	memset(memory, 0, sizeof(memory));
	memset(rsdp, 0, sizeof(rsdp));
	memcpy(rsdp, "RSD PTR ", 8);
	rsdp[15] = 2;
	put_le32(rsdp + 16, (uint32_t)base + RSDT);
	put_le32(rsdp + 20, 36);
	put_le64(rsdp + 24, base + XSDT);
	seal_rsdp();
	header(XSDT, "XSDT", 36);
	header(RSDT, "RSDT", 36);
	header(MADT, "APIC", 44);
	put_le32(at(MADT) + 36, 0xfee00000);
	put_le32(at(MADT) + 40, 1);
	cpu(0, 1);
	cpu(2, 1);
	append(MADT, "\x01\x0c\x05\x00\x00\x00\xc0\xfe\x18\x00\x00\x00", 12);
	override(0, 2, 0);
	override(9, 9, 0xd);
	override(5, 21, 0xf);
	header(FADT, "FACP", 244);
	put_le32(at(FADT) + 40, (uint32_t)base + DSDT);
	put_le32(at(FADT) + 64, 0x604);
	put_le32(at(FADT) + 76, 0x608);
	put_le32(at(FADT) + 112, BIT(8) | BIT(10));
	gas(116, 1, 0xcf9);
	at(FADT)[128] = 6;
	seal(FADT);
	header(DSDT, "DSDT", 36);
	append(DSDT, s5, sizeof(s5));
	header(MCFG, "MCFG", 44);
	append(MCFG, "\0\0\0\xb0\0\0\0\0\0\0\0\xff\0\0\0\0", 16);
	add_root(FADT);
	add_root(MADT);
	add_root(MCFG);
}

TEST(whole_machine)
{
	machine();
	CHECK(parse());
	CHECK_STR(why.text, "");
	CHECK_EQ(info.cpus, 2);
	CHECK_EQ(info.cpu[1].apic_id, 2);
	CHECK_EQ(info.cpus_ignored, 0);
	CHECK_EQ(info.lapic.v, 0xfee00000);
	CHECK_EQ(info.ioapics, 1);
	CHECK_EQ(info.ioapic[0].id, 5);
	CHECK_EQ(info.ioapic[0].base.v, 0xfec00000);
	CHECK_EQ(info.ioapic[0].gsi_base, 24);
	CHECK_EQ(info.overrides, 3);
	CHECK_EQ(info.override[0].gsi, 2);
	CHECK(!info.override[0].level && !info.override[0].low);
	CHECK(info.override[1].level && !info.override[1].low);
	CHECK(info.override[2].level && info.override[2].low);
	CHECK_EQ(info.pm1a_cnt, 0x604);
	CHECK_EQ(info.pm1b_cnt, 0);
	CHECK_EQ(info.pm_timer, 0x608);
	CHECK(info.pm_timer_32bit);
	CHECK(info.s5_present);
	CHECK_EQ(info.s5_type_a, 5);
	CHECK_EQ(info.s5_type_b, 7);
	CHECK(info.reset_present);
	CHECK_EQ(info.reset_space, 1);
	CHECK_EQ(info.reset_address, 0xcf9);
	CHECK_EQ(info.reset_value, 6);
	CHECK_EQ(info.mcfgs, 1);
	CHECK_EQ(info.mcfg[0].base, 0xb0000000);
	CHECK_EQ(info.mcfg[0].bus_last, 255);
}

/* Firmware of large machines puts tables, and ECAM, where it has room. */
TEST(tables_and_ecam_above_4_gib)
{
	base = 0x12380000000;
	machine();
	put_le32(at(FADT) + 40, 0);
	put_le64(at(FADT) + 140, base + DSDT);
	seal(FADT);
	put_le64(at(MCFG) + 44, 0x380000000000);
	seal(MCFG);
	CHECK(parse());
	CHECK_STR(why.text, "");
	CHECK_EQ(info.cpus, 2);
	CHECK(info.s5_present);
	CHECK_EQ(info.mcfg[0].base, 0x380000000000);
	CHECK_EQ(acpi_find_table(&info, "APIC").v, base + MADT);
	base = BASE;
}

/* Ids beyond a byte come in entries of type 9; holes between ids mean nothing. */
TEST(apic_ids_with_holes_and_beyond_255)
{
	machine();
	x2cpu(0x100, 1);
	x2cpu(0x12345, 1);
	CHECK(parse());
	CHECK_EQ(info.cpus, 4);
	CHECK_EQ(info.cpu[0].apic_id, 0);
	CHECK_EQ(info.cpu[1].apic_id, 2);
	CHECK_EQ(info.cpu[2].apic_id, 0x100);
	CHECK_EQ(info.cpu[3].apic_id, 0x12345);
}

TEST(rsdt_of_acpi_1)
{
	machine();
	rsdp[15] = 0;
	memset(rsdp + 20, 0xff, 16); /* not there */
	seal_rsdp();
	memset(at(XSDT), 0, 64);
	CHECK(parse());
	CHECK_EQ(info.cpus, 2);
	CHECK_EQ(info.mcfgs, 1);
}

TEST(revision_2_without_xsdt_takes_the_rsdt)
{
	machine();
	put_le64(rsdp + 24, 0);
	seal_rsdp();
	CHECK(parse());
	CHECK_EQ(info.cpus, 2);
}

TEST(cpus_disabled_later_twice_and_x2apic)
{
	machine();
	cpu(4, 0);    /* disabled */
	cpu(6, 2);    /* online-capable */
	cpu(0xff, 1); /* broadcast: no CPU */
	x2cpu(2, 1);  /* already there */
	x2cpu(0x12345, 1);
	x2cpu(0x12346, 2);
	x2cpu(0xffffffff, 1);
	append(MADT, "\x05\x0c\0\0\x00\x00\xe0\xfe\x01\0\0\0", 12);
	append(MADT, "\x04\x06\xff\0\0\x01", 6); /* NMI: not ours */
	CHECK(parse());
	CHECK_EQ(info.cpus, 3);
	CHECK_EQ(info.cpu[2].apic_id, 0x12345);
	CHECK_EQ(info.cpus_ignored, 2);
	CHECK_EQ(info.lapic.v, 0x1fee00000);
}

TEST(more_cpus_than_fit)
{
	machine();
	for (uint32_t i = 0; i < MAX_CPUS + 3; i++) {
		x2cpu(1000 + i, 1);
	}
	CHECK(parse());
	CHECK_EQ(info.cpus, MAX_CPUS);
	CHECK_EQ(info.cpus_ignored, 5);
}

TEST(fadt_extended_fields)
{
	machine();
	gas(172, 1, 0x1804);
	gas(184, 0, 0xfed00000); /* in memory: the old field stays */
	put_le32(at(FADT) + 68, 0x704);
	gas(208, 1, 0x1808);
	gas(116, 0, 0xfed80000);
	put_le64(at(FADT) + 140, base + DSDT);
	put_le32(at(FADT) + 40, 0xdead0000); /* X_DSDT wins */
	put_le32(at(FADT) + 112, BIT(10));
	seal(FADT);
	CHECK(parse());
	CHECK_EQ(info.pm1a_cnt, 0x1804);
	CHECK_EQ(info.pm1b_cnt, 0x704);
	CHECK_EQ(info.pm_timer, 0x1808);
	CHECK(!info.pm_timer_32bit);
	CHECK_EQ(info.reset_space, 0);
	CHECK_EQ(info.reset_address, 0xfed80000);
	CHECK(info.s5_present);
}

TEST(fadt_without_what_it_may_lack)
{
	machine();
	put_le32(at(FADT) + 4, 116); /* ACPI 1.0 */
	seal(FADT);
	CHECK(parse());
	CHECK(!info.reset_present);
	CHECK_EQ(info.pm1a_cnt, 0x604);

	machine();
	gas(116, 2, 0xcf9); /* in PCI configuration space */
	seal(FADT);
	CHECK(parse());
	CHECK(!info.reset_present);

	machine();
	put_le32(at(FADT) + 112, BIT(20)); /* hardware-reduced */
	seal(FADT);
	CHECK(parse());
	CHECK_EQ(info.pm1a_cnt, 0);
	CHECK(!info.s5_present);

	machine();
	put_le32(at(FADT) + 64, 0x10604);
	seal(FADT);
	CHECK(parse());
	CHECK_EQ(info.pm1a_cnt, 0);
}

static bool s5_of(const char *aml, uint32_t len)
{
	machine();
	header(DSDT, "DSDT", 36);
	append(DSDT, aml, len);
	CHECK(parse());
	return info.s5_present;
}

TEST(s5_forms)
{
	CHECK(s5_of("\x08\\_S5_\x12\x06\x02\x01\x01", 11));
	CHECK_EQ(info.s5_type_a, 1);
	CHECK_EQ(info.s5_type_b, 1);
	CHECK(s5_of("\x08_S5_\x12\x0a\x04\x0b\x07\0\x0c\x06\0\0\0\0\0", 17));
	CHECK_EQ(info.s5_type_a, 7);
	CHECK_EQ(info.s5_type_b, 6);
	CHECK(s5_of("\x08_S5_\x12\x46\x00\x02\x0a\x05\x00", 12)); /* two bytes of PkgLength */
	CHECK_EQ(info.s5_type_a, 5);
	CHECK(s5_of("\x08_S5_\x12\x04\x01\x0a\x05", 10)); /* one element */
	CHECK_EQ(info.s5_type_b, 0);
	CHECK(s5_of("x_S5_\x08_S5_\x12\x06\x02\x0a\x03\x00", 16)); /* the first is a mention */
	CHECK_EQ(info.s5_type_a, 3);
	CHECK(!s5_of("_S5_\x12\x06\x02\x0a\x05\x00", 10));     /* no NameOp */
	CHECK(!s5_of("\x08_S5_\x14\x06\x02\x0a\x05\x00", 11)); /* a method */
	CHECK(!s5_of("\x08_S5_\x12\x06\x02\x0a\x08\x00", 11)); /* more than three bits */
	CHECK(!s5_of("\x08_S5_\x12\x06\x00", 8));	       /* empty */
	CHECK(!s5_of("\x08_S5_\x12\x06\x02\x0d\x05\x00", 11)); /* a string */
	for (uint32_t len = 0; len < 10; len++) {
		CHECK(!s5_of("\x08_S5_\x12\xc6\0\0\0\x02\x0a\x05\x0a", len));
	}
}

static void refused(const char *text)
{
	CHECK(!parse());
	CHECK_STR(why.text, text);
}

/* What is broken is told, and the machine is used without it. */
static void left_out(const char *text)
{
	CHECK(parse());
	CHECK_EQ(info.left_outs, 1);
	CHECK_STR(info.left_out[0].text, text);
	CHECK_EQ(info.cpus, 2);
}

TEST(checksums)
{
	machine();
	rsdp[8]++;
	refused("ACPI: RSDP: its checksum is wrong");
	machine();
	rsdp[33]++;
	refused("ACPI: RSDP: its extended checksum is wrong");
	machine();
	at(XSDT)[9]++;
	refused("ACPI: XSDT at 0x7f000100: its checksum is wrong");
	machine();
	at(MADT)[9]++;
	refused("ACPI: APIC at 0x7f001000: its checksum is wrong");
	machine();
	at(FADT)[9]++;
	left_out("ACPI: FACP at 0x7f002000: its checksum is wrong");
	CHECK(!info.pm1a_cnt && !info.pm_timer && !info.s5_present && info.mcfgs);
	machine();
	at(MCFG)[9]++;
	left_out("ACPI: MCFG at 0x7f003000: its checksum is wrong");
	CHECK(!info.mcfgs && info.s5_present);
	machine();
	at(DSDT)[9]++;
	left_out("ACPI: DSDT at 0x7f004000: its checksum is wrong");
	CHECK(!info.s5_present && info.pm_timer);
}

TEST(hostile_tables)
{
	machine();
	rsdp[0]++;
	refused("ACPI: RSDP: has another signature");
	machine();
	put_le32(rsdp + 20, 35);
	seal_rsdp();
	refused("ACPI: RSDP: length 0x23 is too short");
	machine();
	put_le64(rsdp + 24, base + MADT);
	seal_rsdp();
	refused("ACPI: XSDT at 0x7f001000: has another signature");
	machine();
	put_le64(rsdp + 24, ~0ull);
	seal_rsdp();
	refused("ACPI: XSDT at 0xffffffffffffffff: cannot be read");
	machine();
	put_le32(at(XSDT) + 4, 35);
	refused("ACPI: XSDT at 0x7f000100: length 0x23 is out of range (0x24-0x1000000)");
	machine();
	put_le32(at(XSDT) + 4, 0xffffffff);
	refused("ACPI: XSDT at 0x7f000100: length 0xffffffff is out of range (0x24-0x1000000)");
	machine();
	put_le32(at(XSDT) + 4, 0x100000);
	refused("ACPI: XSDT at 0x7f000100: cannot be read to its end");
	machine();
	add_root(SIZE + 0x1000);
	left_out("ACPI: table at 0x7f011000: cannot be read");
	machine();
	put_le64(at(FADT) + 140, base + FADT); /* a loop */
	seal(FADT);
	left_out("ACPI: DSDT at 0x7f002000: has another signature");
	machine();
	put_le32(at(FADT) + 4, 115);
	seal(FADT);
	left_out("ACPI: FACP at 0x7f002000: length 0x73 is out of range (0x74-0x1000000)");
	machine();
	header(XSDT, "XSDT", 36);
	add_root(FADT);
	refused("ACPI: no MADT (\"APIC\"): the machine's CPUs are not known");
	machine();
	header(MADT, "APIC", 44);
	seal(MADT);
	refused("ACPI: APIC at 0x7f001000: names no enabled CPU");
}

TEST(root_that_names_itself_ends)
{
	machine();
	add_root(XSDT);
	add_root(MADT);		  /* twice: the first counts */
	add_root((uint32_t)base); /* cannot be read, but: */
	put_le32(at(XSDT) + 4, get_le32(at(XSDT) + 4) - 8);
	seal(XSDT);
	append(XSDT, "\0\0\0\0\0\0\0\0", 8); /* an empty slot */
	CHECK(parse());
	CHECK_EQ(info.cpus, 2);
}

TEST(madt_entries_that_do_not_fit)
{
	static const uint8_t types[] = {0, 1, 2, 5, 9, 200};

	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		uint8_t e[2] = {types[i], 0};

		machine();
		append(MADT, e, 2); /* zero length: would loop */
		refused("ACPI: APIC at 0x7f001000: the length of the entry at offset 0x66 does not "
			"fit");
		machine();
		e[1] = 40; /* ends beyond the table */
		append(MADT, e, 2);
		refused("ACPI: APIC at 0x7f001000: the length of the entry at offset 0x66 does not "
			"fit");
	}
	machine();
	append(MADT, "\x09\x08\0\0\0\0\0\0", 8); /* shorter than its type */
	refused("ACPI: APIC at 0x7f001000: the length of the entry at offset 0x66 does not fit");
	machine();
	append(MADT, "\0", 1);
	refused("ACPI: APIC at 0x7f001000: the length of the entry at offset 0x66 does not fit");
}

TEST(too_many_entries)
{
	machine();
	for (int i = 0; i < ACPI_IOAPICS; i++) {
		append(MADT, "\x01\x0c\x05\x00\x00\x00\xc0\xfe\x18\x00\x00\x00", 12);
	}
	left_out("ACPI: APIC at 0x7f001000: more I/O APICs than can be used; number 5");
	CHECK_EQ(info.ioapics, ACPI_IOAPICS);
	machine();
	for (uint8_t i = 0; i < ACPI_OVERRIDES; i++) {
		override(i, i, 0);
	}
	refused("ACPI: APIC at 0x7f001000: too many interrupt source overrides");
	machine();
	append(MCFG, "\0\0\0\xb0\0\0\0\0\0\0\x05\x04\0\0\0\0", 16);
	left_out("ACPI: MCFG at 0x7f003000: a bus range ends before it starts");
}

/* Each length of each table, sealed: read as far as it is sound, or refused; never read beyond. */
TEST(every_truncation_is_survived)
{
	static const uint32_t tables[] = {XSDT, MADT, FADT, MCFG, DSDT};

	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
		machine();
		for (uint32_t len = get_le32(at(tables[i]) + 4); len-- > 0;) {
			machine();
			put_le32(at(tables[i]) + 4, len);
			if (len >= 36) {
				seal(tables[i]);
			}
			CHECK(!parse() || len >= 36 || info.left_outs == 1);
		}
	}
}
