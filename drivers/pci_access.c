/*
 * Accesses to PCI configuration space: see pci_access.h and hv/pci.h. Segment 0 only.
 *
 * ECAM needs no lock. The two ports of mechanism 1 are a pair that all CPUs share, so a lock is
 * held for the two instructions: the one place where partitions on old machines meet.
 */
#include "drivers/pci_access.h"
#include "hv/cpu_facts.h"
#include "hv/host.h"
#include "hv/lib/lock.h"
#include "hv/log.h"
#include "hv/pci.h"

enum { CONFIG_ADDRESS = 0xcf8, CONFIG_DATA = 0xcfc, LEGACY_SIZE = 0x100, ECAM_SIZE = 0x1000 };
#define CONFIG_ENABLE BIT(31)

static struct {
	volatile uint8_t *at; /* of bus `first` */
	uint8_t first, last;
} ecam;
static struct lock ports;

void pci_access_init(const struct acpi_info *a)
{
	for (unsigned i = 0; i < a->mcfgs && !ecam.at; i++) {
		uint64_t base = a->mcfg[i].base;
		unsigned first = a->mcfg[i].bus_first, last = a->mcfg[i].bus_last;

		if (a->mcfg[i].segment || first || last < first || !base || base % MIB(1)) {
			continue;
		}
		if (base + MIB(last - first + 1ull) > cpu_address_limit()) {
			log_line("PCI: ECAM at 0x%lx is beyond this CPU's addresses; not used",
				 base);
			continue;
		}
		ecam.at = host_map_mmio(hpa(base), MIB(last - first + 1ull));
		ecam.first = (uint8_t)first;
		ecam.last = (uint8_t)last;
		log_line("PCI: ECAM at 0x%lx, buses %u-%u", base, first, last);
	}
	if (!ecam.at) {
		log_line("PCI: no ECAM, ports 0xcf8 and 0xcfc");
	}
}

bool pci_access_extended(void)
{
	return ecam.at;
}

unsigned pci_access_last_bus(void)
{
	return ecam.at ? ecam.last : 0;
}

static volatile uint8_t *ecam_at(uint16_t bdf, unsigned offset)
{
	unsigned bus = bdf >> 8;

	return ecam.at && bus >= ecam.first && bus <= ecam.last
		       ? ecam.at + MIB(bus - ecam.first) + (bdf & 0xffu) * ECAM_SIZE + offset
		       : NULL;
}

static uint32_t read_by_ports(uint16_t bdf, unsigned offset, unsigned size)
{
	uint32_t v;

	lock_take(&ports);
	host_out(CONFIG_ADDRESS, 4, (uint32_t)CONFIG_ENABLE | bdf * 0x100u | (offset & 0xfc));
	v = host_in((uint16_t)(CONFIG_DATA + (offset & 3)), size);
	lock_drop(&ports);
	return v;
}

bool pci_access_agrees(uint16_t bdf)
{
	return read_by_ports(bdf, PCI_VENDOR, 4) == pci_read(bdf, PCI_VENDOR, 4);
}

uint32_t pci_read(uint16_t bdf, unsigned offset, unsigned size)
{
	volatile uint8_t *at = ecam_at(bdf, offset);

	if (at) {
		return (uint32_t)host_mmio_read(at, size);
	}
	return offset < LEGACY_SIZE ? read_by_ports(bdf, offset, size) : ~0u;
}

void pci_write(uint16_t bdf, unsigned offset, unsigned size, uint32_t value)
{
	volatile uint8_t *at = ecam_at(bdf, offset);

	if (at) {
		host_mmio_write(at, size, value);
		return;
	}
	if (offset >= LEGACY_SIZE) {
		return;
	}
	lock_take(&ports);
	host_out(CONFIG_ADDRESS, 4, (uint32_t)CONFIG_ENABLE | bdf * 0x100u | (offset & 0xfc));
	host_out((uint16_t)(CONFIG_DATA + (offset & 3)), size, value);
	lock_drop(&ports);
}

void pci_delay_us(unsigned microseconds)
{
	uint64_t end = host_tsc() + host_tsc_hz / 1000000 * microseconds;

	while (host_tsc() < end) {
		host_relax();
	}
}
