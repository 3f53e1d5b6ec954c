/*
 * hv/vdev/vpci.c: Linux's probe of configuration mechanism 1, ECAM, 0xcf9, and hostile accesses.
 */
#include "hv/vdev/vpci.h"
#include "tests/host/vdev_test.h"

static struct vpci p;
static struct bus_access cf9; /* what the reset control register saw last */

static void access_cf9(void *dev, struct bus_access *a)
{
	CHECK(dev == &cf9);
	cf9 = *a;
	if (!a->write) {
		a->value = 0x5a;
	}
}

static const struct vdev_ops cf9_ops = {.name = "cf9", .access = access_cf9};

static void fresh(void)
{
	cf9 = (struct bus_access){0};
	vpci_init(&p);
	p.reset_control = (struct bus_claim){.ops = &cf9_ops, .dev = &cf9};
}

static uint64_t in(unsigned port, unsigned size)
{
	return vdev_read(port < 0xcfc ? &vpci_address_ops : &vpci_data_ops, &p, port & 3, size);
}

static void out(unsigned port, unsigned size, uint32_t v)
{
	vdev_write(port < 0xcfc ? &vpci_address_ops : &vpci_data_ops, &p, port & 3, size, v);
}

static uint32_t config(unsigned bus, unsigned devfn, unsigned reg, unsigned size)
{
	out(0xcf8, 4, 0x80000000u | bus << 16 | devfn << 8 | (reg & 0xfc));
	return (uint32_t)in(0xcfc + (reg & 3), size);
}

/* Linux, direct.c: pci_check_type1() and pci_sanity_check(). */
TEST(linux_probe)
{
	uint64_t saved;

	fresh();
	out(0xcfb, 1, 0x01); /* type 2 would take this byte; type 1 must not */
	saved = in(0xcf8, 4);
	CHECK_EQ(saved, 0);
	out(0xcf8, 4, 0x80000000u);
	CHECK_EQ(in(0xcf8, 4), 0x80000000u);
	out(0xcf8, 4, (uint32_t)saved);
	CHECK_EQ(config(0, 0, 0x0a, 2), 0x0600); /* a host bridge */
	CHECK_EQ(config(0, 0, 0x00, 4), 0x29c08086);
	CHECK_EQ(config(0, 0, 0x0e, 1), 0x00); /* one function */
	CHECK_EQ(config(0, 0, 0x34, 1), 0x00); /* no capabilities */
}

TEST(nobody_else_is_there)
{
	fresh();
	for (unsigned devfn = 1; devfn < 256; devfn++) {
		CHECK_EQ(config(0, devfn, 0, 4), 0xffffffff);
	}
	CHECK_EQ(config(1, 0, 0, 4), 0xffffffff);
	CHECK_EQ(config(255, 0, 0, 2), 0xffff);
	out(0xcf8, 4, 0x00000000); /* not enabled */
	CHECK_EQ(in(0xcfc, 4), 0xffffffff);
}

/* Linux, __pci_read_base(): sizing BARs that are not there. */
TEST(only_writable_bits_change)
{
	fresh();
	for (unsigned reg = 0x10; reg <= 0x30; reg += 4) {
		config(0, 0, reg, 4);
		out(0xcfc, 4, 0xffffffff);
		CHECK_EQ(in(0xcfc, 4), 0);
	}
	config(0, 0, 0x04, 2);
	out(0xcfc, 2, 0xffff);
	CHECK_EQ(in(0xcfc, 2), 0x0106);
	out(0xcfc, 2, 0x0000);
	CHECK_EQ(in(0xcfc, 2), 0x0006);
	config(0, 0, 0x3c, 1);
	out(0xcfc, 1, 0x0b);
	CHECK_EQ(in(0xcfc, 4), 0x0000000b);
	config(0, 0, 0x3b, 1);
	out(0xcff, 1, 0xffff); /* bits above the size do not spill over */
	CHECK_EQ(config(0, 0, 0x3c, 4), 0x0000000b);
	config(0, 0, 0x00, 4);
	out(0xcfc, 4, 0);
	CHECK_EQ(in(0xcfc, 4), 0x29c08086);
	vpci_reset(&p);
	CHECK_EQ(in(0xcf8, 4), 0);
	CHECK_EQ(config(0, 0, 0x3c, 4), 0);
	CHECK(p.reset_control.ops == &cf9_ops);
}

TEST(address_register)
{
	fresh();
	out(0xcf8, 4, 0xffffffff);
	CHECK_EQ(in(0xcf8, 4), 0x80fffffc);
	out(0xcf8, 1, 0);
	out(0xcf8, 2, 0);
	out(0xcfa, 2, 0);
	out(0xcfb, 1, 0);
	CHECK_EQ(in(0xcf8, 4), 0x80fffffc);
	CHECK_EQ(in(0xcf8, 1), 0xff);
	CHECK_EQ(in(0xcfa, 2), 0xffff);
}

TEST(reset_control_lies_under_the_address)
{
	fresh();
	out(0xcf8, 4, 0x80000000u);
	CHECK_EQ(cf9.size, 0);
	out(0xcf9, 1, 0x06);
	CHECK_EQ(cf9.size, 1);
	CHECK(cf9.write);
	CHECK_EQ(cf9.value, 0x06);
	CHECK_EQ(cf9.offset, 0);
	CHECK_EQ(in(0xcf9, 1), 0x5a);
	CHECK_EQ(in(0xcf8, 4), 0x80000000u);
	p.reset_control.ops = NULL;
	CHECK_EQ(in(0xcf9, 1), 0xff);
	out(0xcf9, 1, 0x06);
}

TEST(data_bytes_and_words)
{
	fresh();
	CHECK_EQ(config(0, 0, 0x00, 1), 0x86);
	CHECK_EQ(config(0, 0, 0x01, 1), 0x80);
	CHECK_EQ(config(0, 0, 0x02, 2), 0x29c0);
	CHECK_EQ(config(0, 0, 0x03, 1), 0x29);
	CHECK_EQ(config(0, 0, 0x0b, 1), 0x06);
}

static uint32_t ecam(unsigned devfn, unsigned reg, unsigned size)
{
	return (uint32_t)vdev_read(&vpci_ecam_ops, &p, devfn << 12 | reg, size);
}

TEST(ecam_is_the_same_space)
{
	fresh();
	CHECK_EQ(ecam(0, 0, 4), 0x29c08086);
	CHECK_EQ(ecam(0, 2, 2), 0x29c0);
	CHECK_EQ(ecam(0, 0x0a, 2), 0x0600);
	vdev_write(&vpci_ecam_ops, &p, 0x3c, 1, 0x0a);
	CHECK_EQ(config(0, 0, 0x3c, 1), 0x0a);
	CHECK_EQ(ecam(1, 0, 4), 0xffffffff);
	CHECK_EQ(ecam(255, 0, 2), 0xffff);
	/* No extended space, so Linux takes the function for one of 256 bytes. */
	CHECK_EQ(ecam(0, 0x100, 4), 0xffffffff);
	CHECK_EQ(ecam(0, 0xffc, 4), 0xffffffff);
	CHECK_EQ(ecam(0, 0xfc, 4), 0);
}

TEST(hostile_accesses)
{
	static const struct vdev_ops *const ops[] = {&vpci_address_ops, &vpci_data_ops,
						     &vpci_ecam_ops};

	fresh();
	for (unsigned i = 0; i < 1000000; i++) {
		uint64_t r = test_random();

		vdev_hostile(ops[r % 3], &p);
		if (r & 0x100) {
			out(0xcf8, 4, 0x80000000u | (r >> 16 & 0xfc));
		}
	}
	CHECK_EQ(config(0, 0, 0, 4), 0x29c08086);
	CHECK_EQ(config(0, 0, 0x0a, 2), 0x0600);
	CHECK_EQ(config(0, 8, 0, 4), 0xffffffff);
}
