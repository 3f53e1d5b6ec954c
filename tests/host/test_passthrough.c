/*
 * A passed-through function as its guest sees it: config space, BARs and where they are mapped.
 */
#include "test.h"
#include "tests/fake/passthrough_rig.h"

/* --- config space --- */

TEST(the_list_of_capabilities_holds_what_is_known)
{
	unsigned at, n = 0;
	bool vpd = false;

	start();
	for (at = in(PCI_CAPABILITIES, 1); at && n < 20; at = in(at + 1, 1), n++) {
		vpd |= in(at, 1) == 0x03;
	}
	CHECK_EQ(n, 4);
	CHECK(!vpd);
	CHECK_EQ(in(0x64, 4), 0);
	CHECK_EQ(in(0xc2, 2), 0x0003); /* no wake-up events */
	CHECK_EQ(in(0x74, 4), 0x8000); /* no FLR */
	CHECK_EQ(in(0x72, 2), 0x0092); /* an integrated endpoint without a slot */
	CHECK_EQ(in(0x100, 4), 0);     /* no extended ones */
	CHECK_EQ(in(PCI_VENDOR, 4), 0x10d38086);
	CHECK_EQ(in(PCI_HEADER_TYPE, 1), 0);
	CHECK_EQ(in(PCI_LINE, 2), 0x010b);
}

/* Version 2 has 60 bytes, and not every device has them all. */
TEST(a_pcie_capability_may_end_with_config_space)
{
	fake_pci_reset();
	hw = fake_pci_add(pci_bdf(0, 3, 0), 0x10d38086, 0x02000000);
	fake_pci_capability(hw, 0xe0, PCI_CAP_PCIE, 32);
	fake_pci_set(hw, 0xe2, 2, 0x0002);
	fake_pci_set(hw, 0xfc, 4, 0x11223344);
	start_with("pci = 00:03.0");
	CHECK_EQ(in(PCI_CAPABILITIES, 1), 0xe0);
	CHECK_EQ(in(0xe2, 2), 0x0092);
	CHECK_EQ(in(0xfc, 4), 0x11223344);
	out(0xe8, 2, 0xffff);
	CHECK_EQ(fake_pci_get(hw, 0xe8, 2), 0x7810);
}

TEST(the_guest_cannot_touch_what_is_ours)
{
	uint32_t before[64];

	start();
	memcpy(before, hw->config, sizeof(before));
	for (unsigned reg = 0x10; reg < 0x100; reg += 4) {
		if (reg == 0x78 || reg == 0x98 || reg == 0xb0 || (reg >= 0xd0 && reg < 0xe8)) {
			continue; /* PCIe control, and what enables messages */
		}
		out(reg, 4, 0xffffffff);
		out(reg, 4, 0x12345678);
	}
	CHECK(memcmp(before, hw->config, sizeof(before)) == 0);
	CHECK(strstr(fake_log, "PCI 00:03.0 register 0x40: write rejected; guests do not see"));
	CHECK_EQ(in(0xc4, 2) & 3, 0x12345678 & 3); /* its power state is a number */
	out(0x78, 2, 0xffff);
	CHECK_EQ(fake_pci_get(hw, 0x78, 2), 0x7810); /* no FLR, payload size, error messages */
	CHECK_EQ(hw->flrs, 1);			     /* the one at the start */
}

TEST(command_bits_that_count_reach_the_device)
{
	start();
	CHECK_EQ(in(PCI_COMMAND, 2), PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2) & PCI_COMMAND_MASTER, 0);
	out(PCI_COMMAND, 2, 0xffff);
	CHECK_EQ(in(PCI_COMMAND, 2), 0x547);
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2), 0x447); /* no SERR# of the machine */
	out(PCI_COMMAND, 2, 0);
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2), 3); /* the device goes on to decode for us */
	CHECK(!mapped(BAR0));
	out(PCI_COMMAND, 1, 6); /* by a byte */
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2), 7);
	CHECK(mapped(BAR0));
}

/* At port 0 there are others; and what is not decoded at the end is not at the next start. */
TEST(an_io_bar_without_ports_is_not_decoded)
{
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	fake_pci_set(hw, PCI_BAR0 + 8, 4, PCI_BAR_IO);
	fake_pci_set(hw, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	start_with("pci = 00:03.0");
	hw->seen = 0;
	out(PCI_COMMAND, 2, 7);
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	p->vcpus = 1;
	partition_end(p, END_RESET, "test");
	vcpu_turn(v);
	vcpu_turn(v);
	p->vcpus = 2;
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	CHECK_EQ(hw->seen & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY), PCI_COMMAND_MEMORY);
	/* Nor is another that has some: they are decoded together. */
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	fake_pci_bar(hw, 3, 0x10, PCI_BAR_IO, 0);
	start_with("pci = 00:03.0");
	CHECK(strstr(fake_log, "test: PCI 00:03.0 has an I/O BAR without an address: its I/O BARs "
			       "are not used"));
	out(PCI_COMMAND, 2, 7);
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	out(0x18, 4, 0xffffffff);
	CHECK_EQ(in(0x18, 4), 0);
	/* And the other way round. */
	fake_pci_reset();
	hw = fake_pci_add(pci_bdf(0, 3, 0), 0x10d38086, 0x02000000);
	fake_pci_bar(hw, 2, 0x20, PCI_BAR_IO, 0xc040);
	start_with("pci = 00:03.0");
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2) & 3, PCI_COMMAND_IO);
}

TEST(foreign_functions_are_not_there_and_writes_are_told_once)
{
	const char *told;

	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	card(pci_bdf(0, 5, 0), 10);
	start_with("pci = 00:03.0");
	CHECK_EQ(memory_in(VPCI_ECAM_BASE + (5 << 15), 4), 0xffffffff);
	memory_out(VPCI_ECAM_BASE + (5 << 15) + 4, 2, 7);
	memory_out(VPCI_ECAM_BASE + (5 << 15) + 4, 2, 7);
	memory_out(VPCI_ECAM_BASE + (6 << 15) + 4, 2, 7); /* nobody anywhere: not worth a word */
	told = strstr(fake_log, "PCI 00:05.0 register 0x4: write rejected; the function belongs to "
				"nobody, `pci = 00:05.0` in [guest test] would give it");
	CHECK(told != NULL);
	CHECK(told && !strstr(told + 1, "PCI 00:"));
}

/* --- BARs --- */

TEST(bars_are_sized_and_moved_with_their_mapping)
{
	start();
	CHECK(mapped(BAR0) && mapped(BAR0 + 0x1000) && mapped(BAR0 + 0x1f000));
	CHECK(!mapped(BAR0 + TABLE)); /* the MSI-X table's page */
	CHECK_EQ(npt_lookup(&p->npt, gpa(BAR0), &(uint64_t){0}) & 0xffffffff000, BAR0);
	out(PCI_COMMAND, 2, 0);
	out(0x10, 4, 0xffffffff);
	CHECK_EQ(in(0x10, 4), 0xfffe0000);
	out(0x18, 4, 0xffffffff);
	CHECK_EQ(in(0x18, 4), 0xffffffe1);
	out(0x20, 4, 0xffffffff);
	out(0x24, 4, 0xffffffff);
	CHECK_EQ(in(0x20, 4), 0xffffc00c);
	CHECK_EQ(in(0x24, 4), 0xffffffff);
	out(0x1c, 4, 0xffffffff);
	CHECK_EQ(in(0x1c, 4), 0); /* BAR 3 is not there */
	out(0x30, 4, 0xffffffff);
	CHECK_EQ(in(0x30, 4), 0);
	out(0x10, 4, 0xc1000000);
	out(0x20, 4, 0x00000000);
	out(0x24, 4, 0x00000010);
	CHECK(!mapped(0xc1000000));
	out(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	CHECK(mapped(0xc1000000) && !mapped(BAR0) && mapped(0x1000000000));
	CHECK_EQ(npt_lookup(&p->npt, gpa(0x1000001000), &(uint64_t){0}) & 0xfffffff000,
		 0x3800005000);
	CHECK_EQ(fake_pci_get(hw, 0x10, 4), BAR0); /* the real one has not moved */
}

TEST(a_bar_outside_the_windows_starts_inside)
{
	start();
	CHECK(in(0x20, 4) >= VPCI_HOLE_BASE && in(0x20, 4) < VPCI_HOLE_END);
	CHECK_EQ(in(0x24, 4), 0);
	CHECK(mapped(in(0x20, 4) & ~15u));
}

TEST(a_bar_over_something_else_is_not_mapped)
{
	static const uint32_t places[] = {0x00000000, 0xfee00000, 0xfec00000, 0xe0000000};
	unsigned told = 0;

	start();
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		uint64_t size, before = npt_lookup(&p->npt, gpa(places[i]), &size);

		fake_log_reset();
		f->bar[0].told = false;
		out(0x10, 4, places[i]);
		CHECK_EQ(npt_lookup(&p->npt, gpa(places[i]), &size), before);
		CHECK(!mapped(places[i] + 0x10000) || before);
		told += strstr(fake_log, "and is not mapped") != NULL;
	}
	CHECK_EQ(told, 4);
	out(0x10, 4, in(0x20, 4) & 0xfffe0000); /* over its own other BAR */
	CHECK(strstr(fake_log, "BAR 0") != NULL);
	out(0x10, 4, BAR0);
	CHECK(mapped(BAR0));
}

TEST(a_small_bar_is_forwarded_and_its_neighbours_are_not)
{
	uint32_t at;

	start();
	at = in(0x14, 4);
	CHECK(!mapped(at));
	CHECK_EQ(at & 0x7f, 0);
	memset(device(1, 0), 0xa5, 0x80);
	*device(1, 0x80) = 0x77;
	CHECK_EQ(memory_in(at + 0x7c, 4), 0xa5a5a5a5);
	CHECK_EQ(memory_in(at + 0x80, 1), 0xff);
	CHECK_EQ(memory_in(at + 0x7e, 4), 0xffffa5a5);
	memory_out(at + 0x7e, 4, 0x11223344);
	CHECK_EQ(*device(1, 0x7e), 0x44);
	CHECK_EQ(*device(1, 0x7f), 0x33);
	CHECK_EQ(*device(1, 0x80), 0x77);
	memory_out(at + 3, 2, 0xbeef); /* never across what is aligned, never more than asked */
	CHECK_EQ(*device(1, 2), 0xa5);
	CHECK_EQ(*device(1, 3), 0xef);
	CHECK_EQ(*device(1, 4), 0xbe);
	CHECK_EQ(*device(1, 5), 0xa5);
}

TEST(io_bars_go_to_the_real_ports)
{
	struct bus_access a = {.size = 2, .write = true, .value = 0xbeef};

	start();
	CHECK_EQ(in(0x18, 4), 0xc041);
	CHECK(pc_port(v, 0xc044, &a));
	CHECK_EQ(fake_host.port_written, 0xc044);
	CHECK_EQ(fake_host.port_value, 0xbeef);
	out(0x18, 4, 0xd000);
	CHECK(!pc_port(v, 0xc044, &a));
	CHECK(pc_port(v, 0xd01e, &a));
	CHECK_EQ(fake_host.port_written, 0xc05e);
	CHECK(!pc_port(v, 0xd020, &a));
	out(0x18, 4, 0x3f0); /* over the guest's UART: that one answers */
	fake_host.port_written = 0;
	pc_port(v, 0x3fb, &a);
	CHECK_EQ(fake_host.port_written, 0);
}

TEST(tables_come_back_when_all_have_flushed)
{
	unsigned spares;

	start();
	spares = p->npt.spares;
	for (unsigned i = 0; i < 1000; i++) {
		out(0x10, 4, 0xc1000000 + (i % 64) * 0x400000);
		CHECK(mapped(0xc1000000 + (i % 64) * 0x400000));
		CHECK(atomic_load(&v->request) & REQUEST_REMAP);
		CHECK(p->npt.retired_next - p->npt.retired_first <= NPT_RESERVE);
		p->vcpus = 1; /* the other does not run here */
		vcpu_turn(v);
		p->vcpus = 2;
	}
	CHECK(fake_virt.flushes >= 1000);
	out(0x10, 4, BAR0);
	p->vcpus = 1;
	vcpu_turn(v);
	p->vcpus = 2;
	CHECK_EQ(p->npt.spares, spares);
}
