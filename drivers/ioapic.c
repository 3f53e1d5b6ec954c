/*
 * Physical I/O APICs: see ioapic.h. Which ones there are belongs to this file.
 */
#include "drivers/ioapic.h"
#include "hv/host.h"
#include "hv/iommu.h"
#include "hv/log.h"

enum { IOREGSEL = 0x00, IOWIN = 0x10 }; /* memory offsets */
enum { IOAPIC_VERSION = 0x01, IOAPIC_PIN_LOW = 0x10, IOAPIC_PIN_HIGH = 0x11 };
enum { PIN_LOW_ACTIVE = BIT(13), PIN_MASKED = BIT(16) };

struct ioapic {
	volatile uint32_t *at;
	uint8_t id; /* as the MADT tells */
	uint32_t first, pins;
};

static struct ioapic ioapic[ACPI_IOAPICS];
static unsigned ioapics;

static uint32_t read(const struct ioapic *io, unsigned r)
{
	io->at[IOREGSEL / 4] = r;
	return io->at[IOWIN / 4];
}

static void write(const struct ioapic *io, unsigned r, uint32_t v)
{
	io->at[IOREGSEL / 4] = r;
	io->at[IOWIN / 4] = v;
}

static const struct ioapic *find(uint32_t gsi, unsigned *pin)
{
	for (unsigned i = 0; i < ioapics; i++) {
		if (gsi >= ioapic[i].first && gsi - ioapic[i].first < ioapic[i].pins) {
			*pin = gsi - ioapic[i].first;
			return &ioapic[i];
		}
	}
	return NULL;
}

void ioapic_init(const struct acpi_info *a)
{
	for (ioapics = 0; ioapics < a->ioapics; ioapics++) {
		struct ioapic *io = &ioapic[ioapics];

		io->at = host_map_mmio(a->ioapic[ioapics].base, PAGE_SIZE);
		io->id = (uint8_t)a->ioapic[ioapics].id;
		io->first = a->ioapic[ioapics].gsi_base;
		io->pins = (read(io, IOAPIC_VERSION) >> 16 & 0xff) + 1;
		for (unsigned pin = 0; pin < io->pins; pin++) {
			write(io, IOAPIC_PIN_LOW + 2 * pin, PIN_MASKED);
			write(io, IOAPIC_PIN_HIGH + 2 * pin, 0);
		}
		log_line("IOAPIC: interrupts %u-%u at 0x%lx, all masked", io->first,
			 io->first + io->pins - 1, a->ioapic[ioapics].base.v);
	}
}

bool ioapic_route(uint32_t gsi, uint32_t apic_id, uint8_t vector, bool level, bool low)
{
	unsigned pin;
	const struct ioapic *io = find(gsi, &pin);
	uint64_t entry;

	if (!io || !(iommu ? iommu->ioapic(io->id, pin, apic_id, vector, level, &entry)
			   : iommu_plain_ioapic(apic_id, vector, level, &entry))) {
		return false;
	}
	/* Masked while the two halves do not belong together. */
	write(io, IOAPIC_PIN_LOW + 2 * pin, PIN_MASKED);
	write(io, IOAPIC_PIN_HIGH + 2 * pin, (uint32_t)(entry >> 32));
	write(io, IOAPIC_PIN_LOW + 2 * pin, (uint32_t)entry | (low ? PIN_LOW_ACTIVE : 0));
	return true;
}

void ioapic_mask(uint32_t gsi, bool masked)
{
	unsigned pin;
	const struct ioapic *io = find(gsi, &pin);
	uint32_t v;

	if (io) {
		v = read(io, IOAPIC_PIN_LOW + 2 * pin) & ~(uint32_t)PIN_MASKED;
		write(io, IOAPIC_PIN_LOW + 2 * pin, v | (masked ? PIN_MASKED : 0));
	}
}

uint32_t ioapic_isa(const struct acpi_info *a, uint8_t irq, bool *level, bool *low)
{
	*level = false;
	*low = false;
	for (unsigned i = 0; i < a->overrides; i++) {
		if (a->override[i].irq == irq) {
			*level = a->override[i].level;
			*low = a->override[i].low;
			return a->override[i].gsi;
		}
	}
	return irq;
}
