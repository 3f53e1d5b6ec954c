/*
 * The I/O APIC: registers, the 8254 on pin 2, and the UART's interrupt as a level that stays up until
 * the handler serves the device.
 */
#include "guest.h"
#include "ticks.h"

GUEST("ioapic");

enum { PIT_VECTOR = 0x54, UART_VECTOR = 0x55, UART = 0x3f8, UART_PIN = 4, LEVEL = 1 << 15, REMOTE_IRR = 1 << 14 };

static volatile unsigned uart;
static volatile bool serve;

static void on_pit(struct frame *f)
{
	(void)f;
	ticks++;
	lapic_eoi();
}

static void on_uart(struct frame *f)
{
	(void)f;
	uart++;
	CHECK(ioapic_read(0x10 + 2 * UART_PIN) & REMOTE_IRR);
	if (serve || uart > 5) {
		CHECK_EQ(in8(UART + 2) & 0xf, 2); /* THR empty; reading takes it back */
	}
	lapic_eoi();
}

static void check_registers(void)
{
	CHECK_EQ(ioapic_read(1) >> 16 & 0xff, 23);
	for (unsigned pin = 0; pin < 24; pin++) {
		CHECK(ioapic_read(0x10 + 2 * pin) & LVT_MASKED);
	}
	ioapic_write(0x3e, 0xffffffff); /* pin 23: read-only bits stay 0 */
	CHECK_EQ(ioapic_read(0x3e), 0x1afff & ~0u);
	ioapic_write(0x3e, LVT_MASKED);
	ioapic_write(0x3f, 0xff000000);
	CHECK_EQ(ioapic_read(0x3f), 0xff000000);
}

static void check_pit(void)
{
	ioapic_route(2, (uint64_t)lapic_id() << 56 | PIT_VECTOR);
	pit_start(2, PIT_HZ / 100);
	count_ticks("pin 2");
	ioapic_route(2, LVT_MASKED);
	interrupts_on(); /* what was pending then */
	interrupts_off();
	ticks = 0;
	interrupts_on();
	delay_us(30000);
	interrupts_off();
	CHECK_EQ(ticks, 0);
}

static void check_level(void)
{
	ioapic_route(UART_PIN, (uint64_t)lapic_id() << 56 | LEVEL | UART_VECTOR);
	out8(UART + 4, 0xb); /* OUT2 lets the interrupt out */
	out8(UART + 1, 2);   /* THR empty interrupt */
	interrupts_on();
	for (unsigned i = 0; i < 1000 && uart < 6; i++) {
		delay_us(100);
	}
	interrupts_off();
	CHECK_EQ(uart, 6); /* five EOIs with the line still up, then served */
	CHECK(!(ioapic_read(0x10 + 2 * UART_PIN) & REMOTE_IRR));
	interrupts_on();
	delay_us(1000);
	interrupts_off();
	CHECK_EQ(uart, 6);
	out8(UART + 1, 0);
	ioapic_route(UART_PIN, LVT_MASKED);
}

void guest_main(void)
{
	on_interrupt(PIT_VECTOR, on_pit);
	on_interrupt(UART_VECTOR, on_uart);
	(void)tsc_hz();
	lapic_enable();
	check_registers();
	check_pit();
	check_level();
}
