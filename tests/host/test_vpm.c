/*
 * hv/vdev/vpm.c and vpm_kbc.c: ACPI registers, the ways to reset, Linux's i8042 driver against a
 * controller without devices, and hostile accesses.
 */
#include "hv/vdev/vpm.h"
#include "tests/host/vdev_test.h"

enum { SCI = 9, KBD = 1 };
#define HZ 3000000000ull

static struct edges edges;
static struct vpm p;
static unsigned ends;
static enum vpm_end end_how;
static const char *end_by;

static void set_end(void *ctx, enum vpm_end how, const char *by)
{
	CHECK(ctx == &ends);
	ends++;
	end_how = how;
	end_by = by;
}

static void fresh(void)
{
	edges = (struct edges){0};
	ends = 0;
	end_by = "";
	test_now = 5 * HZ;
	vpm_init(&p, HZ, set_end, &ends, edges_sink(&edges));
}

static const struct vdev_ops *ops_at(unsigned port, uint64_t *offset)
{
	*offset = 0;
	switch (port) {
	case 0x60: return &vpm_kbc_data_ops;
	case 0x64: return &vpm_kbc_status_ops;
	case 0x92: return &vpm_port92_ops;
	case 0xcf9: return &vpm_cf9_ops;
	default:
		*offset = port & 3;
		return port < 0x604   ? &vpm_event_ops
		       : port < 0x608 ? &vpm_control_ops
				      : &vpm_timer_ops;
	}
}

static uint64_t in_size(unsigned port, unsigned size)
{
	uint64_t offset;
	const struct vdev_ops *ops = ops_at(port, &offset);

	return vdev_read(ops, &p, offset, size);
}

static void out_size(unsigned port, unsigned size, uint64_t v)
{
	uint64_t offset;
	const struct vdev_ops *ops = ops_at(port, &offset);

	vdev_write(ops, &p, offset, size, v);
}

static uint8_t inb(unsigned port)
{
	return (uint8_t)in_size(port, 1);
}

static void outb(uint8_t v, unsigned port)
{
	out_size(port, 1, v);
}

static uint16_t inw(unsigned port)
{
	return (uint16_t)in_size(port, 2);
}

static void outw(uint16_t v, unsigned port)
{
	out_size(port, 2, v);
}

static uint32_t inl(unsigned port)
{
	return (uint32_t)in_size(port, 4);
}

static void check_end(enum vpm_end how, const char *by)
{
	CHECK_EQ(ends, 1);
	CHECK(end_how == how);
	CHECK_STR(end_by, by);
}

TEST(timer_counts_at_its_rate)
{
	uint32_t t;

	fresh();
	t = inl(0x608);
	CHECK_EQ(t, 5u * VPM_TIMER_HZ);
	test_now += HZ;
	CHECK_EQ(inl(0x608) - t, VPM_TIMER_HZ);
	CHECK_EQ(inw(0x60a), inl(0x608) >> 16);
	CHECK_EQ(inb(0x609), inl(0x608) >> 8 & 0xff);
	out_size(0x608, 4, 0);
	CHECK_EQ(inl(0x608) - t, VPM_TIMER_HZ);
	test_now += 1200 * HZ; /* all 32 bits count */
	CHECK_EQ(inl(0x608), (uint32_t)(1206ull * VPM_TIMER_HZ));
	CHECK(1206ull * VPM_TIMER_HZ > UINT32_MAX);
}

/* ACPICA: enabling the timer's event, its interrupt, and the clearing of its status. */
TEST(timer_event)
{
	fresh();
	CHECK_EQ(inw(0x600), 0);
	CHECK_EQ(vpm_next(&p), UINT64_MAX);
	outw(0x0001, 0x602);
	CHECK_EQ(inw(0x602), 0x0001);
	CHECK(vpm_next(&p) - 599 * HZ < 2 * HZ); /* 2^31 / 3579545 s = 599.9 s */
	test_now = vpm_next(&p) - 1000;
	vpm_run(&p, test_now);
	CHECK(!edges.level[SCI]);
	test_now += 1000;
	vpm_run(&p, test_now);
	CHECK(edges.level[SCI]);
	CHECK_EQ(vpm_next(&p), UINT64_MAX);
	CHECK_EQ(inw(0x600), 0x0001);
	outw(0x0001, 0x600);
	test_now -= 1000; /* another CPU, which took the time earlier */
	CHECK_EQ(inw(0x600), 0x0000);
	test_now += 1000;
	CHECK_EQ(inw(0x600), 0x0000);
	CHECK(!edges.level[SCI]);
	CHECK(vpm_next(&p) - test_now > 599 * HZ);
	outw(0x0000, 0x602);
	test_now += 700 * HZ;
	CHECK_EQ(inw(0x600), 0x0001); /* status without the interrupt */
	CHECK(!edges.level[SCI]);
	CHECK_EQ(edges.repeats, 0);
}

TEST(pm1_registers)
{
	fresh();
	CHECK_EQ(inw(0x604), 0x0001); /* SCI_EN: ACPI mode from the start */
	outw(0x0000, 0x604);
	CHECK_EQ(inw(0x604), 0x0001);
	outw(0x0402, 0x604);
	CHECK_EQ(inw(0x604), 0x0403);
	outw(0xffff, 0x602);
	CHECK_EQ(inw(0x602), 0x4721);
	CHECK_EQ(inb(0x603), 0x47);
	outb(0x00, 0x603);
	CHECK_EQ(inw(0x602), 0x0021);
	CHECK_EQ(ends, 0);
}

/* ACPICA writes SLP_TYP first, and then again with SLP_EN. */
TEST(s5_powers_off)
{
	fresh();
	outw(0x0001 | 5 << 10, 0x604);
	CHECK_EQ(ends, 0);
	outw(0x0001 | 5 << 10 | 1 << 13, 0x604);
	check_end(VPM_POWER_OFF, "ACPI S5");
	CHECK_EQ(inw(0x604), 0x0001 | 5 << 10);
	outw(0x0001 | 5 << 10 | 1 << 13, 0x604);
	outb(0x06, 0xcf9);
	CHECK_EQ(ends, 1); /* the first one wins */
	vpm_reset(&p);
	outb(0x06, 0xcf9);
	CHECK_EQ(ends, 2);
}

TEST(other_sleep_states_are_ignored)
{
	fresh();
	for (uint16_t type = 0; type < 8; type++) {
		if (type != 5) {
			outw((uint16_t)(type << 10 | 1 << 13), 0x604);
		}
	}
	CHECK_EQ(ends, 0);
	outb(5 << 2 | 1 << 5, 0x605); /* the high byte alone does it too */
	check_end(VPM_POWER_OFF, "ACPI S5");
}

/* Linux, native_machine_emergency_restart(), BOOT_CF9_FORCE. */
TEST(reset_control)
{
	fresh();
	outb(0x02, 0xcf9);
	CHECK_EQ(inb(0xcf9), 0x02);
	CHECK_EQ(ends, 0);
	outb(0x0e, 0xcf9);
	check_end(VPM_RESET, "port 0xcf9");
	fresh();
	outb(0x04, 0xcf9); /* CPU only: the same to us */
	check_end(VPM_RESET, "port 0xcf9");
	fresh();
	outb(0xf3, 0xcf9);
	CHECK_EQ(inb(0xcf9), 0x02);
	CHECK_EQ(ends, 0);
}

TEST(port92)
{
	fresh();
	CHECK_EQ(inb(0x92), 0x02);
	outb(0x00, 0x92); /* A20 stays on */
	CHECK_EQ(inb(0x92), 0x02);
	outb(0x02, 0x92);
	CHECK_EQ(ends, 0);
	outb(0x03, 0x92);
	check_end(VPM_RESET, "port 0x92");
	CHECK_EQ(inb(0x92), 0x03);
}

/* Linux, mach_reboot_fixups: pulses the reset line, ten times if need be. */
TEST(keyboard_controller_reset)
{
	fresh();
	CHECK_EQ(inb(0x64) & 0x02, 0); /* kb_wait() */
	outb(0xfe, 0x64);
	check_end(VPM_RESET, "keyboard controller");
	fresh();
	outb(0xf0, 0x64);
	check_end(VPM_RESET, "keyboard controller");
	fresh();
	outb(0xff, 0x64); /* pulses nothing */
	outb(0xf1, 0x64);
	CHECK_EQ(ends, 0);
	outb(0xd1, 0x64);
	outb(0xfe, 0x60);
	check_end(VPM_RESET, "keyboard controller");
}

/* Boot loaders, enable_a20_kbc(): wait, 0xd1, wait, 0xdf, wait, null command. */
TEST(a20_through_the_output_port)
{
	fresh();
	outb(0xd1, 0x64);
	CHECK_EQ(inb(0x64) & 0x03, 0);
	outb(0xdf, 0x60);
	outb(0xff, 0x64);
	outb(0xd0, 0x64);
	CHECK_EQ(inb(0x64) & 0x01, 1);
	CHECK_EQ(inb(0x60), 0xdf);
	outb(0xd1, 0x64);
	outb(0xdd, 0x60); /* off: refused */
	outb(0xd0, 0x64);
	CHECK_EQ(inb(0x60) & 0x02, 0x02);
	outb(0xdd, 0x64);
	outb(0xdf, 0x64);
	CHECK_EQ(inb(0x64) & 0x01, 0);
	CHECK_EQ(ends, 0);
}

/* Linux, __i8042_command(): false when it would have waited half a second for an answer. */
static bool i8042_command(uint8_t *param, unsigned command)
{
	unsigned send = command >> 12 & 0xf, receive = command >> 8 & 0xf;

	outb((uint8_t)command, 0x64);
	for (unsigned i = 0; i < send; i++) {
		CHECK_EQ(inb(0x64) & 0x02, 0);
		outb(param[i], 0x60);
	}
	for (unsigned i = 0; i < receive; i++) {
		if (!(inb(0x64) & 0x01)) {
			return false;
		}
		if ((command & 0xff) == 0xd3 && !(inb(0x64) & 0x20)) {
			return true;
		}
		param[i] = inb(0x60);
	}
	return true;
}

/* Linux, i8042.c: the whole probe must go without one time-out, and find no mouse. */
TEST(linux_i8042_probe)
{
	uint8_t param, ctr;

	fresh();
	CHECK_EQ(inb(0x64) & 0x01, 0);	     /* i8042_flush() */
	CHECK(i8042_command(&param, 0x1aa)); /* self test */
	CHECK_EQ(param, 0x55);
	CHECK(i8042_command(&ctr, 0x120));
	CHECK(i8042_command(&param, 0x120));
	CHECK_EQ(ctr, param);
	CHECK_EQ(inb(0x64) & 0x10, 0x10); /* not locked */
	ctr = (ctr | 0x10) & (uint8_t)~0x01;
	CHECK(i8042_command(&ctr, 0x1060));
	CHECK(i8042_command(&param, 0x120));
	CHECK_EQ(param, ctr);

	param = 0x5a; /* i8042_check_aux(): no loop */
	CHECK(i8042_command(&param, 0x11d3));
	CHECK_EQ(inb(0x64) & 0x21, 0x01);
	inb(0x60);
	CHECK(i8042_command(&param, 0x1a9));
	CHECK(param != 0x00 && param != 0xfa && param != 0xff);

	CHECK(i8042_command(&param, 0x1ab));
	CHECK_EQ(param, 0x00);
	ctr = (ctr & (uint8_t)~0x10) | 0x01; /* i8042_enable_kbd_port() */
	CHECK(i8042_command(&ctr, 0x1060));

	outb(0xf2, 0x60); /* atkbd_probe(): who is there? */
	CHECK(edges.level[KBD]);
	CHECK_EQ(inb(0x64) & 0x61, 0x41);
	CHECK_EQ(inb(0x60), 0xfe);
	CHECK(!edges.level[KBD]);
	CHECK_EQ(edges.rises[KBD], 1);
	CHECK_EQ(edges.repeats, 0);
}

TEST(kbc_interface_commands)
{
	fresh();
	outb(0xae, 0x64);
	outb(0xa8, 0x64);
	outb(0x20, 0x64);
	CHECK_EQ(inb(0x60) & 0x30, 0x00);
	outb(0xad, 0x64);
	outb(0xa7, 0x64);
	outb(0x20, 0x64);
	CHECK_EQ(inb(0x60) & 0x30, 0x30);
	outb(0xd2, 0x64);
	outb(0x99, 0x60);
	CHECK_EQ(inb(0x60), 0x99);
	outb(0xd4, 0x64); /* to the mouse */
	outb(0xf2, 0x60);
	CHECK_EQ(inb(0x64) & 0x61, 0x61);
	CHECK_EQ(inb(0x60), 0xfe);
	CHECK_EQ(inb(0x64), 0x14);
	outb(0xc0, 0x64);
	CHECK_EQ(inb(0x64), 0x1d);
	inb(0x60);
	CHECK_EQ(edges.rises[KBD], 0);
	/* A command in place of the data byte gives the first one up. */
	outb(0xd1, 0x64);
	outb(0x60, 0x64);
	outb(0x74, 0x60);
	outb(0x20, 0x64);
	CHECK_EQ(inb(0x60), 0x74);
	CHECK_EQ(ends, 0);
}

/* The command byte's system flag is the status register's, and the self test starts over. */
TEST(kbc_system_flag_and_self_test)
{
	fresh();
	outb(0x60, 0x64);
	outb(0x01, 0x60);
	CHECK_EQ(inb(0x64), 0x10);
	outb(0x20, 0x64); /* the answer interrupts, too */
	CHECK(edges.level[KBD]);
	CHECK_EQ(inb(0x60), 0x01);
	CHECK(!edges.level[KBD]);
	outb(0x60, 0x64);
	outb(0x05, 0x60);
	CHECK_EQ(inb(0x64), 0x14);
	outb(0xd1, 0x64);
	outb(0x03, 0x60);
	outb(0xd1, 0x64); /* given up by the next command */
	outb(0xaa, 0x64);
	CHECK_EQ(inb(0x60), 0x55);
	outb(0x20, 0x64);
	CHECK_EQ(inb(0x60), 0x34);
	outb(0xd0, 0x64);
	CHECK_EQ(inb(0x60), 0x03);
	outb(0x00, 0x60); /* to the keyboard, not to the output port */
	CHECK_EQ(ends, 0);
}

TEST(reset_values)
{
	fresh();
	outw(0x0001, 0x602);
	outb(0xd1, 0x64);
	vpm_reset(&p);
	CHECK_EQ(vpm_next(&p), UINT64_MAX);
	outb(0x00, 0x60); /* no longer the data of 0xd1 */
	CHECK_EQ(ends, 0);
	inb(0x60);
	vpm_reset(&p);
	CHECK_EQ(inb(0x64), 0x1c);
	CHECK_EQ(inb(0x60), 0x00);
	CHECK_EQ(inw(0x600) | inw(0x602), 0);
}

TEST(hostile_accesses)
{
	static const struct vdev_ops *const ops[] = {
		&vpm_event_ops,	 &vpm_control_ops,  &vpm_timer_ops,	 &vpm_cf9_ops,
		&vpm_port92_ops, &vpm_kbc_data_ops, &vpm_kbc_status_ops,
	};

	fresh();
	for (unsigned i = 0; i < 1000000; i++) {
		uint64_t r = test_random();

		vdev_hostile(ops[r % ARRAY_SIZE(ops)], &p);
		test_now += r >> 8 & 0xffffffffff;
		vpm_run(&p, test_now);
		CHECK(vpm_next(&p) > test_now);
		CHECK(ends <= 1);
		if ((r >> 48 & 0xfff) == 0) {
			vpm_reset(&p);
			ends = 0;
			CHECK_EQ(edges.level[SCI] | edges.level[KBD], 0);
		}
	}
	CHECK_EQ(edges.repeats, 0);
}
