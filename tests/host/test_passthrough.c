/*
 * A passed-through function as its guest sees it: verdicts, BARs, messages, vectors, lines, ends.
 */
#include "drivers/pci_access.h"
#include "hv/passthrough_part.h"
#include "hv/pci_text.h"
#include "test.h"
#include "tests/fake/fake_guest.h"
#include "tests/fake/fake_host.h"
#include "tests/fake/fake_pci.h"
#include "tests/fake/fake_virt.h"

static const struct acpi_info no_acpi;
static const uint8_t code[] = {0xf4};
static struct partition *p;
static struct vcpu *v;
static struct vpci_function *f;
static struct fake_function *hw;

enum { BAR0 = 0xfeb80000, TABLE = 0x2000, ENTRIES = 5 };

/* A card with all that matters: memory, I/O, small, wide BARs; MSI with 4 vectors, MSI-X, PM, PCIe.
 */
static struct fake_function *card(uint16_t bdf, unsigned line)
{
	struct fake_function *c = fake_pci_add(bdf, 0x10d38086, 0x02000000);
	uint32_t n = (bdf - 0x18u) & 0xff; /* each elsewhere; 00:03.0 is the one under test */

	fake_pci_set(c, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	fake_pci_set(c, PCI_LINE, 2, 0x0100 | line);
	fake_pci_bar(c, 0, 0x20000, 0, BAR0 - n * 0x80000);
	fake_pci_bar(c, 1, 0x80, 0, 0xfebd1080 - n * 0x80000);
	fake_pci_bar(c, 2, 0x20, PCI_BAR_IO, 0xc040 + n * 0x20);
	fake_pci_bar(c, 4, 0x4000, PCI_BAR_WIDE | PCI_BAR_PREFETCHABLE, 0x3800004000 + n * 0x10000);
	fake_pci_capability(c, 0xb0, PCI_CAP_MSIX, 12);
	fake_pci_set(c, 0xb2, 2, ENTRIES - 1);
	fake_pci_set(c, 0xb4, 4, TABLE | 0x10 | 0);
	fake_pci_set(c, 0xb8, 4, TABLE | 0x800);
	fake_pci_capability(c, 0x60, 0x03, 8); /* VPD: not for guests */
	fake_pci_set(c, 0x64, 4, 0x11223344);
	fake_pci_capability(c, 0x70, PCI_CAP_PCIE, 0x3c - 0x10);
	fake_pci_set(c, 0x72, 2, 0x0002 | 0x0100);
	fake_pci_set(c, 0x74, 4, PCIE_FLR_CAPABLE | 0x8000);
	fake_pci_capability(c, 0xd0, PCI_CAP_MSI, 24);
	fake_pci_set(c, 0xd2, 2, MSI_64 | MSI_MASKABLE | 2 << 1);
	fake_pci_capability(c, 0xc0, PCI_CAP_PM, 8);
	fake_pci_set(c, 0xc2, 2, 0xc803);
	return c;
}

static void start_with(const char *extra)
{
	pci_enumerate(&no_acpi);
	p = fake_guest(2, extra, code, sizeof(code));
	v = p->vcpu[0];
	f = &p->devices->function[0];
}

static void start(void)
{
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	start_with("pci = 00:03.0");
}

static uint32_t in(unsigned reg, unsigned size)
{
	struct bus_access a = {.size = (uint8_t)size};

	pc_mmio(v, gpa(VPCI_ECAM_BASE + (f->devfn << 12) + reg), &a);
	return (uint32_t)a.value;
}

static void out(unsigned reg, unsigned size, uint32_t value)
{
	struct bus_access a = {.size = (uint8_t)size, .write = true, .value = value};

	pc_mmio(v, gpa(VPCI_ECAM_BASE + (f->devfn << 12) + reg), &a);
}

static uint64_t memory_in(uint64_t at, unsigned size)
{
	struct bus_access a = {.size = (uint8_t)size};

	pc_mmio(v, gpa(at), &a);
	return a.value;
}

static void memory_out(uint64_t at, unsigned size, uint64_t value)
{
	struct bus_access a = {.size = (uint8_t)size, .write = true, .value = value};

	pc_mmio(v, gpa(at), &a);
}

static bool mapped(uint64_t at)
{
	uint64_t size;

	return npt_lookup(&p->npt, gpa(at), &size);
}

static uint8_t *device(unsigned bar, uint64_t offset)
{
	return fake_host.mmio + (f->pci->bar[bar].base + offset) % sizeof(fake_host.mmio);
}

static uint32_t entry(unsigned i, unsigned word)
{
	uint32_t value;

	memcpy(&value, device(0, TABLE + 0x10 + 16 * i + 4 * word), 4);
	return value;
}

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
	CHECK_EQ(fake_pci_get(hw, 0x78, 2), 0x781f); /* no FLR, no payload size */
	CHECK_EQ(hw->flrs, 1);			     /* the one at the start */
}

TEST(command_bits_that_count_reach_the_device)
{
	start();
	CHECK_EQ(in(PCI_COMMAND, 2), PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2) & PCI_COMMAND_MASTER, 0);
	out(PCI_COMMAND, 2, 0xffff);
	CHECK_EQ(in(PCI_COMMAND, 2), 0x547);
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2), 0x547);
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

/* --- messages --- */

static void write_entry(unsigned i, uint64_t address, uint32_t data, uint32_t control)
{
	uint64_t at = (in(0x10, 4) & ~15u) + TABLE + 0x10 + 16 * i;

	memory_out(at, 8, address);
	memory_out(at + 8, 4, data);
	memory_out(at + 12, 4, control);
}

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
	CHECK_EQ(entry(1, 2), HOST_VECTOR_DEVICE_FIRST + 1); /* 0x40 is the line's */
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
	CHECK_EQ(entry(1, 2), HOST_VECTOR_DEVICE_FIRST + 1);
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
	CHECK(first > HOST_VECTOR_DEVICE_FIRST && first < HOST_VECTOR_DEVICE_LAST);
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

static uint8_t line_vector(void)
{
	return fake_host.line_vector[11];
}

/* As a driver programs a pin of the I/O APIC. */
static void write_pin(unsigned pin, uint32_t low)
{
	memory_out(VIOAPIC_BASE, 4, 0x10 + 2 * pin);
	memory_out(VIOAPIC_BASE + 0x10, 4, low);
}

enum { PIN_MASKED = 1 << 16, PIN_LEVEL = 1 << 15 };

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

/* --- what is refused --- */

static uint64_t memory_bar = BAR0; /* where firmware has put BAR 0 of the card under test */

static const char *taken(void *ctx, uint64_t base, uint64_t size)
{
	(void)ctx;
	return base < 0x200000 && base + size > 0x100000 ? "memory" : NULL;
}

static bool one_device;	    /* 00:03.1 is there too */
static unsigned needs_line; /* functions on line 9 that have nothing else */

static const char *check(const char *text, bool msi)
{
	static const struct config_machine machine = {.mmio_taken = taken};
	static struct config c;
	static struct refusal r;
	struct fake_function *other;

	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	fake_pci_bar(hw, 0, 0x20000, 0, memory_bar);
	other = card(pci_bdf(0, 4, 0), 11);
	if (one_device) {
		fake_pci_set(hw, PCI_HEADER_TYPE, 1, 0x80);
		card(pci_bdf(0, 3, 1), 10);
	}
	if (!msi) {
		fake_pci_set(hw, PCI_STATUS, 2, 0);
		fake_pci_set(other, PCI_STATUS, 2, 0);
	}
	for (unsigned i = 0; i < 2 && needs_line; i++) {
		fake_pci_set(i ? other : hw, PCI_LINE, 1, 9);
		if (i < needs_line) {
			fake_pci_set(i ? other : hw, PCI_STATUS, 2, 0);
		}
	}
	fake_pci_set(fake_pci_add(pci_bdf(0, 0, 0), 0x29c08086, 0x06000000), PCI_HEADER_TYPE, 1,
		     0x80);
	fake_pci_add(pci_bdf(0, 0, 2), 0x14191022, 0x08060000);
	pci_enumerate(&no_acpi);
	r.text[0] = 0;
	if (!config_parse(&c, "a.conf", text, strlen(text), &r)) {
		return r.text;
	}
	return passthrough_check(&c, &machine, &r) ? "" : r.text;
}

/* The same with a second function of the device. */
static const char *check_group(const char *text, bool with_iommu)
{
	static const struct iommu_ops any;
	const char *said;

	one_device = true;
	iommu = with_iommu ? &any : NULL;
	said = check(text, true);
	iommu = NULL;
	one_device = false;
	return said;
}

#define G(name, cpu, rest)                                                                         \
	"[guest " name "]\ncpus = " cpu "\nmemory = 4M\nkernel = " name "\n" rest "\n"
#define UNSAFE "\ndma = unsafe-identity"

TEST(what_cannot_be_passed_is_refused)
{
	CHECK_STR(check(G("a", "1", "pci = 00:09.0"), true),
		  "a.conf:5:7: error: guest a: PCI 00:09.0 is not there; the log lists what this "
		  "machine has");
	CHECK_STR(check(G("a", "1", "pci = 00:00.0"), true),
		  "a.conf:5:7: error: guest a: PCI 00:00.0 is a bridge; only devices are passed "
		  "through");
	CHECK_STR(check(G("a", "1", "pci = 00:00.2"), true),
		  "a.conf:5:7: error: guest a: PCI 00:00.2 is an IOMMU, which is Mullion's");
	CHECK(strstr(check(G("a", "1", "pci = 00:03.0"), true), "`dma = unsafe-identity`"));
	CHECK_STR(check(G("a", "1", "pci = 00:03.0" UNSAFE), true), "");
	CHECK_STR(check(G("a", "1", "pci = 00:03.0" UNSAFE) G("b", "2", "pci = 00:04.0" UNSAFE),
			true),
		  "");
	CHECK_STR(check(G("a", "1", "pci = 00:03.0" UNSAFE) G("b", "2", "pci = 00:04.0" UNSAFE),
			false),
		  "a.conf:11:7: error: PCI 00:03.0 of guest a and 00:04.0 of guest b share "
		  "interrupt line 11; give both to one guest");
}

TEST(a_group_is_for_one_guest)
{
	static const char split[] = G("a", "1", "pci = 00:03.0") G("b", "2", "pci = 00:03.1");
	static const char unsafe[] = G("a", "1", "pci = 00:03.0" UNSAFE)
		G("b", "2", "pci = 00:03.1" UNSAFE);
	static const char half[] = G("a", "1", "pci = 00:03.0" UNSAFE) G("b", "2", "pci = 00:03.1");

	CHECK_STR(
		check_group(split, true),
		"a.conf:10:7: error: PCI 00:03.0 of guest a and 00:03.1 of guest b are one device, "
		"which does not keep its functions apart (no ACS); give both to one guest");
	CHECK(strstr(check_group(half, true), "give both to one guest"));
	fake_log_reset();
	CHECK_STR(check_group(unsafe, true), "");
	CHECK(strstr(fake_log, "WARNING: PCI 00:03.0 of guest a and 00:03.1 of guest b are one"));
	fake_log_reset();
	CHECK_STR(check_group(unsafe, false), "");
	CHECK(strstr(fake_log, "WARNING: PCI 00:03.0 of guest a"));
	CHECK_STR(check_group(G("a", "1", "pci = 00:03.0, 00:03.1") G("b", "2", "pci = 00:04.0"),
			      true),
		  "");
}

/* With messages a function gives way to one that has nothing but the line. */
TEST(a_line_of_two_guests_is_the_ones_that_needs_it)
{
	static const char text[] = G("a", "1", "pci = 00:03.0" UNSAFE)
		G("b", "2", "pci = 00:04.0" UNSAFE);

	needs_line = 1; /* one of the two */
	CHECK_STR(check(text, true), "");
	needs_line = 2;
	CHECK_STR(check(text, true),
		  "a.conf:11:7: error: PCI 00:03.0 of guest a and 00:04.0 of guest b share "
		  "interrupt line 9; give both to one guest");
	needs_line = 0;
}

TEST(a_bar_that_firmware_left_at_a_bad_place_is_refused)
{
	memory_bar = 0;
	CHECK_STR(check(G("a", "1", "pci = 00:03.0" UNSAFE), true),
		  "a.conf:5:7: error: guest a: PCI 00:03.0 has BAR 0 without an address, as the "
		  "firmware left it; have the firmware's setup assign all devices (no `PnP OS`, "
		  "`above 4G decoding`)");
	memory_bar = 0x180000;
	CHECK(strstr(check(G("a", "1", "pci = 00:03.0" UNSAFE), true),
		     "guest a: PCI 00:03.0 has BAR 0 over memory, as the firmware left it"));
	memory_bar = BAR0 - 8 * 0x80000; /* that of 00:04.0 */
	CHECK(strstr(check(G("a", "1", "pci = 00:03.0" UNSAFE), true),
		     "PCI 00:03.0 has BAR 0 over one of 00:04.0, as"));
	memory_bar = BAR0;
	CHECK_STR(check(G("a", "1", "pci = 00:03.0" UNSAFE), true), "");
}

/* --- life --- */

TEST(functions_without_a_place_on_bus_0_get_one)
{
	struct fake_function *bridge;

	fake_pci_reset();
	bridge = fake_pci_add(pci_bdf(0, 1, 0), 0x00081b36, 0x06040000);
	fake_pci_set(bridge, PCI_HEADER_TYPE, 1, 1);
	fake_pci_set(bridge, PCI_BUSES + 1, 1, 4);
	hw = card(pci_bdf(4, 0, 0), 11);
	fake_pci_set(card(pci_bdf(0, 2, 0), 10), PCI_HEADER_TYPE, 1, 0x80);
	card(pci_bdf(0, 2, 3), 10);
	start_with("pci = 04:00.0, 00:02.3");
	CHECK_EQ(p->devices->function[0].devfn, 1 << 3);
	CHECK_EQ(p->devices->function[1].devfn, 2 << 3); /* function 0 is not there */
	CHECK_EQ(in(PCI_HEADER_TYPE, 1), 0);
	start_with("pci = 00:02.0, 00:02.3");
	CHECK_EQ(p->devices->function[1].devfn, 2 << 3 | 3);
	CHECK_EQ(in(PCI_HEADER_TYPE, 1), 0x80);
}

TEST(the_end_silences_and_resets)
{
	start();
	out(PCI_COMMAND, 2, 7);
	out(0xb2, 2, MSIX_ENABLE);
	write_entry(1, 0xfee00000, 0x55, 0);
	p->vcpus = 1;
	partition_end(p, END_RESET, "test");
	vcpu_turn(v); /* takes the request */
	CHECK_EQ(hw->flrs, 1);
	vcpu_turn(v); /* ends, and starts again */
	CHECK_EQ(hw->flrs, 2);
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2) & PCI_COMMAND_MASTER, 0);
	CHECK_EQ(fake_pci_get(hw, 0xb2, 2) & MSIX_ENABLE, 0);
	CHECK_EQ(in(PCI_COMMAND, 2), 3);
	CHECK_EQ(in(0xb2, 2), ENTRIES - 1);
	CHECK_EQ(memory_in(BAR0 + TABLE + 0x10 + 16, 4), 0);
	CHECK(mapped(BAR0));
	passthrough_interrupt(v, HOST_VECTOR_DEVICE_FIRST + 1); /* was on its way */
	CHECK_EQ(p->devices->orphans, 1);
	CHECK_EQ(p->devices->taken, 0);
	p->vcpus = 2;
}

/* Of firmware, then of the guest's last run. */
TEST(without_a_reset_no_message_is_left)
{
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	fake_pci_set(hw, 0x74, 4, 0);
	fake_pci_set(hw, 0xc4, 2, PM_NO_SOFT_RESET);
	fake_pci_set(hw, 0xb2, 2, MSIX_ENABLE | (ENTRIES - 1));
	fake_pci_set(hw, 0xd2, 2, MSI_64 | MSI_MASKABLE | 2 << 1 | MSI_ENABLE);
	start_with("pci = 00:03.0");
	CHECK(strstr(fake_log, "it has no reset"));
	CHECK_EQ(fake_pci_get(hw, 0xb2, 2) & MSIX_ENABLE, 0);
	CHECK_EQ(fake_pci_get(hw, 0xd2, 2) & MSI_ENABLE, 0);
	for (unsigned i = 0; i < ENTRIES; i++) {
		CHECK_EQ(entry(i, 3) & 1, 1);
	}
	CHECK_EQ(entry(ENTRIES, 3), 0); /* the device's own registers */
	out(0xb2, 2, MSIX_ENABLE);
	write_entry(1, 0xfee00000, 0x55, 0);
	CHECK_EQ(entry(1, 3) & 1, 0);
	p->vcpus = 1;
	partition_end(p, END_RESET, "test");
	vcpu_turn(v);
	vcpu_turn(v);
	p->vcpus = 2;
	CHECK_EQ(entry(1, 3) & 1, 1);
	out(0xb2, 2, MSIX_ENABLE);
	CHECK_EQ(entry(1, 3) & 1, 1);
}

TEST(what_does_not_decode_is_not_written_to)
{
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	fake_pci_set(hw, PCI_COMMAND, 2, 0);
	hw->writable[PCI_COMMAND] = 0;
	start_with("pci = 00:03.0");
	CHECK_EQ(entry(0, 3), 0);
}

/* An IOMMU that is a function tells of faults by messages: writes of its own. */
TEST(what_nobody_owns_is_silenced_but_for_bridges_and_iommus)
{
	static const uint32_t class[] = {0x02000000, 0x06010000, 0x08060000, 0x08050100};
	static const bool silent[] = {true, false, false, true};
	struct fake_function *other[ARRAY_SIZE(class)];
	struct pci_line line;

	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	for (unsigned i = 0; i < ARRAY_SIZE(class); i++) {
		other[i] = fake_pci_add(pci_bdf(0, 8 + i, 0), 0x14191022, class[i]);
		fake_pci_set(other[i], PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	}
	start_with("pci = 00:03.0");
	out(PCI_COMMAND, 2, 7);
	passthrough_silence_rest();
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2), 7);
	for (unsigned i = 0; i < ARRAY_SIZE(class); i++) {
		CHECK_EQ(fake_pci_get(other[i], PCI_COMMAND, 2),
			 silent[i] ? PCI_COMMAND_INTX_OFF : PCI_COMMAND_MASTER);
	}
	CHECK_STR(pci_line(&line, pci_find(pci_bdf(0, 10, 0))), "PCI   00:0a.0  # 1022:1419 IOMMU");
}

/* All that a guest does with a device, and its end and next start, whenever the device dies. */
TEST(a_device_may_die_at_any_access)
{
	unsigned told = 0;
	bool survived = false;

	for (unsigned n = 1; n < 400 && !survived; n += n < 60 ? 1 : 7) {
		start();
		hw->accesses = 0;
		hw->dies_after = n;
		fake_pci_waited_ms = 0;
		out(PCI_COMMAND, 2, 7);
		for (unsigned reg = 0; reg < 256; reg += 4) {
			in(reg, 4);
		}
		out(0x10, 4, 0xc1000000);
		out(0xb2, 2, MSIX_ENABLE);
		write_entry(0, 0xfee00000, 0x30, 0);
		out(0xb2, 2, 0);
		out(0xd4, 4, 0xfee00000);
		out(0xd2, 2, MSI_ENABLE | 2 << 4);
		out(0xd2, 2, 0);
		out(PCI_COMMAND, 2, PCI_COMMAND_INTX_OFF);
		p->vcpus = 1;
		partition_end(p, END_RESET, "test");
		vcpu_turn(v);
		vcpu_turn(v);
		p->vcpus = 2;
		CHECK_EQ(p->end, END_NONE);
		survived = in(PCI_VENDOR, 4) != 0xffffffff;
		told += strstr(fake_log, "PCI 00:03.0 does not answer any more") != NULL;
		CHECK(fake_pci_waited_ms < 5000);
	}
	CHECK(survived);
	CHECK(told > 60); /* not when it dies later, while it is set up again */
}

TEST(a_list_of_capabilities_that_loops_is_shown_once)
{
	unsigned at, n = 0;

	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	hw->config[0xb1] = 0xc0; /* the last one leads to the first */
	start_with("pci = 00:03.0");
	for (at = in(PCI_CAPABILITIES, 1); at && n < 20; at = in(at + 1, 1)) {
		n++;
	}
	CHECK_EQ(n, 4);
}

TEST(irq_9_is_another_one_of_the_8259s)
{
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 9);
	start_with("pci = 00:03.0");
	CHECK_EQ(in(PCI_LINE, 1), 11);
	CHECK(fake_host.line_masked[9]);
	write_pin(19, PIN_LEVEL | 0x55);
	CHECK(!fake_host.line_masked[9]);
	passthrough_interrupt(v, fake_host.line_vector[9]);
	CHECK(fake_host.line_masked[9]);
	CHECK(p->pc.ioapic.level >> 19 & 1);
	CHECK(p->pc.pic.chip[1].line & 8);    /* IRQ 11 */
	CHECK(!(p->pc.pic.chip[1].line & 2)); /* not the SCI's */
	CHECK(p->pc.pic.chip[1].elcr & 8);
	passthrough_pic_eoi(p, 9);
	CHECK(fake_host.line_masked[9]);
	passthrough_pic_eoi(p, 11);
	CHECK(!fake_host.line_masked[9]);
	CHECK(!(p->pc.pic.chip[1].line & 8));
}

/* --- faults --- */

static unsigned attached, quieted;

static bool count_attach(uint16_t bdf, struct iommu_domain *d, struct refusal *r)
{
	(void)r;
	attached += bdf == 0x18 && d;
	return true;
}

/* Once the guest is stopped, it may start and attach its devices at any moment. */
static void count_quiet(uint16_t bdf)
{
	(void)bdf;
	quieted += p->end == END_NONE;
}

static const struct iommu_ops counting = {.attach = count_attach, .quiet = count_quiet};

static bool fault_of(uint16_t bdf, bool interrupt, bool many)
{
	struct iommu_fault x = {.bdf = bdf, .address = 0x12345000, .write = true, .owned = true};
	bool stopped;

	x.interrupt = interrupt;
	quieted = 0;
	iommu = &counting;
	stopped = passthrough_dma_fault(&x, many);
	iommu = NULL;
	CHECK(!stopped || quieted == 1);
	return stopped;
}

static bool fault(uint16_t bdf, bool interrupt)
{
	return fault_of(bdf, interrupt, false);
}

TEST(a_fault_stops_the_guest_that_says_so)
{
	start();
	CHECK(!fault(0x18, false)); /* only told */
	CHECK_EQ(p->end, END_NONE);
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	start_with("pci = 00:03.0\non-dma-fault = stop\non-crash = restart");
	CHECK(!fault(0x20, false)); /* another's */
	CHECK(!fault(0x18, true));  /* an interrupt is no DMA */
	CHECK(!fault_of(0x20, true, true));
	CHECK_EQ(p->end, END_NONE);
	CHECK(fault(0x18, false));
	CHECK_EQ(p->end, END_ERROR);
	CHECK(!fault(0x18, false)); /* it is ending already */
	p->vcpus = 1;
	p->devices->domain = (struct iommu_domain *)p; /* so that it is attached again */
	iommu = &counting;
	attached = 0;
	vcpu_turn(v);
	vcpu_turn(v);
	iommu = NULL;
	CHECK_EQ(attached, 1);
	CHECK(strstr(fake_log,
		     "test: stopped: PCI 00:03.0 tried to write 0x12345000, which is not the "
		     "guest's (`on-dma-fault = stop`); restarting"));
	CHECK_EQ(p->end, END_NONE);
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2) & PCI_COMMAND_MASTER, 0);
	CHECK(fault(0x18, false)); /* and so it goes on */
	p->vcpus = 2;
	atomic_store(&p->generation, 0); /* not started yet: its vCPUs would not notice */
	atomic_store(&p->end, END_NONE);
	CHECK(!fault(0x18, false));
}

TEST(many_interrupt_requests_stop_it_too)
{
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	start_with("pci = 00:03.0\non-dma-fault = stop");
	CHECK(fault_of(0x18, true, true));
	CHECK_EQ(p->end, END_ERROR);
	CHECK_STR(p->end_reason, "PCI 00:03.0 sent many interrupts that are not the guest's "
				 "(`on-dma-fault = stop`)");
	start_with("pci = 00:03.0");
	CHECK(!fault_of(0x18, true, true));
}

TEST(a_fault_with_a_bridges_id_is_that_of_the_function_behind)
{
	struct fake_function *bridge;

	fake_pci_reset();
	bridge = fake_pci_add(pci_bdf(0, 1, 0), 0x00081b36, 0x06040000);
	fake_pci_set(bridge, PCI_HEADER_TYPE, 1, 1);
	fake_pci_set(bridge, PCI_BUSES + 1, 2, 0x0404);
	hw = card(pci_bdf(4, 2, 0), 11);
	start_with("pci = 04:02.0\non-dma-fault = stop");
	CHECK_EQ(f->pci->requester, 0x08);
	CHECK(fault(0x08, false));
	CHECK(strstr(p->end_reason, "PCI 04:02.0 tried to write"));
}

/* --- memory without an IOMMU --- */

TEST(identity_memory_is_at_its_own_addresses_with_holes)
{
	static const uint64_t free_ram[4][2] = {
		{0x200000, 0x2f0000}, /* too small to be worth a range */
		{0x300000, 0x500000},
		{0x600000, 0x10000000},
	};
	uint64_t ram = 0;

	memcpy(fake_host_identity, free_ram, sizeof(free_ram));
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	start_with("pci = 00:03.0\ndma = unsafe-identity");
	CHECK_EQ(p->as.count, 4);
	for (unsigned i = 0; i < p->as.count; i++) {
		const struct addr_range *a = &p->as.range[i];

		if (a->base.v >= 0x100000) {
			CHECK_EQ(a->base.v, a->hpa.v);
			ram += a->size;
		}
	}
	CHECK_EQ(ram, 0x300000);
	CHECK_EQ(p->as.range[2].base.v, 0x300000);
	CHECK_EQ(p->as.range[3].base.v, 0x600000);
	/* The guest is told of the holes. */
	CHECK_EQ(p->image.map[3].base, 0x300000);
	CHECK_EQ(p->image.map[3].size, 0x200000);
	CHECK_EQ(p->image.map[4].base, 0x600000);
	CHECK_EQ(p->image.map[4].size, 0x100000);
	CHECK(strstr(fake_log, "WARNING: no IOMMU holds its devices") != NULL);
	memset(fake_host_identity, 0, sizeof(fake_host_identity));
}
