/*
 * The HPET as firmware may leave it: all its interrupts go off, and broken tables do no harm.
 */
#include "drivers/hpet.h"
#include "hv/lib/bytes.h"
#include "tests/fake/fake_host.h"
#include "tests/host/test.h"

static struct acpi_info acpi;
static uint8_t table[56];

enum { REGISTERS = 0xd0000 };

static const void *map(void *ctx, hpa_t at, uint64_t len)
{
	(void)ctx;
	return at.v == 0x1000 && len <= sizeof(table) ? table : NULL;
}

static void sum(void)
{
	table[9] = 0;
	table[9] = (uint8_t)-bytes_sum(table, sizeof(table));
}

static uint32_t get(unsigned at)
{
	return get_le32(fake_host.mmio + REGISTERS + at);
}

static void put(unsigned at, uint32_t v)
{
	put_le32(fake_host.mmio + REGISTERS + at, v);
}

/* Three comparators: one in legacy mode, one by message, one by a pin. */
static void machine(void)
{
	fake_host_reset();
	fake_log_reset();
	acpi = (struct acpi_info){.tables = 1, .table = {{"HPET", {0x1000}}}};
	memset(table, 0, sizeof(table));
	memcpy(table, "HPET", 4);
	put_le32(table + 4, sizeof(table));
	put_le64(table + 44, 0xfed00000 + REGISTERS);
	sum();
	memset(fake_host.mmio + REGISTERS, 0, 0x400);
	put(0x000, 0x8086a201);
	put(0x010, 3);
	put(0x100, 0x0000003c);
	put(0x120, 0x0000c004);
	put(0x140, 0x00008034);
	put(0x160, 4); /* of no comparator */
}

TEST(all_interrupts_go_off)
{
	machine();
	hpet_silence(&acpi, map, NULL);
	CHECK_EQ(get(0x010), 1);
	CHECK_EQ(get(0x100), 0x38);
	CHECK_EQ(get(0x120), 0x8000);
	CHECK_EQ(get(0x140), 0x8030);
	CHECK_EQ(get(0x160), 4);
	CHECK_STR(fake_log, "HPET at 0xfedd0000: its interrupts were left on; now off\n");
	fake_log_reset();
	hpet_silence(&acpi, map, NULL);
	CHECK_STR(fake_log, "HPET at 0xfedd0000: its interrupts are off\n");
}

TEST(none_there)
{
	machine();
	acpi.tables = 0;
	hpet_silence(&acpi, map, NULL);
	CHECK_STR(fake_log, "");
	CHECK_EQ(get(0x010), 3);
	machine();
	put(0x000, ~0u);
	hpet_silence(&acpi, map, NULL);
	CHECK_STR(fake_log, "HPET at 0xfedd0000: does not answer\n");
	CHECK_EQ(get(0x100), 0x3c);
}

TEST(broken_tables_are_left_alone)
{
	machine();
	table[20] ^= 1;
	hpet_silence(&acpi, map, NULL);
	CHECK_STR(fake_log,
		  "ACPI: HPET at 0x1000: its checksum is wrong; the HPET is left alone\n");
	machine();
	table[40] = 1; /* ports */
	sum();
	hpet_silence(&acpi, map, NULL);
	CHECK_STR(fake_log, "ACPI: HPET at 0x1000: its registers are nowhere; it is left alone\n");
	machine();
	put_le64(table + 44, BIT(39)); /* beyond what the test machine's CPU can address */
	sum();
	hpet_silence(&acpi, map, NULL);
	CHECK_EQ(get(0x010), 3);
}
