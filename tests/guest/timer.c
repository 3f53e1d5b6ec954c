/*
 * The APIC timer in its three modes: never early, late only by little, no period lost or doubled.
 * For lateness one good try of several is enough: the host of an emulator may pause it at any time.
 */
#include "guest.h"

GUEST("timer");

enum { VECTOR = 0x53, ROUNDS = 100 };

static volatile unsigned taken;
static volatile uint64_t when;

static void handler(struct frame *f)
{
	(void)f;
	when = rdtsc();
	taken++;
	lapic_eoi();
}

static uint64_t micros(uint64_t tsc)
{
	return tsc * 1000 / (tsc_hz() / 1000);
}

static void wait_for(unsigned count)
{
	while (taken < count) {
		halt();
	}
}

static void check_one_shot(bool sleep)
{
	uint64_t best = ~0ul, wanted = tsc_hz() / 200, hz = lapic_timer_hz();

	lapic_write(LAPIC_TIMER, VECTOR);
	for (unsigned i = 0; i < ROUNDS && (i < 5 || micros(best) >= 6000); i++) {
		uint64_t start;

		taken = 0;
		start = rdtsc();
		lapic_write(LAPIC_INITIAL, (uint32_t)(hz / 200));
		if (sleep) {
			wait_for(1);
		} else {
			interrupts_on();
			while (!taken) {
				pause();
			}
			interrupts_off();
		}
		CHECK(when - start >= wanted - wanted / 50);
		best = when - start < best ? when - start : best;
	}
	CHECK_EQ(taken, 1);
	CHECK_EQ(lapic_read(LAPIC_CURRENT), 0);
	print("one-shot 5000 us: %lu us at best\n", (unsigned long)micros(best));
	CHECK(micros(best) < 6000);
}

static void check_periodic(void)
{
	uint64_t start, hz = lapic_timer_hz(), elapsed = 0;

	lapic_write(LAPIC_TIMER, VECTOR | LVT_PERIODIC);
	for (unsigned i = 0; i < ROUNDS / 5 && (elapsed < 99000 || elapsed > 110000); i++) {
		lapic_write(LAPIC_INITIAL, 0);
		interrupts_on(); /* what the last try has left */
		interrupts_off();
		taken = 0;
		start = rdtsc();
		lapic_write(LAPIC_INITIAL, (uint32_t)(hz / 100));
		wait_for(10);
		elapsed = micros(when - start);
		CHECK(elapsed >= 99000);
	}
	CHECK(lapic_read(LAPIC_CURRENT) != 0);
	CHECK(lapic_read(LAPIC_CURRENT) <= hz / 100);
	print("10 periods of 10000 us: %lu us\n", (unsigned long)elapsed);
	CHECK(elapsed <= 110000);
	/* Masked it goes on counting, and fires no more. */
	lapic_write(LAPIC_TIMER, VECTOR | LVT_PERIODIC | LVT_MASKED);
	interrupts_on(); /* what was pending then */
	interrupts_off();
	taken = 0;
	interrupts_on();
	delay_us(50000);
	interrupts_off();
	CHECK_EQ(taken, 0);
	lapic_write(LAPIC_INITIAL, 0);
	CHECK_EQ(lapic_read(LAPIC_CURRENT), 0);
}

/* How far the timer counts down, and how far it would in the time that has passed around it. */
static uint64_t count_down(uint64_t hz, uint64_t *due)
{
	uint64_t start = rdtsc();
	uint32_t left;

	lapic_write(LAPIC_INITIAL, 0xffffffff);
	delay_us(5000);
	left = lapic_read(LAPIC_CURRENT);
	*due = micros(rdtsc() - start) * (hz / 1000) / 1000;
	return 0xffffffff - left;
}

/* The count goes down at the rate that the divide register says. */
static void check_divide(void)
{
	static const uint8_t divide[] = {0xb, 0, 1, 2, 3, 8, 9, 0xa}; /* 1, 2, 4 ... 128 */

	lapic_write(LAPIC_TIMER, LVT_MASKED | VECTOR);
	for (unsigned i = 0; i < sizeof(divide); i++) {
		uint64_t due, gone, hz = lapic_timer_hz() >> i;
		unsigned tries = 0;

		lapic_write(LAPIC_DIVIDE, divide[i]);
		do {
			gone = count_down(hz, &due);
			CHECK(gone <= due + due / 20 + 2);
		} while (gone + 2 < due - due / 5 && ++tries < ROUNDS);
		CHECK(tries < ROUNDS);
	}
	lapic_write(LAPIC_INITIAL, 0);
	lapic_write(LAPIC_DIVIDE, 0xb);
}

/* Zero disarms. Only a try in which the deadline is still ahead then says something. */
static void check_disarm(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t deadline = rdtsc() + tsc_hz() / 100;
		bool ahead;

		taken = 0;
		wrmsr(MSR_TSC_DEADLINE, deadline);
		wrmsr(MSR_TSC_DEADLINE, 0);
		ahead = rdtsc() < deadline;
		interrupts_on();
		delay_us(30000);
		interrupts_off();
		if (ahead) {
			CHECK_EQ(taken, 0);
			return;
		}
	}
	guest_fail("never disarmed in time");
}

static void check_deadline(void)
{
	uint64_t far, best = ~0ul;

	lapic_write(LAPIC_TIMER, VECTOR | LVT_DEADLINE);
	CHECK_EQ(rdmsr(MSR_TSC_DEADLINE), 0);
	far = rdtsc() + 3600 * tsc_hz(); /* it must not have fired when it is read back */
	wrmsr(MSR_TSC_DEADLINE, far);
	CHECK_EQ(rdmsr(MSR_TSC_DEADLINE), far);
	for (unsigned i = 0; i < ROUNDS && (i < 5 || micros(best) >= 1000); i++) {
		uint64_t deadline = rdtsc() + tsc_hz() / 200;

		taken = 0;
		wrmsr(MSR_TSC_DEADLINE, deadline);
		wait_for(1);
		CHECK(when >= deadline);
		CHECK_EQ(rdmsr(MSR_TSC_DEADLINE), 0);
		best = when - deadline < best ? when - deadline : best;
	}
	print("deadline: late by %lu us at best\n", (unsigned long)micros(best));
	CHECK(micros(best) < 1000);
	/* One in the past fires at once. */
	taken = 0;
	wrmsr(MSR_TSC_DEADLINE, 1);
	interrupts_on();
	interrupts_off();
	CHECK_EQ(taken, 1);
	check_disarm();
}

void guest_main(void)
{
	on_interrupt(VECTOR, handler);
	lapic_enable();
	check_one_shot(true);
	check_one_shot(false);
	check_periodic();
	check_divide();
	check_deadline();
}
