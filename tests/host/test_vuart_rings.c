/*
 * hv/vdev/vuart.c: the rings between a guest's UART and the console, full, empty and on two CPUs.
 */
#include "tests/host/vuart_rig.h"
#include <threads.h>
#include <time.h>

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

TEST(reset_keeps_the_rings)
{
	fresh();
	out(MCR, 0x0b);
	out(IER, 0x02);
	out(DATA, 'a');
	vuart_offer(&u, 'b');
	vuart_reset(&u);
	CHECK(!edges.level[COM1]);
	CHECK_EQ(in(IER), 0);
	CHECK_EQ(drain(), 1);
	vuart_update(&u);
	CHECK_EQ(in(DATA), 'b');
	out(MCR, 0x10);
	out(DATA, 'c');
	out(DATA, 'd');
	out(IER, 0x02);
	vuart_reset(&u);
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
