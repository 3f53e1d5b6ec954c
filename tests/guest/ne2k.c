/*
 * A passed-through NE2000 on PCI (Realtek 8029): I/O BAR, and INTx by remote DMA, which ends with an
 * interrupt and needs neither a network nor a bus master. What Bochs has for VMX.
 */
#include "guest.h"

GUEST("ne2k");

enum { REALTEK_8029 = 0x802910ec, LINE_VECTOR = 0x71 };
/* DP8390D: page 0. */
enum { COMMAND = 0, ISR = 7, RSAR0 = 8, RSAR1 = 9, RBCR0 = 10, RBCR1 = 11, RCR = 12, TCR = 13, DCR = 14,
       IMR = 15, DATA = 16, RESET = 31 };
enum { STOP = 0x21, START = 0x22, READ = 0x0a, WRITE = 0x12, DONE = 0x40 };
enum { BUFFER = 0x4000 };

static unsigned devfn;
static uint16_t base;
static volatile unsigned taken;

static uint32_t config_read(unsigned reg)
{
	out32(0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc));
	return in32(0xcfc) >> 8 * (reg & 3);
}

static void config_write(unsigned reg, uint32_t value)
{
	out32(0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc));
	out32(0xcfc, value);
}

/* Every second time the device is left asking: the line must come again after the EOI. */
static void on_line(struct frame *f)
{
	(void)f;
	taken++;
	if (taken % 2 == 0) {
		out8(base + ISR, 0xff);
	}
	lapic_eoi();
}

static void remote(unsigned command, uint16_t at, uint16_t count)
{
	out8(base + RBCR0, (uint8_t)count);
	out8(base + RBCR1, (uint8_t)(count >> 8));
	out8(base + RSAR0, (uint8_t)at);
	out8(base + RSAR1, (uint8_t)(at >> 8));
	out8(base + COMMAND, (uint8_t)command);
}

static void set_up(void)
{
	out8(base + RESET, in8(base + RESET));
	delay_us(2000);
	out8(base + COMMAND, STOP);
	out8(base + DCR, 0x49); /* words */
	out8(base + RCR, 0x20); /* monitor */
	out8(base + TCR, 0x02); /* loop back */
	out8(base + ISR, 0xff);
	out8(base + IMR, DONE);
	out8(base + COMMAND, START);
}

static void check_transfer(unsigned round)
{
	unsigned before = taken;

	remote(WRITE, BUFFER, 64);
	for (unsigned i = 0; i < 32; i++) {
		out16(base + DATA, (uint16_t)(i * 0x101 + round));
	}
	for (unsigned i = 0; i < 2000 && taken < before + 2; i++) {
		interrupts_on();
		delay_us(50);
		interrupts_off();
	}
	if (taken != before + 2) {
		guest_fail("round %u: %u interrupts", round, taken - before);
	}
	out8(base + IMR, 0);
	remote(READ, BUFFER, 64);
	for (unsigned i = 0; i < 32; i++) {
		CHECK_EQ(in16(base + DATA), (uint16_t)(i * 0x101 + round));
	}
	out8(base + ISR, 0xff);
	out8(base + IMR, DONE);
}

void guest_main(void)
{
	uint32_t bar;
	unsigned gsi;

	for (devfn = 8; devfn < 256 && config_read(0) != REALTEK_8029; devfn += 8) {
	}
	CHECK(devfn < 256);
	bar = config_read(0x10);
	config_write(0x10, 0xffffffff);
	CHECK_EQ(config_read(0x10), 0xffffffe1);
	config_write(0x10, 0xd001); /* elsewhere */
	config_write(4, 1);
	base = 0xd000;
	gsi = 16 + ((devfn >> 3) + (config_read(0x3d) & 0xff) - 1) % 8;
	print("ne2k at 00:%02x.0, ports 0x%x for 0x%x, GSI %u\n", devfn >> 3, base, bar & ~3u, gsi);
	on_interrupt(LINE_VECTOR, on_line);
	(void)tsc_hz();
	lapic_enable();
	ioapic_route(gsi, (uint64_t)lapic_id() << 56 | 1 << 15 | 1 << 13 | LINE_VECTOR);
	set_up();
	for (unsigned i = 0; i < 20; i++) {
		check_transfer(i);
	}
	print("INTx: %u taken\n", taken);
}
