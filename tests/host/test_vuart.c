/*
 * hv/vdev/vuart.c: what drivers do to a 16550A, step by step, and hostile accesses.
 */
#include "tests/host/vuart_rig.h"

static void type(const char *s)
{
	for (; *s; s++) {
		CHECK(vuart_offer(&u, (uint8_t)*s));
	}
	vuart_update(&u);
}

TEST(reset_values)
{
	fresh();
	CHECK_EQ(in(IER), 0);
	CHECK_EQ(in(IIR), 0x01);
	CHECK_EQ(in(LCR), 0);
	CHECK_EQ(in(MCR), 0);
	CHECK_EQ(in(LSR), 0x60);
	CHECK_EQ(in(MSR), 0xb0);
	CHECK_EQ(in(DATA), 0);
}

/* Linux, 8250_port.c: autoconfig() and autoconfig_16550a(), up to the verdict "16550A". */
TEST(linux_autoconfig_finds_a_16550a)
{
	fresh();
	out(IER, 0);
	CHECK_EQ(in(IER)&0x0f, 0);
	out(IER, 0x0f);
	CHECK_EQ(in(IER), 0x0f);
	out(IER, 0);

	out(MCR, 0x10 | 0x0a); /* loopback, RTS, OUT2 */
	CHECK_EQ(in(MSR)&0xf0, 0x90);
	out(MCR, 0);

	out(LCR, 0xbf);
	out(2, 0); /* EFR of chips that have one, FCR of ours */
	out(LCR, 0);
	out(FCR, 0x01);
	CHECK_EQ(in(IIR) >> 6, 3);

	out(LCR, 0x80); /* 16650 probe: EFR must not read 0 */
	CHECK(in(2) != 0);
	out(LCR, 0xbf);
	CHECK(in(2) != 0);
	out(LCR, 0);
	out(FCR, 0x21); /* 16750 probe: no 64-byte FIFO */
	CHECK_EQ(in(IIR)&0xe0, 0xc0);
	out(FCR, 0x01);
	out(IER, 0x40); /* XScale probe: no UUE bit */
	CHECK_EQ(in(IER), 0);
	out(SCR, 0x5a);
	CHECK_EQ(in(SCR), 0x5a);
	out(SCR, 0xa5);
	CHECK_EQ(in(SCR), 0xa5);
}

/* Linux, size_fifo(): fills the FIFO in loopback and counts what comes back. */
TEST(linux_size_fifo_counts_16)
{
	unsigned n = 0;

	fresh();
	out(LCR, 0);
	out(FCR, 0x07);
	out(MCR, 0x10);
	out(LCR, 0x80);
	out(0, 1);
	out(1, 0);
	CHECK_EQ(in(0), 1);
	CHECK_EQ(in(1), 0);
	out(LCR, 0x03);
	for (unsigned i = 0; i < 256; i++) {
		out(DATA, (uint8_t)i);
	}
	CHECK_EQ(in(LSR), 0x63); /* data, and the overrun once */
	CHECK_EQ(in(LSR), 0x61);
	while (in(LSR)&1 && n < 256) {
		CHECK_EQ(in(DATA), n);
		n++;
	}
	CHECK_EQ(n, 16);
	CHECK_EQ(drain(), 0); /* nothing of it went out */
}

TEST(loopback_overrun_without_fifo_keeps_the_new_byte)
{
	fresh();
	out(MCR, 0x10);
	out(DATA, 'a');
	out(DATA, 'b');
	CHECK_EQ(in(LSR), 0x63);
	CHECK_EQ(in(DATA), 'b');
	CHECK_EQ(in(LSR), 0x60);
}

TEST(loopback_modem_lines_and_deltas)
{
	fresh();
	out(MCR, 0x10); /* the terminal's DCD, DSR and CTS are cut off */
	CHECK_EQ(in(MSR), 0x0b);
	CHECK_EQ(in(MSR), 0x00);
	out(MCR, 0x11); /* DTR -> DSR */
	CHECK_EQ(in(MSR), 0x22);
	out(MCR, 0x12); /* RTS -> CTS */
	CHECK_EQ(in(MSR), 0x13);
	out(MCR, 0x14); /* OUT1 -> RI, whose rise is no delta */
	CHECK_EQ(in(MSR), 0x41);
	out(MCR, 0x18); /* OUT2 -> DCD; RI fell */
	CHECK_EQ(in(MSR), 0x8c);
	out(MCR, 0xff);
	CHECK_EQ(in(MCR), 0x1f);
}

/* Linux, serial8250_do_startup(): the test for UART_BUG_THRE and for UART_BUG_TXEN. */
TEST(linux_thre_test)
{
	fresh();
	out(FCR, 0x01);
	out(IER, 0x02);
	CHECK_EQ(in(IIR), 0xc2);
	CHECK_EQ(in(IIR), 0xc1); /* the read took it back */
	out(IER, 0);
	out(IER, 0x02); /* and enabling raises it again */
	CHECK_EQ(in(IIR), 0xc2);
	out(IER, 0);
	CHECK_EQ(in(IIR), 0xc1);
	out(IER, 0x02);
	CHECK_EQ(in(LSR), 0x60);
	CHECK_EQ(in(IIR), 0xc2);
}

/* Linux, autoconfig_irq(): the line must rise with OUT2, and not before. */
TEST(irq_is_gated_by_out2)
{
	fresh();
	out(MCR, 0x03);
	out(IER, 0x0f);
	CHECK(!edges.level[COM1]);
	out(MCR, 0x0b);
	CHECK(edges.level[COM1]);
	out(MCR, 0x1b); /* loopback takes OUT2 off */
	CHECK(!edges.level[COM1]);
	out(MCR, 0x0b);
	CHECK(edges.level[COM1]);
	out(IER, 0);
	CHECK(!edges.level[COM1]);
	CHECK_EQ(edges.repeats, 0);
}

/* Sends as serial8250_tx_chars() does from the interrupt: each THRE interrupt is worth 16 bytes. */
TEST(interrupt_driven_output)
{
	fresh();
	out(FCR, 0x01);
	out(MCR, 0x0b);
	out(IER, 0x02);
	CHECK_EQ(edges.rises[COM1], 1);
	for (unsigned burst = 0; burst < 4; burst++) {
		CHECK_EQ(in(IIR), 0xc2);
		CHECK(!edges.level[COM1]);
		for (unsigned i = 0; i < 16; i++) {
			out(DATA, (uint8_t)('a' + i));
		}
		CHECK(edges.level[COM1]);
		CHECK_EQ(edges.rises[COM1], burst + 2);
	}
	CHECK_EQ(drain(), 64);
	CHECK_EQ(notified, 1); /* only the first byte found the ring empty */
}

TEST(received_data_interrupts)
{
	fresh();
	out(FCR, 0x81); /* trigger level 8 */
	out(MCR, 0x0b);
	out(IER, 0x01);
	type("abc");
	CHECK(edges.level[COM1]);
	CHECK_EQ(in(IIR), 0xcc); /* below the trigger: time-out */
	CHECK_EQ(in(DATA), 'a');
	CHECK_EQ(in(IIR), 0xcc);
	type("defghi");
	CHECK_EQ(in(IIR), 0xc4);
	for (char c = 'b'; c <= 'i'; c++) {
		CHECK_EQ(in(LSR), 0x61);
		CHECK_EQ(in(DATA), (uint8_t)c);
	}
	CHECK_EQ(in(LSR), 0x60);
	CHECK_EQ(in(IIR), 0xc1);
	CHECK(!edges.level[COM1]);
	CHECK_EQ(edges.rises[COM1], 1);
}

TEST(one_byte_without_fifo)
{
	fresh();
	out(MCR, 0x0b);
	out(IER, 0x01);
	type("xyz");
	CHECK_EQ(u.rx_count, 1);
	CHECK_EQ(in(IIR), 0x04);
	CHECK_EQ(in(DATA), 'x');
	CHECK_EQ(in(DATA), 'y');
	CHECK_EQ(in(DATA), 'z');
	CHECK_EQ(in(IIR), 0x01);
}

TEST(fifo_reset_and_mode_change_clear_input)
{
	fresh();
	out(FCR, 0x01);
	type("abc");
	out(FCR, 0x81); /* a new trigger level alone clears nothing */
	CHECK_EQ(in(LSR), 0x61);
	out(MCR, 0x0b);
	out(IER, 0x01);
	CHECK(edges.level[COM1]);
	out(FCR, 0x03);
	CHECK(!edges.level[COM1]);
	CHECK_EQ(in(LSR), 0x60);
	type("abc");
	out(FCR, 0x00);
	CHECK_EQ(in(LSR), 0x60);
	CHECK_EQ(in(IIR), 0x01);
	out(FCR, 0xc0); /* without the enable bit nothing is programmed */
	out(FCR, 0x01);
	type("a");
	out(IER, 0x01);
	CHECK_EQ(in(IIR), 0xc4); /* trigger level 1 */
}

TEST(interrupt_priorities)
{
	fresh();
	out(FCR, 0x01);
	out(MCR, 0x10);
	out(IER, 0x0f);
	for (unsigned i = 0; i < 17; i++) {
		out(DATA, 'x');
	}
	CHECK_EQ(in(IIR), 0xc6); /* overrun */
	in(LSR);
	CHECK_EQ(in(IIR), 0xc4); /* data */
	out(FCR, 0x03);
	CHECK_EQ(in(IIR), 0xc2); /* THR empty */
	CHECK_EQ(in(IIR), 0xc0); /* modem status */
	in(MSR);
	CHECK_EQ(in(IIR), 0xc1);
}

TEST(disabled_causes_are_silent)
{
	fresh();
	out(FCR, 0x01);
	out(MCR, 0x10); /* modem status has changed */
	for (unsigned i = 0; i < 17; i++) {
		out(DATA, 'x');
	}
	CHECK_EQ(in(IIR), 0xc1);
	out(IER, 0x08);
	CHECK_EQ(in(IIR), 0xc0);
	out(IER, 0x04);
	CHECK_EQ(in(IIR), 0xc6);
}

TEST(line_status_interrupt_ends_with_the_read)
{
	fresh();
	out(MCR, 0x10);
	out(DATA, 'x');
	out(DATA, 'y');
	out(MCR, 0x0b);
	out(IER, 0x04);
	CHECK(edges.level[COM1]);
	CHECK_EQ(in(LSR), 0x63);
	CHECK(!edges.level[COM1]);
	out(IER, 0x08);
	CHECK(edges.level[COM1]); /* leaving loopback changed the modem's lines */
	CHECK_EQ(in(MSR), 0xbb);
	CHECK(!edges.level[COM1]);
}

TEST(loopback_keeps_typed_bytes_out)
{
	fresh();
	out(MCR, 0x10);
	type("a");
	CHECK_EQ(in(LSR), 0x60);
	out(MCR, 0x00);
	CHECK_EQ(in(LSR), 0x61);
	CHECK_EQ(in(DATA), 'a');
}

TEST(divisor_latch_hides_data_and_ier)
{
	fresh();
	out(IER, 0x05);
	out(LCR, 0x83);
	out(0, 0x34);
	out(1, 0x12);
	CHECK_EQ(in(0), 0x34);
	CHECK_EQ(in(1), 0x12);
	CHECK_EQ(in(LCR), 0x83);
	out(LCR, 0x03);
	CHECK_EQ(in(IER), 0x05);
	CHECK_EQ(drain(), 0);
	out(LSR, 0xff);
	out(MSR, 0xff);
	CHECK_EQ(in(LSR), 0x60);
	CHECK_EQ(in(MSR), 0xb0);
}

TEST(hostile_accesses)
{
	uint8_t buf[64];

	fresh();
	for (unsigned i = 0; i < 1000000; i++) {
		uint64_t r = test_random();

		vdev_hostile(&vuart_ops, &u);
		CHECK(u.rx_count <= 16);
		if ((r & 0xf00) == 0) {
			vuart_take(&u, buf, r % sizeof(buf));
			vuart_drained(&u);
		}
		if ((r & 0xf000) == 0) {
			vuart_offer(&u, (uint8_t)r);
			vuart_update(&u);
		}
	}
	CHECK_EQ(edges.repeats, 0);
}
