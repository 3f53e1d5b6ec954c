/*
 * TSC frequency: see tsc.h. Called by boot/main.c; delays by smp.c.
 *
 * What CPUID says is only believed when a timer of known frequency agrees: emulators pass on the
 * leaf of the part that they imitate. The timer is the ACPI PM timer, else channel 2 of the 8254,
 * else the HPET: firmware of small machines turns one or the other off to save power.
 */
#include "drivers/tsc.h"
#include "arch/x86_64/asm.h"
#include "drivers/hpet.h"
#include "hv/cpu_facts.h"
#include "hv/host.h"
#include "hv/log.h"

enum {
	PM_HZ = 3579545,
	PIT_HZ = 1193182,
	PIT_CHANNEL_2 = 0x42,
	PIT_COMMAND = 0x43,
	PIT_SET_MODE_0 = 0xb0, /* channel 2, both bytes, terminal count */
	PIT_LATCH = 0x80,
	PORT_B = 0x61,
	PORT_B_GATE = BIT(0),
	PORT_B_SPEAKER = BIT(1),
	RUNS = 5,
	RUN_DIVISOR = 100, /* a run lasts 1/100 s; the 8254 wraps after 1/18 s */
	READS = 8,
	PATIENCE = 10000000, /* reads of a timer that may stand still */
};
/* TSC ticks without one of the timer: on the fastest CPU many times what a run lasts. */
#define PATIENCE_TICKS 2000000000ull

uint64_t host_tsc_hz;

struct reference {
	const char *name;
	uint32_t hz;
	uint32_t mask;
	uint16_t pm_port;	/* the PM timer's */
	volatile uint8_t *hpet; /* its counter; neither: the 8254 */
};

struct instant {
	uint64_t tsc;
	uint32_t ticks;
};

static uint32_t reference_ticks(const struct reference *r)
{
	uint8_t lo, hi;

	if (r->pm_port) {
		return in32(r->pm_port) & r->mask;
	}
	if (r->hpet) {
		return (uint32_t)host_mmio_read(r->hpet, 4);
	}
	out8(PIT_COMMAND, PIT_LATCH);
	lo = in8(PIT_CHANNEL_2);
	hi = in8(PIT_CHANNEL_2);
	return ~((uint32_t)hi << 8 | lo) & r->mask; /* it counts down */
}

/* Both clocks at one moment: of some readings the one with the least time around it. */
static struct instant instant_now(const struct reference *r)
{
	struct instant best = {0};
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < READS; i++) {
		uint64_t before = rdtsc();
		uint32_t ticks = reference_ticks(r);
		uint64_t around = rdtsc() - before;

		if (around < least) {
			least = around;
			best = (struct instant){before + around / 2, ticks};
		}
	}
	return best;
}

/* TSC ticks per second by one run; 0: the reference stands still. */
static uint64_t measure(const struct reference *r)
{
	struct instant first = instant_now(r), last;
	uint32_t ticks = 0;

	for (unsigned i = 0; ticks < r->hz / RUN_DIVISOR; i++) {
		if (i == PATIENCE || (!ticks && rdtsc() - first.tsc > PATIENCE_TICKS)) {
			return 0;
		}
		ticks = (reference_ticks(r) - first.ticks) & r->mask;
	}
	last = instant_now(r);
	ticks = (last.ticks - first.ticks) & r->mask;
	return ticks ? (last.tsc - first.tsc) * r->hz / ticks : 0;
}

/* The median: a run may be disturbed by whatever runs beneath us. */
static uint64_t measure_often(const struct reference *r)
{
	uint64_t hz[RUNS];

	for (unsigned i = 0; i < RUNS; i++) {
		uint64_t v = measure(r);
		unsigned at = i;

		if (!v) {
			return 0;
		}
		for (; at > 0 && hz[at - 1] > v; at--) {
			hz[at] = hz[at - 1];
		}
		hz[at] = v;
	}
	return hz[RUNS / 2];
}

static void pit_start(void)
{
	out8(PORT_B, (uint8_t)((in8(PORT_B) & ~PORT_B_SPEAKER) | PORT_B_GATE));
	out8(PIT_COMMAND, PIT_SET_MODE_0);
	out8(PIT_CHANNEL_2, 0xff);
	out8(PIT_CHANNEL_2, 0xff);
}

/* Intel SDM vol. 3, "Determining the Processor Base Frequency"; 0: CPUID does not say. */
static uint64_t cpuid_hz(void)
{
	uint32_t id[4];

	cpu_leaf(0x15, 0, id);
	return id[0] && id[1] && id[2] ? (uint64_t)id[2] * id[1] / id[0] : 0;
}

/*
 * The base frequency, of CPUs whose TSC runs at it: right to some tenths of a percent, for where
 * there is nothing else (Intel SDM vol. 3, "Determining the Processor Base Frequency").
 */
static uint64_t cpuid_base_hz(void)
{
	uint32_t id[4];

	if (!cpu_leaf(0x15, 0, id) || !id[0] || !id[1]) {
		return 0;
	}
	cpu_leaf(0x16, 0, id);
	return (id[0] & 0xffff) * 1000000ull;
}

static bool agree(uint64_t a, uint64_t b)
{
	uint64_t difference = a > b ? a - b : b - a;

	return difference < b / 200; /* half a percent */
}

/* By the first clock that runs; 0: none does. */
static uint64_t measure_by_any(const struct acpi_info *a, acpi_map_fn map, void *ctx,
			       const char **name)
{
	struct reference pm = {.name = "PM timer",
			       .hz = PM_HZ,
			       .mask = a->pm_timer_32bit ? 0xffffffff : 0xffffff,
			       .pm_port = a->pm_timer};
	struct reference pit = {.name = "8254", .hz = PIT_HZ, .mask = 0xffff};
	struct hpet_clock clock;
	uint64_t hz = pm.pm_port ? measure_often(&pm) : 0;

	*name = pm.name;
	if (!hz) {
		*name = pit.name;
		pit_start();
		hz = measure_often(&pit);
	}
	if (!hz && hpet_clock_start(&clock, a, map, ctx)) {
		struct reference hpet = {
			.name = "HPET", .hz = clock.hz, .mask = 0xffffffff, .hpet = clock.counter};

		*name = hpet.name;
		hz = measure_often(&hpet);
	}
	return hz;
}

bool tsc_calibrate(const struct acpi_info *a, acpi_map_fn map, void *ctx)
{
	const char *name;
	uint64_t measured = measure_by_any(a, map, ctx, &name);
	uint64_t told = cpuid_hz();

	host_tsc_hz = told && (!measured || agree(told, measured)) ? told : measured;
	if (!host_tsc_hz) {
		host_tsc_hz = told = cpuid_base_hz();
	}
	if (!host_tsc_hz) {
		return false;
	}
	log_line("TSC: %lu.%03lu MHz by %s", host_tsc_hz / 1000000, host_tsc_hz / 1000 % 1000,
		 host_tsc_hz == told ? "CPUID" : name);
	if (!measured) {
		log_line("TSC: no PM timer, 8254 or HPET runs that it could be compared with");
	}
	if (told && host_tsc_hz != told) {
		log_line("TSC: CPUID says %lu.%03lu MHz, which is wrong", told / 1000000,
			 told / 1000 % 1000);
	}
	return true;
}

bool tsc_invariant(void)
{
	uint32_t id[4];

	cpu_leaf(0x80000007, 0, id);
	return id[3] & BIT(8);
}

/*
 * A hypervisor below us often hides the bit because it may move its guests to other machines: there
 * the comparison has to do.
 */
const char *tsc_problem(void)
{
	uint32_t id[4];

	host_cpuid(1, 0, id);
	if (!host_tsc_reliable) {
		return "the TSCs of the CPUs do not run together, so guests would see time jump";
	}
	if (!tsc_invariant() && !(id[2] & BIT(31))) {
		return "the TSC is not invariant (CPUID 80000007h EDX bit 8): it may change its "
		       "rate or stop when the CPU saves power, and guests' clocks with it";
	}
	return NULL;
}

uint64_t tsc_ticks(uint64_t microseconds)
{
	return microseconds * (host_tsc_hz / 1000) / 1000;
}

void tsc_delay(uint64_t microseconds)
{
	uint64_t start = rdtsc();
	uint64_t ticks = tsc_ticks(microseconds);

	while (rdtsc() - start < ticks) {
		pause();
	}
}
