/*
 * CR8: an interrupt waits for the TPR and comes right behind the MOV to CR8 that lets it, although
 * neither reading nor writing CR8 exits. It is also the LAPIC's TPR.
 */
#include "guest.h"

GUEST("tpr");

enum { LOW = 0x51, HIGH = 0x81 };

static volatile unsigned lows, highs;
static volatile uintptr_t where;

static void on_low(struct frame *f)
{
	lows++;
	where = f->ip;
	lapic_eoi();
}

static void on_high(struct frame *f)
{
	highs++;
	where = f->ip;
	lapic_eoi();
}

static void send(unsigned vector)
{
	lapic_send(0, ICR_SELF | ICR_ASSERT | vector);
}

static void set_cr8(uint64_t class)
{
	__asm__ volatile("movq %0, %%cr8" : : "r"(class) : "memory");
}

/* Lowers CR8; where is the first instruction behind it. */
static uintptr_t lower(uint64_t class)
{
	uintptr_t after;

	__asm__ volatile("leaq 1f(%%rip), %0; movq %1, %%cr8; 1: nop; nop" : "=&r"(after) : "r"(class) : "memory");
	return after;
}

static void check_classes(void)
{
	for (uint64_t class = 0; class < 16; class++) {
		lows = 0;
		set_cr8(class);
		send(LOW);
		interrupts_on();
		interrupts_off();
		CHECK_EQ(lows, class < LOW >> 4);
		CHECK_EQ(lapic_read(LAPIC_TPR), class << 4);
		set_cr8(0);
		interrupts_on();
		interrupts_off();
		CHECK_EQ(lows, 1);
	}
}

static void check_lowering(void)
{
	for (unsigned i = 0; i < 3; i++) {
		uintptr_t after;

		lows = highs = 0;
		set_cr8(15);
		send(LOW);
		send(HIGH);
		interrupts_on();
		CHECK_EQ(lows + highs, 0);
		after = lower(8); /* 0x81 is of class 8 */
		CHECK_EQ(lows + highs, 0);
		after = lower(7);
		CHECK_EQ(highs, 1);
		CHECK_EQ(where, after);
		CHECK_EQ(lows, 0);
		after = lower(4);
		CHECK_EQ(lows, 1);
		CHECK_EQ(where, after);
		interrupts_off();
		interrupts_on();
		CHECK_EQ(lows, 1);
		CHECK_EQ(highs, 1);
		interrupts_off();
		set_cr8(0);
	}
}

/* Sent while IF is 1 already. */
static void check_open(void)
{
	uintptr_t after;

	lows = 0;
	set_cr8(9);
	interrupts_on();
	send(LOW);
	CHECK_EQ(lows, 0);
	after = lower(0);
	CHECK_EQ(lows, 1);
	CHECK_EQ(where, after);
	interrupts_off();
	interrupts_on();
	CHECK_EQ(lows, 1);
	interrupts_off();
}

/* CR8 changes while an interrupt waits for IF: what counts is the TPR of the moment that opens it. */
static void check_closed(void)
{
	lows = 0;
	send(LOW);
	set_cr8(3);
	set_cr8(15);
	interrupts_on();
	CHECK_EQ(lows, 0);
	interrupts_off();
	set_cr8(0);
	CHECK_EQ(lows, 0);
	interrupts_on();
	CHECK_EQ(lows, 1);
	interrupts_off();
}

void guest_main(void)
{
	on_interrupt(LOW, on_low);
	on_interrupt(HIGH, on_high);
	lapic_enable();
	check_classes();
	check_lowering();
	check_open();
	check_closed();
}
