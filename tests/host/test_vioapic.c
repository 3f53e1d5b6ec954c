/*
 * hv/vdev/vioapic.c: registers, edge and level pins, remote IRR, and the sequences that Linux
 * writes (82093AA datasheet; Intel ICH "I/O APIC").
 */
#include "hv/msr_index.h"
#include "tests/fake/apic_rig.h"
#include "tests/fake/rng.h"
#include "tests/host/test.h"

enum { MASKED = 0x10000, LEVEL = 0x8000, REMOTE_IRR = 0x4000, POLARITY = 0x2000, LOGICAL = 0x800 };
enum { EOI = 0xb0, V = 0x61 };

static struct vioapic io;

static void begin(unsigned cpus)
{
	rig_start(cpus);
	vioapic_init(&io, &rig.bus);
	rig.ioapic = &io;
}

static uint64_t io_access(uint64_t offset, uint8_t size, bool write, uint64_t value)
{
	struct bus_access a = {.offset = offset, .size = size, .write = write, .value = value};

	vioapic_ops.access(&io, &a);
	return a.value;
}

static uint32_t io_read(uint8_t reg)
{
	io_access(0, 4, true, reg);
	return (uint32_t)io_access(0x10, 4, false, 0);
}

static void io_write(uint8_t reg, uint32_t value)
{
	io_access(0, 4, true, reg);
	io_access(0x10, 4, true, value);
}

static uint32_t low(unsigned pin)
{
	return io_read((uint8_t)(0x10 + 2 * pin));
}

static void set_low(unsigned pin, uint32_t value)
{
	io_write((uint8_t)(0x10 + 2 * pin), value);
}

/* As Linux does: the high half first, while masked. */
static void route(unsigned pin, uint8_t dest, uint32_t value)
{
	io_write((uint8_t)(0x11 + 2 * pin), (uint32_t)dest << 24);
	set_low(pin, value);
}

static void pulse(unsigned pin)
{
	vioapic_set(&io, pin, true);
	vioapic_set(&io, pin, false);
}

/* --- registers --- */

TEST(reset_state)
{
	begin(1);
	CHECK_EQ(io_read(0), 0);
	CHECK_EQ(io_read(1), 0x00170020);
	CHECK_EQ(io_read(2), 0);
	for (unsigned pin = 0; pin < 24; pin++) {
		CHECK_EQ(low(pin), MASKED);
		CHECK_EQ(io_read((uint8_t)(0x11 + 2 * pin)), 0);
	}
}

TEST(id_and_version)
{
	begin(1);
	io_write(0, 0xffffffff);
	CHECK_EQ(io_read(0), 0x0f000000);
	io_write(0, 0x05000000);
	CHECK_EQ(io_read(0), 0x05000000);
	CHECK_EQ(io_read(2), 0x05000000); /* arbitration id follows */
	io_write(1, 0);
	io_write(2, 0xffffffff);
	CHECK_EQ(io_read(1), 0x00170020);
	CHECK_EQ(io_read(2), 0x05000000);
	vioapic_reset(&io);
	CHECK_EQ(io_read(0), 0);
}

TEST(which_bits_of_an_entry_are_kept)
{
	begin(1);
	for (unsigned pin = 0; pin < 24; pin++) {
		io_write((uint8_t)(0x11 + 2 * pin), 0xffffffff);
		set_low(pin, 0xffffffff);
		CHECK_EQ(low(pin), 0x1afff);
		CHECK_EQ(io_read((uint8_t)(0x11 + 2 * pin)), 0xff000000);
		set_low(pin, MASKED); /* one half leaves the other alone */
		CHECK_EQ(io_read((uint8_t)(0x11 + 2 * pin)), 0xff000000);
		io_write((uint8_t)(0x11 + 2 * pin), 0x12000000);
		CHECK_EQ(low(pin), MASKED);
	}
}

TEST(registers_that_do_not_exist)
{
	begin(1);
	for (unsigned reg = 3; reg < 256; reg++) {
		if (reg >= 0x10 && reg < 0x40) {
			continue;
		}
		io_write((uint8_t)reg, 0xffffffff);
		CHECK_EQ(io_read((uint8_t)reg), 0);
	}
	CHECK_EQ(io_access(0x20, 4, false, 0), 0);
	CHECK_EQ(io_access(0x40, 4, false, 0), 0); /* EOI is write-only */
	io_access(0x20, 4, true, 0xffffffff);
	for (unsigned pin = 0; pin < 24; pin++) {
		CHECK_EQ(low(pin), MASKED);
	}
}

TEST(odd_sizes)
{
	begin(1);
	io_access(0, 1, true, 0x01); /* IOREGSEL by byte, as some systems do */
	CHECK_EQ(io_access(0, 4, false, 0), 1);
	CHECK_EQ(io_access(0x10, 4, false, 0), 0x00170020);
	CHECK_EQ(io_access(0x10, 1, false, 0) & 0xff, 0x20);
	io_access(0, 4, true, 0xffffff10); /* only 8 bits count */
	CHECK_EQ(io_access(0, 4, false, 0), 0x10);
	io_access(0x10, 1, true, 0x55); /* the window takes dwords */
	io_access(0x10, 2, true, 0x55);
	CHECK_EQ(low(0), MASKED);
}

/* --- edges --- */

TEST(an_edge_pin_sends_on_the_rise)
{
	begin(2);
	route(3, 1, V);
	vioapic_set(&io, 3, true);
	CHECK_STR(rig_take_log(), "intr 1");
	CHECK_EQ(low(3), V); /* no remote IRR */
	vioapic_set(&io, 3, true);
	CHECK_STR(rig_take_log(), "");
	vioapic_set(&io, 3, false);
	CHECK_STR(rig_take_log(), "");
	vioapic_set(&io, 3, true);
	CHECK_STR(rig_take_log(), "intr 1");
	CHECK_EQ(rig_deliver(1), V);
	rig_write(1, EOI, 0);
	CHECK_STR(rig_take_log(), "");
}

TEST(an_edge_while_masked_is_lost)
{
	begin(1);
	set_low(3, V | MASKED);
	vioapic_set(&io, 3, true);
	set_low(3, V);
	CHECK_STR(rig_take_log(), "");
	vioapic_set(&io, 3, false);
	vioapic_set(&io, 3, true);
	CHECK_STR(rig_take_log(), "intr 0");
}

TEST(all_pins)
{
	begin(1);
	for (unsigned pin = 0; pin < 24; pin++) {
		set_low(pin, 0x40 + pin);
	}
	for (unsigned pin = 0; pin < 24; pin++) {
		pulse(pin);
		CHECK_EQ(rig_deliver(0), 0x40 + (int)pin);
		rig_write(0, EOI, 0);
		CHECK_EQ(rig_deliver(0), -1);
	}
	rig_take_log();
	pulse(24); /* does not exist */
	pulse(1000);
	CHECK_STR(rig_take_log(), "");
}

/* --- levels --- */

TEST(a_level_pin_waits_for_its_eoi)
{
	begin(1);
	set_low(9, V | LEVEL);
	vioapic_set(&io, 9, true);
	CHECK_STR(rig_take_log(), "intr 0");
	CHECK_EQ(low(9), V | LEVEL | REMOTE_IRR);
	vioapic_set(&io, 9, true); /* nothing new till the EOI */
	CHECK_STR(rig_take_log(), "");
	CHECK_EQ(rig_deliver(0), V);
	vioapic_set(&io, 9, false);
	rig_write(0, EOI, 0);
	CHECK_STR(rig_take_log(), "eoi 61");
	CHECK_EQ(low(9), V | LEVEL);
	CHECK_EQ(rig_deliver(0), -1);
}

TEST(a_level_that_stays_sends_again_on_eoi)
{
	begin(1);
	set_low(9, V | LEVEL);
	vioapic_set(&io, 9, true);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(rig_deliver(0), V);
		CHECK_EQ(rig_deliver(0), -1);
		rig_write(0, EOI, 0);
		CHECK_EQ(low(9), V | LEVEL | REMOTE_IRR);
	}
	vioapic_set(&io, 9, false); /* one message is on its way; the driver finds nothing to do */
	CHECK_EQ(rig_deliver(0), V);
	rig_write(0, EOI, 0);
	CHECK_EQ(low(9), V | LEVEL);
	CHECK_EQ(rig_deliver(0), -1);
}

TEST(a_level_that_falls_and_rises_before_the_eoi)
{
	begin(1);
	set_low(9, V | LEVEL);
	pulse(9);
	pulse(9);
	vioapic_set(&io, 9, true);
	CHECK_STR(rig_take_log(), "intr 0");
	CHECK_EQ(rig_deliver(0), V);
	rig_write(0, EOI, 0);
	CHECK_EQ(rig_deliver(0), V);
	vioapic_set(&io, 9, false);
	rig_write(0, EOI, 0);
	CHECK_EQ(rig_deliver(0), -1);
}

TEST(a_masked_level_is_seen_on_unmasking)
{
	begin(1);
	set_low(9, V | LEVEL | MASKED);
	vioapic_set(&io, 9, true);
	CHECK_STR(rig_take_log(), "");
	CHECK_EQ(low(9), V | LEVEL | MASKED);
	set_low(9, V | LEVEL);
	CHECK_STR(rig_take_log(), "intr 0");
	CHECK_EQ(low(9), V | LEVEL | REMOTE_IRR);
	set_low(9, V | LEVEL | MASKED); /* masking keeps remote IRR */
	CHECK_EQ(low(9), V | LEVEL | MASKED | REMOTE_IRR);
	set_low(9, V | LEVEL);
	CHECK_STR(rig_take_log(), "");
	vioapic_set(&io, 9, false);
	set_low(9, V | LEVEL | MASKED);
	vioapic_set(&io, 9, true);
	vioapic_set(&io, 9, false); /* gone before anybody looked */
	rig_deliver(0);
	rig_write(0, EOI, 0);
	rig_take_log();
	set_low(9, V | LEVEL);
	CHECK_STR(rig_take_log(), "");
}

TEST(masked_at_the_eoi)
{
	begin(1);
	set_low(9, V | LEVEL);
	vioapic_set(&io, 9, true);
	CHECK_EQ(rig_deliver(0), V);
	set_low(9, V | LEVEL | MASKED);
	rig_write(0, EOI, 0);
	CHECK_EQ(low(9), V | LEVEL | MASKED);
	CHECK_EQ(rig_deliver(0), -1);
	set_low(9, V | LEVEL);
	CHECK_EQ(rig_deliver(0), V);
}

TEST(an_eoi_is_for_one_vector)
{
	begin(1);
	set_low(9, V | LEVEL);
	set_low(10, V | LEVEL); /* two pins may share one */
	set_low(11, 0x71 | LEVEL);
	set_low(12, V); /* an edge pin has no remote IRR */
	for (unsigned pin = 9; pin <= 12; pin++) {
		vioapic_set(&io, pin, true);
	}
	vioapic_set(&io, 10, false);
	vioapic_set(&io, 11, false);
	rig_take_log();
	vioapic_eoi(&io, V);
	CHECK_STR(rig_take_log(), "intr 0"); /* pin 9 again */
	CHECK_EQ(low(9), V | LEVEL | REMOTE_IRR);
	CHECK_EQ(low(10), V | LEVEL);
	CHECK_EQ(low(11), 0x71 | LEVEL | REMOTE_IRR);
	vioapic_eoi(&io, 0x71);
	CHECK_EQ(low(11), 0x71 | LEVEL);
	vioapic_eoi(&io, 0x33);
	CHECK_STR(rig_take_log(), "");
}

TEST(nobody_accepts)
{
	begin(2);
	rig_write(1, 0xf0, 0xff); /* software-disabled */
	route(9, 1, V | LEVEL);
	vioapic_set(&io, 9, true);
	CHECK_EQ(low(9), V | LEVEL); /* not accepted: no remote IRR */
	route(9, 7, V | LEVEL);
	CHECK_EQ(low(9), V | LEVEL);
	route(9, 0, V | LEVEL); /* the pin still asks, and now somebody hears */
	CHECK_EQ(low(9), V | LEVEL | REMOTE_IRR);
	CHECK_EQ(rig_deliver(0), V);
}

TEST(the_polarity_bit_has_no_effect)
{
	begin(1);
	set_low(9, V | LEVEL | POLARITY);
	CHECK_STR(rig_take_log(), "");
	vioapic_set(&io, 9, true);
	CHECK_STR(rig_take_log(), "intr 0");
	CHECK_EQ(low(9), V | LEVEL | POLARITY | REMOTE_IRR);
}

TEST(reset_masks_and_forgets)
{
	begin(1);
	set_low(9, V | LEVEL);
	vioapic_set(&io, 9, true);
	vioapic_reset(&io);
	CHECK_EQ(low(9), MASKED);
	rig_take_log();
	vioapic_eoi(&io, V);
	CHECK_STR(rig_take_log(), "");
	set_low(9, V | LEVEL); /* the device still drives its line */
	CHECK_STR(rig_take_log(), "intr 0");
}

/* --- the EOI register and EOI suppression --- */

TEST(the_eoi_register)
{
	begin(1);
	rig_write(0, 0xf0, 0x11ff); /* no broadcasts: the driver does it itself */
	set_low(9, V | LEVEL);
	vioapic_set(&io, 9, true);
	CHECK_EQ(rig_deliver(0), V);
	vioapic_set(&io, 9, false);
	rig_write(0, EOI, 0);
	CHECK_EQ(low(9), V | LEVEL | REMOTE_IRR);
	io_access(0x40, 1, true, V); /* not a dword */
	CHECK_EQ(low(9), V | LEVEL | REMOTE_IRR);
	io_access(0x40, 4, true, 0x33);
	CHECK_EQ(low(9), V | LEVEL | REMOTE_IRR);
	io_access(0x40, 4, true, V);
	CHECK_EQ(low(9), V | LEVEL);
}

/* --- other delivery modes and destinations --- */

TEST(other_delivery_modes)
{
	static const struct {
		uint32_t mode;
		const char *log;
	} table[] = {
		{0x200, ""}, {0x400, "nmi 1"}, {0x500, "init 1"}, {0x700, "extint 1"}, {0x300, ""}};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		for (uint32_t trigger = 0; trigger <= LEVEL; trigger += LEVEL) {
			begin(2);
			route(2, 1, table[i].mode | V | trigger);
			vioapic_set(&io, 2, true);
			CHECK_STR(rig_take_log(), table[i].log);
			vioapic_set(&io, 2, true); /* edges, whatever the trigger bit says */
			CHECK_STR(rig_take_log(), "");
			CHECK_EQ(low(2) & REMOTE_IRR, 0);
			vioapic_set(&io, 2, false);
			vioapic_set(&io, 2, true);
			CHECK_STR(rig_take_log(), table[i].log);
		}
	}
}

TEST(destinations)
{
	begin(4);
	for (unsigned i = 0; i < 4; i++) {
		rig_write(i, 0xd0, 1u << (24 + i));
	}
	route(2, 0x06, V | LOGICAL);
	pulse(2);
	CHECK_EQ(rig_who(V), 6);
	route(2, 0xff, V);
	pulse(2);
	CHECK_EQ(rig_who(V), 0xf);
	route(2, 0x0e, V | LOGICAL | 0x100); /* lowest priority: each in turn */
	pulse(2);
	CHECK_EQ(rig_who(V), 2);
	pulse(2);
	CHECK_EQ(rig_who(V), 4);
	pulse(2);
	CHECK_EQ(rig_who(V), 8);
	pulse(2);
	CHECK_EQ(rig_who(V), 2);
	for (unsigned i = 0; i < 4; i++) {
		rig_x2apic(i);
	}
	route(2, 3, V);
	pulse(2);
	CHECK_EQ(rig_who(V), 8);
}

TEST(lowest_priority_level)
{
	begin(2);
	route(9, 0xff, V | LOGICAL | 0x100 | LEVEL);
	vioapic_set(&io, 9, true);
	CHECK_EQ(low(9) & REMOTE_IRR, REMOTE_IRR);
	CHECK_EQ(rig_deliver(0), V);
	CHECK_EQ(rig_deliver(1), -1);
	rig_write(0, EOI, 0);
	CHECK_EQ(rig_deliver(1), V);
	vioapic_set(&io, 9, false);
	rig_write(1, EOI, 0);
	CHECK_EQ(low(9) & REMOTE_IRR, 0);
}

/* --- as Linux does --- */

/* Chips without an EOI register: mask and edge, then back, clears remote IRR (and must not send).
 */
TEST(clearing_remote_irr_by_trigger_mode)
{
	begin(1);
	set_low(9, V | LEVEL);
	vioapic_set(&io, 9, true);
	CHECK_EQ(rig_deliver(0), V);
	rig_take_log();
	set_low(9, V | MASKED); /* masked, edge */
	CHECK_EQ(low(9), V | MASKED);
	vioapic_set(&io, 9, false);
	set_low(9, V | LEVEL);
	CHECK_EQ(low(9), V | LEVEL);
	CHECK_STR(rig_take_log(), "");
}

/* Moving a level interrupt while it is in service: mask, EOI, new target, unmask. */
TEST(migrating_a_level_interrupt)
{
	begin(2);
	route(9, 0, V | LEVEL);
	vioapic_set(&io, 9, true);
	CHECK_EQ(rig_deliver(0), V);
	set_low(9, V | LEVEL | MASKED);
	rig_write(0, EOI, 0);
	CHECK_EQ(low(9) & REMOTE_IRR, 0);
	io_write(0x11 + 18, 1u << 24);
	set_low(9, 0x62 | LEVEL | MASKED);
	set_low(9, 0x62 | LEVEL);
	CHECK_EQ(rig_deliver(0), -1);
	CHECK_EQ(rig_deliver(1), 0x62); /* the line had stayed up */
	vioapic_set(&io, 9, false);
	rig_write(1, EOI, 0);
	CHECK_EQ(low(9), 0x62 | LEVEL);
}

/* clear_IO_APIC_pin: a pin left with remote IRR by whoever ran before. */
TEST(clearing_a_pin)
{
	begin(1);
	set_low(9, V | LEVEL);
	vioapic_set(&io, 9, true);
	vioapic_set(&io, 9, false);
	CHECK_EQ(low(9) & REMOTE_IRR, REMOTE_IRR);
	set_low(9, low(9) | MASKED);
	set_low(9, low(9) | LEVEL);
	io_access(0x40, 4, true, low(9) & 0xff);
	CHECK_EQ(low(9) & REMOTE_IRR, 0);
	route(9, 0, MASKED);
	CHECK_EQ(low(9), MASKED);
}

/* Vectors, modes, pins and EOIs at random: at rest every asking, unmasked level pin has remote IRR.
 */
TEST(random_sequences_never_lose_a_level)
{
	begin(1);
	for (unsigned pin = 0; pin < 24; pin++) {
		set_low(pin, (0x40 + 8 * (pin / 2)) | LEVEL); /* pairs share a vector */
	}
	for (unsigned step = 0; step < 50000; step++) {
		unsigned pin = (unsigned)rng_below(24);

		switch (rng_below(5)) {
		case 0: vioapic_set(&io, pin, true); break;
		case 1: vioapic_set(&io, pin, false); break;
		case 2: set_low(pin, low(pin) ^ MASKED); break;
		case 3: rig_deliver(0); break;
		case 4: rig_write(0, EOI, 0); break;
		}
		for (unsigned i = 0; i < 24; i++) {
			uint32_t rte = low(i);

			CHECK((rte & (MASKED | REMOTE_IRR)) || !(io.level >> i & 1));
		}
		rig.log[0] = '\0';
	}
	for (unsigned pin = 0; pin < 24; pin++) {
		vioapic_set(&io, pin, false);
	}
	for (unsigned i = 0; i < 200; i++) { /* all handlers run to their end */
		rig_deliver(0);
		rig_write(0, EOI, 0);
	}
	for (unsigned pin = 0; pin < 24; pin++) {
		CHECK_EQ(low(pin) & REMOTE_IRR, 0);
	}
}
