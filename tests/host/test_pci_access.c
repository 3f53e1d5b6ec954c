/*
 * Configuration space through ECAM wherever it is, and through the ports where there is none.
 */
#define host_map_mmio	    own_map_mmio
#define pci_read	    own_pci_read
#define pci_write	    own_pci_write
#define pci_access_init	    own_pci_access_init
#define pci_access_extended own_pci_access_extended
#define pci_access_last_bus own_pci_access_last_bus
#define pci_access_agrees   own_pci_access_agrees
#define pci_delay_us	    own_pci_delay_us
#include "drivers/pci_access.c"
#include "tests/fake/fake_host.h"
#include "tests/host/test.h"

static struct acpi_info acpi;
static uint64_t mapped, mapped_size;

void *own_map_mmio(hpa_t at, uint64_t size)
{
	mapped = at.v;
	mapped_size = size;
	return fake_host.mmio;
}

static void machine(void)
{
	fake_host_reset();
	fake_log_reset();
	memset(fake_host.mmio, 0, sizeof(fake_host.mmio));
	memset(&acpi, 0, sizeof(acpi));
	memset(&ecam, 0, sizeof(ecam));
	mapped = mapped_size = 0;
}

static void add(uint64_t base, uint16_t segment, uint8_t first, uint8_t last)
{
	acpi.mcfg[acpi.mcfgs].base = base;
	acpi.mcfg[acpi.mcfgs].segment = segment;
	acpi.mcfg[acpi.mcfgs].bus_first = first;
	acpi.mcfg[acpi.mcfgs++].bus_last = last;
}

TEST(ecam_above_4_gib)
{
	machine();
	add(0x4000000000, 0, 0, 255);
	pci_access_init(&acpi);
	CHECK_EQ(mapped, 0x4000000000);
	CHECK_EQ(mapped_size, MIB(256));
	CHECK(pci_access_extended());
	CHECK_STR(fake_log, "PCI: ECAM at 0x4000000000, buses 0-255\n");
	pci_write(pci_bdf(0, 4, 1), 0x104, 4, 0x12345678);
	CHECK_EQ(fake_host.mmio[0x4 << 15 | 1 << 12 | 0x104], 0x78);
	CHECK_EQ(pci_read(pci_bdf(0, 4, 1), 0x106, 2), 0x1234);
}

TEST(entries_that_are_not_ours)
{
	machine();
	add(0x4000000000, 1, 0, 255);	/* another segment */
	add(0xb0000000, 0, 0x80, 0xff); /* not from bus 0 */
	add(0xb0000800, 0, 0, 255);	/* not aligned */
	add(0, 0, 0, 255);
	add(0x7ff8000000, 0, 0, 255); /* its end is beyond what this CPU can address */
	pci_access_init(&acpi);
	CHECK_EQ(mapped, 0);
	CHECK(!pci_access_extended());
	CHECK(strstr(fake_log, "ECAM at 0x7ff8000000 is beyond this CPU's addresses; not used\n"));
	CHECK_EQ(pci_read(0, 0x100, 4), ~0u);
	add(0xc0000000, 0, 0, 0x3f);
	pci_access_init(&acpi);
	CHECK_EQ(mapped, 0xc0000000);
	CHECK_EQ(mapped_size, MIB(64));
}

static uint32_t a_card(uint16_t port, unsigned size)
{
	return port == CONFIG_DATA && size == 4 ? 0x10d38086 : ~0u;
}

TEST(ecam_that_shows_something_else_than_the_ports)
{
	machine();
	add(0xb0000000, 0, 0, 255);
	pci_access_init(&acpi);
	fake_host.port_in = a_card;
	CHECK(!pci_access_agrees(pci_bdf(0, 4, 0)));
	pci_write(pci_bdf(0, 4, 0), PCI_VENDOR, 4, 0x10d38086);
	CHECK(pci_access_agrees(pci_bdf(0, 4, 0)));
}
