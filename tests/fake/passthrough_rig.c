/*
 * A guest that owns a card: see passthrough_rig.h.
 */
#include "tests/fake/passthrough_rig.h"
#include "hv/lib/string.h"
#include "tests/fake/fake_guest.h"

const struct acpi_info no_acpi;
static const uint8_t code[] = {0xf4};
struct partition *p;
struct vcpu *v;
struct vpci_function *f;
struct fake_function *hw;

/* A card with all that matters: memory, I/O, small, wide BARs; MSI with 4 vectors, MSI-X, PM, PCIe.
 */
struct fake_function *card(uint16_t bdf, unsigned line)
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

void start_with(const char *extra)
{
	pci_enumerate(&no_acpi);
	p = fake_guest(2, extra, code, sizeof(code));
	v = p->vcpu[0];
	f = &p->devices->function[0];
}

void start(void)
{
	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	start_with("pci = 00:03.0");
}

uint32_t in(unsigned reg, unsigned size)
{
	struct bus_access a = {.size = (uint8_t)size};

	pc_mmio(v, gpa(VPCI_ECAM_BASE + (f->devfn << 12) + reg), &a);
	return (uint32_t)a.value;
}

void out(unsigned reg, unsigned size, uint32_t value)
{
	struct bus_access a = {.size = (uint8_t)size, .write = true, .value = value};

	pc_mmio(v, gpa(VPCI_ECAM_BASE + (f->devfn << 12) + reg), &a);
}

uint64_t memory_in(uint64_t at, unsigned size)
{
	struct bus_access a = {.size = (uint8_t)size};

	pc_mmio(v, gpa(at), &a);
	return a.value;
}

void memory_out(uint64_t at, unsigned size, uint64_t value)
{
	struct bus_access a = {.size = (uint8_t)size, .write = true, .value = value};

	pc_mmio(v, gpa(at), &a);
}

bool mapped(uint64_t at)
{
	uint64_t size;

	return npt_lookup(&p->npt, gpa(at), &size);
}

uint8_t *device(unsigned bar, uint64_t offset)
{
	return fake_host.mmio + (f->pci->bar[bar].base + offset) % sizeof(fake_host.mmio);
}

uint32_t entry(unsigned i, unsigned word)
{
	uint32_t value;

	memcpy(&value, device(0, TABLE + 0x10 + 16 * i + 4 * word), 4);
	return value;
}

void write_entry(unsigned i, uint64_t address, uint32_t data, uint32_t control)
{
	uint64_t at = (in(0x10, 4) & ~15u) + TABLE + 0x10 + 16 * i;

	memory_out(at, 8, address);
	memory_out(at + 8, 4, data);
	memory_out(at + 12, 4, control);
}

uint8_t line_vector(void)
{
	return fake_host.line_vector[11];
}

/* As a driver programs a pin of the I/O APIC. */
void write_pin(unsigned pin, uint32_t low)
{
	memory_out(VIOAPIC_BASE, 4, 0x10 + 2 * pin);
	memory_out(VIOAPIC_BASE + 0x10, 4, low);
}
