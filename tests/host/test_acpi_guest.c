/*
 * hv/acpi: the tables that a guest finds are sound (checksums, lengths, pointers), say what the
 * virtual PC has, are read back by our own parser, and are taken by iasl's disassembler where that
 * is installed.
 */
#define _DEFAULT_SOURCE /* mkdtemp */
#include "drivers/acpi.h"
#include "hv/acpi/acpi_guest.h"
#include "hv/vdev/vpci.h"
#include "tests/host/load_fixture.h"
#include <unistd.h>

static struct acpi_info info;
static gpa_t rsdp;

static const void *map(void *ctx, hpa_t at, uint64_t len)
{
	(void)ctx;
	return addrspace_ptr(&as, gpa(at.v), len);
}

static void build(struct acpi_guest g)
{
	fixture_begin();
	memset(ram + ACPI_GUEST_BASE, 0xa5, ACPI_GUEST_SIZE);
	CHECK(acpi_guest_build(&g, &as, &rsdp, &why));
	CHECK_STR(why.text, "");
	CHECK(acpi_parse(&info, ram + rsdp.v, map, NULL, &why));
	CHECK_STR(why.text, "");
}

/* A table that the XSDT lists, found by its signature; NULL: none. */
static uint8_t *find(const char *signature)
{
	const uint8_t *xsdt = ram + get_le64(ram + rsdp.v + 24);

	for (uint32_t at = 36; at < get_le32(xsdt + 4); at += 8) {
		uint8_t *t = ram + get_le64(xsdt + at);

		if (!memcmp(t, signature, 4)) {
			return t;
		}
	}
	return NULL;
}

TEST(our_own_parser_reads_it_back)
{
	build((struct acpi_guest){.cpus = 4, .serial = 0x3f8, .serial_irq = 4, .ecam = true});
	CHECK_EQ(info.cpus, 4);
	CHECK_EQ(info.cpu[3].apic_id, 3);
	CHECK_EQ(info.lapic.v, 0xfee00000);
	CHECK_EQ(get_le32(find("APIC") + 40), 1); /* there are 8259s too */
	CHECK_EQ(info.ioapics, 1);
	CHECK_EQ(info.ioapic[0].id, 0);
	CHECK_EQ(info.ioapic[0].base.v, 0xfec00000);
	CHECK_EQ(info.ioapic[0].gsi_base, 0);
	CHECK_EQ(info.overrides, 2);
	CHECK_EQ(info.override[0].irq, 0);
	CHECK_EQ(info.override[0].gsi, 2);
	CHECK(!info.override[0].level && !info.override[0].low);
	CHECK_EQ(info.override[1].irq, 9);
	CHECK_EQ(info.override[1].gsi, 9);
	CHECK(info.override[1].level && !info.override[1].low);
	CHECK_EQ(info.pm1a_cnt, 0x604);
	CHECK_EQ(info.pm_timer, 0x608);
	CHECK(info.pm_timer_32bit);
	CHECK(info.s5_present);
	CHECK_EQ(info.s5_type_a, 5);
	CHECK(info.reset_present);
	CHECK_EQ(info.reset_space, 1);
	CHECK_EQ(info.reset_address, 0xcf9);
	CHECK_EQ(info.reset_value, 6);
	CHECK_EQ(info.mcfgs, 1);
	CHECK_EQ(info.mcfg[0].base, VPCI_ECAM_BASE);
	CHECK_EQ(info.mcfg[0].bus_last, VPCI_ECAM_BUSES - 1);
}

TEST(rsdt_and_xsdt_list_the_same_sound_tables)
{
	build((struct acpi_guest){.cpus = 2, .ecam = true});

	const uint8_t *p = ram + rsdp.v;
	const uint8_t *rsdt = ram + get_le32(p + 16), *xsdt = ram + get_le64(p + 24);
	uint32_t n = (get_le32(xsdt + 4) - 36) / 8;

	CHECK_EQ(rsdp.v & 15, 0);
	CHECK_EQ(bytes_sum(p, 20), 0);
	CHECK_EQ(bytes_sum(p, 36), 0);
	CHECK_EQ(n, 3);
	CHECK_EQ(get_le32(rsdt + 4), 36 + 4 * n);
	CHECK_EQ(bytes_sum(rsdt, get_le32(rsdt + 4)), 0);
	CHECK_EQ(bytes_sum(xsdt, get_le32(xsdt + 4)), 0);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t at = get_le64(xsdt + 36 + 8 * i);

		CHECK_EQ(get_le32(rsdt + 36 + 4 * i), at);
		CHECK(bytes_within(at - ACPI_GUEST_BASE, get_le32(ram + at + 4), ACPI_GUEST_SIZE));
		CHECK_EQ(bytes_sum(ram + at, get_le32(ram + at + 4)), 0);
	}
}

TEST(fadt_points_to_dsdt_and_facs)
{
	build((struct acpi_guest){.cpus = 1});

	const uint8_t *f = find("FACP");
	const uint8_t *dsdt = ram + get_le32(f + 40), *facs = ram + get_le32(f + 36);

	CHECK_EQ(get_le64(f + 140), get_le32(f + 40));
	CHECK(!memcmp(dsdt, "DSDT", 4));
	CHECK_EQ(bytes_sum(dsdt, get_le32(dsdt + 4)), 0);
	CHECK(!memcmp(facs, "FACS", 4));
	CHECK_EQ(get_le32(facs + 4), 64);
	CHECK_EQ(get_le32(f + 36) & 63, 0);
	CHECK_EQ(get_le16(f + 46), 9);	    /* SCI */
	CHECK_EQ(get_le32(f + 48), 0);	    /* no SMI_CMD */
	CHECK_EQ(f[108], 0x32);		    /* century */
	CHECK_EQ(get_le16(f + 109) & 2, 0); /* no 8042 */
	CHECK(!find("MCFG"));
}

/* The constant behind a name in the guest's DSDT. */
static uint32_t dsdt_constant(const char *name)
{
	const uint8_t *dsdt = ram + get_le32(find("FACP") + 40);

	for (uint32_t i = 36; i + 8 < get_le32(dsdt + 4); i++) {
		if (!memcmp(dsdt + i, name, 4)) {
			return dsdt[i + 4] == 0x0b ? get_le16(dsdt + i + 5) : dsdt[i + 5];
		}
	}
	return ~0u;
}

TEST(uart_is_patched)
{
	build((struct acpi_guest){.cpus = 1, .serial = 0x2f8, .serial_irq = 3});
	CHECK_EQ(dsdt_constant("SPRT"), 0x2f8);
	CHECK_EQ(dsdt_constant("SIRQ"), 3);
	build((struct acpi_guest){.cpus = 1});
	CHECK_EQ(dsdt_constant("SPRT"), 0);
}

TEST(many_cpus_are_x2apic_entries)
{
	unsigned old = 0, x2 = 0;

	build((struct acpi_guest){.cpus = 256});
	CHECK_EQ(info.cpus, 256);

	const uint8_t *m = find("APIC");

	for (uint32_t at = 44; at < get_le32(m + 4); at += m[at + 1]) {
		old += m[at] == 0;
		x2 += m[at] == 9;
	}
	CHECK_EQ(old, 255);
	CHECK_EQ(x2, 1);
}

TEST(refusals)
{
	struct acpi_guest g = {.cpus = 5000};

	fixture_begin();
	CHECK(!acpi_guest_build(&g, &as, &rsdp, &why));
	CHECK_STR(why.text, "the ACPI tables for 5000 CPUs do not fit in 0x10000 bytes");
	fixture_begin();
	as.count = 1;
	CHECK(!acpi_guest_build(&g, &as, &rsdp, &why));
	CHECK_STR(why.text, "no RAM for ACPI tables at 0xe0000");
}

static void save(const char *name, const uint8_t *table)
{
	FILE *f = fopen(name, "wb");

	CHECK(f && fwrite(table, get_le32(table + 4), 1, f) == 1);
	if (f) {
		fclose(f);
	}
}

static void disassemble(const char *dir, const char *name, const uint8_t *table)
{
	char path[128], command[320];

	snprintf(path, sizeof(path), "%s/%s.dat", dir, name);
	save(path, table);
	/* iasl tells of wrong lengths and checksums in words, not by its status. */
	snprintf(
		command, sizeof(command),
		"iasl -d %s >%s/log 2>&1 && ! grep -Eiq 'error|invalid|wrong|too' %s/log %s/%s.dsl",
		path, dir, dir, dir, name);
	CHECK(system(command) == 0);
}

TEST(iasl_takes_them)
{
	char dir[] = "/tmp/acpi_guest.XXXXXX", command[64];

	if (system("command -v iasl >/dev/null") != 0) {
		printf("iasl is not installed: not disassembled\n");
		return;
	}
	build((struct acpi_guest){.cpus = 2, .serial = 0x3f8, .serial_irq = 4, .ecam = true});
	CHECK(mkdtemp(dir) != NULL);
	disassemble(dir, "facp", find("FACP"));
	disassemble(dir, "apic", find("APIC"));
	disassemble(dir, "mcfg", find("MCFG"));
	disassemble(dir, "dsdt", ram + get_le32(find("FACP") + 40));
	disassemble(dir, "facs", ram + get_le32(find("FACP") + 36));
	snprintf(command, sizeof(command), "rm -r %s", dir);
	CHECK(system(command) == 0);
}
