/*
 * hv/vdev/vpic.c: Linux's i8259 sequences, the datasheet's modes, and hostile accesses.
 */
#include "hv/vdev/vpic.h"
#include "tests/host/vdev_test.h"

static struct vpic p;
static bool intr;
static unsigned intr_rises, intr_repeats;

static void set_intr(void *ctx, bool level)
{
	CHECK(ctx == &intr);
	intr_repeats += level == intr;
	intr_rises += level && !intr;
	intr = level;
}

static void out(unsigned port, uint8_t v)
{
	vdev_write(port < 0x80 ? &vpic_master_ops : &vpic_slave_ops, &p, port & 1, 1, v);
}

static uint8_t in(unsigned port)
{
	return (uint8_t)vdev_read(port < 0x80 ? &vpic_master_ops : &vpic_slave_ops, &p, port & 1,
				  1);
}

static void elcr(unsigned port, uint8_t v)
{
	vdev_write(&vpic_elcr_ops, &p, port, 1, v);
}

static void pulse(unsigned irq)
{
	vpic_set(&p, irq, false);
	vpic_set(&p, irq, true);
}

/* Linux, init_8259A(), then with the masks given. */
static void linux_init(uint8_t icw4, uint8_t master_mask, uint8_t slave_mask)
{
	intr = false;
	intr_rises = intr_repeats = 0;
	vpic_init(&p, set_intr, &intr);
	out(0x21, 0xff);
	out(0x20, 0x11);
	out(0x21, 0x30);
	out(0x21, 0x04);
	out(0x21, icw4);
	out(0xa0, 0x11);
	out(0xa1, 0x38);
	out(0xa1, 0x02);
	out(0xa1, icw4 & 0x0d);
	out(0x21, master_mask);
	out(0xa1, slave_mask);
}

/* Linux, probe_8259A(): a PIC is there if the mask reads back. */
TEST(linux_probe)
{
	vpic_init(&p, set_intr, &intr);
	out(0xa1, 0xff);
	out(0x21, 0xfb);
	CHECK_EQ(in(0x21), 0xfb);
	CHECK_EQ(in(0xa1), 0xff);
}

TEST(after_reset_everything_is_masked)
{
	intr = false;
	vpic_init(&p, set_intr, &intr);
	for (unsigned irq = 0; irq < 16; irq++) {
		pulse(irq);
	}
	CHECK(!intr);
	CHECK_EQ(in(0x21), 0xff);
}

/* Linux, mask_and_ack_8259A() for an interrupt of each chip. */
TEST(linux_edge_interrupts)
{
	linux_init(0x01, 0xfa, 0xfe);
	pulse(0);
	CHECK(intr);
	CHECK_EQ(vpic_ack(&p), 0x30);
	CHECK(!intr);
	out(0x21, 0xfb);
	out(0x20, 0x60);
	out(0x21, 0xfa);
	CHECK(!intr); /* still high, but an edge is one interrupt */
	pulse(8);
	CHECK_EQ(vpic_ack(&p), 0x38);
	out(0x20, 0x0b);
	CHECK_EQ(in(0x20), 0x04);
	out(0x20, 0x0a);
	out(0xa0, 0x0b);
	CHECK_EQ(in(0xa0), 0x01);
	out(0xa0, 0x0a);
	CHECK_EQ(in(0xa0), 0x00);
	out(0xa1, 0xff);
	out(0xa0, 0x60);
	out(0x20, 0x62);
	out(0xa1, 0xfe);
	CHECK(!intr);
	pulse(8);
	CHECK_EQ(vpic_ack(&p), 0x38);
	CHECK_EQ(intr_rises, 3);
	CHECK_EQ(intr_repeats, 0);
}

TEST(icw_sequences)
{
	/* Without ICW4: two words, and the next write is the mask again. */
	linux_init(0x03, 0, 0);
	out(0x20, 0x10);
	out(0x21, 0x47);
	out(0x21, 0x04);
	CHECK_EQ(in(0x21), 0x00); /* ICW1 cleared it */
	out(0x21, 0x55);
	CHECK_EQ(in(0x21), 0x55);
	out(0x21, 0x00);
	pulse(3);
	CHECK_EQ(vpic_ack(&p), 0x43);
	out(0x20, 0x0b);
	CHECK_EQ(in(0x20), 0x08); /* and automatic EOI is off again */
	/* Single: no ICW3. */
	out(0x20, 0x13);
	out(0x21, 0x80);
	out(0x21, 0x01);
	out(0x21, 0xaa);
	CHECK_EQ(in(0x21), 0xaa);
	/* A new ICW1 in the middle starts over. */
	out(0x20, 0x11);
	out(0x21, 0x20);
	out(0x20, 0x11);
	out(0x21, 0x28);
	out(0x21, 0x04);
	out(0x21, 0x01);
	pulse(1);
	CHECK_EQ(vpic_ack(&p), 0x29);
}

TEST(icw1_forgets_edges_but_not_levels)
{
	linux_init(0x01, 0, 0);
	elcr(0, 0x20);
	vpic_set(&p, 4, true);
	vpic_set(&p, 5, true);
	out(0x20, 0x11);
	CHECK_EQ(in(0x20), 0x20);
}

TEST(priorities_and_nesting)
{
	linux_init(0x01, 0, 0);
	pulse(5);
	pulse(3);
	CHECK_EQ(vpic_ack(&p), 0x33);
	CHECK(!intr); /* 5 is below 3 */
	pulse(1);
	CHECK_EQ(vpic_ack(&p), 0x31);
	out(0x20, 0x20);
	CHECK(!intr);
	out(0x20, 0x20);
	CHECK_EQ(vpic_ack(&p), 0x35);
	/* The slave is at the master's input 2: above 3, below 1. */
	linux_init(0x01, 0, 0);
	pulse(3);
	pulse(12);
	CHECK_EQ(vpic_ack(&p), 0x3c);
	pulse(9); /* within the slave: above 12, but the master holds input 2 in service */
	CHECK(!intr);
	out(0xa0, 0x20);
	out(0x20, 0x20);
	CHECK_EQ(vpic_ack(&p), 0x39);
}

TEST(special_fully_nested_mode_lets_the_slave_nest)
{
	linux_init(0x11, 0, 0);
	pulse(12);
	CHECK_EQ(vpic_ack(&p), 0x3c);
	pulse(9);
	CHECK(intr);
	CHECK_EQ(vpic_ack(&p), 0x39);
	pulse(14);
	CHECK(!intr);
}

TEST(special_mask_mode)
{
	linux_init(0x01, 0, 0);
	pulse(2); /* is not an input */
	CHECK(!intr);
	pulse(1);
	CHECK_EQ(vpic_ack(&p), 0x31);
	pulse(6);
	CHECK(!intr);
	out(0x21, 0x02);
	CHECK(!intr);
	out(0x20, 0x68);
	CHECK(intr); /* the one in service is masked: it blocks nothing */
	out(0x20, 0x0b);
	CHECK_EQ(in(0x20), 0x02);
	CHECK(intr); /* other OCW3s leave the mode alone */
	out(0x20, 0x48);
	CHECK(!intr);
}

TEST(rotation)
{
	linux_init(0x01, 0, 0);
	pulse(4);
	CHECK_EQ(vpic_ack(&p), 0x34);
	out(0x20, 0xa0); /* rotate on EOI: 5 is highest now */
	pulse(4);
	pulse(0);
	pulse(7);
	CHECK_EQ(vpic_ack(&p), 0x37);
	out(0x20, 0xe7); /* rotate on specific EOI: 0 is highest */
	CHECK_EQ(vpic_ack(&p), 0x30);
	out(0x20, 0x60); /* does not rotate */
	pulse(0);
	pulse(1);
	CHECK_EQ(vpic_ack(&p), 0x30);
	out(0x20, 0x60);
	CHECK_EQ(vpic_ack(&p), 0x31);
	out(0x20, 0x61);
	out(0x20, 0xc3); /* set priority: 4 is highest */
	pulse(0);
	CHECK_EQ(vpic_ack(&p), 0x34);
}

TEST(automatic_eoi_rotates_when_told)
{
	linux_init(0x03, 0, 0);
	out(0x20, 0x80);
	pulse(0);
	pulse(1);
	CHECK_EQ(vpic_ack(&p), 0x30);
	pulse(0);
	CHECK_EQ(vpic_ack(&p), 0x31);
	CHECK_EQ(vpic_ack(&p), 0x30);
	out(0x20, 0x0b);
	CHECK_EQ(in(0x20), 0);
}

TEST(level_triggered_inputs_ask_again)
{
	linux_init(0x01, 0, 0);
	elcr(0, 0xff);
	elcr(1, 0xff);
	CHECK_EQ(vdev_read(&vpic_elcr_ops, &p, 0, 1), 0xf8);
	CHECK_EQ(vdev_read(&vpic_elcr_ops, &p, 1, 1), 0xde);
	vpic_set(&p, 11, true);
	CHECK_EQ(vpic_ack(&p), 0x3b);
	out(0xa0, 0x63);
	out(0x20, 0x62);
	CHECK_EQ(vpic_ack(&p), 0x3b);
	vpic_set(&p, 11, false);
	out(0xa0, 0x63);
	out(0x20, 0x62);
	CHECK(!intr);
	vpic_set(&p, 10, true);
	elcr(1, 0x00); /* no edge while it was an edge input */
	CHECK(intr);
	CHECK_EQ(vpic_ack(&p), 0x3a);
	out(0xa0, 0x62);
	out(0x20, 0x62);
	CHECK(!intr);
	elcr(1, 0x04);
	CHECK(intr);
}

TEST(spurious_interrupts)
{
	linux_init(0x01, 0, 0);
	vpic_set(&p, 4, true);
	CHECK(intr);
	vpic_set(&p, 4, false); /* gone before the acknowledge */
	CHECK(!intr);
	CHECK_EQ(vpic_ack(&p), 0x37);
	out(0x20, 0x0b);
	CHECK_EQ(in(0x20), 0); /* how Linux tells a spurious IRQ 7 */
	out(0x20, 0x0a);
	pulse(9);
	out(0xa1, 0xff);
	CHECK(!intr); /* the cascade falls with the slave's output */
}

TEST(poll_command)
{
	linux_init(0x01, 0, 0);
	out(0x20, 0x0c);
	CHECK_EQ(in(0x20), 0x00);
	pulse(6);
	out(0x20, 0x0c);
	CHECK_EQ(in(0x20), 0x86);
	CHECK(!intr);
	out(0x20, 0x0b);
	CHECK_EQ(in(0x20), 0x40);
}

TEST(masked_requests_are_remembered)
{
	linux_init(0x01, 0xff, 0xff);
	pulse(4);
	CHECK(!intr);
	CHECK_EQ(in(0x20), 0x10);
	out(0x21, 0xef);
	CHECK(intr);
	CHECK_EQ(vpic_ack(&p), 0x34);
}

TEST(inputs_0_to_15)
{
	linux_init(0x01, 0, 0);
	for (unsigned irq = 0; irq < 16; irq++) {
		if (irq != 2) {
			pulse(irq);
			CHECK(intr);
			CHECK_EQ(vpic_ack(&p), irq < 8 ? 0x30 + irq : 0x38 + irq - 8);
			out(0xa0, 0x20);
			out(0x20, 0x20);
		}
	}
	vpic_set(&p, 16, true);
	vpic_set(&p, 1000, true);
	CHECK(!intr);
}

TEST(reset_drops_everything_but_the_inputs)
{
	linux_init(0x01, 0, 0);
	vpic_set(&p, 4, true);
	vpic_set(&p, 12, true);
	out(0xa1, 0x00);
	vpic_reset(&p);
	CHECK(!intr);
	CHECK_EQ(in(0x21), 0xff);
	CHECK_EQ(in(0xa1), 0xff);
	CHECK_EQ(in(0x20), 0);
	CHECK_EQ(in(0xa0), 0);
	out(0x21, 0);
	vpic_set(&p, 4, true); /* no edge: it was high all the time */
	CHECK(!intr);
}

TEST(hostile_accesses)
{
	static const struct vdev_ops *const ops[] = {&vpic_master_ops, &vpic_slave_ops,
						     &vpic_elcr_ops};

	linux_init(0x01, 0, 0);
	for (unsigned i = 0; i < 1000000; i++) {
		uint64_t r = test_random();

		vdev_hostile(ops[r % 3], &p);
		vpic_set(&p, r >> 8 & 0x1f, r >> 16 & 1);
		CHECK(intr == p.output);
		if ((r >> 20 & 7) == 0) {
			vpic_ack(&p);
		}
	}
	CHECK_EQ(intr_repeats, 0);
}
