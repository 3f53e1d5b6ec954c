/*
 * Interrupts of passed-through functions: messages, vectors, lines.
 */
#include "test.h"
#include "tests/fake/passthrough_rig.h"

/* --- messages --- */

TEST(msix_is_translated_and_reads_back_as_written)
{
	uint64_t at = BAR0 + TABLE + 0x10;

	start();
	memset(device(0, TABLE), 0xcc, 0x10); /* other registers in the page */
	CHECK_EQ(memory_in(BAR0 + TABLE + 8, 8), 0xcccccccccccccccc);
	CHECK_EQ(memory_in(BAR0 + TABLE + 0xc, 8), 0x00000000cccccccc); /* half of each */
	out(0xb2, 2, MSIX_ENABLE);
	CHECK_EQ(fake_pci_get(hw, 0xb2, 2) & MSIX_ENABLE, MSIX_ENABLE);
	write_entry(1, 0xfee01000, 0x4055, 0);
	CHECK_EQ(memory_in(at + 16, 8), 0xfee01000);
	CHECK_EQ(memory_in(at + 24, 4), 0x4055);
	CHECK_EQ(memory_in(at + 28, 4), 0);
	CHECK_EQ(entry(1, 0), 0xfee00000 | 0x11 << 12);	     /* the physical CPU of vCPU 1 */
	CHECK_EQ(entry(1, 2), HOST_VECTOR_DEVICE_FIRST); /* 0x40 is the line's */
	CHECK_EQ(entry(1, 3), 0);
	vlapic_access(
		&p->vcpu[1]->apic,
		&(struct bus_access){.offset = 0xf0, .size = 4, .write = true, .value = 0x1ff});
	passthrough_interrupt(p->vcpu[1], (uint8_t)entry(1, 2));
	CHECK_EQ(p->vcpu[1]->apic.posted[2], 1u << 21);
	CHECK_EQ(p->devices->taken, 1);
	CHECK_EQ(p->devices->injected, 1);
	/* To another CPU: the same vector, and nothing that was on its way is lost. */
	memory_out(at + 16, 4, 0xfee00000);
	CHECK_EQ(entry(1, 0), 0xfee00000 | 0x10 << 12);
	CHECK_EQ(entry(1, 2), HOST_VECTOR_DEVICE_FIRST);
	memory_out(at + 28, 4, 1);
	CHECK_EQ(entry(1, 3) & 1, 1);
	memory_out(at + 28, 4, 0);
	out(0xb2, 2, MSIX_ENABLE | MSIX_MASK_ALL);
	CHECK_EQ(entry(1, 3) & 1, 1);
	out(0xb2, 2, MSIX_ENABLE);
	CHECK_EQ(entry(1, 3) & 1, 0);
	out(0xb2, 2, 0);
	CHECK_EQ(fake_pci_get(hw, 0xb2, 2) & MSIX_ENABLE, 0);
}

TEST(hostile_messages_are_not_armed)
{
	static const uint64_t bad[] = {0,
				       0x1000,
				       0xfed00000,
				       0xfef00000,
				       0x1fee00000,
				       0xffffffffffffffff,
				       0xfee00000fee00000};

	start();
	out(0xb2, 2, MSIX_ENABLE);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(device(0, TABLE + 0x10), 0, 16);
		write_entry(0, bad[i], 0x30, 0);
		CHECK_EQ(entry(0, 0), 0);
		write_entry(0, bad[i], 0x30, 1);
	}
	CHECK(strstr(fake_log, "is no interrupt; not delivered"));
	/* Legal, but no CPU of the guest: the physical message goes to its own CPU all the same. */
	write_entry(0, 0xfee77000, 0x30, 0);
	CHECK_EQ(entry(0, 0), 0xfee00000 | 0x10 << 12);
	passthrough_interrupt(v, (uint8_t)entry(0, 2));
	CHECK_EQ(p->devices->injected, 0);
	passthrough_interrupt(v, HOST_VECTOR_DEVICE_LAST);
	passthrough_interrupt(NULL, HOST_VECTOR_DEVICE_LAST);
	CHECK_EQ(p->devices->orphans, 1);
	CHECK(strstr(fake_log, "a device interrupt with vector 0xdf, which is nobody's"));
	/* Entries behind the table are the device's own registers. */
	memory_out(BAR0 + TABLE + 0x10 + 16 * ENTRIES, 4, 0x12345678);
	CHECK_EQ(entry(ENTRIES, 0), 0x12345678);
}

TEST(msi_takes_a_row_of_vectors)
{
	uint32_t first;

	start();
	out(0xd4, 4, 0xfee01000);
	out(0xdc, 2, 0x60);
	out(0xe0, 4, 0);
	out(0xd2, 2, MSI_ENABLE | 2 << 4);
	CHECK_EQ(fake_pci_get(hw, 0xd2, 2) & 0x71, MSI_ENABLE | 2 << 4);
	CHECK_EQ(fake_pci_get(hw, 0xd4, 4), 0xfee11000);
	first = fake_pci_get(hw, 0xdc, 2);
	CHECK_EQ(first % 4, 0);
	CHECK(first >= HOST_VECTOR_DEVICE_FIRST && first < HOST_VECTOR_DEVICE_LAST);
	CHECK_EQ(in(0xd4, 4), 0xfee01000);
	CHECK_EQ(in(0xdc, 2), 0x60);
	vlapic_access(
		&p->vcpu[1]->apic,
		&(struct bus_access){.offset = 0xf0, .size = 4, .write = true, .value = 0x1ff});
	passthrough_interrupt(p->vcpu[1], (uint8_t)(first + 3));
	CHECK_EQ(p->vcpu[1]->apic.posted[3], 1u << 3); /* 0x63 */
	out(0xe0, 4, 8);
	CHECK_EQ(fake_pci_get(hw, 0xe0, 4), 8);
	out(0xd4, 4, 0xfee00000);
	CHECK_EQ(fake_pci_get(hw, 0xd4, 4), 0xfee10000);
	CHECK_EQ(fake_pci_get(hw, 0xdc, 2), first);
	out(0xd4, 4, 0x12345000);
	CHECK_EQ(fake_pci_get(hw, 0xd2, 2) & MSI_ENABLE, 0);
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2) & PCI_COMMAND_INTX_OFF, PCI_COMMAND_INTX_OFF);
}

/* The card has both; the guest uses one, and what it does with that is not undone by the other. */
TEST(msi_is_kept_apart_from_msix)
{
	start();
	out(0xd4, 4, 0xfee01000);
	out(0xdc, 2, 0x60);
	out(0xe0, 4, 0);
	out(0xd2, 2, MSI_ENABLE);
	CHECK_EQ(fake_pci_get(hw, 0xd2, 2) & MSI_ENABLE, MSI_ENABLE);
	hw->watched = 0xd2;
	out(0xd4, 4, 0xfee00000); /* to another CPU: a message is not lost meanwhile */
	CHECK_EQ(fake_pci_get(hw, 0xd4, 4), 0xfee10000);
	CHECK_EQ(hw->changes, 0);
	out(0xe0, 4, 1); /* the only one */
	CHECK_EQ(fake_pci_get(hw, 0xe0, 4), 1);
	CHECK_EQ(fake_pci_get(hw, 0xd4, 4), 0xfee10000);
	out(0xe0, 4, 0);
	CHECK_EQ(fake_pci_get(hw, 0xe0, 4), 0);
	CHECK_EQ(hw->changes, 0);
	p->vcpus = 1;
	partition_end(p, END_RESET, "test");
	vcpu_turn(v);
	vcpu_turn(v);
	p->vcpus = 2;
	CHECK(!f->msi.armed);
}

/* MSI-X took a vector for each entry by itself: those are no row. */
TEST(msi_after_msix_takes_a_row_of_its_own)
{
	uint32_t first;

	start();
	out(0xb2, 2, MSIX_ENABLE);
	for (unsigned i = 4; i-- > 0;) {
		write_entry(i, 0xfee00000, 0x30 + i, 0);
	}
	out(0xb2, 2, 0);
	out(0xd4, 4, 0xfee01000);
	out(0xdc, 2, 0x60);
	out(0xd2, 2, MSI_ENABLE | 2 << 4);
	CHECK_EQ(fake_pci_get(hw, 0xd2, 2) & 0x71, MSI_ENABLE | 2 << 4);
	first = fake_pci_get(hw, 0xdc, 2);
	CHECK_EQ(first % 4, 0);
	for (unsigned i = 0; i < 4; i++) {
		CHECK_EQ(f->message[i].vector, first + i);
	}
}

TEST(msix_is_kept_apart_from_msi)
{
	start();
	out(0xb2, 2, MSIX_ENABLE);
	write_entry(0, 0xfee01000, 0x55, 0);
	out(0xb2, 2, MSIX_ENABLE); /* once more: MSI is told that it stays off */
	CHECK_EQ(entry(0, 3) & 1, 0);
	memory_out(BAR0 + TABLE + 0x10 + 12, 4, 1);
	CHECK_EQ(entry(0, 3) & 1, 1);
}

TEST(when_vectors_are_gone_entries_stay_masked)
{
	start();
	for (unsigned i = 0; i < DEVICE_VECTORS; i++) {
		p->devices->vector[i].taken = true;
	}
	out(0xb2, 2, MSIX_ENABLE);
	write_entry(0, 0xfee00000, 0x30, 0);
	CHECK_EQ(entry(0, 0), 0);
	CHECK(strstr(fake_log, "want more than 160 interrupt vectors"));
}

/* --- lines --- */

TEST(a_line_is_masked_until_the_eoi)
{
	struct vioapic *io;

	start();
	io = &p->pc.ioapic;
	CHECK_EQ(fake_host.line_cpu[11], 0);
	CHECK(fake_host.line_masked[11]); /* nobody listens yet */
	CHECK_EQ(passthrough_gsi(f), 19);
	write_pin(19, PIN_LEVEL | 0x55);
	CHECK(!fake_host.line_masked[11]);
	passthrough_interrupt(v, line_vector());
	CHECK(fake_host.line_masked[11]);
	CHECK(io->level >> 19 & 1);
	CHECK(p->pc.pic.chip[1].line & 8);
	CHECK(p->pc.pic.chip[1].elcr & 8);
	io->remote_irr = 1u << 19;
	pc_eoi(p, 0x55);
	CHECK(!fake_host.line_masked[11]);
	CHECK(!(io->level >> 19 & 1));
	CHECK_EQ(io->remote_irr, 0);
	/* Turned off while it is up: it falls, and stays masked. */
	passthrough_interrupt(v, line_vector());
	out(PCI_COMMAND, 2, PCI_COMMAND_INTX_OFF);
	CHECK(!(io->level >> 19 & 1));
	CHECK(fake_host.line_masked[11]);
	passthrough_interrupt(v, line_vector());
	CHECK(!(io->level >> 19 & 1));
	out(PCI_COMMAND, 2, 0);
	CHECK(!fake_host.line_masked[11]);
}

TEST(the_8259s_answer_too)
{
	struct bus_access icw = {.size = 1, .write = true};
	static const uint16_t setup[][2] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 4},    {0x21, 1},
					    {0x21, 0xfb}, {0xa0, 0x11}, {0xa1, 0x28}, {0xa1, 2},
					    {0xa1, 1},	  {0xa1, 0xf7}};

	start();
	for (unsigned i = 0; i < ARRAY_SIZE(setup); i++) {
		icw.value = setup[i][1];
		pc_port(v, setup[i][0], &icw);
	}
	passthrough_interrupt(v, line_vector());
	CHECK(p->pc.pic.output);
	CHECK_EQ(pc_pic_ack(p), 0x2b);
	CHECK(fake_host.line_masked[11]);
	icw.value = 0x20;
	pc_port(v, 0xa0, &icw);
	pc_port(v, 0x20, &icw);
	CHECK(!fake_host.line_masked[11]);
	CHECK(!p->pc.pic.output);
	/* A driver that masks, answers, works and opens again: once for each interrupt. */
	passthrough_interrupt(v, line_vector());
	CHECK_EQ(pc_pic_ack(p), 0x2b);
	icw.value = 0xff;
	pc_port(v, 0xa1, &icw);
	icw.value = 0x63;
	pc_port(v, 0xa0, &icw);
	CHECK(fake_host.line_masked[11]);
	icw.value = 0xf7;
	pc_port(v, 0xa1, &icw);
	CHECK(!fake_host.line_masked[11]);
	CHECK(!(p->pc.pic.chip[1].irr & 8));
}

TEST(a_masked_pin_falls_and_its_line_is_masked)
{
	start();
	write_pin(19, PIN_LEVEL | 0x55);
	passthrough_interrupt(v, line_vector());
	CHECK_EQ(p->devices->asserted, 1);
	write_pin(19, PIN_MASKED | PIN_LEVEL | 0x55);
	CHECK_EQ(p->devices->asserted, 0);
	passthrough_interrupt(v, line_vector()); /* was on its way */
	CHECK_EQ(p->devices->asserted, 0);
	CHECK(fake_host.line_masked[11]);
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2) & PCI_COMMAND_INTX_OFF, 0); /* it is alone */
	write_pin(19, PIN_LEVEL | 0x55);
	CHECK(!fake_host.line_masked[11]);
}

static struct fake_function *start_sharing(void)
{
	struct fake_function *other;

	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 10);
	other = card(pci_bdf(0, 4, 0), 10);
	start_with("pci = 00:03.0, 00:04.0");
	CHECK_EQ(p->devices->lines, 1);
	return other;
}

TEST(two_functions_share_a_line_of_one_guest)
{
	start_sharing();
	write_pin(19, PIN_LEVEL | 0x55);
	write_pin(20, PIN_LEVEL | 0x56);
	passthrough_interrupt(v, fake_host.line_vector[10]);
	CHECK_EQ(p->devices->asserted, 3);
	passthrough_pin_eoi(p, 19);
	CHECK(fake_host.line_masked[10]); /* the other has still to be answered for */
	passthrough_pin_eoi(p, 20);
	CHECK(!fake_host.line_masked[10]);
}

/* The other has no driver: it neither holds up the line nor can it storm. */
TEST(a_pin_that_nobody_listens_to_does_not_hold_a_shared_line)
{
	struct fake_function *other = start_sharing();

	write_pin(19, PIN_LEVEL | 0x55);
	CHECK(!fake_host.line_masked[10]);
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2) & PCI_COMMAND_INTX_OFF, 0);
	CHECK(fake_pci_get(other, PCI_COMMAND, 2) & PCI_COMMAND_INTX_OFF);
	passthrough_interrupt(v, fake_host.line_vector[10]);
	CHECK_EQ(p->devices->asserted, 1);
	CHECK(fake_host.line_masked[10]);
	passthrough_pin_eoi(p, 19);
	CHECK(!fake_host.line_masked[10]);
	/* Its driver comes; and is told to be quiet while it has still to answer. */
	write_pin(20, PIN_LEVEL | 0x56);
	CHECK_EQ(fake_pci_get(other, PCI_COMMAND, 2) & PCI_COMMAND_INTX_OFF, 0);
	passthrough_interrupt(v, fake_host.line_vector[10]);
	CHECK_EQ(p->devices->asserted, 3);
	passthrough_pin_eoi(p, 19);
	CHECK(fake_host.line_masked[10]);
	write_pin(20, PIN_MASKED | PIN_LEVEL | 0x56);
	CHECK(!fake_host.line_masked[10]);
	CHECK(fake_pci_get(other, PCI_COMMAND, 2) & PCI_COMMAND_INTX_OFF);
	/* Its own wish, which the guest reads back, is another thing. */
	CHECK_EQ(memory_in(VPCI_ECAM_BASE + (4 << 15) + PCI_COMMAND, 2) & PCI_COMMAND_INTX_OFF, 0);
}
