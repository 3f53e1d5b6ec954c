/*
 * What the TSC is measured by, on machines that lack one clock or another. Time is a counter that
 * every access to a clock takes further.
 */
#include "arch/x86_64/asm.h"
#include "tests/fake/fake_host.h"
#include "tests/host/test.h"

enum { NO_CLOCK, COUNTS, STANDS };
enum { HPET_BASE = 0xd0000, HPET_HZ = 14318180, PM_PORT = 0x608 };
#define TSC_HZ 3000000000ull

static int pm_kind, pit_kind, hpet_kind;
static uint32_t leaf_15[4], leaf_16[4], leaves;
static uint64_t now; /* TSC */
static uint16_t latched;
static bool latched_high;

static uint64_t ticks_of(uint64_t hz)
{
	return (uint64_t)((unsigned __int128)now * hz / TSC_HZ);
}

static uint64_t own_rdtsc(void)
{
	return now += 30;
}

static uint32_t own_in32(uint16_t port)
{
	now += 3000;
	CHECK_EQ(port, PM_PORT);
	return pm_kind == COUNTS ? (uint32_t)ticks_of(3579545) | 0x7000000 : 0xffffffff;
}

static void own_out8(uint16_t port, uint8_t v)
{
	now += 3000;
	if (port == 0x43 && v == 0x80) {
		latched = pit_kind == COUNTS ? (uint16_t)(0xffff - ticks_of(1193182)) : 0xffff;
		latched_high = false;
	}
}

static uint8_t own_in8(uint16_t port)
{
	now += 3000;
	if (port != 0x42) {
		return 0;
	}
	latched_high = !latched_high;
	return latched_high ? (uint8_t)latched : (uint8_t)(latched >> 8);
}

static uint64_t own_mmio_read(const volatile void *at, unsigned size)
{
	now += 3000;
	if (at == fake_host.mmio + HPET_BASE + 0xf0 && fake_host.mmio[HPET_BASE + 0x10] & 1 &&
	    hpet_kind == COUNTS) {
		return (uint32_t)ticks_of(HPET_HZ);
	}
	return host_mmio_read(at, size);
}

static void own_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	(void)subleaf;
	memset(out, 0, 16);
	out[0] = leaf == 0 ? leaves : 0;
	if (leaf == 0x15) {
		memcpy(out, leaf_15, 16);
	}
	if (leaf == 0x16) {
		memcpy(out, leaf_16, 16);
	}
}

#define rdtsc	       own_rdtsc
#define in32	       own_in32
#define in8	       own_in8
#define out8	       own_out8
#define host_cpuid     own_cpuid
#define host_mmio_read own_mmio_read
#define host_tsc_hz    own_tsc_hz
#include "drivers/tsc.c"
#undef host_mmio_read
#include "hv/lib/bytes.h"

static struct acpi_info acpi;
static uint8_t table[56];

static const void *map(void *ctx, hpa_t at, uint64_t len)
{
	(void)ctx;
	return at.v == 0x1000 && len <= sizeof(table) ? table : NULL;
}

static void machine(int its_pm, int its_pit, int its_hpet)
{
	fake_host_reset();
	fake_log_reset();
	pm_kind = its_pm;
	pit_kind = its_pit;
	hpet_kind = its_hpet;
	now = 12345;
	leaves = 0;
	own_tsc_hz = 0;
	acpi = (struct acpi_info){.pm_timer = pm_kind == NO_CLOCK ? 0 : PM_PORT};
	memset(fake_host.mmio + HPET_BASE, 0, 0x400);
	if (hpet_kind == NO_CLOCK) {
		return;
	}
	acpi.tables = 1;
	memcpy(acpi.table[0].name, "HPET", 4);
	acpi.table[0].at = hpa(0x1000);
	memset(table, 0, sizeof(table));
	memcpy(table, "HPET", 4);
	put_le32(table + 4, sizeof(table));
	put_le64(table + 44, 0xfed00000 + HPET_BASE);
	table[9] = (uint8_t)-bytes_sum(table, sizeof(table));
	put_le32(fake_host.mmio + HPET_BASE, 0x8086a201);
	put_le32(fake_host.mmio + HPET_BASE + 4, (uint32_t)(1000000000000000ull / HPET_HZ));
}

static bool near(uint64_t hz)
{
	return hz > TSC_HZ - TSC_HZ / 1000 && hz < TSC_HZ + TSC_HZ / 1000;
}

TEST(the_pm_timer_first)
{
	machine(COUNTS, COUNTS, COUNTS);
	CHECK(tsc_calibrate(&acpi, map, NULL));
	CHECK(near(own_tsc_hz));
	CHECK(strstr(fake_log, "by PM timer"));
}

/* A port that reads as all ones is no clock; nor is one that is not there. */
TEST(then_the_8254)
{
	for (int its_pm = NO_CLOCK; its_pm <= STANDS; its_pm += STANDS) {
		machine(its_pm, COUNTS, COUNTS);
		CHECK(tsc_calibrate(&acpi, map, NULL));
		CHECK(near(own_tsc_hz));
		CHECK(strstr(fake_log, "by 8254"));
	}
}

/* Firmware may have left its counter standing. */
TEST(then_the_hpet)
{
	machine(STANDS, STANDS, COUNTS);
	CHECK(tsc_calibrate(&acpi, map, NULL));
	CHECK(near(own_tsc_hz));
	CHECK(strstr(fake_log, "by HPET"));
	CHECK_EQ(fake_host.mmio[HPET_BASE + 0x10], 1);
}

TEST(an_hpet_that_cannot_be)
{
	machine(NO_CLOCK, STANDS, COUNTS);
	put_le32(fake_host.mmio + HPET_BASE + 4, 0);
	CHECK(!tsc_calibrate(&acpi, map, NULL));
	CHECK(strstr(fake_log, "a tick of 0 fs cannot be"));
	put_le32(fake_host.mmio + HPET_BASE + 4, 100000001);
	CHECK(!tsc_calibrate(&acpi, map, NULL));
}

/* No machine waits for minutes for a clock that stands: some seconds in all. */
TEST(no_clock)
{
	machine(STANDS, STANDS, STANDS);
	CHECK(!tsc_calibrate(&acpi, map, NULL));
	CHECK(now < 5 * TSC_HZ);
}

TEST(cpuid_where_nothing_runs)
{
	machine(STANDS, STANDS, NO_CLOCK);
	leaves = 0x16;
	memcpy(leaf_15, (uint32_t[4]){2, 250, 24000000, 0}, 16);
	CHECK(tsc_calibrate(&acpi, map, NULL));
	CHECK_EQ(own_tsc_hz, 3000000000);
	CHECK(strstr(fake_log, "MHz by CPUID"));
	CHECK(strstr(fake_log, "that it could be compared with"));
	/* The crystal's frequency is not told: what the CPU is sold as. */
	leaf_15[2] = 0;
	leaf_16[0] = 2900;
	CHECK(tsc_calibrate(&acpi, map, NULL));
	CHECK_EQ(own_tsc_hz, 2900000000);
	leaf_15[1] = 0;
	CHECK(!tsc_calibrate(&acpi, map, NULL));
}

TEST(cpuid_is_believed_when_a_clock_agrees)
{
	machine(COUNTS, COUNTS, COUNTS);
	leaves = 0x15;
	memcpy(leaf_15, (uint32_t[4]){2, 250, 24000000, 0}, 16);
	CHECK(tsc_calibrate(&acpi, map, NULL));
	CHECK_EQ(own_tsc_hz, 3000000000);
	leaf_15[2] = 25000000;
	CHECK(tsc_calibrate(&acpi, map, NULL));
	CHECK(near(own_tsc_hz));
	CHECK(strstr(fake_log, "which is wrong"));
}
