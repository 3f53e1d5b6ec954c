/*
 * Code all over memory, where Mullion may map it by large leaves that code cannot run from: two CPUs
 * that fetch from the two ends of one such leaf at once, an instruction that lies in two of them,
 * code that is written again after it has run, and all of it once more after a restart.
 */
#include "guest.h"

GUEST("fetch");

enum { FIRST = 4 << 20, LEAF = 2 << 20, LEAVES = 12, CMOS_LIFE = 0x40 };
enum { MOV_EAX = 0xb8, RET = 0xc3, CODE_BYTES = 6 };

static volatile unsigned at_leaf[2], wrong;

static uint8_t *leaf(unsigned i)
{
	return (uint8_t *)(uintptr_t)(FIRST + i * (uintptr_t)LEAF);
}

/* A function that returns `value`. */
static void put_code(uint8_t *at, uint32_t value)
{
	at[0] = MOV_EAX;
	for (unsigned i = 0; i < 4; i++) {
		at[1 + i] = (uint8_t)(value >> 8 * i);
	}
	at[CODE_BYTES - 1] = RET;
}

static uint32_t run(uint8_t *at)
{
	return ((uint32_t(*)(void))(uintptr_t)at)();
}

static uint8_t *end_for(unsigned cpu, unsigned i)
{
	return leaf(i) + (cpu ? LEAF - 0x1000 : 0x1000);
}

/* The CPUs enter each leaf together. */
static void run_leaves(unsigned cpu)
{
	for (unsigned i = 0; i < LEAVES; i++) {
		at_leaf[cpu] = i + 1;
		while (at_leaf[!cpu] < i + 1) {
			pause();
		}
		if (run(end_for(cpu, i)) != 0x1000 * i + cpu) {
			__atomic_fetch_add(&wrong, 1, __ATOMIC_SEQ_CST);
		}
	}
	at_leaf[cpu] = LEAVES + 1;
}

static void other(unsigned index)
{
	(void)index;
	run_leaves(1);
	for (;;) {
		halt();
	}
}

static void check_both(void)
{
	for (unsigned i = 0; i < LEAVES; i++) {
		put_code(end_for(0, i), 0x1000 * i);
		put_code(end_for(1, i), 0x1000 * i + 1);
	}
	lapic_enable();
	CHECK_EQ(smp_start(8, 1, other), 1);
	run_leaves(0);
	while (at_leaf[1] <= LEAVES) {
		pause();
	}
	CHECK_EQ(wrong, 0);
}

/* In leaves that nobody has run code from. */
static void check_one(void)
{
	for (unsigned i = LEAVES; i < LEAVES + 3; i++) {
		uint8_t *across = leaf(i + 1) - 3;

		put_code(across, 77 + i);
		CHECK_EQ(run(across), 77 + i);
		put_code(across, 99 + i);
		CHECK_EQ(run(across), 99 + i);
	}
}

void guest_main(void)
{
	uint8_t life;

	out8(0x70, CMOS_LIFE);
	life = in8(0x71);
	print("life %u\n", life);
	check_one();
	check_both();
	if (life == 1) {
		return;
	}
	out8(0x70, CMOS_LIFE);
	out8(0x71, 1);
	out8(0xcf9, 2);
	out8(0xcf9, 6);
	for (;;) {
		halt();
	}
}
