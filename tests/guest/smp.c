/*
 * Other CPUs: started by INIT-SIPI through pages below 64 KiB (page 0 too), stopped and started
 * again; fixed, NMI, broadcast and logical IPIs; ping-pong; the TSCs run together.
 *
 * Command line: cpus=N is how many CPUs there are.
 */
#include "guest.h"

GUEST("smp");

enum { PING = 0x61, COUNT = 0x62, ROUNDS = 200 };

static unsigned long cpus;
static volatile unsigned online, pings, counts[GUEST_CPUS], nmis[GUEST_CPUS], ids[GUEST_CPUS];
static volatile bool pong;
static volatile uint64_t shared_tsc;
static volatile unsigned tsc_backwards;
static volatile bool race;

static void on_ping(struct frame *f)
{
	(void)f;
	lapic_eoi();
	if (lapic_id() == 0) {
		pong = true;
	} else {
		pings++;
		lapic_send(0, ICR_ASSERT | PING);
	}
}

static void on_count(struct frame *f)
{
	(void)f;
	counts[lapic_id() % GUEST_CPUS]++;
	lapic_eoi();
}

static void on_nmi(struct frame *f)
{
	(void)f;
	nmis[lapic_id() % GUEST_CPUS]++;
}

/* Each TSC value must be above the last one that any CPU has published. */
static void race_tsc(void)
{
	while (race) {
		uint64_t seen = __atomic_load_n(&shared_tsc, __ATOMIC_SEQ_CST), now = rdtsc();

		if (now < seen) {
			__atomic_fetch_add(&tsc_backwards, 1, __ATOMIC_SEQ_CST);
		}
		__atomic_compare_exchange_n(&shared_tsc, &seen, now, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
	}
}

static void other(unsigned index)
{
	(void)index;
	lapic_enable();
	lapic_write(LAPIC_DFR, 0xffffffff);
	lapic_write(LAPIC_LDR, 1u << (24 + lapic_id()));
	ids[lapic_id() % GUEST_CPUS]++;
	__atomic_fetch_add(&online, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		if (race) {
			race_tsc();
		}
		halt();
	}
}

static void wait_for(volatile unsigned *what, unsigned value)
{
	for (unsigned i = 0; i < 200000 && *what < value; i++) {
		delay_us(100);
	}
	CHECK_EQ(*what, value);
}

static void start_all(uint8_t vector)
{
	online = 0;
	for (unsigned i = 0; i < GUEST_CPUS; i++) {
		ids[i] = 0;
	}
	smp_start(vector, (unsigned)cpus - 1, other);
	wait_for(&online, (unsigned)cpus - 1);
	for (unsigned i = 1; i < cpus; i++) {
		CHECK_EQ(ids[i], 1);
	}
}

static void check_ping_pong(void)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		pong = false;
		lapic_send((uint32_t)(1 + round % (cpus - 1)), ICR_ASSERT | PING);
		while (!pong) {
			halt();
		}
	}
	CHECK_EQ(pings, ROUNDS);
}

static void check_modes(void)
{
	lapic_write(LAPIC_DFR, 0xffffffff);
	lapic_write(LAPIC_LDR, 1 << 24);
	interrupts_on();
	lapic_send(0, ICR_OTHERS | ICR_ASSERT | COUNT);
	for (unsigned i = 1; i < cpus; i++) {
		wait_for(&counts[i], 1);
	}
	CHECK_EQ(counts[0], 0);
	lapic_send(0, ICR_ALL | ICR_ASSERT | COUNT);
	for (unsigned i = 0; i < cpus; i++) {
		wait_for(&counts[i], i ? 2 : 1);
	}
	lapic_send(0xff, ICR_ASSERT | COUNT);
	for (unsigned i = 0; i < cpus; i++) {
		wait_for(&counts[i], i ? 3 : 2);
	}
	/* Logical, flat: the last CPU and the first. */
	lapic_send(1u << (cpus - 1) | 1, ICR_LOGICAL | ICR_ASSERT | COUNT);
	wait_for(&counts[cpus - 1], 4);
	wait_for(&counts[0], 3);
	/* Logical, cluster: all members of cluster 0. */
	lapic_write(LAPIC_DFR, 0x0fffffff);
	lapic_write(LAPIC_LDR, 0x01000000);
	lapic_send(0x01, ICR_LOGICAL | ICR_ASSERT | COUNT);
	wait_for(&counts[0], 4);
	lapic_write(LAPIC_DFR, 0xffffffff);
	interrupts_off();

	lapic_send(1, ICR_NMI | ICR_ASSERT);
	wait_for(&nmis[1], 1);
	lapic_send(0, ICR_OTHERS | ICR_NMI | ICR_ASSERT);
	wait_for(&nmis[1], 2);
	for (unsigned i = 2; i < cpus; i++) {
		wait_for(&nmis[i], 1);
	}
	CHECK_EQ(nmis[0], 0);
}

static void check_tsc(void)
{
	race = true;
	lapic_send(0, ICR_OTHERS | ICR_ASSERT | COUNT); /* out of HLT */
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t seen = __atomic_load_n(&shared_tsc, __ATOMIC_SEQ_CST), now = rdtsc();

		tsc_backwards += now < seen;
		__atomic_compare_exchange_n(&shared_tsc, &seen, now, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
	}
	race = false;
	CHECK_EQ(tsc_backwards, 0);
}

void guest_main(void)
{
	cpus = guest_option("cpus", 2);
	on_interrupt(PING, on_ping);
	on_interrupt(COUNT, on_count);
	on_interrupt(EXC_NMI, on_nmi);
	lapic_enable();
	start_all(8);
	check_ping_pong();
	check_modes();
	check_tsc();
	/* INIT stops them wherever they are; pages 0 and 15 do as well. */
	start_all(0);
	start_all(15);
	pings = 0;
	check_ping_pong();
}
