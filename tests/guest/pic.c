/*
 * The PC without APICs: the 8254 through the 8259 pair and LINT0 as virtual wire, the RTC's periodic
 * interrupt through the slave, masks, in-service order and specific EOI.
 */
#include "guest.h"
#include "ticks.h"

GUEST("pic");

enum { BASE = 0x60, IRQ0 = BASE, IRQ8 = BASE + 8, PIT_COUNT = PIT_HZ / 100 };

static volatile unsigned rtc;

static uint8_t cmos(uint8_t index)
{
	out8(0x70, index);
	return in8(0x71);
}

static void on_pit(struct frame *f)
{
	(void)f;
	ticks++;
	out8(0x20, 0x20);
}

static void on_rtc(struct frame *f)
{
	(void)f;
	rtc++;
	(void)cmos(0xc);
	out8(0xa0, 0x20);
	out8(0x20, 0x20);
}

void guest_main(void)
{
	on_interrupt(IRQ0, on_pit);
	on_interrupt(IRQ8, on_rtc);
	(void)tsc_hz();
	/* As firmware leaves it: LINT0 takes the PIC's output as ExtINT, APIC enabled or not. */
	lapic_write(LAPIC_SVR, 0x1ff);
	lapic_write(LAPIC_LINT0, LVT_EXTINT);
	pic_init(BASE, 0xfffe);
	pit_start(2, PIT_COUNT);
	count_ticks("rate generator");
	pit_start(3, PIT_COUNT);
	count_ticks("square wave");

	/* Masked at the PIC, then at LINT0: nothing comes. */
	out8(0x21, 0xff);
	ticks = 0;
	interrupts_on();
	delay_us(30000);
	interrupts_off();
	CHECK_EQ(ticks, 0);
	out8(0x21, 0xfe);
	lapic_write(LAPIC_LINT0, LVT_EXTINT | LVT_MASKED);
	interrupts_on();
	delay_us(30000);
	interrupts_off();
	CHECK(ticks <= 1);
	lapic_write(LAPIC_LINT0, LVT_EXTINT);

	/* The RTC's periodic interrupt: rate 6 is 1024 Hz; through the slave. */
	out8(0x21, 0xfb);
	out8(0xa1, 0xfe);
	out8(0x70, 0xa);
	out8(0x71, 0x26);
	out8(0x70, 0xb);
	out8(0x71, 0x42);
	(void)cmos(0xc);
	while (rtc < 5) {
		halt();
	}
	out8(0x70, 0xb);
	out8(0x71, 0x02);
	(void)cmos(0xc);

	/* The APIC disabled: the PIC's output goes to the CPU as it is, and the APIC comes back after. */
	out8(0xa1, 0xff);
	out8(0x21, 0xfe);
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) & ~(1ul << 11));
	count_ticks("APIC disabled");
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 1 << 11);
	CHECK((lapic_read(LAPIC_VERSION) & 0xff) >= 0x10);
}
