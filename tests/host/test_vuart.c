/*
 * hv/vdev/vuart.c: what drivers do to a 16550A, step by step, and hostile accesses.
 */
#include "hv/vdev/vuart.h"
#include "tests/host/vdev_test.h"
#include <threads.h>
#include <time.h>

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };
enum { COM1 = 4 };

static struct edges edges;
static unsigned notified;
static struct vuart u;

static void notify(void *ctx)
{
	CHECK(ctx == &u);
	notified++;
}

static void fresh(void)
{
	edges = (struct edges){0};
	notified = 0;
	vuart_init(&u, COM1, edges_sink(&edges), notify, &u);
}

static uint8_t in(unsigned reg)
{
	return (uint8_t)vdev_read(&vuart_ops, &u, reg, 1);
}

static void out(unsigned reg, uint8_t v)
{
	vdev_write(&vuart_ops, &u, reg, 1, v);
}

static void type(const char *s)
{
	for (; *s; s++) {
		CHECK(vuart_offer(&u, (uint8_t)*s));
	}
	vuart_update(&u);
}

static unsigned drain(void)
{
	uint8_t buf[100];
	unsigned n, all = 0;

	while ((n = vuart_take(&u, buf, sizeof(buf)))) {
		all += n;
	}
	return all;
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

TEST(output_bytes_arrive_in_order)
{
	uint8_t buf[8];

	fresh();
	for (unsigned round = 0; round < 2000; round++) {
		for (unsigned i = 0; i < 5; i++) {
			out(DATA, (uint8_t)(round * 5 + i));
		}
		CHECK_EQ(vuart_take(&u, buf, 3), 3);
		CHECK_EQ(buf[0], (uint8_t)(round * 5));
		CHECK_EQ(vuart_take(&u, buf, 8), 2);
		CHECK_EQ(buf[1], (uint8_t)(round * 5 + 4));
	}
	CHECK_EQ(notified, 2000);
}

/* A full ring holds THRE and TEMT back; nothing is lost for a driver that looks. */
TEST(full_ring_holds_thre)
{
	unsigned sent = 0;

	fresh();
	out(FCR, 0x01);
	while (in(LSR)&0x20 && sent < 10000) {
		for (unsigned i = 0; i < 16; i++) {
			out(DATA, 'x');
		}
		sent += 16;
	}
	CHECK_EQ(sent, VUART_OUT);
	CHECK_EQ(in(LSR), 0x00);
	CHECK_EQ(notified, 3); /* first byte, half full, full */
	out(DATA, 'y');	       /* sent blindly: lost, as on the chip */
	CHECK_EQ(drain(), VUART_OUT);
	CHECK_EQ(in(LSR), 0x60);
}

TEST(thre_interrupt_comes_when_the_ring_drains)
{
	uint8_t buf[VUART_OUT];

	fresh();
	out(FCR, 0x01);
	out(MCR, 0x0b);
	out(IER, 0x02);
	CHECK(!vuart_drained(&u));
	for (unsigned i = 0; i < VUART_OUT; i++) {
		out(DATA, 'x');
	}
	CHECK(!edges.level[COM1]);
	CHECK_EQ(in(IIR), 0xc1);
	vuart_update(&u);
	CHECK(!edges.level[COM1]);
	CHECK_EQ(vuart_take(&u, buf, 15), 15);
	CHECK(!vuart_drained(&u)); /* not room for a whole FIFO yet */
	CHECK_EQ(vuart_take(&u, buf, 1), 1);
	CHECK(vuart_drained(&u));
	CHECK(!vuart_drained(&u)); /* once is enough */
	vuart_update(&u);
	CHECK(edges.level[COM1]);
	CHECK_EQ(in(IIR), 0xc2);
	vuart_update(&u);
	CHECK_EQ(in(IIR), 0xc1); /* and it is given once */
}

TEST(enabling_thre_on_a_full_ring_is_owed)
{
	fresh();
	out(MCR, 0x0b);
	for (unsigned i = 0; i < VUART_OUT; i++) {
		out(DATA, 'x');
	}
	out(IER, 0x02);
	CHECK(!edges.level[COM1]);
	drain();
	CHECK(vuart_drained(&u));
	vuart_update(&u);
	CHECK(edges.level[COM1]);
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

/* More than the FIFO holds waits in the ring and follows; nothing overruns. */
TEST(input_waits_in_its_ring)
{
	unsigned n = 0;

	fresh();
	out(FCR, 0x01);
	while (vuart_offer(&u, (uint8_t)n)) {
		n++;
	}
	CHECK_EQ(n, VUART_IN);
	vuart_update(&u);
	CHECK_EQ(u.rx_count, 16);
	for (unsigned i = 0; i < n; i++) {
		CHECK_EQ(in(LSR), 0x61);
		CHECK_EQ(in(DATA), (uint8_t)i);
	}
	CHECK_EQ(in(LSR), 0x60);
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

TEST(reset_keeps_the_rings)
{
	fresh();
	out(MCR, 0x0b);
	out(IER, 0x02);
	out(DATA, 'a');
	vuart_offer(&u, 'b');
	vuart_ops.reset(&u);
	CHECK(!edges.level[COM1]);
	CHECK_EQ(in(IER), 0);
	CHECK_EQ(drain(), 1);
	vuart_update(&u);
	CHECK_EQ(in(DATA), 'b');
	out(MCR, 0x10);
	out(DATA, 'c');
	out(DATA, 'd');
	out(IER, 0x02);
	vuart_ops.reset(&u);
	CHECK_EQ(in(LSR), 0x60);
	CHECK_EQ(in(MSR), 0xb0);
	out(IER, 0x0d);
	CHECK_EQ(in(IIR), 0x01);
}

/* A CPU that sleeps until it is posted; fails rather than hangs when the post never comes. */
struct sleeper {
	mtx_t mutex;
	cnd_t cond;
	bool posted;
};

static struct sleeper console_cpu, guest_cpu;

static void sleeper_post(struct sleeper *s)
{
	mtx_lock(&s->mutex);
	s->posted = true;
	cnd_signal(&s->cond);
	mtx_unlock(&s->mutex);
}

static bool sleeper_wait(struct sleeper *s)
{
	struct timespec until;
	bool ok = true;

	timespec_get(&until, TIME_UTC);
	until.tv_sec += 10;
	mtx_lock(&s->mutex);
	while (!s->posted && ok) {
		ok = cnd_timedwait(&s->cond, &s->mutex, &until) == thrd_success;
	}
	s->posted = false;
	mtx_unlock(&s->mutex);
	return ok;
}

static void wake_console(void *ctx)
{
	(void)ctx;
	sleeper_post(&console_cpu);
}

enum { STREAM = 400000 };

/* The console's CPU: looks only when notified, and posts the guest's only when it must. */
static int console_thread(void *arg)
{
	unsigned *bad = arg, seen = 0, n;
	uint8_t buf[97];

	while (seen < STREAM) {
		if (!sleeper_wait(&console_cpu)) {
			(*bad)++;
			return 0;
		}
		while ((n = vuart_take(&u, buf, sizeof(buf)))) {
			for (unsigned i = 0; i < n; i++) {
				*bad += buf[i] != (uint8_t)(seen++ * 7);
			}
			if (vuart_drained(&u)) {
				sleeper_post(&guest_cpu);
			}
		}
	}
	return 0;
}

/* Interrupt-driven output against a console on another CPU: no byte and no wake-up gets lost. */
TEST(output_across_cpus)
{
	thrd_t thread;
	unsigned bad = 0, sent = 0;

	fresh();
	u.notify = wake_console;
	mtx_init(&console_cpu.mutex, mtx_plain);
	cnd_init(&console_cpu.cond);
	mtx_init(&guest_cpu.mutex, mtx_plain);
	cnd_init(&guest_cpu.cond);
	CHECK(thrd_create(&thread, console_thread, &bad) == thrd_success);
	out(FCR, 0x01);
	out(MCR, 0x0b);
	out(IER, 0x02);
	while (sent < STREAM) {
		if (!edges.level[COM1]) {
			if (!sleeper_wait(&guest_cpu)) {
				CHECK(!"the guest was not woken");
				break;
			}
			vuart_update(&u);
			continue;
		}
		CHECK_EQ(in(IIR), 0xc2);
		for (unsigned i = 0; i < 16; i++) {
			out(DATA, (uint8_t)(sent++ * 7));
		}
	}
	thrd_join(thread, NULL);
	CHECK_EQ(bad, 0);
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
